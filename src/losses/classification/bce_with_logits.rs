//! [`BceWithLogitsLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::element_weight;
use crate::base::weight::check_weight;
use crate::base::{chain, check, setters};
use crate::losses::map_of_elements;
use crate::{Loss, Reduction, Result, WeightTensor};

/// Binary cross entropy of logits, the original GAN loss. It is sigmoid and cross entropy in one, stable for
/// any logit.
///
/// ```text
/// l    = -w * (p * y * log σ(x) + (1 - y) * log(1 - σ(x)))      x = input, y = target
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight) and `p` [`pos_weight`](Self::pos_weight), both 1 unless given. For a
/// discriminator, `input` holds its raw outputs: one per image, or a PatchGAN's map of them. `target` holds
/// ones for real and zeros for fake. [`BceLoss`](crate::BceLoss) takes probabilities.
/// [`CrossEntropyLoss`](crate::CrossEntropyLoss) is for classes of which one is right.
///
/// - **Shapes**: `input` and `target` any, equal. The loss is a scalar, or has that shape with
///   [`Reduction::None`].
/// - **Values**: `input` any logits; `target` probabilities in `[0, 1]`, not checked, as in PyTorch.
/// - **Gradients**: to both arguments. libtorch has no gradient for the weights and refuses a weight that
///   requires one.
/// - **Defaults**: no weights, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; a weight that does not broadcast to the
///   shape of `input`, or that [`WeightTensor`] refuses.
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BceWithLogitsLoss {
    /// The weight of each element, broadcast to the shape of `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The weight of the positive class, broadcast to the shape of `input`, whose last axis is the classes.
    /// Where positives are rare, negatives over positives is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos_weight: Option<WeightTensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(BceWithLogitsLoss { with_reduction(reduction: Reduction); with_weight(weight: WeightTensor), with_pos_weight(pos_weight: WeightTensor) });

impl BceWithLogitsLoss {
    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        let weight = element_weight("weight", self.weight.as_ref(), input)?;
        let pos_weight = element_weight("pos_weight", self.pos_weight.as_ref(), input)?;
        let whole = |[input, target]: [&Tensor; 2], reduction: Reduction| {
            let (weight, pos_weight) = (weight.as_ref(), pos_weight.as_ref());
            let reduction = reduction.torch();
            Ok(input.f_binary_cross_entropy_with_logits(target, weight, pos_weight, reduction)?)
        };
        // Any other weight has its places in the whole.
        let one_for_all = |weight: &Option<Tensor>| {
            weight.as_ref().is_none_or(|weight| weight.numel() == 1 && weight.dim() <= 1)
        };
        match one_for_all(&weight) && one_for_all(&pos_weight) {
            true => chain::of_numbers([input, target], reduction, whole),
            false => whole([input, target], reduction),
        }
    }
}

impl Loss for BceWithLogitsLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check_weight("weight", self.weight.as_ref())?;
        check_weight("pos_weight", self.pos_weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        self.reduced(input, target, self.reduction)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.reduced(input, target, Reduction::None))
    }
}
