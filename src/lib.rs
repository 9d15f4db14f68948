//! Loss functions for image-to-image and GAN training with [`tch`] (libtorch).
//!
//! Names, defaults and numbers are those of PyTorch and of the libraries that its users know: pytorch-msssim, piq,
//! kornia, BasicSR. Every loss is tested against its original, value and gradient.
//!
//! ```
//! use tch::{Device, Kind, Tensor};
//! use tch_losses::{Laplacian, Loss, Reduction, Sobel};
//!
//! // Image batches [N, C, H, W]. Losses on images have the order (fake, real).
//! let fake = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
//! let real = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
//!
//! let edges = Sobel::default().forward(&fake, &real);
//! let loss = edges + Laplacian::default().forward(&fake, &real) * 0.5;
//! loss.backward();
//!
//! // `forward` panics on bad input, as tch's operations do. `try_forward` returns a typed error.
//! let sum = Sobel::default().with_reduction(Reduction::Sum).try_forward(&fake, &real)?;
//! // Where in the image does the loss come from?
//! let map = Sobel::default().loss_map(&fake, &real)?.expect("Sobel has a map");
//! assert_eq!(map.size(), [2, 1, 64, 64]);
//! # Ok::<(), tch_losses::Error>(())
//! ```
//!
//! ![What the Sobel loss sees in a photo, and where its value comes from][picture-sobel]
//!
//! | begin here | |
//! |---|---|
//! | [`guide::install`] | libtorch, and what a program needs to find it |
//! | [`guide::which_loss`] | which loss sees what, measured |
//! | [`guide::objectives`], [`manager`] | weights, schedules, logs; experiments as files |
//! | [`porting`] | PyTorch code, and the same here |
//! | [`guide::performance`], [`guide::numbers`] | what makes it fast, how near it is to the originals |
//! | [`guide::own_loss`] | a loss of your own |
//!
//! # Find a loss
//!
//! | family | losses |
//! |---|---|
//! | **pixel**: values, element by element | [`L1Loss`], [`MseLoss`], [`SmoothL1Loss`], [`HuberLoss`], [`CharbonnierLoss`] |
//! | that outliers do not rule | [`CauchyLoss`], [`GemanMcclureLoss`], [`WelschLoss`], [`WingLoss`] |
//! | with a weight for each pixel | [`WeightedL1Loss`], [`WeightedMseLoss`], [`WeightedCharbonnierLoss`], [`WeightedTotalVariationLoss`] |
//! | in decibels | [`PsnrLoss`] |
//! | of one image: noise | [`TotalVariationLoss`] |
//! | **edge**: edges and fine detail | [`Sobel`], [`Laplacian`], [`EdgeLoss`], [`GradientDifferenceLoss`] |
//! | **structure**: means and variances in windows | [`SsimLoss`], [`MultiScaleSsimLoss`], [`MsSsimL1Loss`] |
//! | information in windows | [`VifLoss`], [`InformationWeightedSsimLoss`] |
//! | **similarity**: gradients, wavelets, colours | [`GmsdLoss`], [`MultiScaleGmsdLoss`], [`HaarPsiLoss`], [`MdsiLoss`] |
//! | phase, saliency, subbands | [`FsimLoss`], [`VsiLoss`], [`SrSimLoss`], [`DssLoss`] |
//! | **frequency**: spectra | [`FocalFrequencyLoss`], [`FftLoss`] |
//! | **perceptual**: features of a frozen network | [`PerceptualLoss`], [`Lpips`], [`ContextualLoss`] |
//! | structure and texture of features | [`Dists`] |
//! | **adversarial**: what a discriminator gives | [`GanLoss`], [`RelativisticLoss`], [`FeatureMatchingLoss`] |
//! | averages of what it gave | [`LeCamLoss`] |
//! | **penalty**: the slope of a discriminator | [`GradientPenalty`], [`R1Penalty`] |
//! | the slope of a generator | [`PathLengthPenalty`] |
//! | weights | [`OrthogonalRegularization`] |
//! | **classification**: real or fake | [`BceWithLogitsLoss`], [`BceLoss`], [`SoftMarginLoss`] |
//! | one class of several | [`CrossEntropyLoss`], [`NllLoss`], [`MultiMarginLoss`] |
//! | several classes at once | [`MultiLabelSoftMarginLoss`], [`MultiLabelMarginLoss`] |
//! | rare classes, easy examples | [`FocalLoss`], [`SigmoidFocalLoss`], [`AsymmetricLoss`], [`AsymmetricSingleLabelLoss`] |
//! | other shapes of cross entropy | [`PolyCrossEntropyLoss`], [`PolyBinaryCrossEntropyLoss`], [`BinaryCrossEntropyLoss`] |
//! | soft targets, policies, teachers | [`SoftTargetCrossEntropyLoss`], [`MaskedSoftTargetCrossEntropyLoss`], [`DistillationLoss`] |
//! | augmented copies | [`JsdCrossEntropyLoss`] |
//! | very many classes | [`LinearCrossEntropyLoss`], [`AdaptiveLogSoftmaxWithLoss`] |
//! | **embedding**: pairs | [`CosineEmbeddingLoss`], [`HingeEmbeddingLoss`], [`MarginRankingLoss`] |
//! | triplets | [`TripletMarginLoss`], [`TripletMarginWithDistanceLoss`] |
//! | patches of an image | [`PatchNceLoss`] |
//! | classes with a margin: faces | [`ArcFaceLoss`], [`CosFaceLoss`] |
//! | **self_supervised**: two views, without labels | [`BarlowTwinsLoss`], [`VicRegLoss`], [`ByolLoss`], [`DinoLoss`] |
//! | two views, images and texts | [`NtXentLoss`], [`InfoNceLoss`], [`ClipLoss`], [`SigLipLoss`] |
//! | a batch with labels | [`SupConLoss`], [`LabelNtXentLoss`], [`TripletMarginWithMinerLoss`], [`ContrastiveLoss`], [`MultiSimilarityLoss`], [`CircleLoss`] |
//! | **distribution**: distributions, counts, uncertainty | [`KlDivLoss`], [`PoissonNllLoss`], [`GaussianNllLoss`] |
//! | latent variables of a VAE | [`GaussianKlLoss`], [`NormalKlLoss`] |
//! | counts that vary much | [`NegativeBinomialNllLoss`] |
//! | **regression**: errors | [`RmseLoss`], [`LpLoss`], [`LogCoshLoss`] |
//! | quantiles | [`QuantileLoss`], [`QuantileHuberLoss`] |
//! | ordered classes, histograms | [`CoralLoss`], [`CornLoss`], [`HlGaussLoss`] |
//! | **sequence**: unaligned sequences | [`CtcLoss`], [`RnntLoss`] |
//! | **audio**: ratios of signal and noise | [`SiSdrLoss`], [`SdSdrLoss`], [`SnrLoss`] |
//! | spectrograms | [`StftLoss`], [`MultiResolutionStftLoss`] |
//! | **segmentation**: overlap of areas | [`DiceLoss`], [`JaccardLoss`], [`TverskyLoss`], [`FocalTverskyLoss`], [`GeneralizedDiceLoss`] |
//! | the Jaccard index by sorting | [`LovaszHingeLoss`], [`LovaszSoftmaxLoss`] |
//! | overlap and places, together | [`DiceCeLoss`], [`DiceFocalLoss`] |
//! | places, smoothed, some ignored | [`SoftBceWithLogitsLoss`], [`SoftCrossEntropyLoss`] |
//! | **boxes**: of a detector | [`BoxIouLoss`], [`GeneralizedBoxIouLoss`], [`DistanceBoxIouLoss`], [`CompleteBoxIouLoss`] |
//!
//! # Find the rest
//!
//! | for | see |
//! |---|---|
//! | what all losses can do | the traits [`Loss`], [`UnaryLoss`], [`TernaryLoss`], [`SequenceLoss`] |
//! | options that losses share | [`Reduction`], [`WeightTensor`], [`DataRange`] |
//! | several losses as one | [`WeightedSum`] |
//! | perceptual losses as papers and libraries have them | [`PerceptualPreset`], [`Style`] |
//! | the gradient of a discriminator, for penalties | [`input_gradient`], [`GradientNorm`], [`PenaltyPoints`] |
//! | the weight of an adversarial loss, VQGAN's | [`AdaptiveWeight`] |
//! | consistency of a discriminator | [`ConsistencyRegularization`] |
//! | random places of features | [`PatchSampler`] |
//! | networks, and where features are taken | [`Network`], [`Architecture`], [`Tap`], [`networks`] |
//! | pretrained weights, `.pth` and safetensors files | [`weights`] |
//! | a training loop: schedules, history, logs, objectives as files | [`manager`] |
//! | errors | [`Error`] |
#![cfg_attr(
    feature = "image",
    doc = "| pictures: heat maps, contact sheets, loss curves, an atlas of losses | [`visual`] |"
)]
//!
//! # The losses of `torch.nn`
//!
//! All of them are here, with every option that is not deprecated. The tests compare value and gradients with PyTorch
//! 2.13 over reductions, shapes and the options named here.
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
//! | feature | adds |
//! |---|---|
//! | `download` (default) | fetching pretrained weights: `weights::fetch` |
//! | `image` | pictures: the module `visual` |
//! | `tensorboard` | a loss log for TensorBoard: `manager::log::TensorBoardLog` |
//! | `cli` | the program `tch-losses`, with `download` and `image` |
//! | `cuda` | the tests run on a CUDA device, and fail where there is none |
//!
//! The library runs on CUDA without any feature, wherever libtorch does.
//!
//! # Libtorch
//!
//! A build needs the libtorch that its `tch` wants: 2.13 for tch 0.26, 2.11 for tch 0.24.
//!
//! | you have | |
//! |---|---|
//! | PyTorch of that version | `LIBTORCH_USE_PYTORCH=1` in the environment takes that of the `python3` on `PATH` |
//! | an unpacked libtorch | `LIBTORCH=/path/to/libtorch` |
//! | neither (Linux) | a script of this crate fetches it: [`guide::install`] |
//!
//! That page also has what your program needs to find libtorch by itself, and what is known of macOS and Windows. The
//! program `tch-losses` is installed with `cargo install tch-losses --locked --features cli`.
//!
//! # Speed
//!
//! When `target` needs no gradient (the usual case in training), most losses on images compute the input's gradient
//! during `forward`, a few images at a time, instead of storing intermediate results for `backward`. Their second
//! derivatives are zero then: the page of such a loss says so. For losses on networks, [`Streaming`] sets how many
//! images they take at a time. A network computes in f32 unless another kind is chosen; bf16 halves its time.
//!
//! On a CPU, the large convolutions of networks run on threads of this crate, as many as libtorch has
//! (`OMP_NUM_THREADS`, [`tch::set_num_threads`]). A thread works on a piece of a map from its first operation to its last. Where
//! other programs take a core, the other threads take over its pieces; libtorch's own threads would wait for it after each
//! operation.
//!
//! On Linux, glibc's allocator returns the memory of large tensors to the system, which clears it again page by page.
//! Losses on networks keep up to 128 MB in the process, for the next batch. Many other losses make glibc take blocks of up
//! to 31 MB from its heap, and keep 62 MB of free memory there. For larger tensors and the rest of a training program on
//! the CPU, set
//!
//! ```text
//! GLIBC_TUNABLES=glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=1073741824
//! ```
//!
//! in its environment: freed memory stays in the process, up to a gigabyte. On batches of 16x3x512x512 the edge losses
//! took 0.65 to 0.75 of the time, VGG19 of a single image 0.88 (2 cores of an Intel Xeon). Huge pages,
//! `glibc.malloc.hugetlb=1`, are less certain: 0.45 to 0.86 for the edges in most runs, three times as much in one.
//! Measure first.
//!
//! # Conventions
//!
//! - **Options** are public fields with the defaults of the original. Set them by struct update (`Sobel { eps: 1e-4,
//!   ..Default::default() }`) or by `with_*` methods. A new field is a compatible change: do not write all fields of a struct.
//! - **Losses are data**: they are cloned, compared and serialised. The device and the kind of the result follow the
//!   input. Losses with parameters or a network are the exceptions; their options are data
//!   ([`LinearCrossEntropyConfig`], [`manager::PerceptualLossSpec`]).
//! - **Arguments** are never modified. Shapes and kinds must match, except for what a loss's page names. Tensors may
//!   lie in memory in any layout.
//! - **Errors** name the argument or the option, what was given and what is accepted. No check waits for a CUDA
//!   device.
//!
//! # Versions
//!
//! Versions are semantic. Until 1.0, a breaking change raises the second number and all others the third. The changelog
//! names every change that a program may notice.
//!
//! | what changes | is |
//! |---|---|
//! | a new loss, a new preset, a new name in objectives' files, a new subcommand | compatible |
//! | a new field of a struct of options, with a default that changes no number | compatible: use struct update or `with_*` |
//! | a new variant of an enum | compatible: give a `match` an arm `_` |
//! | a number that was not the original's becomes the original's | compatible, and in the changelog under *Fixed* |
//! | digits beyond those that [`guide::numbers`] promises | compatible |
//! | a default, the meaning of an option, a name, a signature | breaking |
//! | the texts of errors, the layout of tables and pictures | not covered |
//! | files: logs, objectives, state in variable stores, converted weights | a newer version reads those of an older one |
//! | a newer Rust is needed | compatible, never with a fix alone |
//! | newer versions of tch are accepted | compatible; an older one no longer is breaking, as tch's types are in signatures |
//!
#![doc = include_str!("pictures/sobel.md")]
#![warn(missing_docs)]

mod base;
pub mod guide;
mod losses;
pub mod manager;
pub mod networks;
#[doc = include_str!("porting.md")]
pub mod porting {}
#[cfg(feature = "image")]
pub mod visual;
pub mod weights;

pub use base::{
    printable, DataRange, Error, Loss, Reduction, Result, SequenceLoss, TernaryLoss, UnaryLoss, WeightTensor,
    WeightedSum,
};
pub use losses::*;
pub use networks::{Architecture, InputNormalization, Network, Pooling, Tap};
