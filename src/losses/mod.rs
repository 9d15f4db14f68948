//! The losses, by family.

mod classification;
mod distribution;
mod edge;
mod perceptual;
mod ranking;
mod regression;
mod sequence;

pub use classification::*;
pub use distribution::*;
pub use edge::*;
pub use perceptual::*;
pub use ranking::*;
pub use regression::*;
pub use sequence::*;
