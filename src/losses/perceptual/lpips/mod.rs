//! LPIPS.

mod distance;
mod weights;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

pub use distance::LpipsNorm;

use distance::ChannelDistance;

use super::engine::{Engine, Term};
use super::preprocessing::Preprocessing;
use super::{Streaming, TargetFeatures};
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Architecture, DataRange, Error, InputNormalization, Loss, Network, Reduction, Result, Tap};

/// LPIPS, the learned perceptual image patch similarity: a distance that was fitted to what people see.
///
/// ```text
/// loss = Σ over taps of  mean over pixels of  Σ_c w_c (f̂_c(input) - f̂_c(target))²
/// f̂ = f / (√Σ_c f_c² + 1e-10)
/// ```
///
/// `f` are the features of a pixel at a tap, and `w` are weights of the channels that the authors fitted to
/// judgments of people. The weights are part of this crate. The network decides which they are:
///
/// | lpips | network | taps | least H and W |
/// |---|---|---|---|
/// | `net="alex"` | [`ALEXNET`](Architecture::ALEXNET) | relu1 to relu5 | 31 |
/// | `net="vgg"` | [`VGG16`](Architecture::VGG16) | relu1_2, relu2_2, relu3_3, relu4_3, relu5_3 | 16 |
/// | `net="squeeze"` | [`SQUEEZENET1_1`](Architecture::SQUEEZENET1_1) | relu1, fire3, fire5 to fire9 | 17 |
///
/// The authors recommend AlexNet to compare results, and VGG16 as a loss to train with.
///
/// - **Shapes**: `input` and `target` `[N, 3, H, W]` or `[N, 1, H, W]`; one channel is repeated to three, as lpips
///   does in version 0.1. The loss is a scalar. Without reduction it is `[N]`, where lpips returns `[N, 1, 1, 1]`.
/// - **Values**: images from -1 to 1, as in lpips, unless [`data_range`](Self::data_range) says otherwise. lpips's
///   `normalize=True` is [`DataRange::Unit`]. Images of `[0, 1]` that are taken for images of `[-1, 1]` come out
///   too much alike. The channels are red, green and blue.
/// - **Defaults**: version 0.1, learnt weights, images from -1 to 1, the mean over the images.
/// - **Kinds**: images are cast to the network's kind ([`Network::to_kind`]). Norms, differences and sums of
///   features are computed in f32 at least. The loss has the images' kind.
/// - **Gradients**: to both arguments. If `target` requires none, `forward` computes the input's gradient, a few
///   images at a time, and there are no second derivatives: see [`Streaming`]. Gradients are finite, also where
///   all features of a pixel are 0; lpips has the same numbers there.
/// - **Map**: lpips's `spatial=True`; see [`loss_map`](Loss::loss_map).
/// - **Errors**: arguments that are not images of one shape, kind and device, with 1 or 3 channels; a device that
///   is not the network's; images that are too small; another network; [`Reduction::BatchMean`].
///
/// [`torchmetrics`](Self::torchmetrics) and [`piq`](Self::piq) give the numbers of those libraries.
///
/// Source: R. Zhang et al., [*The unreasonable effectiveness of deep features as a perceptual
/// metric*](https://arxiv.org/abs/1801.03924) (2018); the package
/// [lpips](https://github.com/richzhang/PerceptualSimilarity) 0.1.4. The weights are under its licence, BSD
/// 2-Clause, which is `src/losses/perceptual/lpips/LICENSE` in this crate.
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Architecture, DataRange, Loss, Lpips, Network};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// // Random weights; `Lpips::pretrained(device)?` has torchvision's.
/// let network = Network::new(&vs.root(), &Architecture::ALEXNET);
/// let lpips = Lpips::new(network).with_data_range(DataRange::Unit);
///
/// let fake = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// lpips.forward(&fake, &real).backward();
/// assert_eq!(fake.grad().size(), [2, 3, 64, 64]);
/// ```
#[doc(alias = "LPIPS")]
#[doc(alias = "LearnedPerceptualImagePatchSimilarity")]
#[derive(Debug, Clone)]
pub struct Lpips {
    /// The network: lpips's `net`. A clone of it shares the parameters with other losses.
    pub network: Network,
    /// The version of the weights and of the input's scaling.
    pub version: LpipsVersion,
    /// Whether channels have the learnt weights. Without, each has the weight 1: lpips's `lpips=False`.
    pub lpips: bool,
    /// What the features of a pixel are divided by.
    pub norm: LpipsNorm,
    /// The range of the images' values.
    pub data_range: DataRange,
    /// What becomes of the losses of the images.
    pub reduction: Reduction,
    /// How the loss goes through a batch.
    pub streaming: Streaming,
}

