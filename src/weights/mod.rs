//! Weights: where they come from, how they are kept, and the files they are in.
//!
//! [`Network::pretrained`](crate::Network::pretrained) does all of it. Its parts, for weights of your own:
//!
//! - [`pth`] reads PyTorch's `.pth` files without running what is in them, [`WeightsFile`] those and safetensors
//!   files, [`convert`] turns the former into the latter;
//! - [`Cache`] keeps [known files](KnownFile), such as [`VGG19`], ready to load;
//! - `fetch` (feature `download`) gets a file over HTTP(S), whole and verified or not at all.
//!
//! # Where files are looked for
//!
//! A file in one of these places is verified and used. If it is not right, the error tells its size, its hash and what
//! it seems to be. For VGG19:
//!
//! | place | |
//! |---|---|
//! | `$TORCH_HOME/hub/checkpoints/vgg19-dcbb9e9d.pth` | where PyTorch keeps it (default: `~/.cache/torch/...`); only read |
//! | `$TCH_LOSSES_CACHE/weights/vgg19-dcbb9e9d.pth` | the own cache (default: the system's folder for caches, on Linux `~/.cache/tch-losses/...`); replaced by the converted file |
//! | `$TCH_LOSSES_CACHE/weights/vgg19-dcbb9e9d.safetensors` | what `weights fetch` made, here or on another machine; `weights path` prints where it is |
//!
//! - **Offline machines**: `TCH_LOSSES_OFFLINE=1` forbids the network. Copy a file into one of these places.
//! - **Clusters**: many processes and machines may share the cache. One of them fetches and converts, the others wait.
//! - **Proxies**: `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` are honoured. An interrupted download is resumed.
//! - **Prefixes** of `DataParallel` and `torch.compile` in the names of a state dict are understood.
//!   `tch-losses weights convert --strip PREFIX` takes off any other.

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
