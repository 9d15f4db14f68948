//! Perceptual loss.

use tch::{Device, Tensor};

use super::comparison::Comparison;
use super::engine::{check_weights, Engine, Term};
use super::preprocessing::Preprocessing;
use super::unit_vectors::UnitVectors;
use super::{FeatureCriterion, PerceptualPreset, Streaming, Style, TargetFeatures};
use crate::base::{check, or_panic, setters};
use crate::{Architecture, DataRange, Error, InputNormalization, Loss, Network, Result, Tap};

/// Perceptual loss on the features of a frozen network: images that look alike cost little, even if their pixels
/// differ.
///
/// ```text
/// loss = Σ over taps of        weight * criterion(F_tap(input), F_tap(target))
///      + Σ over style taps of  weight * criterion(G_tap(input), G_tap(target))
/// ```
///
/// `F_tap` are the [features](Network::features) at a tap: of any VGG, AlexNet or SqueezeNet, before or after a ReLU, a
/// batch norm or a pooling. The second part is there with a [`Style`]; `G_tap` are the features' Gram matrices. The
/// plain losses on pixels ([`L1Loss`](crate::L1Loss), [`MseLoss`](crate::MseLoss)) reward blur where the detail is
/// uncertain. This loss rewards plausible detail, and usually accompanies one of them.
///
/// Papers and libraries differ in taps, weights, criterion and in what happens to the images first. A
/// [`PerceptualPreset`] has all of these together: ESRGAN, Real-ESRGAN, GFPGAN, SRGAN, pix2pixHD, SPADE, HiFaceGAN,
/// J. Johnson, L. Gatys, and `ContentLoss` and `StyleLoss` of piq. [`Self::preset`] takes one.
///
/// - **Shapes**: `input` and `target` `[N, 3, H, W]`, or `[N, 1, H, W]`, whose channel is repeated. H and W reach the
///   deepest tap: 4 by default, see [`Architecture::place`]. The loss is a scalar.
/// - **Values**: any. By default, images of `[-1, 1]` go in as they are, as in the reference; see
///   [`InputNormalization`].
/// - **Defaults**: taps relu1_2, relu2_2 and relu3_3 with weight 1, L1, no style, no normalisation.
/// - **Kinds**: images are cast to the network's kind ([`Network::to_kind`]). Features of reduced precision
///   are averaged in f32, and their Gram matrices and lengths are computed in f32. The loss has the images' kind.
/// - **Gradients**: to both arguments. If `target` requires none, `forward` computes the input's gradient, a
///   few images at a time, and there are no second derivatives: see [`Streaming`].
/// - **Map**: the mean differences at the taps, weighted, enlarged to the images' size and added up. With a style or
///   [`FeatureCriterion::Frobenius`] there is none: neither is a mean over places.
/// - **Errors**: arguments that are not images of 1 or 3 channels of one shape, kind and device; a device that is not
///   the network's; images that are too small; neither taps nor a style, a style without taps, a tap that the network
///   lacks, or a weight that is negative or not finite.
///
/// # Speed and precision
///
/// Convolutions take nearly all the time, so the kind that the network computes in decides. On CPUs with bf16
/// instructions (avx512_bf16, amx_bf16), `bf16` takes half the time of f32, and less memory. On CUDA, `bf16`
/// and `f16` use tensor cores. Gradients are scaled on their way through an `f16` network. They neither
/// vanish nor overflow, with or without a trainer's own loss scaling.
///
/// The table compares results with f64 on trained weights: the median and, in brackets, the 90th percentile
/// over 20 parts of photos and blurred, noisy copies of them, with the default options, on an AMD EPYC with
/// avx512_bf16. `scripts/measure_precision.py` measures the same on your machine.
///
/// | computed in | value, relative | gradient, relative to its norm | 1 - its cosine |
/// |---|---|---|---|
/// | f32, [`Streaming::Off`] (libtorch's convolutions) | 4e-8 (7e-8) | 0.03 % (0.12 %) | 5e-8 (8e-7) |
/// | f32, streamed (Winograd's algorithm) | 4e-8 (7e-8) | 0.03 % (0.12 %) | 5e-8 (8e-7) |
/// | `f16`, streamed | 0.005 % (0.006 %) | 2.4 % (2.6 %) | 0.0003 (0.0004) |
/// | `bf16`, streamed | 0.05 % (0.08 %) | 7.3 % (8.1 %) | 0.003 (0.003) |
///
/// The error of f32 gradients on other instruction sets, and on random weights:
///
/// | f32 gradients, relative to the norm | libtorch's convolutions | Winograd's algorithm |
/// |---|---|---|
/// | capped at AVX2 | 0.03 % (0.12 %) | 0.03 % (0.12 %) |
/// | capped at SSE4.1 | 0.02 % (0.05 %) | 0.03 % (0.12 %) |
/// | random weights and noise | 0.09 % (0.14 %) | 0.08 % (0.12 %) |
/// | random weights and noise, capped at SSE4.1 | 0.11 % (0.20 %) | 0.10 % (0.14 %) |
///
/// Most of a gradient's error comes from single pixels: rounding turns the sign of a small difference, or a
/// ReLU. Stay with f32 if the gradient has to agree with PyTorch's to more digits. The module
/// [`porting`](crate::porting) compares the presets with their sources.
///
/// On CUDA, nothing in this loss waits for the device. `tch::Cuda::cudnn_set_benchmark(true)` lets cuDNN
/// choose its fastest algorithms for the sizes it meets, which pays if the sizes stay the same.
///
/// Source: J. Johnson, A. Alahi and L. Fei-Fei, [*Perceptual losses for real-time style transfer and
/// super-resolution*](https://arxiv.org/abs/1603.08155) (2016); with these defaults in NectarGAN; with the other
/// options `PerceptualLoss` of [BasicSR](https://github.com/XPixelGroup/BasicSR), and `ContentLoss` and `StyleLoss` of
/// [piq](https://piq.readthedocs.io).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{
///     Architecture, FeatureCriterion, Loss, Network, PerceptualLoss, PerceptualPreset, Tap,
/// };
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// // Random weights; `PerceptualLoss::pretrained(device)?` has torchvision's.
/// let network = Network::new(&vs.root(), &Architecture::VGG19);
/// let perceptual = PerceptualLoss::new(network.clone());
///
/// let fake = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// perceptual.forward(&fake, &real).backward();
///
/// // Features before the ReLU on the same network, as used for super-resolution.
/// let deep = PerceptualLoss {
///     taps: vec![(Tap::new("conv5_4"), 1.0)],
///     criterion: FeatureCriterion::Mse,
///     ..PerceptualLoss::new(network.clone())
/// };
/// assert!(deep.forward(&fake, &real).double_value(&[]) > 0.0);
///
/// // All options of a published configuration.
/// let real_esrgan = PerceptualLoss::preset(PerceptualPreset::RealEsrgan, network)?;
/// assert!(real_esrgan.forward(&fake, &real).double_value(&[]) > 0.0);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "VGGPerceptual")]
#[doc(alias = "VGGLoss")]
#[doc(alias = "ContentLoss")]
#[doc(alias = "StyleLoss")]
#[derive(Debug, Clone)]
pub struct PerceptualLoss {
    /// The network. A clone of it shares the parameters with other losses.
    pub network: Network,
    /// Where features are compared, and with what weight. It may be empty if there is a style.
    pub taps: Vec<(Tap, f64)>,
    /// How features are compared.
    pub criterion: FeatureCriterion,
    /// Whether the channels at each position are first scaled to unit length, `f / (‖f‖ + 1e-10)`:
    /// `normalize_features` of piq. It is so for the style, too.
    pub normalize_features: bool,
    /// The part that compares Gram matrices, with taps and a criterion of its own.
    pub style: Option<Style>,
    /// The range of the images' values. Without a normalisation it does not matter.
    pub data_range: DataRange,
    /// What happens to the images first.
    pub normalization: InputNormalization,
    /// How the loss goes through a batch.
    pub streaming: Streaming,
}

