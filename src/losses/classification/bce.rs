//! Losses on yes or no: [`BceLoss`] and [`BceWithLogitsLoss`].

use tch::{Reduction, Tensor};

use crate::base::check;
use crate::base::reduction::channel_mean;
use crate::{Loss, LossMap, Result};

/// Binary cross entropy of probabilities.
///
/// ```text
/// l    = -w * (y * log x + (1 - y) * log(1 - x))        x = input, y = target, each log at least -100
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. For a network that ends in a sigmoid; where you can, drop
/// the sigmoid and use [`BceWithLogitsLoss`], which keeps its precision where this one is cut off:
/// probabilities of exactly 0 and 1 cost 100 at most.
///
/// - **Shapes**: `input` and `target` any, equal; the loss is a scalar, or of that shape with
///   [`Reduction::None`].
/// - **Values**: both probabilities in `[0, 1]`, which libtorch checks: [`Error::Torch`](crate::Error::Torch)
///   on the CPU, a failed device-side assertion on CUDA (`input` only). The mean of nothing is NaN, as in
///   PyTorch.
/// - **Gradients**: to both arguments. libtorch has none for `weight` and refuses one that requires it.
/// - **Defaults**: no weight, `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device; a weight that is on another device or does
///   not broadcast to the shape of `input`.
///
/// Source: [`torch.nn.BCELoss`](https://pytorch.org/docs/stable/generated/torch.nn.BCELoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{BceLoss, BceWithLogitsLoss, Loss};
///
/// let logits = Tensor::from_slice(&[-1.0, 0.0, 2.0]);
/// let target = Tensor::from_slice(&[0.0, 1.0, 0.5]);
/// let of_probabilities = BceLoss::default().forward(&logits.sigmoid(), &target);
/// let of_logits = BceWithLogitsLoss::default().forward(&logits, &target);
/// assert!((of_probabilities - of_logits).abs().double_value(&[]) < 1e-12);
/// ```
#[doc(alias = "BCELoss")]
#[derive(Debug)]
pub struct BceLoss {
    /// The weight of each element, of any real kind; broadcast to the shape of `input`.
    pub weight: Option<Tensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for BceLoss {
    fn default() -> Self {
        BceLoss { weight: None, reduction: Reduction::Mean }
    }
}

impl BceLoss {
    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        check::pair(input, target)?;
        check::element_weight("weight", self.weight.as_ref(), input)?;
        Ok(input.f_binary_cross_entropy(target, self.weight.as_ref(), reduction)?)
    }
}

impl Loss for BceLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        self.reduced(input, target, self.reduction)
    }

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
    }
}

impl LossMap for BceLoss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        let elements = self.reduced(input, target, Reduction::None)?;
        Ok(channel_mean(&elements)?.f_to_kind(input.kind())?)
    }
}

/// Binary cross entropy of logits, the original GAN loss: sigmoid and cross entropy in one, stable for any
/// logit.
///
/// ```text
/// l    = -w * (p * y * log σ(x) + (1 - y) * log(1 - σ(x)))      x = input, y = target
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight) and `p` [`pos_weight`](Self::pos_weight), both 1 unless given. For a
/// discriminator, `input` holds its raw outputs (one per image, or a PatchGAN's map of them) and `target`
/// ones for real and zeros for fake. [`BceLoss`] takes probabilities instead;
/// [`CrossEntropyLoss`](crate::CrossEntropyLoss) is for classes of which one is right.
///
/// - **Shapes**: `input` and `target` any, equal; the loss is a scalar, or of that shape with
///   [`Reduction::None`].
/// - **Values**: `input` any logits; `target` probabilities in `[0, 1]`, not checked, as in PyTorch.
/// - **Gradients**: to both arguments. libtorch has none for the weights and refuses one that requires it.
/// - **Defaults**: no weights, `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device; weights that are on another device or do
///   not broadcast to the shape of `input`.
///
/// Source:
/// [`torch.nn.BCEWithLogitsLoss`](https://pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html);
/// I. Goodfellow et al., *Generative adversarial nets* (2014).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{BceWithLogitsLoss, Loss};
///
/// let bce = BceWithLogitsLoss::default();
/// let logits = Tensor::zeros([4, 1, 30, 30], (Kind::Float, Device::Cpu));
/// // A discriminator that cannot tell: log 2, whatever the truth.
/// let real = bce.forward(&logits, &logits.ones_like());
/// let fake = bce.forward(&logits, &logits.zeros_like());
/// assert!((real - 2f64.ln()).abs().double_value(&[]) < 1e-6);
/// assert!((fake - 2f64.ln()).abs().double_value(&[]) < 1e-6);
/// ```
#[doc(alias = "BCEWithLogitsLoss")]
#[derive(Debug)]
pub struct BceWithLogitsLoss {
    /// The weight of each element, of any real kind; broadcast to the shape of `input`.
    pub weight: Option<Tensor>,
    /// The weight of the positive class, for instance negatives over positives where positives are rare, of
    /// any real kind; broadcast to the shape of `input`, its last axis being the classes.
    pub pos_weight: Option<Tensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for BceWithLogitsLoss {
    fn default() -> Self {
        BceWithLogitsLoss { weight: None, pos_weight: None, reduction: Reduction::Mean }
    }
}

impl BceWithLogitsLoss {
    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        check::pair(input, target)?;
        check::element_weight("weight", self.weight.as_ref(), input)?;
        check::element_weight("pos_weight", self.pos_weight.as_ref(), input)?;
        Ok(input.f_binary_cross_entropy_with_logits(
            target,
            self.weight.as_ref(),
            self.pos_weight.as_ref(),
            reduction,
        )?)
    }
}

impl Loss for BceWithLogitsLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        self.reduced(input, target, self.reduction)
    }

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
    }
}

impl LossMap for BceWithLogitsLoss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        let elements = self.reduced(input, target, Reduction::None)?;
        Ok(channel_mean(&elements)?.f_to_kind(input.kind())?)
    }
}
