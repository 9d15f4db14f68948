//! What everything else stands on: it knows no loss and no network.

pub(crate) mod atomic;
pub(crate) mod check;
mod error;
pub(crate) mod gradient;
pub(crate) mod integer;
mod loss;
mod printable;
pub(crate) mod reduction;

pub use error::{Error, Result};
pub(crate) use loss::or_panic;
pub use loss::{Loss, LossMap};
pub use printable::printable;
