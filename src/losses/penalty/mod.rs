//! Penalties on gradients.

mod path_length;

pub use path_length::{PathLengthConfig, PathLengthPenalty};
