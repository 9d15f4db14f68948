//! What can go wrong with a loss log.

use std::path::{Path, PathBuf};

use crate::base::debug_is_the_message;

/// Why a file cannot be used as a loss log.
///
/// [`Error::Log`](crate::Error::Log) carries it. A file that cannot be read or written at all is an
/// [`Error::Read`](crate::Error::Read) or [`Error::Write`](crate::Error::Write).
///
/// ```
/// use tch_losses::manager::log::{LogError, LoggedRun};
/// use tch_losses::Error;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("losses.csv");
/// std::fs::write(&path, "epoch,loss\n").unwrap();
/// let error = LoggedRun::read(&path).unwrap_err();
/// assert!(matches!(error, Error::Log(LogError::Unusable { line: 1, .. })));
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file is not a loss log, is damaged, or is the log of another experiment.
    #[error("cannot use {} as a loss log: line {line}: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },

    /// Another process, or another writer in this one, is writing the file.
    #[error("{} is in use: another process, or another part of this one, is writing it", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

debug_is_the_message!(LogError);

impl LogError {
    /// The line is not one of a log, or not of this one.
    pub(super) fn unusable(path: &Path, line: u64, problem: impl Into<String>) -> LogError {
        LogError::Unusable { path: path.into(), line, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn messages() {
        for (error, message) in [
            (
                LogError::unusable(Path::new("a.jsonl"), 3, "it is blank"),
                "cannot use a.jsonl as a loss log: line 3: it is blank",
            ),
            (
                LogError::Locked { path: "a.jsonl".into() },
                "a.jsonl is in use: another process, or another part of this one, is writing it",
            ),
        ] {
            assert_eq!(error.to_string(), message);
            assert_eq!(format!("{error:?}"), message);
            let error = Error::from(error);
            assert!(matches!(error, Error::Log(_)));
            assert_eq!(error.to_string(), message);
            assert_eq!(format!("{error:?}"), message);
        }
    }
}
