//! Frozen networks that give features of images. They know no loss.
//!
//! A [`Network`] is built from an [`Architecture`], a row of data. A [`Tap`] names a place in it, [`Pooling`]
//! what makes its maps smaller. The losses on features see a network as an [`Extractor`].

mod architectures;
mod extractor;
mod heap;
mod load;
mod network;
mod normalization;
mod ops;
mod pass;
mod program;
mod table;
mod tap;

pub use architectures::Architecture;
pub use extractor::{Extractor, Pass, Place, Trace, Visit};
pub(crate) use heap::keep_freed_memory;
pub use network::Network;
pub use normalization::InputNormalization;
pub use ops::Pooling;
pub use tap::Tap;
