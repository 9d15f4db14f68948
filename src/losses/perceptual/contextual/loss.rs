//! Contextual loss.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::super::engine::{check_weights, Engine, Term};
use super::super::preprocessing::Preprocessing;
use super::super::{PerceptualLoss, Streaming, TargetFeatures};
use super::comparison::ContextualComparison;
use crate::base::{check, or_panic, setters};
use crate::{Architecture, DataRange, InputNormalization, Loss, Network, Result, Tap};

/// Contextual loss on a network's features: images whose features are alike cost little, wherever the features are.
///
/// ```text
/// loss = Σ over taps of  weight * mean over images of -ln(CX + 1e-5)
/// CX   = mean over j of  max over i of  s_ij          the similarity of two images
/// s_ij = w_ij / Σ over j of w_ij                      of position i of the input, j of the target
/// w_ij = exp((1 - d_ij / (min over j of d_ij + 1e-5)) / band_width)
/// d_ij = 1 - cos(x_i - μ, y_j - μ)
/// ```
///
/// `x_i` and `y_j` are the [features](Network::features) at a position of the input and of the target. `μ` is the mean
/// of the target's features over the batch and all positions. The loss asks that each feature of the target has a
/// feature of the input that is close to it and to nothing else. So the two images need not be aligned: the loss suits
/// style transfer, unpaired translation and targets that are a few pixels off.
///
/// - **Shapes**: `input` and `target` `[N, 3, H, W]` or `[N, 1, H, W]`, one channel being repeated to three. H and W
///   reach the deepest tap (4 by default, see [`Place::least`](crate::networks::Place::least)). The loss is a scalar.
/// - **Values**: in [`data_range`](Self::data_range). ImageNet's normalisation comes first
///   ([`InputNormalization::ImageNet`]).
/// - **Defaults**: the tap relu3_4 with weight 1, band width 0.5, images from 0 to 1.
/// - **Result**: about 0 for equal images, positive for others.
/// - **Kinds**: images are cast to the network's kind ([`Network::to_kind`]). Features of reduced precision are compared
///   in f32. The loss has the images' kind.
/// - **Gradients**: to both arguments, through all of the formula. If `target` requires none, `forward` computes the
///   input's gradient, a few images at a time, and there are no second derivatives: see [`Streaming`].
/// - **Memory**: the similarities are as many as the square of the number of positions, 64 MB for an image of 256x256
///   in f32. They are computed a few rows at a time, and a second time for the gradient, so that a few MB of them are
///   there at once. If `target` requires a gradient, or with [`Streaming::Off`], they are all there.
/// - **Time** grows with the square of the number of positions. Take smaller parts of large images, or deeper taps.
/// - **Map**: none. The mean is under a logarithm, and its terms have their places in the target.
/// - **Errors**: arguments that are not images of one shape, kind and device; a device that is not the network's; images
///   that are too small; a band width that is not greater than 0; no taps, a tap that the network lacks, or a weight
///   that is negative or not finite.
///
/// The original adds to the loss a second one, of the input against the *source* image, with the deeper tap only. That is
/// a `ContextualLoss` of its own.
///
/// Source: R. Mechrez, I. Talmi and L. Zelnik-Manor, [*The contextual loss for image transformation with non-aligned
/// data*](https://arxiv.org/abs/1803.02077) (2018); with these defaults in
/// [contextual_loss_pytorch](https://github.com/S-aiueo32/contextual_loss_pytorch) (`loss_type="cosine"`,
/// `use_vgg=True`).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Architecture, ContextualLoss, Loss, Network};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// // Random weights; `ContextualLoss::pretrained(device)?` has torchvision's.
/// let contextual = ContextualLoss::new(Network::new(&vs.root(), &Architecture::VGG19));
///
/// let fake = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// contextual.forward(&fake, &real).backward();
/// assert_eq!(fake.grad().size(), fake.size());
/// ```
#[doc(alias = "CX")]
#[derive(Debug, Clone)]
pub struct ContextualLoss {
    /// The network. A clone of it shares the parameters with other losses.
    pub network: Network,
    /// Where features are compared, and with what weight.
    pub taps: Vec<(Tap, f64)>,
    /// How soft the similarity is: with a small band width, a position is similar to its nearest partner only.
    pub band_width: f64,
    /// Which of two implementations it is like.
    pub form: ContextualForm,
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How the loss goes through a batch.
    pub streaming: Streaming,
}

setters!(ContextualLoss {
    with_network(network: Network), with_taps(taps: Vec<(Tap, f64)>), with_band_width(band_width: f64),
    with_form(form: ContextualForm), with_data_range(data_range: DataRange), with_streaming(streaming: Streaming)
});

