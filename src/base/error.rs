//! What can go wrong, as types.

use std::fmt;
use std::path::PathBuf;

use tch::{Device, Kind, TchError};

use crate::printable;
#[cfg(feature = "download")]
use crate::weights::fetch::FetchError;
use crate::weights::pth::PthError;
use crate::weights::WrongFile;

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

    /// A name that no loss of the manager has.
    #[error("no loss is registered as `{}`, {}", printable(name), there_are(known))]
    UnknownLoss {
        /// The name given.
        name: String,
        /// The names that are registered.
        known: Vec<String>,
    },

    /// Tags that no loss of the manager has.
    #[error("no loss has a tag of {tags:?}, {}", there_are(known))]
    UnknownTags {
        /// The tags given.
        tags: Vec<String>,
        /// The tags of the losses that are registered.
        known: Vec<String>,
    },

    /// A name under which a loss is already registered.
    #[error(
        "a loss is already registered as `{}`: unregister it first, or choose another name",
        printable(name)
    )]
    LossTaken {
        /// The name given.
        name: String,
    },

    /// A loss was computed from other inputs than it has.
    #[error("the loss `{}` is {is}", printable(name))]
    LossInputs {
        /// The name of the loss.
        name: String,
        /// What it is, in words.
        is: &'static str,
    },

    /// A loss has no map of where in the image it comes from.
    #[error("the loss `{}` has no loss map: its `Loss::as_loss_map` returns `None`", printable(name))]
    NoLossMap {
        /// The name of the loss.
        name: String,
    },

    /// A loss in a manager turned out not to be finite.
    #[error("the loss `{}` is {value} in step {step} (epoch {epoch}, weight {weight})", printable(name))]
    NotFinite {
        /// The name of the loss.
        name: String,
        /// The epoch in which it was computed.
        epoch: u64,
        /// The step in which it was computed.
        step: u64,
        /// Its value, before the weight; finite if only the weighted value is not.
        value: f64,
        /// The weight.
        weight: f64,
    },

    /// A text is not an [`Objective`](crate::manager::Objective), or one cannot be written.
    #[error("{origin}: {}{}", after_colon(field), printable(problem))]
    Objective {
        /// The file, or `objective`.
        origin: String,
        /// The path of the field, as `losses.G_L1.weight`; empty if it is the whole.
        field: String,
        /// What is wrong with it.
        problem: String,
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
    #[error("no usable weights in {}: {}", path.display(), printable(problem))]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A `.pth` file is not one that can be read.
    #[error("cannot use {}: {reason}", path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: PthError,
    },

    /// A file could not be fetched.
    ///
    /// The message says what was expected and what came, and how to go on by hand.
    #[cfg(feature = "download")]
    #[error(
        "cannot fetch {url}: {reason} (attempts: {attempts}); to go on by hand, download that URL elsewhere, put \
         the file at {}, and check that it has {size} bytes and the SHA-256 {sha256}{}", target.display(),
         after_semicolons(wrong)
    )]
    Fetch {
        /// The URL that was to be fetched.
        url: String,
        /// The full path of the file to be.
        target: PathBuf,
        /// The size of the file in bytes.
        size: u64,
        /// The SHA-256 of the file, in hexadecimal.
        sha256: String,
        /// How many attempts were made.
        attempts: u32,
        /// What lies where a [`Cache`](crate::weights::Cache) looked for the file, but is not it.
        wrong: Box<[WrongFile]>,
        /// What went wrong in the last of them.
        reason: Box<FetchError>,
    },

    /// A file could not be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },

    /// A file is not a loss log, is damaged, or is the log of another experiment.
    #[error("cannot use {} as a loss log: line {line}: {problem}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },

    /// A file is written by another process, or another writer in this one.
    #[error("{} is in use: another process, or another part of this one, is writing it", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },

    /// A file is needed that is not there, and may not be fetched.
    #[error(
        "{url} is needed, and {reason}; to go on, download it elsewhere and put it at {}, {size} bytes with the \
         SHA-256 {sha256}{}", joined(places), after_semicolons(wrong)
    )]
    Unavailable {
        /// Why it may not be fetched.
        reason: &'static str,
        /// Where it would have come from.
        url: String,
        /// Its size in bytes.
        size: u64,
        /// Its SHA-256, in hexadecimal.
        sha256: String,
        /// Where it can be put: the cache's own place and `torch.hub`'s, either will do.
        places: Vec<PathBuf>,
        /// What lies there, or where the converted file is kept, but is not it.
        wrong: Box<[WrongFile]>,
    },

    /// libtorch refused an operation, for instance because memory ran out.
    #[error("{}", without_backtrace(.0))]
    Torch(#[from] TchError),
}

/// `{:?}` of errors as their message: it is what users see where `main` returns one, or `unwrap` meets one.
macro_rules! debug_is_the_message {
    ($($error:ty),*) => {$(
        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

debug_is_the_message!(Error, PthError);
#[cfg(feature = "download")]
debug_is_the_message!(FetchError);

/// libtorch's messages end with a C++ backtrace, often of thirty lines.
fn without_backtrace(error: &TchError) -> String {
    let message = error.to_string();
    match message.find("\nException raised from") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

fn after_colon(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{}: ", printable(field))
    }
}

fn there_are(known: &[String]) -> String {
    if known.is_empty() {
        return "there are none".into();
    }
    let mut unique: Vec<&str> = Vec::new();
    for name in known {
        if !unique.contains(&name.as_str()) {
            unique.push(name);
        }
    }
    format!("there are `{}`", printable(&unique.join("`, `")))
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

    #[test]
    fn debug_is_the_message() {
        let nested = PthError::Missing { name: "a".into() };
        assert_eq!(format!("{nested:?}"), "the tensor `a` is missing");
        let error = Error::Pth { path: "x.pth".into(), reason: nested };
        let boxed: Box<dyn std::error::Error> = error.into();
        assert_eq!(format!("{boxed:?}"), "cannot use x.pth: the tensor `a` is missing");
        assert_eq!(format!("{boxed:#?}"), "cannot use x.pth: the tensor `a` is missing");
        #[cfg(feature = "download")]
        assert_eq!(
            format!("{:?}", FetchError::Status { status: 404 }),
            "the server answered with status 404, expected 200"
        );
    }
}
