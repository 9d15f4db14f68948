//! [`Dists`].

mod statistics;
mod weights;

use tch::{no_grad, Device, Tensor};

use self::statistics::ChannelStatistics;
use self::weights::total;
use super::comparison::{Comparison, Other};
use super::engine::{Engine, Term};
use super::preprocessing::Preprocessing;
use super::{Streaming, TargetFeatures};
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, or_panic, setters};
use crate::networks::Pooling;
use crate::{Architecture, DataRange, Error, InputNormalization, Loss, Network, Reduction, Result, Tap};

/// DISTS: how much two images differ in structure and texture, by means and variances of VGG16's features.
///
/// ```text
/// x, y   = the images with values from 0 to 1, and the features of both after relu1_2, relu2_2, relu3_3,
///          relu4_3 and relu5_3 of a VGG16 whose poolings are norms (Pooling::L2)
/// S1     = (2 mean(x) mean(y) + 1e-6) / (mean(x)² + mean(y)² + 1e-6)
/// S2     = (2 cov(x, y) + 1e-6) / (var(x) + var(y) + 1e-6)               (each of a channel, over all pixels)
/// loss   = reduce(1 - Σ over channels of  α S1 + β S2)                   (one value for each image)
/// ```
///
/// Two patches of the same grass cost little, even if no blade is where it was. The weights α and β of the 1475
/// channels are those that the authors trained, divided by their sum. They are part of this crate.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels, of any size. One channel is repeated to three.
///   The loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: from 0 for equal images to about 1. The loss is symmetric. Images of another range than `[0, 1]` need
///   `data_range`.
/// - **Defaults**: those of the package DISTS-pytorch, except that the reduction is the mean, the package's `batch_average=True`. [`piq`](Self::piq)
///   has those of piq.
/// - **Kinds**: features have the network's kind ([`Network::to_kind`]). Means and variances are computed in f32 at least.
///   The loss has the images' kind.
/// - **Gradients**: to both arguments, wherever they require one: the package has `require_grad=False`. They are finite
///   for identical and for flat images. If `target` requires none, `forward` computes the input's gradient, a few images
///   at a time, and there are no second derivatives: see [`Streaming`].
/// - **Map**: none. Means and variances are those of the whole image.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; a device that is
///   not the network's; a network that is no VGG16.
///
/// Source: K. Ding et al., [*Image quality assessment: unifying structure and texture
/// similarity*](https://arxiv.org/abs/2004.07728) (2020), and its package
/// [DISTS-pytorch 0.1](https://github.com/dingkeyan93/DISTS), whose numbers these are.
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Architecture, Dists, Loss, Network, Reduction};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// // Random weights; `Dists::pretrained` has those that α and β were trained for.
/// let dists = Dists::new(Network::new(&vs.root(), &Architecture::VGG16));
///
/// let fake = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
/// dists.forward(&fake, &real).backward();
/// assert_eq!(dists.with_reduction(Reduction::None).forward(&fake, &real).size(), [2]);
/// ```
#[doc(alias = "DISTS")]
#[derive(Debug, Clone)]
pub struct Dists {
    /// The network, a VGG16. [`new`](Self::new) gives it the poolings of DISTS. A network that is set here keeps its own:
    /// give it [`with_pooling`](Network::with_pooling)`(Pooling::L2)`. A clone shares the parameters with other losses.
    pub network: Network,
    /// Whether images whose shorter side is longer than 256 are resized first, so that it is 256: bilinear, without
    /// smoothing. As in piq, rounding makes it 255 for some sizes (322, 347, ...).
    pub resize: bool,
    /// Whether the weights are divided by their sum, which is 0.99999983.
    pub normalize_weights: bool,
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How the values of the images are reduced.
    pub reduction: Reduction,
    /// How the loss goes through a batch.
    pub streaming: Streaming,
}

setters!(Dists {
    with_network(network: Network), with_resize(resize: bool), with_normalize_weights(normalize_weights: bool),
    with_data_range(data_range: DataRange), with_reduction(reduction: Reduction),
    with_streaming(streaming: Streaming)
});

static IMAGES: ChannelStatistics = ChannelStatistics { map: 0 };
static FEATURES: [(Tap, ChannelStatistics); 5] = [
    (Tap::RELU1_2, ChannelStatistics { map: 1 }),
    (Tap::RELU2_2, ChannelStatistics { map: 2 }),
    (Tap::RELU3_3, ChannelStatistics { map: 3 }),
    (Tap::RELU4_3, ChannelStatistics { map: 4 }),
    (Tap::RELU5_3, ChannelStatistics { map: 5 }),
];

/// What `resize` makes of the shorter side.
const SHORTER_SIDE: i64 = 256;

impl Dists {
    /// The loss with its default options, on a VGG16. Its poolings become [`Pooling::L2`]; the parameters are shared.
    pub fn new(network: Network) -> Dists {
        Dists {
            network: network.with_pooling(Pooling::L2),
            resize: false,
            normalize_weights: true,
            data_range: DataRange::default(),
            reduction: Reduction::default(),
            streaming: Streaming::default(),
        }
    }

    /// The loss as in [piq](https://piq.readthedocs.io) 0.8: images above 256 pixels are
    /// [resized](Self#structfield.resize), and the weights are [as they are](Self#structfield.normalize_weights).
    ///
    /// piq downloads a file of weights of its own. Here they are those of DISTS-pytorch.
    pub fn piq(network: Network) -> Dists {
        Dists { resize: true, normalize_weights: false, ..Dists::new(network) }
    }

