//! [`NllLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{class_weight, CLASSES};
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result, WeightTensor};

/// Negative log-likelihood of classes, given log-probabilities.
///
/// ```text
/// l    = -w[y] * input[y]      y = target
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. The mean is the sum over the places that are not ignored,
/// divided by the sum of their classes' weights. The loss is for networks that end in a log-soft-max.
/// [`CrossEntropyLoss`](crate::CrossEntropyLoss) is both in one, and has more options.
///
/// - **Shapes**: `input` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`; `target` without the axis `C`, of kind
///   Int64 or Uint8. The loss is a scalar, or has `target`'s shape with [`Reduction::None`].
/// - **Values**: `input` log-probabilities, not checked, as in PyTorch. Classes are in `[0, C)` or the
///   `ignore_index`; a wrong one is [`Error::Torch`](crate::Error::Torch) on the CPU and a failed device-side
///   assertion on CUDA. If all places are ignored, the mean is NaN and the gradient 0.
/// - **Gradients**: to `input`. libtorch has no gradient for `weight` and refuses a weight that requires one.
/// - **Defaults**: no weights, `ignore_index` -100, `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these; a weight that is not `[C]`, or that
///   [`WeightTensor`] refuses.
///
/// Source: [`torch.nn.NLLLoss`](https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html).
///
/// ```
/// use tch::{Kind, Tensor};
/// use tch_losses::{CrossEntropyLoss, Loss, NllLoss};
///
/// let logits = Tensor::from_slice(&[0.5, -1.0, 2.0, 0.0, 0.0, 1.0]).view([2, 3]);
/// let classes = Tensor::from_slice(&[2i64, 0]);
/// let nll = NllLoss::default().forward(&logits.log_softmax(1, Kind::Double), &classes);
/// let both = CrossEntropyLoss::default().forward(&logits, &classes);
/// assert!((nll - both).abs().double_value(&[]) < 1e-12);
/// ```
#[doc(alias = "NLLLoss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NllLoss {
    /// The weight of each class, `[C]`: for classes that are rare, or matter more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The class of the places that do not count.
    pub ignore_index: i64,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for NllLoss {
    fn default() -> Self {
        NllLoss { weight: None, ignore_index: -100, reduction: Reduction::Mean }
    }
}

setters!(NllLoss {
    with_ignore_index(ignore_index: i64), with_reduction(reduction: Reduction);
    with_weight(weight: WeightTensor)
});

impl Loss for NllLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let weight = class_weight(self.weight.as_ref(), input, check::classes(input)?)?;
        check::class_targets(&input.size(), input, target)?;
        let target = target.f_to_kind(CLASSES)?;
        // libtorch refuses to write the gradient of `[N, C, H, W]` in any other layout.
        let input = if input.dim() == 4 { input.f_contiguous()? } else { input.shallow_clone() };
        let reduction = self.reduction.torch();
        Ok(input.f_nll_loss_nd(&target, weight.as_ref(), reduction, self.ignore_index)?)
    }
}
