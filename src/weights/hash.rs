//! SHA-256, as the lower-case hexadecimal text that publishers give.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The SHA-256 of the file at `path`, as 64 hexadecimal digits.
///
/// # Errors
/// [`Error::Read`] where it cannot be read.
///
/// ```
/// use tch_losses::weights::sha256;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("empty");
/// # std::fs::write(&path, "").unwrap();
/// let of_an_empty_file = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(sha256(path)?, of_an_empty_file);
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub fn sha256(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let mut hasher = Sha256::new();
    File::open(path)
        .and_then(|file| read(&file, &mut hasher))
        .map_err(|reason| Error::Read { path: path.into(), reason })?;
    Ok(hex(hasher))
}

/// Feeds the rest of `file` to `hasher` and gives the number of its bytes.
pub(crate) fn read(file: &File, hasher: &mut Sha256) -> io::Result<u64> {
    // The hash takes about half a second per gigabyte; a large buffer keeps reading from adding to that.
    io::copy(&mut BufReader::with_capacity(1 << 20, file), hasher)
}

pub(crate) fn hex(hasher: Sha256) -> String {
    format!("{:x}", hasher.finalize())
}
