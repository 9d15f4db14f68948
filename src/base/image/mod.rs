//! What losses on images share: value ranges, colours, windows, and values image by image.

pub(crate) mod color;
pub(crate) mod per_image;
pub(crate) mod planes;
pub(crate) mod pool;
mod range;
mod root;
pub(crate) mod score;
pub(crate) mod window;

pub use range::DataRange;
pub(crate) use root::sqrt;
