//! VGG19 perceptual loss.

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Kind, Tensor};

use crate::base::check;
use crate::base::precision::{accumulation_kind, channel_mean};
use crate::base::streaming::{pieces, with_gradient, KeepFreedMemory, Wanted};
use crate::networks::{Pass, Trace};
use crate::{Error, Loss, Result, Vgg19, VggLayer};

/// How two feature maps are compared, by the mean over all their elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureCriterion {
    /// `mean(|a - b|)`
    #[default]
    L1,
    /// `mean((a - b)²)`
    Mse,
}

impl FeatureCriterion {
    /// The differences before the mean.
    fn elements(self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let difference = input.f_sub(target)?;
        Ok(match self {
            FeatureCriterion::L1 => difference.f_abs()?,
            FeatureCriterion::Mse => difference.f_square()?,
        })
    }
}

/// What happens to the images before the network sees them.
///
/// torchvision's VGG19 was trained on images in `[0, 1]`, normalised by ImageNet's mean and deviation per
/// channel: `(x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]`. Trainers differ in whether they do the
/// same; the loss values differ with it, so keep what your reference has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputNormalization {
    /// Nothing: images go in as they are.
    #[default]
    None,
    /// For images in `[0, 1]`: ImageNet's mean and deviation.
    #[serde(rename = "imagenet_from_unit")]
    ImageNetFromUnit,
    /// For images in `[-1, 1]`: to `[0, 1]` by `(x + 1) / 2`, then ImageNet's mean and deviation.
    #[serde(rename = "imagenet_from_signed")]
    ImageNetFromSigned,
}

impl InputNormalization {
    /// The images as the network is to see them. Reduced-precision images are normalised in f32.
    fn apply(self, images: &Tensor) -> Result<Tensor> {
        if self == InputNormalization::None {
            return Ok(images.shallow_clone());
        }
        let images = images.f_to_kind(accumulation_kind(images.kind()))?;
        let unit = match self {
            InputNormalization::ImageNetFromSigned => images.f_add_scalar(1.0)?.f_div_scalar(2.0)?,
            InputNormalization::None | InputNormalization::ImageNetFromUnit => images.shallow_clone(),
        };
        // Made on the device: a copy from the host would wait for all that is queued there.
        let per_channel = |values: [f64; 3]| -> Result<Tensor> {
            let options = (images.kind(), images.device());
            let values = values.map(|value| Tensor::f_full([1i64, 1, 1].as_slice(), value, options));
            let values = values.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(Tensor::f_stack(&values, 1)?)
        };
        let (mean, deviation) = (per_channel([0.485, 0.456, 0.406])?, per_channel([0.229, 0.224, 0.225])?);
        Ok(unit.f_sub(&mean)?.f_div(&deviation)?)
    }
}

/// How [`VggPerceptual`] goes through a batch.
///
/// A gradient of this loss takes the activations of the whole network. *Streamed*, a few images at a time pass forward
/// through the network and, where `input` requires a gradient, at once back again. The activations of those few
/// suffice; only the gradient itself, of the size of the images, remains until `backward`. A large batch takes a tenth
/// of the memory, and less time, as memory is used again while it is in the cache. An error on the way leaves nothing
/// behind: no gradient has been added to any tensor.
///
/// The value is the same to rounding. So is the gradient, except where rounding turns a ReLU, a maximum or the sign of
/// a difference, as it does on every machine: [`VggPerceptual`] has the figures.
///
/// Streamed on a CPU in f32, convolutions of 128 and more channels on maps that are large enough go by
/// [Winograd's algorithm](https://arxiv.org/abs/1509.09308), which takes about two thirds of the time of
/// libtorch's and is as near to f64. While a batch is gone through, their transformed weights take 26 MB with the
/// default taps, and for each convolution of the fourth block that is needed, 38 MB more.
///
/// Streamed, the loss has no second derivatives: what a graph made by `run_backward(.., create_graph = true)`
/// of it shows as such are zeros. Where they are needed, as in a gradient penalty, take
/// [`Off`](Streaming::Off).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Streaming {
    /// Streamed, as many images at a time as suits the device and their size. Where `target` requires a
    /// gradient, as with [`Off`](Streaming::Off).
    #[default]
    Auto,
    /// The same with at most so many images at a time.
    Images(usize),
    /// Not at all: the whole batch at once, in libtorch's own graph.
    Off,
}

