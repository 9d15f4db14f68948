//! Loss functions for image-to-image and GAN training with [`tch`] (libtorch), mirroring PyTorch.
//!
//! Names, defaults and numbers are those that a PyTorch user knows; every loss is tested against PyTorch,
//! value and gradient.
//!
//! ```
//! use tch::{Device, Kind, Reduction, Tensor};
//! use tch_losses::{Laplacian, Loss, LossMap, Sobel};
//!
//! // Image batches [N, C, H, W]; (fake, real) is the order everywhere.
//! let fake = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
//! let real = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
//!
//! let loss = Sobel::default().forward(&fake, &real) + Laplacian::default().forward(&fake, &real) * 0.5;
//! loss.backward();
//!
//! // `forward` panics on bad input, as tch's operations do; `try_forward` returns a typed error.
//! let sum = Sobel { reduction: Reduction::Sum, ..Default::default() }.try_forward(&fake, &real)?;
//! // Where in the image does it come from?
//! let map = Sobel::default().loss_map(&fake, &real)?;
//! assert_eq!(map.size(), [2, 1, 64, 64]);
//! # Ok::<(), tch_losses::Error>(())
//! ```
//!
//! # The map of the crate
//!
//! | for | types | PyTorch |
//! |---|---|---|
//! | pixels | [`L1Loss`], [`MseLoss`] | `nn.L1Loss`, `nn.MSELoss` |
//! | real or fake | [`BceWithLogitsLoss`] | `nn.BCEWithLogitsLoss` |
//! | edges | [`Sobel`], [`Laplacian`] | |
//! | perception | [`VggPerceptual`] on [`Vgg19`] | `torchvision.models.vgg19().features` |
//! | weights | [`weights`]: pretrained ones, `.pth` and safetensors files | `torch.hub`, `torch.load(.., weights_only=True)` |
//! | all of them | the traits [`Loss`] and [`LossMap`], [`Error`] | `nn.Module` |
#![cfg_attr(feature = "image", doc = "| pictures | [`visual`]: heat maps and contact sheets | |")]
//!
//! # Features
//!
//! - `download` (default): `weights::fetch` and with it fetching of pretrained weights.
//! - `image`: the module `visual`, pictures of what a loss sees.
//! - `cli`: the `tch-losses` binary (implies both).
//! - `cuda`: the CUDA tests, which fail where there is no CUDA device. The library itself runs on CUDA
//!   without it, wherever libtorch does.
//!
//! # Conventions
//!
//! Losses are plain structs of options with PyTorch's defaults, as tch's `ConvConfig`. They hold no device
//! state: the device and the kind of the result follow the input. Nothing passed in is modified. Shapes and
//! kinds must match; nothing is broadcast where PyTorch would warn.

#![warn(missing_docs)]

mod check;
mod classification;
mod edge;
mod error;
mod loss;
mod perceptual;
mod reduce;
mod regression;
mod vgg;
#[cfg(feature = "image")]
pub mod visual;
pub mod weights;

pub use classification::BceWithLogitsLoss;
pub use edge::{Laplacian, Sobel};
pub use error::{Error, Result};
pub use loss::{Loss, LossMap};
pub use perceptual::{FeatureCriterion, InputNormalization, TargetFeatures, VggPerceptual};
pub use regression::{L1Loss, MseLoss};
pub use vgg::{Vgg19, VggLayer};