/// The version of [`Lpips`]: of its weights, and of what happens to the images first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LpipsVersion {
    /// The images go in as they are, from -1 to 1: a mistake of the first version, kept to compare with its numbers.
    /// lpips itself refuses images of one channel here.
    #[serde(rename = "0.0")]
    V0_0,
    /// The images go in as the networks were trained: [`InputNormalization::Lpips`].
    #[default]
    #[serde(rename = "0.1")]
    V0_1,
}

impl LpipsVersion {
    /// What lpips calls it.
    fn name(self) -> &'static str {
        match self {
            LpipsVersion::V0_0 => "0.0",
            LpipsVersion::V0_1 => "0.1",
        }
    }
}

const ALEX: &[Tap] =
    &[Tap::new("relu1"), Tap::new("relu2"), Tap::new("relu3"), Tap::new("relu4"), Tap::new("relu5")];
const VGG: &[Tap] = &[Tap::RELU1_2, Tap::RELU2_2, Tap::RELU3_3, Tap::RELU4_3, Tap::RELU5_3];
const SQUEEZE: &[Tap] = &[
    Tap::new("relu1"),
    Tap::new("fire3"),
    Tap::new("fire5"),
    Tap::new("fire6"),
    Tap::new("fire7"),
    Tap::new("fire8"),
    Tap::new("fire9"),
];

/// The taps in a network.
fn taps(architecture: Architecture) -> Result<&'static [Tap]> {
    match architecture {
        Architecture::ALEXNET => Ok(ALEX),
        Architecture::VGG16 => Ok(VGG),
        Architecture::SQUEEZENET1_1 => Ok(SQUEEZE),
        other => Err(Error::Option {
            option: "network",
            given: other.to_string(),
            expected: "alexnet, vgg16 or squeezenet1_1".into(),
        }),
    }
}

setters!(Lpips {
    with_network(network: Network), with_version(version: LpipsVersion), with_lpips(lpips: bool),
    with_norm(norm: LpipsNorm), with_data_range(data_range: DataRange), with_reduction(reduction: Reduction),
    with_streaming(streaming: Streaming)
});

impl Lpips {
    pub(crate) const DATA_RANGE: DataRange = DataRange::Signed;

    /// The loss with its default options, on an AlexNet, a VGG16 or a SqueezeNet 1.1.
    pub fn new(network: Network) -> Lpips {
        Lpips {
            network,
            version: LpipsVersion::default(),
            lpips: true,
            norm: LpipsNorm::default(),
            data_range: Self::DATA_RANGE,
            reduction: Reduction::default(),
            streaming: Streaming::default(),
        }
    }

    /// torchmetrics': `LearnedPerceptualImagePatchSimilarity` of version 1.9. Its `normalize=True` is
    /// [`DataRange::Unit`].
    pub fn torchmetrics(network: Network) -> Lpips {
        Lpips { norm: LpipsNorm::Torchmetrics, ..Lpips::new(network) }
    }

    /// piq's: `LPIPS` of version 0.8, on a VGG16 and for images from 0 to 1. Its `replace_pooling=True` is
    /// [`with_pooling`](Network::with_pooling)`(Pooling::Average)` of the network.
    ///
    /// piq has a file of its own for the weights of the channels. This preset takes those of lpips 0.1; whether the two
    /// are equal has not been verified. With the same weights the numbers differ by rounding: piq normalises the images
    /// by other constants for the same thing.
    pub fn piq(network: Network) -> Lpips {
        Lpips { data_range: DataRange::Unit, ..Lpips::new(network) }
    }