impl Streaming {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Streaming::Images(0) => Err(Error::Option {
                option: "streaming",
                given: "Images(0)".into(),
                expected: "at least one image at a time".into(),
            }),
            _ => Ok(()),
        }
    }

    /// How many of these images to take at a time; `None` if all are to be taken in a graph.
    fn images(self, images: &Tensor) -> Result<Option<i64>> {
        match self {
            Streaming::Auto => {
                let size = images.size();
                // A CPU has cores enough for one image of 256x256, and its caches are too small for more. A
                // GPU needs some to be busy with.
                let pixels = if images.device() == Device::Cpu { 1 << 16 } else { 1 << 19 };
                Ok(Some((pixels / (size[2] * size[3])).max(1)))
            }
            Streaming::Images(count) => Ok(Some(i64::try_from(count).unwrap_or(i64::MAX))),
            Streaming::Off => Ok(None),
        }
    }
}

/// Perceptual loss on VGG19 features: images that look alike cost little, even where pixels differ.
///
/// ```text
/// loss = Σ over taps of  weight * mean(|F_tap(input) - F_tap(target)|)
/// ```
///
/// `F_tap` are the [features](Vgg19::features) at a tap, the mean runs over all their elements. The plain
/// losses on pixels ([`L1Loss`](crate::L1Loss), [`MseLoss`](crate::MseLoss)) reward blur where the detail is
/// uncertain; this one rewards plausible detail, and usually accompanies one of them.
///
/// - **Shapes**: `input` and `target` `[N, 3, H, W]`, H and W at least the [stride](VggLayer::stride) of
///   the deepest tap (4 by default); the loss is a scalar.
/// - **Values**: any; images of `[-1, 1]` go in as they are by default, as in the reference. See
///   [`InputNormalization`].
/// - **Defaults**: taps relu1_2, relu2_2 and relu3_3 with weight 1, L1, no normalisation.
/// - **Kinds**: images are cast to the network's kind ([`Vgg19::to_kind`]); features of reduced precision
///   are averaged in f32; the loss has the images' kind.
/// - **Gradients**: to both arguments. Where `target` requires none, they are taken inside forward, a few
///   images at a time, and there are no second derivatives: see [`Streaming`].
/// - **Errors**: arguments that are not RGB images of one shape, kind and device, the device not the
///   network's, images too small; no taps, or a weight that is negative or not finite.
///
/// # Speed and precision
///
/// Nearly all the time goes into convolutions, where it matters what the network computes in. `bf16` takes
/// half the time of f32 on CPUs that have it (avx512_bf16, amx_bf16) and less memory; on CUDA `bf16` and
/// `f16` have tensor cores. Gradients are scaled on their way through an `f16` network, so that they neither
/// vanish nor overflow, with or without a trainer's own loss scaling.
///
/// How far from f64 the results are, on trained weights: the median and, in brackets, the 90th percentile over 20 parts
/// of photos and blurred, noisy copies of them, with the default options (an AMD EPYC with avx512_bf16;
/// `scripts/measure_precision.py` measures it on yours):
///
/// | computed in | value, relative | gradient, relative to its norm | 1 - its cosine |
/// |---|---|---|---|
/// | f32, [`Streaming::Off`] (libtorch's convolutions) | 4e-8 (7e-8) | 0.03 % (0.12 %) | 5e-8 (8e-7) |
/// | f32, streamed (Winograd's algorithm) | 4e-8 (7e-8) | 0.03 % (0.12 %) | 5e-8 (8e-7) |
/// | `f16`, streamed | 0.005 % (0.006 %) | 2.4 % (2.6 %) | 0.0003 (0.0004) |
/// | `bf16`, streamed | 0.05 % (0.08 %) | 7.3 % (8.1 %) | 0.003 (0.003) |
///
/// The gradients in f32 on other instruction sets, libtorch's convolutions first: the same capped at AVX2; 0.02 %
/// (0.05 %) and 0.03 % (0.12 %) capped at SSE4.1. On random weights and noise: 0.09 % (0.14 %) and 0.08 % (0.12 %);
/// 0.11 % (0.20 %) and 0.10 % (0.14 %) capped at SSE4.1.
///
/// Most of a gradient's error comes from single pixels: rounding turns the sign of a small difference, or a ReLU. Where
/// the gradient has to be that of PyTorch to more digits, stay with f32.
///
/// On CUDA, `tch::Cuda::cudnn_set_benchmark(true)` has cuDNN choose its fastest algorithms for the sizes it
/// meets, which pays where these stay the same; and nothing in this loss waits for the device.
///
/// Source: J. Johnson, A. Alahi and L. Fei-Fei, [*Perceptual losses for real-time style transfer and
/// super-resolution*](https://arxiv.org/abs/1603.08155) (2016); with these defaults in NectarGAN.
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{FeatureCriterion, Loss, Vgg19, VggLayer, VggPerceptual};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// let vgg = Vgg19::new(&vs.root()); // random; `Vgg19::from_file` loads trained weights
/// let perceptual = VggPerceptual::new(vgg.clone());
///
/// let fake = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// perceptual.forward(&fake, &real).backward();
///
/// // Other taps on the same network, as used for super-resolution.
/// let deep = VggPerceptual {
///     taps: vec![(VggLayer::Relu5_4, 1.0)],
///     criterion: FeatureCriterion::Mse,
///     ..VggPerceptual::new(vgg)
/// };
/// assert!(deep.forward(&fake, &real).double_value(&[]) > 0.0);
/// ```
#[doc(alias = "VGGPerceptual")]
#[doc(alias = "VGGLoss")]
#[derive(Debug, Clone)]
pub struct VggPerceptual {
    /// The network, shared with other losses at will.
    pub vgg: Vgg19,
    /// Where features are compared, and with what weight.
    pub taps: Vec<(VggLayer, f64)>,
    /// How features are compared.
    pub criterion: FeatureCriterion,
    /// What happens to the images first.
    pub normalization: InputNormalization,
    /// How the batch is gone through.
    pub streaming: Streaming,
}

