//! Weights: where they come from, how they are kept, and the files they are in.
//!
//! [`Network::pretrained`](crate::Network::pretrained) does all of it. Its parts, for weights of your own:
//!
//! - [`pth`] reads PyTorch's `.pth` files without running what is in them, [`WeightsFile`] those and safetensors
//!   files, [`convert`] turns the former into the latter;
//! - [`Cache`] keeps [known files](KnownFile), such as [`VGG19`], ready to load;
//! - `fetch` (feature `download`) gets a file over HTTP(S), whole and verified or not at all.

mod cache;
mod convert;
mod error;
#[cfg(feature = "download")]
pub mod fetch;
mod file;
mod fill;
mod hash;
mod known;
mod looks;
mod open;
pub(crate) mod prefix;
pub mod pth;
mod safetensors;
mod source;
mod wrong;

pub use cache::Cache;
pub use convert::{convert, ConvertOptions, Converted, LeftOut};
pub use error::WeightsError;
pub use file::WeightsFile;
pub use hash::sha256;
pub use known::{
    KnownFile, ALEXNET, KNOWN_FILES, SQUEEZENET1_1, VGG11, VGG11_BN, VGG13, VGG13_BN, VGG16, VGG16_BN, VGG19,
    VGG19_BN,
};
pub use source::Source;
pub use wrong::WrongFile;