setters!(PerceptualLoss {
    with_network(network: Network), with_taps(taps: Vec<(Tap, f64)>), with_criterion(criterion: FeatureCriterion),
    with_normalize_features(normalize_features: bool),
    with_data_range(data_range: DataRange), with_normalization(normalization: InputNormalization),
    with_streaming(streaming: Streaming);
    with_style(style: Style)
});

/// What a [`PerceptualPreset`] decides.
#[derive(Clone)]
pub(crate) struct Options {
    pub taps: Vec<(Tap, f64)>,
    pub criterion: FeatureCriterion,
    pub style: Option<Style>,
    pub data_range: DataRange,
    pub normalization: InputNormalization,
}

impl PerceptualLoss {
    /// The loss with its default options. The default taps are in all VGGs with three convolutions in the
    /// third block: VGG16 and VGG19.
    pub fn new(network: Network) -> PerceptualLoss {
        PerceptualLoss::with_options(PerceptualPreset::default(), network)
    }

    fn with_options(preset: PerceptualPreset, network: Network) -> PerceptualLoss {
        let Options { taps, criterion, style, data_range, normalization } = preset.options();
        let (normalize_features, streaming) = (false, Streaming::default());
        PerceptualLoss {
            network,
            taps,
            criterion,
            normalize_features,
            style,
            data_range,
            normalization,
            streaming,
        }
    }