/// The features of a target, computed once and compared with many inputs; see
/// [`VggPerceptual::target_features`].
#[derive(Debug)]
pub struct TargetFeatures {
    of: Preparation,
    features: Vec<Tensor>,
}

/// All that decides what the features of an image are, but for the image and the parameters.
#[derive(Debug, PartialEq)]
struct Preparation {
    layers: Vec<VggLayer>,
    normalization: InputNormalization,
    image_size: Vec<i64>,
}

/// What the input is compared with.
#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    Images(&'a Tensor),
    Features(&'a [Tensor]),
}

/// The units in which gradients go through the network: a mean over millions of elements has gradients too
/// small for f16.
struct Scale {
    /// Each tap's factor, `weight / elements`, in the unit.
    shares: Vec<f64>,
    unit: f64,
}

impl Scale {
    /// In this, the largest gradient of a feature is 1/16 (L1), with room for growth on the way back.
    fn new(taps: &[(VggLayer, f64)], image_size: &[i64]) -> Scale {
        let elements = |layer: VggLayer| {
            let [count, _, height, width] = image_size[..] else {
                unreachable!("images have four dimensions")
            };
            count * layer.channels() * (height / layer.stride()) * (width / layer.stride())
        };
        let factors = taps.iter().map(|(layer, weight)| weight / elements(*layer) as f64);
        let largest = factors.clone().fold(0.0, f64::max);
        let unit = if largest > 0.0 { largest * 16.0 } else { 1.0 };
        Scale { shares: factors.map(|factor| factor / unit).collect(), unit }
    }
}

impl VggPerceptual {
    pub(crate) const DEFAULT_TAPS: [(VggLayer, f64); 3] =
        [(VggLayer::Relu1_2, 1.0), (VggLayer::Relu2_2, 1.0), (VggLayer::Relu3_3, 1.0)];

    /// The loss with its default options.
    pub fn new(vgg: Vgg19) -> VggPerceptual {
        VggPerceptual {
            vgg,
            taps: Self::DEFAULT_TAPS.into(),
            criterion: FeatureCriterion::default(),
            normalization: InputNormalization::default(),
            streaming: Streaming::default(),
        }
    }

