//! What can go wrong, as types.

use std::path::PathBuf;

use tch::{Device, Kind, TchError};

use crate::manager::log::LogError;
use crate::manager::{ManagerError, ObjectiveError};
use crate::weights::WeightsError;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in this crate.
///
/// Errors about a tensor name the argument, what was given and what is accepted:
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, Sobel};
///
/// let image = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
/// let other = Tensor::zeros([2, 3, 8, 9], (Kind::Float, Device::Cpu));
/// let error = Sobel::default().try_forward(&image, &other).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`target` has shape [2, 3, 8, 9], expected [2, 3, 8, 8], the shape of `input`"
/// );
/// // `{:?}` is the message as well: what a `main` that returns the error prints.
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor was given that was never assigned (`Tensor::new()`).
    #[error("`{argument}` is an undefined tensor")]
    Undefined {
        /// The name of the argument.
        argument: &'static str,
    },

    /// A sparse or oneDNN tensor was given.
    #[error("`{argument}` is a sparse or mkldnn tensor, expected a dense one (`to_dense`)")]
    Layout {
        /// The name of the argument.
        argument: &'static str,
    },

    /// A tensor has a shape that the loss does not accept: another number of dimensions, another
    /// size than its partner, the wrong number of channels, or an image too small.
    #[error("`{argument}` has shape {given:?}, expected {expected}")]
    Shape {
        /// The name of the argument.
        argument: &'static str,
        /// The shape given.
        given: Vec<i64>,
        /// The shapes accepted, in words.
        expected: String,
    },

    /// A tensor has a kind (PyTorch: dtype) that the loss does not accept.
    #[error("`{argument}` has kind {given:?}, expected {expected}")]
    Kind {
        /// The name of the argument.
        argument: &'static str,
        /// The kind given.
        given: Kind,
        /// The kinds accepted, in words.
        expected: String,
    },

    /// A tensor lies on another device than its partner or the network.
    #[error("`{argument}` is on {given:?}, expected {expected}")]
    Device {
        /// The name of the argument.
        argument: &'static str,
        /// The device given.
        given: Device,
        /// The device accepted, in words.
        expected: String,
    },

    /// A tensor or a list holds a value that the loss does not accept.
    #[error("`{argument}` holds {given}, expected {expected}")]
    Value {
        /// The name of the argument.
        argument: &'static str,
        /// The value given, in words.
        given: String,
        /// The values accepted, in words.
        expected: String,
    },

    /// A loss needs a gradient that libtorch's graph does not have.
    #[error("`{of}` has no gradient with respect to `{by}`: {reason}")]
    NoGradient {
        /// What is differentiated.
        of: &'static str,
        /// The name of the argument that it is differentiated with respect to.
        by: &'static str,
        /// Why there is none.
        reason: &'static str,
    },

    /// An option of a loss has a value that makes no sense.
    #[error("option `{option}` is {given}, expected {expected}")]
    Option {
        /// The name of the option.
        option: &'static str,
        /// The value given.
        given: String,
        /// The values accepted, in words.
        expected: String,
    },

    /// A file could not be opened or read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },

    /// A file could not be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },

    /// A file of weights is not what is needed, or cannot be had.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// A file cannot be used as a loss log.
    #[error(transparent)]
    Log(#[from] LogError),

    /// A manager of losses refuses a name, or has found a value that is not finite.
    #[error(transparent)]
    Manager(#[from] ManagerError),

    /// A text is not an objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),

    /// libtorch refused an operation, for instance because memory ran out.
    #[error("{}", without_backtrace(.0))]
    Torch(TchError),
}

/// By hand, for `#[from]` would also make it the source: a chain of errors would tell the same twice, the second time
/// with libtorch's backtrace.
impl From<TchError> for Error {
    fn from(error: TchError) -> Error {
        Error::Torch(error)
    }
}

/// `{:?}` of errors as their message: it is what users see where `main` returns one, or `unwrap` meets one.
macro_rules! debug_is_the_message {
    ($error:ty) => {
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use debug_is_the_message;

debug_is_the_message!(Error);

/// libtorch's messages end with a C++ backtrace, often of thirty lines.
fn without_backtrace(error: &TchError) -> String {
    let message = error.to_string();
    match message.find("\nException raised from") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::weights::pth::PthError;

    #[test]
    fn debug_is_the_message() {
        let nested = PthError::Missing { name: "a".into() };
        assert_eq!(format!("{nested:?}"), "the tensor `a` is missing");
        let error = Error::from(WeightsError::Pth { path: "x.pth".into(), reason: nested });
        let boxed: Box<dyn std::error::Error> = error.into();
        assert_eq!(format!("{boxed:?}"), "cannot use x.pth: the tensor `a` is missing");
        assert_eq!(format!("{boxed:#?}"), "cannot use x.pth: the tensor `a` is missing");
        #[cfg(feature = "download")]
        assert_eq!(
            format!("{:?}", crate::weights::fetch::FetchError::Status { status: 404 }),
            "the server answered with status 404, expected 200"
        );
    }

    /// Clippy warns of errors above 128 bytes: every `Result` would carry them.
    #[test]
    fn errors_are_small() {
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
    }

    #[test]
    fn a_chain_of_errors_tells_each_thing_once() {
        let reason = || std::io::Error::other("the disk is on fire");
        let torch = TchError::Torch("no memory\nException raised from main.cpp:1".into());
        let pth = PthError::from(reason());
        assert!(pth.source().is_none());
        for (error, message) in [
            (Error::Read { path: "a".into(), reason: reason() }, "cannot read a: the disk is on fire"),
            (torch.into(), "Internal torch error: no memory"),
            (
                WeightsError::Pth { path: "a".into(), reason: pth }.into(),
                "cannot use a: reading failed: the disk is on fire",
            ),
        ] {
            assert_eq!(error.to_string(), message);
            assert!(error.source().is_none(), "{:?}", error.source());
        }
    }
}
