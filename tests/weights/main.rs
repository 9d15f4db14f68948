//! Weights: `.pth` files, conversion, the cache, fetching, and VGG19's own.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/pth.rs"]
mod files;
#[cfg(feature = "download")]
mod http;

mod fetch;
mod pth;
mod vgg;
mod weights;