    /// The loss with its default options, on the network that torchvision trained: [`Vgg19::pretrained`].
    ///
    /// # Errors
    /// As for [`Vgg19::pretrained`].
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::VggPerceptual;
    ///
    /// let loss = VggPerceptual::pretrained(Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained(device: Device) -> Result<VggPerceptual> {
        Ok(VggPerceptual::new(Vgg19::pretrained(device)?))
    }

    /// The features of `target`, to be compared with any number of inputs by
    /// [`try_forward_features`](Self::try_forward_features): for targets that come again, as in overfitting
    /// tests, image optimisation, or epochs over a small set.
    ///
    /// They are constants: no gradient flows to `target`.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward), for `target` alone.
    ///
    /// ```
    /// use tch::{nn, Device, Kind, Tensor};
    /// use tch_losses::{Loss, Vgg19, VggPerceptual};
    ///
    /// # tch::manual_seed(0);
    /// # let vs = nn::VarStore::new(Device::Cpu);
    /// let perceptual = VggPerceptual::new(Vgg19::new(&vs.root()));
    /// let fake = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    /// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    /// let features = perceptual.target_features(&real)?;
    /// assert_eq!(perceptual.forward_features(&fake, &features), perceptual.forward(&fake, &real));
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        let deepest = self.deepest("target", target)?;
        let prepared = self.normalization.apply(target)?;
        let features = no_grad(|| match self.streaming.images(target)? {
            Some(_) => Pass::new(&self.vgg, &target.size(), deepest)?.features(&prepared, &self.layers()),
            None => self.vgg.features(&prepared, &self.layers()),
        })?;
        Ok(TargetFeatures { of: self.preparation(target), features })
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward); and features made with other layers or normalisation, of
    /// images of another size, or by a network of another kind or device.
    pub fn try_forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        check::image("input", input)?;
        let own = self.preparation(input);
        if own != target.of {
            return Err(Error::Option {
                option: "target features",
                given: format!("made for {:?}", target.of),
                expected: format!("{own:?}"),
            });
        }
        self.loss(input, Wanted::of(input, None)?, Target::Features(&target.features))
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Panics
    /// Where [`try_forward_features`](Self::try_forward_features) returns an error, with its message.
    #[track_caller]
    pub fn forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Tensor {
        match self.try_forward_features(input, target) {
            Ok(loss) => loss,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn check_taps(taps: &[(VggLayer, f64)]) -> Result<()> {
        if taps.is_empty() {
            return Err(Error::Option {
                option: "taps",
                given: "empty".into(),
                expected: "at least one tap".into(),
            });
        }
        taps.iter().try_for_each(|(_, weight)| check::non_negative("taps", *weight))
    }

    fn layers(&self) -> Vec<VggLayer> {
        self.taps.iter().map(|(layer, _)| *layer).collect()
    }

    fn preparation(&self, images: &Tensor) -> Preparation {
        Preparation { layers: self.layers(), normalization: self.normalization, image_size: images.size() }
    }

    /// The deepest tap, after a check of the images and the options.
    fn deepest(&self, argument: &'static str, images: &Tensor) -> Result<VggLayer> {
        Self::check_taps(&self.taps)?;
        let deepest = self.taps.iter().map(|(layer, _)| *layer).max().expect("there are taps");
        self.vgg.check_images(argument, images, deepest)?;
        Ok(deepest)
    }

    /// The features of the normalised images at the taps, after a check of the images and the options.
    fn features(&self, argument: &'static str, images: &Tensor) -> Result<Vec<Tensor>> {
        self.deepest(argument, images)?;
        self.vgg.features(&self.normalization.apply(images)?, &self.layers())
    }

    fn loss(&self, input: &Tensor, wanted: Wanted, target: Target) -> Result<Tensor> {
        let deepest = self.deepest("input", input)?;
        match self.streaming.images(input)? {
            Some(images) if wanted != Wanted::Graph => {
                self.streamed(input, target, deepest, images, wanted == Wanted::InputGradient)
            }
            _ => {
                let features = self.features("input", input)?;
                match target {
                    Target::Images(images) => {
                        self.compare(input, &features, &self.features("target", images)?)
                    }
                    Target::Features(others) => self.compare(input, &features, others),
                }
            }
        }
    }

    /// The loss without a graph of it, with the gradient taken at the same time if there is to be one.
    fn streamed(
        &self,
        input: &Tensor,
        target: Target,
        deepest: VggLayer,
        images: i64,
        gradient: bool,
    ) -> Result<Tensor> {
        // Normalised in the graph, which so accounts for it in the gradient.
        let prepared = self.normalization.apply(input)?.f_to_kind(accumulation_kind(input.kind()))?;
        let size = prepared.size();
        let gradient = match gradient {
            true => Some(Tensor::f_empty(&size, (prepared.kind(), prepared.device()))?),
            false => None,
        };
        let scale = Scale::new(&self.taps, &size);
        let pass = no_grad(|| Pass::new(&self.vgg, &size, deepest))?;
        let _kept = (prepared.device() == Device::Cpu).then(KeepFreedMemory::new);
        let layers = self.layers();
        let others = |start, length| -> Result<Vec<Tensor>> {
            match target {
                Target::Images(images) => {
                    let images = self.normalization.apply(&images.f_narrow(0, start, length)?)?;
                    pass.features(&images, &layers)
                }
                Target::Features(features) => {
                    features.iter().map(|features| Ok(features.f_narrow(0, start, length)?)).collect()
                }
            }
        };
        let value = no_grad(|| -> Result<Tensor> {
            let mut value: Option<Tensor> = None;
            for (start, length) in pieces(size[0], images) {
                let piece = prepared.f_narrow(0, start, length)?;
                let mut others: Vec<_> = others(start, length)?.into_iter().map(Some).collect();
                let mut slopes = Vec::new();
                // On the way, so that a target's features are there no longer than needed.
                let compare = |layer, own: &Tensor| -> Result<()> {
                    for (index, (tap, _)) in self.taps.iter().enumerate() {
                        if *tap != layer {
                            continue;
                        }
                        let other = others[index].take().expect("a layer is visited once");
                        let is_free = matches!(target, Target::Images(_))
                            && self.taps[index + 1..].iter().all(|(later, _)| *later != layer);
                        let share = scale.shares[index];
                        let gradient = gradient.is_some();
                        let (part, slope) = self.compare_piece(own, other, is_free, share, gradient)?;
                        value = add(value.take(), part.f_mul_scalar(share * scale.unit)?)?;
                        slopes.extend(slope.map(|slope| (layer, slope)));
                    }
                    Ok(())
                };
                match &gradient {
                    Some(gradient) => {
                        let trace = pass.trace(&piece, compare)?;
                        gradient.f_narrow(0, start, length)?.f_copy_(&self.back(trace, slopes)?)?;
                    }
                    None => pass.run(&piece, compare)?,
                }
            }
            Ok(value.expect("there are images"))
        })?;
        let loss = match gradient {
            Some(gradient) => with_gradient(&value, &prepared, &gradient, scale.unit)?,
            None => value,
        };
        Ok(loss.f_to_kind(input.kind())?)
    }

    /// The sum of the differences between features, and where asked for, the gradient of `share` times that
    /// with respect to the input's.
    fn compare_piece(
        &self,
        own: &Tensor,
        other: Tensor,
        is_free: bool,
        share: f64,
        gradient: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        check::partners(("input features", own), ("target features", &other))?;
        let single = accumulation_kind(own.kind());
        let kind = match self.criterion {
            // Rounding neither turns the sign of a difference nor shifts the sum of millions.
            FeatureCriterion::L1 => own.kind(),
            FeatureCriterion::Mse => single,
        };
        let (own, mut other) = (own.f_to_kind(kind)?, other.f_to_kind(kind)?);
        // In place where nothing else needs the other's features: the less moves, the fewer holes are left.
        let mut difference = if is_free { other.f_sub_(&own)? } else { other.f_sub(&own)? };
        let elements = match self.criterion {
            FeatureCriterion::L1 => difference.f_abs()?,
            FeatureCriterion::Mse => difference.f_square()?,
        };
        let sum = elements.f_sum(single)?;
        let slope = match (gradient, self.criterion) {
            (false, _) => None,
            (true, FeatureCriterion::L1) => Some(difference.f_sgn_()?.f_mul_scalar_(-share)?),
            (true, FeatureCriterion::Mse) => Some(difference.f_mul_scalar_(-2.0 * share)?),
        };
        Ok((sum, slope))
    }

    /// The gradient with respect to the images of a piece, from the `slopes` with respect to its features.
    fn back(&self, trace: Trace, mut slopes: Vec<(VggLayer, Tensor)>) -> Result<Tensor> {
        let kind = trace.kind();
        let mut peak = None;
        if kind == Kind::Half && self.criterion == FeatureCriterion::Mse {
            // As large as the differences, that is, of any size; in f16 they have to be of that which L1's
            // are.
            let largest = slopes.iter().map(|(_, slope)| slope.f_abs()?.f_max());
            let largest = largest.collect::<std::result::Result<Vec<_>, _>>()?;
            // Differences of nothing stay nothing.
            let unit = Tensor::f_stack(&largest, 0)?.f_max()?.f_mul_scalar(16.0)?.f_clamp_min(1e-30)?;
            for (_, slope) in &mut slopes {
                let _ = slope.f_div_(&unit)?;
            }
            peak = Some(unit);
        }
        let mut gradients = Vec::new();
        for (layer, slope) in slopes {
            gradients.push((layer, slope.f_to_kind(kind)?));
        }
        let gradient = trace.back(gradients)?;
        Ok(match peak {
            Some(peak) => gradient.f_to_kind(peak.kind())?.f_mul_(&peak)?,
            None => gradient,
        })
    }

    /// `Σ weight * mean(difference)` in `input`'s kind.
    fn compare(&self, input: &Tensor, features: &[Tensor], target: &[Tensor]) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for ((_, weight), (own, other)) in self.taps.iter().zip(features.iter().zip(target)) {
            let kind = accumulation_kind(own.kind());
            let mean =
                self.criterion.elements(&own.f_to_kind(kind)?, &other.f_to_kind(kind)?)?.f_mean(None)?;
            total = add(total, mean.f_mul_scalar(*weight)?)?;
        }
        Ok(total.expect("features() refuses to be without taps").f_to_kind(input.kind())?)
    }

    /// The weighted sum over the taps of `[N, 1, h, w]` maps, each brought to the images' size.
    fn sum_of_maps(&self, images: &Tensor, maps: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
        let size = &images.size()[2..];
        let mut total: Option<Tensor> = None;
        for ((_, weight), map) in self.taps.iter().zip(maps) {
            total = add(total, map?.f_upsample_nearest2d(size, None, None)?.f_mul_scalar(*weight)?)?;
        }
        Ok(total.expect("features() refuses to be without taps").f_to_kind(images.kind())?)
    }
}

