//! What can go wrong with files of weights.

use std::path::{Path, PathBuf};

#[cfg(feature = "download")]
use super::fetch::FetchError;
use super::pth::PthError;
use super::source::identity;
use super::WrongFile;
use crate::base::debug_is_the_message;
use crate::printable;

/// Why weights cannot be had from a file.
///
/// [`Error::Weights`](crate::Error::Weights) carries it. A file that cannot be opened, read or written at all is an
/// [`Error::Read`](crate::Error::Read) or [`Error::Write`](crate::Error::Write).
///
/// ```
/// use tch_losses::weights::{WeightsError, WeightsFile};
/// use tch_losses::Error;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("vgg19.pth");
/// std::fs::write(&path, "<html>Not found</html>").unwrap();
/// match WeightsFile::open(&path) {
///     Err(Error::Weights(WeightsError::Pth { reason, .. })) => {
///         assert!(reason.to_string().starts_with("it is an HTML page"));
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file was read, but does not hold the weights that are needed.
    #[error("no usable weights in {}: {}", path.display(), printable(problem))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// The `.pth` file is not one that can be read.
    #[error("cannot use {}: {reason}", path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: PthError,
    },

    /// The file could not be fetched.
    ///
    /// The message says what was expected and what came, and how to go on by hand.
    #[cfg(feature = "download")]
    #[error(
        "cannot fetch {url}: {reason} (attempts: {attempts}); to go on by hand, download that URL elsewhere, put \
         the file at {}, and check that it has {}{}", target.display(), identity(*size, sha256),
         after_semicolons(wrong)
    )]
    Fetch {
        /// The URL that was to be fetched.
        url: String,
        /// The full path of the file to be.
        target: PathBuf,
        /// The size of the file in bytes, where it is known.
        size: Option<u64>,
        /// The SHA-256 of the file, in hexadecimal: what is known of it.
        sha256: Box<str>,
        /// How many attempts were made.
        attempts: u32,
        /// The wrong files in the places where a [`Cache`](super::Cache) looked.
        wrong: Box<[WrongFile]>,
        /// What went wrong in the last attempt.
        reason: Box<FetchError>,
    },

    /// The file is needed, is not there, and may not be fetched.
    #[error(
        "{url} is needed, and {reason}; to go on, download it elsewhere and put it at {}; \
         it has {}{}", joined(places), identity(*size, sha256), after_semicolons(wrong)
    )]
    Unavailable {
        /// Why it may not be fetched.
        reason: &'static str,
        /// Where it would have come from.
        url: String,
        /// Its size in bytes, where it is known.
        size: Option<u64>,
        /// Its SHA-256, in hexadecimal: what is known of it.
        sha256: Box<str>,
        /// Where it can be put: the cache's own place or `torch.hub`'s.
        places: Vec<PathBuf>,
        /// The wrong files in these places, and where the converted file is kept.
        wrong: Box<[WrongFile]>,
    },
}

debug_is_the_message!(WeightsError);

impl WeightsError {
    /// The file at `path` is not what is needed.
    pub(crate) fn unusable(path: &Path, problem: impl Into<String>) -> WeightsError {
        WeightsError::Unusable { path: path.into(), problem: problem.into() }
    }
}

fn after_semicolons(wrong: &[WrongFile]) -> String {
    wrong.iter().map(|file| format!("; {file}")).collect()
}

fn joined(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    places.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[track_caller]
    fn assert_message(error: WeightsError, message: &str) {
        assert_eq!(error.to_string(), message);
        assert_eq!(format!("{error:?}"), message);
        assert!(std::error::Error::source(&error).is_none(), "the message tells the reason already");
        let error = Error::from(error);
        assert!(matches!(error, Error::Weights(_)));
        assert_eq!(error.to_string(), message);
        assert_eq!(format!("{error:?}"), message);
        assert!(std::error::Error::source(&error).is_none());
    }

    fn wrong() -> Box<[WrongFile]> {
        [WrongFile { path: "hub/a.pth".into(), problem: "it is empty".into() }].into()
    }

    fn hash() -> String {
        "00ff".repeat(16)
    }

    /// Of a hash, the first digits may be all that is known.
    #[test]
    fn what_is_not_known_is_not_named() {
        assert_eq!(identity(Some(7), "00ff00ff"), "7 bytes and a SHA-256 that begins with 00ff00ff");
        assert_eq!(identity(None, "00ff00ff"), "a SHA-256 that begins with 00ff00ff");
        assert_eq!(identity(None, &hash()), format!("the SHA-256 {}", hash()));
    }

    #[test]
    fn messages() {
        assert_message(
            WeightsError::unusable(Path::new("a.safetensors"), "the tensor `a\n` is missing"),
            r"no usable weights in a.safetensors: the tensor `a\n` is missing",
        );
        assert_message(
            WeightsError::Pth { path: "a.pth".into(), reason: PthError::BigEndian },
            "cannot use a.pth: the file was written on a big-endian machine, which is not supported",
        );
        assert_message(
            WeightsError::Unavailable {
                reason: "TCH_LOSSES_OFFLINE is set",
                url: "https://a/b.pth".into(),
                size: Some(7),
                sha256: hash().into(),
                places: vec!["cache/b.pth".into(), "hub/b.pth".into()],
                wrong: wrong(),
            },
            &format!(
                "https://a/b.pth is needed, and TCH_LOSSES_OFFLINE is set; to go on, download it elsewhere and put it \
                 at cache/b.pth or hub/b.pth; it has 7 bytes and the SHA-256 {}; the file at hub/a.pth is not the \
                 right one: it is empty",
                hash()
            ),
        );
    }

    #[cfg(feature = "download")]
    #[test]
    fn message_of_a_fetch() {
        assert_message(
            WeightsError::Fetch {
                url: "https://a/b.pth".into(),
                target: "/cache/b.pth".into(),
                size: Some(7),
                sha256: hash().into(),
                attempts: 5,
                wrong: wrong(),
                reason: Box::new(FetchError::Status { status: 404 }),
            },
            &format!(
                "cannot fetch https://a/b.pth: the server answered with status 404, expected 200 (attempts: 5); to go \
                 on by hand, download that URL elsewhere, put the file at /cache/b.pth, and check that it has 7 bytes \
                 and the SHA-256 {}; the file at hub/a.pth is not the right one: it is empty",
                hash()
            ),
        );
    }
}
