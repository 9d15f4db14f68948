//! What everything else stands on: it knows no loss and no network.

pub(crate) mod atomic;
pub(crate) mod average;
pub(crate) mod chain;
pub(crate) mod check;
mod error;
pub(crate) mod exponential;
pub(crate) mod gradient;
pub(crate) mod heap;
pub(crate) mod image;
pub(crate) mod integer;
pub(crate) mod json;
mod loss;
pub(crate) mod pointwise;
pub(crate) mod precision;
mod printable;
pub(crate) mod reduction;
mod setters;
pub(crate) mod tensor;
pub(crate) mod weight;
mod weighted_sum;
pub(crate) mod workers;

pub(crate) use error::debug_is_the_message;
pub use error::{Error, Result};
pub use image::DataRange;
pub(crate) use loss::or_panic;
pub use loss::{Loss, SequenceLoss, TernaryLoss, UnaryLoss};
pub use printable::printable;
pub use reduction::Reduction;
pub(crate) use setters::setters;
pub use weight::WeightTensor;
pub use weighted_sum::WeightedSum;