fn add(total: Option<Tensor>, term: Tensor) -> Result<Option<Tensor>> {
    Ok(Some(match total {
        Some(total) => total.f_add(&term)?,
        None => term,
    }))
}

impl Loss for VggPerceptual {
    fn check_options(&self) -> Result<()> {
        VggPerceptual::check_taps(&self.taps)?;
        self.streaming.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        self.loss(input, Wanted::of(input, Some(target))?, Target::Images(target))
    }

    /// Per tap the channel mean of the differences, brought to the size of the images by nearest
    /// neighbours, weighted, summed over the taps.
    ///
    /// The map's mean is the loss exactly where H and W are multiples of the taps'
    /// [strides](VggLayer::stride); elsewhere the features at the right and lower edge, which see a cut
    /// window, count a little more or less than in the loss.
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        check::image_pair(input, target)?;
        let (features, others) = (self.features("input", input)?, self.features("target", target)?);
        let maps = features.iter().zip(&others).map(|(own, other)| {
            let kind = accumulation_kind(own.kind());
            channel_mean(&self.criterion.elements(&own.f_to_kind(kind)?, &other.f_to_kind(kind)?)?)
        });
        self.sum_of_maps(input, maps).map(Some)
    }

    /// The mean activation over the channels of each tap, brought to the size of the images, weighted and
    /// summed.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        let features = self.features("image", image)?;
        self.sum_of_maps(image, features.iter().map(channel_mean)).map(Some)
    }
}