    /// The loss with its default options, on the VGG16 that torchvision trained: [`Network::pretrained`].
    ///
    /// # Errors
    /// As for [`Network::pretrained`].
    pub fn pretrained(device: Device) -> Result<Dists> {
        Ok(Dists::new(Network::pretrained(&Architecture::VGG16, device)?))
    }

    /// What of `target` the loss compares, for comparison with any number of inputs by
    /// [`try_forward_features`](Self::try_forward_features). This saves time if a target comes again.
    ///
    /// The features are constants: no gradient flows to `target`.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward), for `target` alone.
    ///
    /// ```
    /// use tch::{nn, Device, Kind, Tensor};
    /// use tch_losses::{Architecture, Dists, Loss, Network};
    ///
    /// # tch::manual_seed(0);
    /// # let vs = nn::VarStore::new(Device::Cpu);
    /// let dists = Dists::new(Network::new(&vs.root(), &Architecture::VGG16));
    /// let fake = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    /// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    /// let features = dists.target_features(&real)?;
    /// assert_eq!(dists.forward_features(&fake, &features), dists.forward(&fake, &real));
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        check::image("target", target)?;
        let engine = self.engine()?;
        let target = self.sized(&engine, "target", &target.f_detach()?)?;
        // Memory of their own: the caller may fill the tensor with the next batch.
        let mut images = target.f_empty_like()?;
        images.f_copy_(&target)?;
        Ok(engine.target_features(&target)?.with_images(images))
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward); and for features of another loss, of images of another size or range, or
    /// by a network of another kind or device.
    pub fn try_forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        check::image("input", input)?;
        let engine = self.engine()?;
        let own = self.sized(&engine, "input", input)?;
        let of_features = engine.compare_features(&own, target)?;
        let images = target.images()?.f_to_kind(own.kind())?;
        Ok(of_features.f_add(&self.of_images(&own, &images)?)?.f_to_kind(input.kind())?)
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Panics
    /// If [`try_forward_features`](Self::try_forward_features) returns an error, with its message.
    #[track_caller]
    pub fn forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Tensor {
        or_panic(self.try_forward_features(input, target))
    }

    /// Checks a network without its parameters.
    pub(crate) fn check_architecture(architecture: Architecture) -> Result<()> {
        if architecture == Architecture::VGG16 {
            return Ok(());
        }
        let expected = format!("{}, for which the weights were trained", Architecture::VGG16);
        Err(Error::Option { option: "network", given: architecture.to_string(), expected })
    }

    fn engine(&self) -> Result<Engine<'_>> {
        self.check_options()?;
        let weight = self.weight();
        let terms = FEATURES.iter().map(|(tap, comparison)| Term { tap, weight, comparison });
        let normalization = InputNormalization::ImageNet;
        let preprocessing = Preprocessing { data_range: self.data_range, normalization };
        Ok(Engine::new(&self.network, terms, preprocessing, self.streaming)?.reduced(self.reduction))
    }

    /// What the channels' weights are multiplied by.
    fn weight(&self) -> f64 {
        match self.normalize_weights {
            true => 1.0 / total(),
            false => 1.0,
        }
    }

    /// The images in the size and the kind in which they are compared.
    fn sized(&self, engine: &Engine, argument: &'static str, images: &Tensor) -> Result<Tensor> {
        let wide = images.f_to_kind(accumulation_kind(images.kind()))?;
        let sides = [images.size()[2], images.size()[3]];
        let shorter = sides[0].min(sides[1]);
        if !self.resize || shorter <= SHORTER_SIDE {
            return Ok(wide);
        }
        // Errors are about the images as they were given.
        engine.check_images(argument, images)?;
        let scale = SHORTER_SIDE as f64 / shorter as f64;
        // Rounded down, as PyTorch does.
        let sides = sides.map(|side| (side as f64 * scale) as i64);
        Ok(wide.f_upsample_bilinear2d(sides, false, scale, scale)?)
    }

    /// What the images themselves contribute.
    fn of_images(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let measure = OfImages { weight: self.weight(), rest: 1.0 - self.weight() * total() };
        let values = match self.streaming {
            Streaming::Off => {
                measure.values(&self.data_range.to_unit(input)?, &self.data_range.to_unit(target)?)?
            }
            _ => per_image(&measure, self.data_range, input, target)?,
        };
        reduce(&values, self.reduction, values.kind())
    }
}

/// The part of the loss that compares the images with values from 0 to 1.
struct OfImages {
    /// What the channels' weights are multiplied by.
    weight: f64,
    /// What all weights together lack of 1.
    rest: f64,
}

impl PerImage for OfImages {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(IMAGES.sums(input, target)?.f_mul_scalar(self.weight)?.f_add_scalar(self.rest)?)
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        no_grad(|| {
            let features = target.shallow_clone();
            let other = Other { features, is_free: false, statistics: None };
            let (sums, gradient) = IMAGES.piece(input, other, Some(self.weight))?;
            let values = sums.f_mul_scalar(self.weight)?.f_add_scalar(self.rest)?;
            Ok((values, gradient.expect("there is one for a share")))
        })
    }
}

impl Loss for Dists {
    fn check_options(&self) -> Result<()> {
        Dists::check_architecture(self.network.architecture())?;
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        self.streaming.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        let engine = self.engine()?;
        let (own, other) = (self.sized(&engine, "input", input)?, self.sized(&engine, "target", target)?);
        let of_features = engine.compare_images(&own, &other)?;
        Ok(of_features.f_add(&self.of_images(&own, &other)?)?.f_to_kind(input.kind())?)
    }
}
