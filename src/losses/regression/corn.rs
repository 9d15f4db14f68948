//! [`CornLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::ordered::{check_classes, check_input, levels};
use crate::base::precision::accumulation_kind;
use crate::base::setters;
use crate::{Loss, Reduction, Result};

/// CORN: ordered classes as a chain of questions, each of which is put to those alone that the last one left: "is it more
/// than this one, given that it is not less?".
///
/// ```text
/// y    = 1 where the class is above i, 0 elsewhere      i = 0 to K - 2, one logit for each
/// l    = -y * log σ(input[i]) - (1 - y) * log(1 - σ(input[i]))      where the class is i or above
///        0                                                          elsewhere
/// loss = reduce(l)
/// ```
///
/// The mean is the sum divided by the number of answers, those where the class is i or above. The probability of more
/// than class i is the product of the `σ(input)` up to i; the class is the number of those products above 1/2.
/// [`CoralLoss`](crate::CoralLoss) puts all questions to all rows.
///
/// - **Shapes**: `input` `[N, K - 1]`, `target` classes `[N]`, of kind Int64 or Uint8. The loss is a scalar, or
///   `[N, K - 1]` with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are in `[0, K)`, not checked. f16 and bf16 are computed in f32. The mean of
///   nothing is NaN.
/// - **Gradients**: to `input`.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these.
///
/// Source: `CornLoss` of [coral-pytorch](https://github.com/Raschka-research-group/coral-pytorch) 1.4.0; X. Shi et al.,
/// [*Deep neural networks for rank-consistent ordinal regression based on conditional
/// probabilities*](https://arxiv.org/abs/2111.08851) (2021).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{CornLoss, Loss};
///
/// // Undecided: log 2 for each answer. The row of class 0 has one of them, that of class 2 has two.
/// let logits = Tensor::zeros([2, 2], (Kind::Double, Device::Cpu));
/// let loss = CornLoss::default().with_reduction(tch_losses::Reduction::Sum);
/// let sum = loss.forward(&logits, &Tensor::from_slice(&[0i64, 2])).double_value(&[]);
/// assert!((sum - 3.0 * 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CornLoss {
    /// How the answers are reduced.
    pub reduction: Reduction,
}

setters!(CornLoss { with_reduction(reduction: Reduction) });

impl Loss for CornLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_input(input)?;
        check_classes(input, target)?;
        let wide = input.f_to_kind(accumulation_kind(input.kind()))?;
        let above = levels(input, target)?;
        // A question is put where the one before was answered with yes; the first one is put to all.
        let first = above.f_narrow(1, 0, 1)?.f_ones_like()?;
        let asked = Tensor::f_cat(&[first, above.f_narrow(1, 0, input.size()[1] - 1)?], 1)?;
        let (above, asked) = (above.f_to_kind(wide.kind())?, asked.f_to_kind(wide.kind())?);
        let reduction =
            if self.reduction == Reduction::None { tch::Reduction::None } else { tch::Reduction::Sum };
        let loss =
            wide.f_binary_cross_entropy_with_logits(&above, Some(&asked), None::<&Tensor>, reduction)?;
        let loss = if self.reduction == Reduction::Mean { loss.f_div(&asked.f_sum(None)?)? } else { loss };
        Ok(loss.f_to_kind(input.kind())?)
    }
}
