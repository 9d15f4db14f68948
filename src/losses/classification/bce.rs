//! [`BceLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::element_weight;
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::losses::map_of_elements;
use crate::{Loss, Reduction, Result, WeightTensor};

/// Binary cross entropy of probabilities.
///
/// ```text
/// l    = -w * (y * log x + (1 - y) * log(1 - x))        x = input, y = target, each log at least -100
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. The loss is for networks that end in a sigmoid. Where you
/// can, drop the sigmoid and use [`BceWithLogitsLoss`](crate::BceWithLogitsLoss): it keeps its precision
/// where this one is cut off. Probabilities of exactly 0 and 1 cost 100 at most.
///
/// - **Shapes**: `input` and `target` any, equal. The loss is a scalar, or has that shape with
///   [`Reduction::None`].
/// - **Values**: both probabilities in `[0, 1]`, which libtorch checks: [`Error::Torch`](crate::Error::Torch)
///   on the CPU, a failed device-side assertion on CUDA (`input` only). The mean of nothing is NaN, as in
///   PyTorch.
/// - **Gradients**: to both arguments. libtorch has no gradient for `weight` and refuses a weight that
///   requires one.
/// - **Defaults**: no weight, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; a weight that does not broadcast to the
///   shape of `input`, or that [`WeightTensor`] refuses.
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BceLoss {
    /// The weight of each element, broadcast to the shape of `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(BceLoss { with_reduction(reduction: Reduction); with_weight(weight: WeightTensor) });

impl BceLoss {
    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        let weight = element_weight("weight", self.weight.as_ref(), input)?;
        Ok(input.f_binary_cross_entropy(target, weight.as_ref(), reduction.torch())?)
    }
}

impl Loss for BceLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check_weight("weight", self.weight.as_ref())
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
