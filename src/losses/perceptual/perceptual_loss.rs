//! VGG perceptual loss.

use tch::{Device, Tensor};

use super::engine::{check_weights, Engine, Term};
use super::preprocessing::Preprocessing;
use super::{FeatureCriterion, Streaming, TargetFeatures};
use crate::base::{check, or_panic, setters};
use crate::{Architecture, DataRange, InputNormalization, Loss, Network, Result, Tap};

/// Perceptual loss on VGG features: images that look alike cost little, even if their pixels differ.
///
/// ```text
/// loss = Σ over taps of  weight * mean(|F_tap(input) - F_tap(target)|)
/// ```
///
/// `F_tap` are the [features](Network::features) at a tap. The mean runs over all their elements. The plain
/// losses on pixels ([`L1Loss`](crate::L1Loss), [`MseLoss`](crate::MseLoss)) reward blur where the detail is
/// uncertain. This loss rewards plausible detail, and usually accompanies one of them.
///
/// - **Shapes**: `input` and `target` `[N, 3, H, W]`, H and W at least the stride of the deepest tap (4 by
///   default, see [`Architecture::place`]). The loss is a scalar.
/// - **Values**: any. By default, images of `[-1, 1]` go in as they are, as in the reference; see
///   [`InputNormalization`].
/// - **Defaults**: taps relu1_2, relu2_2 and relu3_3 with weight 1, L1, no normalisation.
/// - **Kinds**: images are cast to the network's kind ([`Network::to_kind`]). Features of reduced precision
///   are averaged in f32. The loss has the images' kind.
/// - **Gradients**: to both arguments. If `target` requires none, `forward` computes the input's gradient, a
///   few images at a time, and there are no second derivatives: see [`Streaming`].
/// - **Map**: the mean differences at the taps, weighted, enlarged to the images' size and added up.
/// - **Errors**: arguments that are not RGB images of one shape, kind and device; a device that is not the
///   network's; images that are too small; no taps, a tap that the network lacks, or a weight that is
///   negative or not finite.
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
/// ReLU. Stay with f32 if the gradient has to agree with PyTorch's to more digits.
///
/// On CUDA, nothing in this loss waits for the device. `tch::Cuda::cudnn_set_benchmark(true)` lets cuDNN
/// choose its fastest algorithms for the sizes it meets, which pays if the sizes stay the same.
///
/// Source: J. Johnson, A. Alahi and L. Fei-Fei, [*Perceptual losses for real-time style transfer and
/// super-resolution*](https://arxiv.org/abs/1603.08155) (2016); with these defaults in NectarGAN.
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Architecture, FeatureCriterion, Loss, Network, Tap, PerceptualLoss};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// // Random weights; `Network::from_file` loads trained ones.
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
///     ..PerceptualLoss::new(network)
/// };
/// assert!(deep.forward(&fake, &real).double_value(&[]) > 0.0);
/// ```
#[doc(alias = "VGGPerceptual")]
#[doc(alias = "VGGLoss")]
#[derive(Debug, Clone)]
pub struct PerceptualLoss {
    /// The network. A clone of it shares the parameters with other losses.
    pub network: Network,
    /// Where features are compared, and with what weight.
    pub taps: Vec<(Tap, f64)>,
    /// How features are compared.
    pub criterion: FeatureCriterion,
    /// The range of the images' values. Without a normalisation it does not matter.
    pub data_range: DataRange,
    /// What happens to the images first.
    pub normalization: InputNormalization,
    /// How the loss goes through a batch.
    pub streaming: Streaming,
}

setters!(PerceptualLoss {
    with_network(network: Network), with_taps(taps: Vec<(Tap, f64)>), with_criterion(criterion: FeatureCriterion),
    with_data_range(data_range: DataRange), with_normalization(normalization: InputNormalization),
    with_streaming(streaming: Streaming)
});

impl PerceptualLoss {
    pub(crate) const DEFAULT_TAPS: [(Tap, f64); 3] =
        [(Tap::RELU1_2, 1.0), (Tap::RELU2_2, 1.0), (Tap::RELU3_3, 1.0)];

    /// The loss with its default options. The default taps are in all VGGs with three convolutions in the
    /// third block: VGG16 and VGG19.
    pub fn new(network: Network) -> PerceptualLoss {
        PerceptualLoss {
            network,
            taps: Self::DEFAULT_TAPS.into(),
            criterion: FeatureCriterion::default(),
            data_range: DataRange::default(),
            normalization: InputNormalization::default(),
            streaming: Streaming::default(),
        }
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
        self.engine()?.target_features(target)
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward); and for features that were made with other taps or another
    /// normalisation, of images of another size, or by a network of another kind or device.
    pub fn try_forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        check::image("input", input)?;
        self.engine()?.compare_features(input, target)
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
    pub(crate) fn check_taps(architecture: &Architecture, taps: &[(Tap, f64)]) -> Result<()> {
        check_weights(taps)?;
        taps.iter().try_for_each(|(tap, _)| architecture.place(tap).map(drop))
    }

    fn engine(&self) -> Result<Engine<'_>> {
        check_weights(&self.taps)?;
        let terms =
            self.taps.iter().map(|(tap, weight)| Term { tap, weight: *weight, comparison: &self.criterion });
        let preprocessing = Preprocessing { data_range: self.data_range, normalization: self.normalization };
        Engine::new(&self.network, terms, preprocessing, self.streaming)
    }
}

impl Loss for PerceptualLoss {
    fn check_options(&self) -> Result<()> {
        PerceptualLoss::check_taps(&self.network.architecture(), &self.taps)?;
        self.data_range.check()?;
        self.streaming.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        self.engine()?.compare_images(input, target)
    }

    /// For each tap the channel mean of the differences, enlarged to the size of the images by nearest neighbours,
    /// weighted, summed over the taps.
    ///
    /// The map's mean is the loss exactly if H and W are multiples of the taps' strides ([`Architecture::place`]).
    /// Otherwise the features at the right and lower edge, whose windows are cut, count a little more or less than in
    /// the loss.
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        check::image_pair(input, target)?;
        self.engine()?.map(input, target)
    }

    /// For each tap the mean activation over the channels, enlarged to the size of the images, weighted,
    /// summed over the taps.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.engine()?.response(image).map(Some)
    }
}
