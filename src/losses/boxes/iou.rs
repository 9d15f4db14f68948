//! [`BoxIouLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pair::{forward, OfPairs, Pair};
use super::slopes::Slopes;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// IoU loss of boxes: one minus the intersection over the union.
///
/// ```text
/// l    = 1 - I / (U + eps)      I, U = areas of intersection and union
/// loss = reduce(l)
/// ```
///
/// The loss has no gradient where boxes do not overlap. [`GeneralizedBoxIouLoss`](crate::GeneralizedBoxIouLoss),
/// [`DistanceBoxIouLoss`](crate::DistanceBoxIouLoss) and [`CompleteBoxIouLoss`](crate::CompleteBoxIouLoss) have one
/// there.
///
/// - **Shapes**: `[..., 4]`, equal: `[N, 4]`, or `[4]` for one pair. The loss is a scalar, or has that shape without
///   the 4 with [`Reduction::None`].
/// - **Values**: corners `x1, y1, x2, y2` with `x1 <= x2` and `y1 <= y2`, in any unit; they are not checked. The loss
///   is in `[0, 1]`. Boxes without an area have a finite loss and finite gradients. f16 and bf16 are computed in f32.
///   The mean of no boxes is 0, as in torchvision.
/// - **Gradients**: to both arguments. Where two edges coincide, each gets half of the gradient, as in PyTorch. If the
///   loss is reduced and `input` alone requires one, forward computes the gradient, and second derivatives come out as
///   zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `eps` 1e-7, `reduction` none.
/// - **Errors**: arguments of different shapes, kinds or devices; a last axis that is not 4; an `eps` that is not
///   positive and finite.
///
/// Source: J. Yu et al., [*UnitBox*](https://arxiv.org/abs/1608.01471) (2016), in the form of one minus the ratio, as
/// part of [torchvision's losses](https://pytorch.org/vision/stable/ops.html#losses).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{BoxIouLoss, Loss};
///
/// let predicted = Tensor::from_slice2(&[[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]]);
/// let real = Tensor::from_slice2(&[[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]]);
/// // One box shares 2 of 6; the other shares nothing.
/// let losses = BoxIouLoss::default().forward(&predicted, &real);
/// assert!((losses.double_value(&[0]) - 2.0 / 3.0).abs() < 1e-6);
/// assert_eq!(losses.double_value(&[1]), 1.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoxIouLoss {
    /// What is added to the area of the union.
    pub eps: f64,
    /// How the pairs are reduced.
    pub reduction: Reduction,
}

impl Default for BoxIouLoss {
    fn default() -> Self {
        BoxIouLoss { eps: 1e-7, reduction: Reduction::None }
    }
}

setters!(BoxIouLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl OfPairs for BoxIouLoss {
    fn losses(&self, pair: &Pair) -> Result<Tensor> {
        let (iou, _) = pair.iou_and_union(self.eps)?;
        Ok(iou.f_neg()?.f_add_scalar(1.0)?)
    }

    fn losses_and_slopes(&self, pair: &Pair) -> Result<(Tensor, Tensor)> {
        let (iou, union) = pair.iou_and_union(self.eps)?;
        let slopes = Slopes::of_iou(pair, &iou, &union.f_add_scalar(self.eps)?, None)?;
        Ok(({ iou }.f_neg_()?.f_add_scalar_(1.0)?, slopes.joined()?))
    }
}

impl Loss for BoxIouLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, input, target, self.reduction)
    }
}
