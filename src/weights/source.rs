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
///     size: 574_673_361,
/// };
/// assert!(!VGG19.is_at("no/such/file.pth")?);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// The URL, `https` or `http`. What comes is checked all the same.
    pub url: &'a str,
    /// The SHA-256 of the file: 64 hexadecimal digits.
    pub sha256: &'a str,
    /// The size of the file in bytes.
    pub size: u64,
}

impl Source<'_> {
    /// Whether this file, of the right size and hash, is at `path`.
    ///
    /// Reads the whole file, unless its size is wrong already.
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
        if metadata.len() != self.size {
            return Ok(false);
        }
        let mut hasher = Sha256::new();
        hash::read(&file, &mut hasher)?;
        Ok(self.has_hash(&hash::hex(hasher)))
    }

    pub(crate) fn has_hash(&self, hex: &str) -> bool {
        self.sha256.eq_ignore_ascii_case(hex)
    }
}
