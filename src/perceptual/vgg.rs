//! VGG19 perceptual loss.

use tch::{no_grad, Device, Tensor};

use crate::reduce::{accumulation_kind, channel_mean};
use crate::{check, Error, Loss, LossMap, Result, Vgg19, VggLayer};

/// How two feature maps are compared, by the mean over all their elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputNormalization {
    /// Nothing: images go in as they are.
    #[default]
    None,
    /// For images in `[0, 1]`: ImageNet's mean and deviation.
    ImageNetFromUnit,
    /// For images in `[-1, 1]`: to `[0, 1]` by `(x + 1) / 2`, then ImageNet's mean and deviation.
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
        let per_channel = |values: [f64; 3]| -> Result<Tensor> {
            let values = Tensor::f_from_slice(&values)?.f_view([1i64, 3, 1, 1].as_slice())?;
            Ok(values.f_to_device(images.device())?.f_to_kind(images.kind())?)
        };
        let (mean, deviation) = (per_channel([0.485, 0.456, 0.406])?, per_channel([0.229, 0.224, 0.225])?);
        Ok(unit.f_sub(&mean)?.f_div(&deviation)?)
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
///   are compared in f32; the loss has the images' kind.
/// - **Errors**: arguments that are not RGB images of one shape, kind and device, the device not the
///   network's, images too small; no taps, or a weight that is negative or not finite.
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

impl VggPerceptual {
    /// The loss with its default options.
    pub fn new(vgg: Vgg19) -> VggPerceptual {
        VggPerceptual {
            vgg,
            taps: vec![(VggLayer::Relu1_2, 1.0), (VggLayer::Relu2_2, 1.0), (VggLayer::Relu3_3, 1.0)],
            criterion: FeatureCriterion::default(),
            normalization: InputNormalization::default(),
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
        let features = no_grad(|| self.features("target", target))?;
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
        let features = self.features("input", input)?;
        for (own, other) in features.iter().zip(&target.features) {
            check::partners(("input features", own), ("target features", other))?;
        }
        self.compare(input, &features, &target.features)
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

    fn layers(&self) -> Vec<VggLayer> {
        self.taps.iter().map(|(layer, _)| *layer).collect()
    }

    fn preparation(&self, images: &Tensor) -> Preparation {
        Preparation { layers: self.layers(), normalization: self.normalization, image_size: images.size() }
    }

    /// The features of the normalised images at the taps, after a check of the images and the options.
    fn features(&self, argument: &'static str, images: &Tensor) -> Result<Vec<Tensor>> {
        let layers = self.layers();
        let Some(deepest) = layers.iter().max() else {
            return Err(Error::Option {
                option: "taps",
                given: "empty".into(),
                expected: "at least one tap".into(),
            });
        };
        for (_, weight) in &self.taps {
            check::non_negative("weight of a tap", *weight)?;
        }
        self.vgg.check_images(argument, images, *deepest)?;
        self.vgg.features(&self.normalization.apply(images)?, &layers)
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
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        self.compare(input, &self.features("input", input)?, &self.features("target", target)?)
    }
}

impl LossMap for VggPerceptual {
    /// Per tap the channel mean of the differences, brought to the size of the images by nearest
    /// neighbours, weighted, summed over the taps.
    ///
    /// The map's mean is the loss exactly where H and W are multiples of the taps'
    /// [strides](VggLayer::stride); elsewhere the features at the right and lower edge, which see a cut
    /// window, count a little more or less than in the loss.
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        let (features, others) = (self.features("input", input)?, self.features("target", target)?);
        let maps = features.iter().zip(&others).map(|(own, other)| {
            let kind = accumulation_kind(own.kind());
            channel_mean(&self.criterion.elements(&own.f_to_kind(kind)?, &other.f_to_kind(kind)?)?)
        });
        self.sum_of_maps(input, maps)
    }

    /// The mean activation over the channels of each tap, brought to the size of the images, weighted and
    /// summed.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        let features = self.features("image", image)?;
        self.sum_of_maps(image, features.iter().map(channel_mean)).map(Some)
    }
}