/// Two implementations of the contextual loss. Their values differ in the fourth digit.
///
/// In an objective's file it is a word: `form = "original"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextualForm {
    /// `d = 1 - cos` and `-ln(CX + 1e-5)`, as in
    /// [contextual_loss_pytorch](https://github.com/S-aiueo32/contextual_loss_pytorch).
    #[default]
    Pytorch,
    /// `d = (1 - cos) / 2` and `-ln(CX)`, as in the [authors' implementation](https://github.com/roimehrez/contextualLoss)
    /// in TensorFlow. Where that divides by a length of 0, vectors are divided by 1e-12 here.
    Original,
}

impl ContextualLoss {
    pub(crate) const DEFAULT_TAPS: [(Tap, f64); 1] = [(Tap::RELU3_4, 1.0)];
    pub(crate) const DEFAULT_BAND_WIDTH: f64 = 0.5;

    /// The loss with its default options. The default tap is in VGG19 only.
    pub fn new(network: Network) -> ContextualLoss {
        ContextualLoss {
            network,
            taps: Self::DEFAULT_TAPS.into(),
            band_width: Self::DEFAULT_BAND_WIDTH,
            form: ContextualForm::default(),
            data_range: DataRange::default(),
            streaming: Streaming::default(),
        }
    }

    /// The loss of the authors' implementation: the taps relu3_2 and relu4_2 with weight 1, which it calls conv3_2 and
    /// conv4_2, and [`ContextualForm::Original`].
    ///
    /// It differs from that implementation in two ways:
    ///
    /// - All positions are compared. The authors draw 4225 positions at random where there are more, which no two runs
    ///   do alike.
    /// - The network is the one given. The authors' has average poolings
    ///   ([`Network::with_pooling`]) and the weights of MatConvNet.
    ///
    /// ```
    /// use tch::{nn, Device};
    /// use tch_losses::{Architecture, ContextualLoss, Network, Tap};
    ///
    /// # tch::manual_seed(0);
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let contextual = ContextualLoss::original(Network::new(&vs.root(), &Architecture::VGG19));
    /// assert_eq!(contextual.taps, [(Tap::RELU3_2, 1.0), (Tap::RELU4_2, 1.0)]);
    /// ```
    pub fn original(network: Network) -> ContextualLoss {
        ContextualLoss {
            taps: vec![(Tap::RELU3_2, 1.0), (Tap::RELU4_2, 1.0)],
            form: ContextualForm::Original,
            ..ContextualLoss::new(network)
        }
    }

    /// The loss with its default options, on the VGG19 that torchvision trained: [`Network::pretrained`].
    ///
    /// # Errors
    /// As for [`Network::pretrained`].
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::ContextualLoss;
    ///
    /// let loss = ContextualLoss::pretrained(Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained(device: Device) -> Result<ContextualLoss> {
        Ok(ContextualLoss::new(Network::pretrained(&Architecture::VGG19, device)?))
    }

    /// The features of `target`, for comparison with any number of inputs by
    /// [`try_forward_features`](Self::try_forward_features), as
    /// [`PerceptualLoss::target_features`](crate::PerceptualLoss::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward), for `target` alone.
    pub fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        self.engine(&self.comparison()?)?.target_features(target)
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward); and for features that were made with other taps or another data range, of
    /// images of another size, or by a network of another kind or device.
    pub fn try_forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        check::image("input", input)?;
        self.engine(&self.comparison()?)?.compare_features(input, target)
    }

    /// The loss of `input` against [target features](Self::target_features).
    ///
    /// # Panics
    /// If [`try_forward_features`](Self::try_forward_features) returns an error, with its message.
    #[track_caller]
    pub fn forward_features(&self, input: &Tensor, target: &TargetFeatures) -> Tensor {
        or_panic(self.try_forward_features(input, target))
    }

    /// Checks options without a network's parameters.
    pub(crate) fn check(architecture: &Architecture, taps: &[(Tap, f64)], band_width: f64) -> Result<()> {
        check::positive("band_width", band_width)?;
        PerceptualLoss::check_taps(architecture, taps, None)
    }

    fn comparison(&self) -> Result<ContextualComparison> {
        check::positive("band_width", self.band_width)?;
        Ok(ContextualComparison { form: self.form, band_width: self.band_width })
    }

    fn engine<'a>(&'a self, comparison: &'a ContextualComparison) -> Result<Engine<'a>> {
        check_weights(&self.taps)?;
        let terms = self.taps.iter().map(|(tap, weight)| Term { tap, weight: *weight, comparison });
        let normalization = InputNormalization::ImageNet;
        let preprocessing = Preprocessing { data_range: self.data_range, normalization };
        Engine::new(&self.network, terms, preprocessing, self.streaming)
    }
}

impl Loss for ContextualLoss {
    fn check_options(&self) -> Result<()> {
        ContextualLoss::check(&self.network.architecture(), &self.taps, self.band_width)?;
        self.data_range.check()?;
        self.streaming.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::image_pair(input, target)?;
        self.engine(&self.comparison()?)?.compare_images(input, target)
    }

    /// For each tap the mean activation over the channels, enlarged to the size of the images, weighted, summed over the
    /// taps.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.engine(&self.comparison()?)?.response(image).map(Some)
    }
}
