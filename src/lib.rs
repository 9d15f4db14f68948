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
//! | values, pixels | [`L1Loss`], [`MseLoss`], [`SmoothL1Loss`], [`HuberLoss`] | `torch.nn` |
//! | classes | [`CrossEntropyLoss`], [`NllLoss`], [`LinearCrossEntropyLoss`], [`AdaptiveLogSoftmaxWithLoss`] | `torch.nn` |
//! | real or fake | [`BceWithLogitsLoss`], [`BceLoss`] | `torch.nn` |
//! | distributions | [`KlDivLoss`], [`PoissonNllLoss`], [`GaussianNllLoss`] | `torch.nn` |
//! | embeddings, rankings | [`TripletMarginLoss`], [`CosineEmbeddingLoss`], [`MarginRankingLoss`] and their kin | `torch.nn` |
//! | sequences | [`CtcLoss`] | `torch.nn` |
//! | edges | [`Sobel`], [`Laplacian`] | |
//! | perception | [`VggPerceptual`] | |
//! | frozen networks | [`Network`] of an [`Architecture`], with features at a [`Tap`]; [`networks`] | `torchvision.models.vgg19().features` |
//! | weights | [`weights`]: pretrained ones, `.pth` and safetensors files | `torch.hub`, `torch.load(.., weights_only=True)` |
//! | training loops | [`manager`]: losses by name, schedules, objectives as files, history, logs | |
//! | all of them | the traits [`Loss`] and [`LossMap`], [`Error`] | `nn.Module` |
#![cfg_attr(feature = "image", doc = "| pictures | [`visual`]: heat maps, contact sheets, loss curves | |")]
//!
//! [`porting`] shows what people write most in PyTorch, and how it is written here.
//!
//! # The losses of `torch.nn`
//!
//! All of them, with every option that is not deprecated; the tests compare value and gradients with PyTorch 2.13 over
//! reductions, shapes and the options named here.
//!
//! | `torch.nn` | here | options |
//! |---|---|---|
//! | `L1Loss` | [`L1Loss`] | `reduction` (as have all but one) |
//! | `MSELoss` | [`MseLoss`] | |
//! | `SmoothL1Loss` | [`SmoothL1Loss`] | `beta`, 0 included |
//! | `HuberLoss` | [`HuberLoss`] | `delta` |
//! | `BCELoss` | [`BceLoss`] | `weight`, broadcast |
//! | `BCEWithLogitsLoss` | [`BceWithLogitsLoss`] | `weight`, `pos_weight`, broadcast |
//! | `CrossEntropyLoss` | [`CrossEntropyLoss`] | classes or probabilities; `weight`, `ignore_index`, `label_smoothing` |
//! | `NLLLoss` | [`NllLoss`] | `weight`, `ignore_index` |
//! | `LinearCrossEntropyLoss` | [`LinearCrossEntropyLoss`] | as `CrossEntropyLoss`; `bias`, `out_features`, `options` (here `chunking`) |
//! | `AdaptiveLogSoftmaxWithLoss` | [`AdaptiveLogSoftmaxWithLoss`] | `cutoffs`, `div_value`, `head_bias`, no `reduction`; `log_prob`, `predict` |
//! | `KLDivLoss` | [`KlDivLoss`] | `log_target`; the reduction `batchmean` (here `BatchMean`) |
//! | `PoissonNLLLoss` | [`PoissonNllLoss`] | `log_input`, `full`, `eps` |
//! | `GaussianNLLLoss` | [`GaussianNllLoss`] | `full`, `eps`; `var` as a tensor of each shape or a number |
//! | `HingeEmbeddingLoss` | [`HingeEmbeddingLoss`] | `margin` |
//! | `SoftMarginLoss` | [`SoftMarginLoss`] | |
//! | `MarginRankingLoss` | [`MarginRankingLoss`] | `margin` |
//! | `CosineEmbeddingLoss` | [`CosineEmbeddingLoss`] | `margin` |
//! | `MultiMarginLoss` | [`MultiMarginLoss`] | `p`, `margin`, `weight` |
//! | `MultiLabelMarginLoss` | [`MultiLabelMarginLoss`] | |
//! | `MultiLabelSoftMarginLoss` | [`MultiLabelSoftMarginLoss`] | `weight` |
//! | `TripletMarginLoss` | [`TripletMarginLoss`] | `margin`, `p`, `eps`, `swap` |
//! | `TripletMarginWithDistanceLoss` | [`TripletMarginWithDistanceLoss`] | `distance_function`, `margin`, `swap` |
//! | `CTCLoss` | [`CtcLoss`] | `blank`, `zero_infinity` |
//!
//! # Features
//!
//! - `download` (default): `weights::fetch` and with it fetching of pretrained weights.
//! - `image`: the module `visual`, pictures of what a loss sees and of how a training went.
//! - `tensorboard`: `manager::log::TensorBoardLog`, a loss log for TensorBoard.
//! - `cli`: the `tch-losses` binary (implies `download` and `image`).
//! - `cuda`: the CUDA tests, which fail where there is no CUDA device. The library itself runs on CUDA
//!   without it, wherever libtorch does.
//!
//! # Speed
//!
//! Where `target` requires no gradient, as in training, [`Sobel`], [`Laplacian`] and [`VggPerceptual`] take the
//! gradient inside forward and keep nothing else; see [`Streaming`]. What the network computes in is the other
//! choice to make: [`Network::to_kind`].
//!
//! On Linux, glibc's allocator gives large tensors back to the system, which has to clear the memory of the
//! next ones page by page. [`VggPerceptual`] keeps it from doing so within a batch. For the rest of a training
//! program on the CPU,
//!
//! ```text
//! GLIBC_TUNABLES=glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=1073741824
//! ```
//!
//! in its environment does: what was freed stays in the process, up to a gigabyte. On batches of 16x3x512x512
//! the losses on edges took 0.65 to 0.75 of the time, VGG19 of a single image 0.88 (2 cores of an Intel Xeon).
//! Huge pages, `glibc.malloc.hugetlb=1`, are less certain: in most runs 0.45 to 0.86 for the edges, in one three
//! times as much; 0.92 to 1.2 for VGG19 of a single image. Measure first.
//!
//! # Conventions
//!
//! Losses are plain structs of options with PyTorch's defaults, as tch's `ConvConfig`. They hold no device
//! state: the device and the kind of the result follow the input. Nothing passed in is modified. Shapes and
//! kinds must match, but for what the documentation of a loss names: the losses on distances, rankings and
//! margins broadcast as PyTorch does, and so do weights. Tensors may lie in memory in any layout.

#![warn(missing_docs)]

mod base;
mod losses;
pub mod manager;
pub mod networks;
#[doc = include_str!("porting.md")]
pub mod porting {}
#[cfg(feature = "image")]
pub mod visual;
pub mod weights;

pub use base::{printable, Error, Loss, LossMap, Result};
pub use losses::*;
#[doc(inline)]
pub use networks::{Architecture, InputNormalization, Network, Tap};
