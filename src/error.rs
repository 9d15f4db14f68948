//! What can go wrong, as types.

use std::path::PathBuf;

use tch::{Device, Kind, TchError};

use crate::weights::pth::PthError;

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
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor was given that was never assigned (`Tensor::new()`).
    #[error("`{argument}` is an undefined tensor")]
    Undefined {
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

    /// A file was read, but does not hold the weights that are needed.
    #[error("no usable weights in {}: {problem}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A `.pth` file is not one that can be read.
    #[error("cannot use {}: {source}", path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PthError,
    },

    /// libtorch refused an operation, for instance because memory ran out.
    #[error(transparent)]
    Torch(#[from] TchError),
}