    /// The loss with the options of a preset, on any network that has its taps.
    ///
    /// # Errors
    /// [`Error::Option`] for a network that lacks one of them.
    ///
    /// ```
    /// use tch::{nn, Device};
    /// use tch_losses::{Architecture, Network, PerceptualLoss, PerceptualPreset};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let vgg11 = Network::new(&vs.root(), &Architecture::VGG11);
    /// let error = PerceptualLoss::preset(PerceptualPreset::Johnson, vgg11).unwrap_err();
    /// assert!(error.to_string().starts_with("option `style.taps` is \"relu1_2\", expected a layer of vgg11"));
    /// ```
    pub fn preset(preset: PerceptualPreset, network: Network) -> Result<PerceptualLoss> {
        let loss = PerceptualLoss::with_options(preset, network);
        loss.check_options()?;
        Ok(loss)
    }

    /// The loss with the options of a preset, on the network that the source uses, as torchvision trained it:
    /// [`Network::pretrained`].
    ///
    /// # Errors
    /// As for [`Network::pretrained`]; and [`Error::Option`] for [`PerceptualPreset::Gatys`], whose
    /// network is not torchvision's.
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::{PerceptualLoss, PerceptualPreset};
    ///
    /// let loss = PerceptualLoss::pretrained_preset(PerceptualPreset::RealEsrgan, Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained_preset(preset: PerceptualPreset, device: Device) -> Result<PerceptualLoss> {
        if preset.is_of_caffe() {
            let expected = "one on a network of torchvision's: this VGG19 was trained with Caffe".into();
            return Err(Error::Option { option: "preset", given: preset.to_string(), expected });
        }
        PerceptualLoss::preset(preset, Network::pretrained(&preset.architecture(), device)?)
    }

    /// The loss with its default options, on the VGG19 that torchvision trained: [`Network::pretrained`].
    ///
    /// # Errors
    /// As for [`Network::pretrained`].
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::PerceptualLoss;
    ///
    /// let loss = PerceptualLoss::pretrained(Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained(device: Device) -> Result<PerceptualLoss> {
        Ok(PerceptualLoss::new(Network::pretrained(&Architecture::VGG19, device)?))
    }

    /// The features of `target`, for comparison with any number of inputs by
    /// [`try_forward_features`](Self::try_forward_features). This saves time if a target comes again: in
    /// overfitting tests, in image optimisation, over the epochs of a small set.
    ///
    /// The features are constants: no gradient flows to `target`.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward), for `target` alone.
    ///
    /// ```
    /// use tch::{nn, Device, Kind, Tensor};
    /// use tch_losses::{Architecture, Loss, Network, PerceptualLoss};
    ///
    /// # tch::manual_seed(0);
    /// # let vs = nn::VarStore::new(Device::Cpu);
    /// let perceptual = PerceptualLoss::new(Network::new(&vs.root(), &Architecture::VGG19));
    /// let fake = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    /// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    /// let features = perceptual.target_features(&real)?;
    /// assert_eq!(perceptual.forward_features(&fake, &features), perceptual.forward(&fake, &real));
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        self.with_engine(|engine| engine.target_features(target))
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward); and for features that were made with other taps or another
    /// normalisation, of images of another size, or by a network of another kind or device.
    pub fn try_forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        check::image("input", input)?;
        self.with_engine(|engine| engine.compare_features(input, target))
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Panics
    /// If [`try_forward_features`](Self::try_forward_features) returns an error, with its message.
    #[track_caller]
    pub fn forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Tensor {
        or_panic(self.try_forward_features(input, target))
    }

    /// Checks taps without a network's parameters.
    pub(crate) fn check_taps(
        architecture: &Architecture,
        taps: &[(Tap, f64)],
        style: Option<&Style>,
    ) -> Result<()> {
        if let Some(style) = style {
            style.check(architecture)?;
        }
        if !taps.is_empty() || style.is_none() {
            check_weights(taps)?;
        }
        taps.iter().try_for_each(|(tap, _)| architecture.place(tap).map(drop))
    }

    /// Gives the engine of this loss to a function.
    fn with_engine<T>(&self, run: impl FnOnce(&Engine) -> Result<T>) -> Result<T> {
        let style = self.style.as_ref();
        PerceptualLoss::check_taps(&self.network.architecture(), &self.taps, style)?;
        let content: &dyn Comparison = &self.criterion;
        let of_style = style.map(|style| (&style.taps[..], style as &dyn Comparison));
        let parts: Vec<_> = [(&self.taps[..], content)].into_iter().chain(of_style).collect();
        let unit_vectors: Vec<_> = parts.iter().map(|(_, comparison)| UnitVectors(*comparison)).collect();
        let terms = parts.iter().zip(&unit_vectors).flat_map(|((taps, comparison), unit_vectors)| {
            let comparison = if self.normalize_features { unit_vectors } else { *comparison };
            taps.iter().map(move |(tap, weight)| Term { tap, weight: *weight, comparison })
        });
        let preprocessing = Preprocessing { data_range: self.data_range, normalization: self.normalization };
        run(&Engine::new(&self.network, terms, preprocessing, self.streaming)?)
    }
}

impl Loss for PerceptualLoss {
    fn check_options(&self) -> Result<()> {
        PerceptualLoss::check_taps(&self.network.architecture(), &self.taps, self.style.as_ref())?;
        self.data_range.check()?;
        self.streaming.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        self.with_engine(|engine| engine.compare_images(input, target))
    }

    /// For each tap the channel mean of the differences, enlarged to the size of the images by nearest neighbours,
    /// weighted, summed over the taps.
    ///
    /// There is none with a style, or with [`FeatureCriterion::Frobenius`].
    ///
    /// The map's mean is the loss exactly if the size of the features at each tap divides that of the images: for a VGG,
    /// with H and W multiples of the taps' strides ([`Architecture::place`]).
    /// Otherwise the features at the right and lower edge, whose windows are cut, count a little more or less than in
    /// the loss.
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        check::image_pair(input, target)?;
        self.with_engine(|engine| engine.map(input, target))
    }

    /// For each tap, of the style too, the mean activation over the channels, enlarged to the size of the images,
    /// weighted, summed over the taps.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.with_engine(|engine| engine.response(image).map(Some))
    }
}
