//! Files that are not what their place is for.

use std::fmt;
use std::path::{Path, PathBuf};

use super::pth::PthError;
use super::{open, sha256, Source, WeightsError, WeightsFile};
use crate::Error;

/// A file that lies where another one is expected.
///
/// ```
/// use tch_losses::weights::{Cache, VGG19};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let cache = Cache { directory: folder.path().into(), hub: None, offline: true };
/// # std::fs::create_dir(folder.path().join("weights")).unwrap();
/// # std::fs::write(folder.path().join("weights/vgg19-dcbb9e9d.pth"), "<html>Not found</html>").unwrap();
/// let wrong = cache.wrong_files(&VGG19).remove(0);
/// assert_eq!(wrong.path, folder.path().join("weights/vgg19-dcbb9e9d.pth"));
/// assert!(wrong.problem.starts_with("it has 22 bytes, not 574673361, and the SHA-256 "));
/// assert!(wrong.problem.contains("it is an HTML page"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size, its hash and what it seems to be; or why it cannot be read.
    pub problem: String,
}

impl fmt::Display for WrongFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the file at {} is not the right one: {}", self.path.display(), self.problem)
    }
}

impl WrongFile {
    /// What is at `path`, unless that is the file `source`, or nothing.
    pub(super) fn instead_of(source: &Source, path: &Path) -> Option<WrongFile> {
        if !path.exists() || source.is_at(path).unwrap_or(false) {
            return None;
        }
        Some(WrongFile::at(path, source.size))
    }

    /// What is at `path`, where a file of `size` bytes should be.
    pub(super) fn at(path: &Path, size: Option<u64>) -> WrongFile {
        let facts = || -> crate::Result<String> {
            let bytes = open::to_read(path)?
                .metadata()
                .map_err(|reason| Error::Read { path: path.into(), reason })?
                .len();
            let expected = size.filter(|size| *size != bytes).map(|size| format!(", not {size},"));
            let expected = expected.unwrap_or_default();
            Ok(format!("it has {bytes} bytes{expected} and the SHA-256 {}; {}", sha256(path)?, seems(path)?))
        };
        let problem = facts().unwrap_or_else(|error| error.to_string());
        WrongFile { path: path.into(), problem }
    }
}

/// What the file seems to be, as a sentence.
fn seems(path: &Path) -> crate::Result<String> {
    match WeightsFile::open(path) {
        Ok(file) => Ok(format!(
            "it is a file of {} other tensors, or of the same with other values",
            file.names().len()
        )),
        Err(Error::Weights(WeightsError::Pth { reason, .. })) => Ok(match reason {
            PthError::Truncated { .. } | PthError::Archive { .. } => {
                "it seems to be a part of a file of torch.save, or a damaged one".into()
            }
            reason => reason.to_string(),
        }),
        Err(Error::Weights(WeightsError::Unusable { problem, .. })) => Ok(problem),
        Err(error) => Err(error),
    }
}
