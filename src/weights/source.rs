//! What identifies a published file.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::hash;
use crate::{Error, Result};

/// Where a file comes from, and how to know that it came whole and unchanged.
///
/// ```
/// use tch_losses::weights::Source;
///
/// // torchvision's VGG19, as `torchvision.models.vgg19(weights="DEFAULT")` fetches it.
/// const VGG19: Source = Source {
///     url: "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
///     sha256: "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
///     size: Some(574_673_361),
/// };
/// assert!(!VGG19.is_at("no/such/file.pth")?);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// The URL, `https` or `http`. What comes is checked all the same.
    pub url: &'a str,
    /// The SHA-256 of the file: 64 hexadecimal digits, or the first of them, at least 8.
    ///
    /// Of some of its files, PyTorch publishes eight digits, as a part of their names. `torch.hub` checks these.
    pub sha256: &'a str,
    /// The size of the file in bytes, where it is known.
    pub size: Option<u64>,
}

impl Source<'_> {
    /// Whether this file, of the right size and hash, is at `path`.
    ///
    /// Reads the whole file, unless its size is wrong already. A [hash](Self::sha256) of fewer than 8 digits is that of
    /// no file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] when there is something at `path` that cannot be read, or a directory.
    pub fn is_at(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        self.read(path).map_err(|reason| Error::Read { path: path.into(), reason })
    }

    /// The name the publisher gave it: the last part of the URL.
    pub fn file_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    fn read(&self, path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if self.size.is_some_and(|size| metadata.len() != size) {
            return Ok(false);
        }
        let mut hasher = Sha256::new();
        hash::read(&file, &mut hasher)?;
        Ok(self.has_hash(&hash::hex(hasher)))
    }

    /// Whether this, all 64 digits, may be its hash.
    pub(crate) fn has_hash(&self, hex: &str) -> bool {
        let digits = self.sha256.len();
        digits >= LEAST_DIGITS && hex.get(..digits).is_some_and(|hex| hex.eq_ignore_ascii_case(self.sha256))
    }

    /// Whether all digits of its hash are known.
    pub(crate) fn has_whole_hash(&self) -> bool {
        self.sha256.len() == DIGITS
    }
}

/// The digits of a SHA-256, and how many of them are enough to tell files apart that are not made to deceive.
pub(super) const DIGITS: usize = 64;
pub(super) const LEAST_DIGITS: usize = 8;

/// What identifies a file, for a sentence that says to have it: `7 bytes and the SHA-256 ..`.
pub(super) fn identity(size: Option<u64>, sha256: &str) -> String {
    let size = size.map_or_else(String::new, |size| format!("{size} bytes and "));
    format!("{size}{}", if_whole(sha256, "the SHA-256 ", "a SHA-256 that begins with "))
}

/// A hash, with words before it for all of its digits or for the first ones.
pub(super) fn if_whole(sha256: &str, whole: &str, first: &str) -> String {
    format!("{}{sha256}", if sha256.len() == DIGITS { whole } else { first })
}