    /// The loss with its default options, on the AlexNet that torchvision trained: [`Network::pretrained`]. For another
    /// network, give it to [`new`](Self::new).
    ///
    /// # Errors
    /// As for [`Network::pretrained`].
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::Lpips;
    ///
    /// let loss = Lpips::pretrained(Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained(device: Device) -> Result<Lpips> {
        Ok(Lpips::new(Network::pretrained(&Architecture::ALEXNET, device)?))
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
    /// use tch_losses::{Architecture, Loss, Lpips, Network};
    ///
    /// # tch::manual_seed(0);
    /// # let vs = nn::VarStore::new(Device::Cpu);
    /// let lpips = Lpips::new(Network::new(&vs.root(), &Architecture::SQUEEZENET1_1));
    /// let fake = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
    /// let real = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
    /// let features = lpips.target_features(&real)?;
    /// assert_eq!(lpips.forward_features(&fake, &features), lpips.forward(&fake, &real));
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        self.engine(&self.distances()?)?.target_features(target)
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward); and for features that were made for another version or data range, of
    /// images of another size, or by a network of another kind or device.
    pub fn try_forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        check::image("input", input)?;
        self.engine(&self.distances()?)?.compare_features(input, target)
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Panics
    /// If [`try_forward_features`](Self::try_forward_features) returns an error, with its message.
    #[track_caller]
    pub fn forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Tensor {
        or_panic(self.try_forward_features(input, target))
    }

    /// Checks the options without a network's parameters.
    pub(crate) fn check(
        architecture: Architecture,
        data_range: DataRange,
        reduction: Reduction,
        streaming: Streaming,
    ) -> Result<()> {
        taps(architecture)?;
        data_range.check()?;
        reduction.check_without_batch_mean()?;
        streaming.check()
    }

    /// What compares the features at each tap.
    fn distances(&self) -> Result<Vec<(&'static Tap, ChannelDistance)>> {
        self.check_options()?;
        let architecture = self.network.architecture();
        let (taps, kind) = (taps(architecture)?, accumulation_kind(self.network.kind()));
        let device = self.network.device();
        let weights = match self.lpips {
            true => weights::linear(self.version, architecture, taps.len(), device, kind)?,
            false => taps.iter().map(|tap| self.ones(tap)).collect::<Result<_>>()?,
        };
        taps.iter()
            .zip(weights)
            .map(|(tap, weight)| Ok((tap, ChannelDistance::new(&weight, self.norm)?)))
            .collect()
    }

    /// A weight of 1 for each channel at a tap.
    fn ones(&self, tap: &Tap) -> Result<Tensor> {
        let channels = self.network.architecture().place(tap)?.channels;
        let kind = accumulation_kind(self.network.kind());
        Ok(Tensor::f_ones([channels].as_slice(), (kind, self.network.device()))?)
    }

    fn engine<'a>(&'a self, distances: &'a [(&'static Tap, ChannelDistance)]) -> Result<Engine<'a>> {
        let terms = distances.iter().map(|(tap, comparison)| Term { tap, weight: 1.0, comparison });
        let normalization = match self.version {
            LpipsVersion::V0_0 => InputNormalization::Signed,
            LpipsVersion::V0_1 => InputNormalization::Lpips,
        };
        let preprocessing = Preprocessing { data_range: self.data_range, normalization };
        Ok(Engine::new(&self.network, terms, preprocessing, self.streaming)?.reduced(self.reduction))
    }
}

impl Loss for Lpips {
    fn check_options(&self) -> Result<()> {
        Lpips::check(self.network.architecture(), self.data_range, self.reduction, self.streaming)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        self.engine(&self.distances()?)?.compare_images(input, target)
    }

    /// For each tap the weighted squares of the differences, summed over the channels and enlarged to the size of the
    /// images bilinearly; summed over the taps. lpips returns this map with `spatial=True`.
    ///
    /// The map's mean is the loss only where the size of the features at each tap divides that of the images: for VGG16
    /// with H and W multiples of 16. Elsewhere the two differ by about a thousandth.
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        check::image_pair(input, target)?;
        self.engine(&self.distances()?)?.map(input, target)
    }
}
