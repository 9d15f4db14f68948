//! [`CompleteBoxIouLoss`].

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pair::{forward, OfPairs, Pair};
use super::DistanceBoxIouLoss;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Complete IoU loss of boxes: overlap, distance of the centres, and aspect ratio.
///
/// ```text
/// l    = 1 - IoU + d² / c² + a * v
/// v    = 4 / π² * (atan(w / h) of target - atan(w / h) of input)²
/// a    = v / (1 - IoU + v + eps)
/// loss = reduce(l)
/// ```
///
/// `a` counts as a constant: no gradient flows through it. The first three terms are
/// [`DistanceBoxIouLoss`](crate::DistanceBoxIouLoss) with its default `eps` of 1e-7, whatever `eps` is here, as in
/// torchvision.
///
/// - **Shapes**: `[..., 4]`, equal: `[N, 4]`, or `[4]` for one pair. The loss is a scalar, or has that shape without
///   the 4 with [`Reduction::None`].
/// - **Values**: corners `x1, y1, x2, y2` with `x1 <= x2` and `y1 <= y2`, in any unit; they are not checked. The loss
///   is in `[0, 3]`. Where torchvision divides 0 by 0, a box of height 0, the angle is its limit: 90 degrees, or 0
///   for a point. Boxes without an area have a finite loss and finite gradients. f16 and bf16 are computed in f32.
///   The mean of no boxes is 0, as in torchvision.
/// - **Gradients**: to both arguments. Where two edges coincide, each gets half of the gradient, as in PyTorch. If the
///   loss is reduced and `input` alone requires one, forward computes the gradient, and second derivatives come out as
///   zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `eps` 1e-7, `reduction` none.
/// - **Errors**: arguments of different shapes, kinds or devices; a last axis that is not 4; an `eps` that is not
///   positive and finite.
///
/// Source: [`complete_box_iou_loss` of
/// torchvision](https://pytorch.org/vision/stable/generated/torchvision.ops.complete_box_iou_loss.html); Z. Zheng et
/// al., [*Distance-IoU loss*](https://arxiv.org/abs/1911.08287) (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{CompleteBoxIouLoss, DistanceBoxIouLoss, Loss};
///
/// let (wide, tall) = (Tensor::from_slice(&[0.0, 1.0, 4.0, 3.0]), Tensor::from_slice(&[1.0, 0.0, 3.0, 4.0]));
/// let distance = DistanceBoxIouLoss::default().forward(&wide, &tall).double_value(&[]);
/// // Centres coincide, shapes do not.
/// assert!(CompleteBoxIouLoss::default().forward(&wide, &tall).double_value(&[]) > distance);
/// ```
#[doc(alias = "CIoU")]
#[doc(alias = "complete_box_iou_loss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompleteBoxIouLoss {
    /// What is added to the denominator of `a`.
    pub eps: f64,
    /// How the pairs are reduced.
    pub reduction: Reduction,
}

impl Default for CompleteBoxIouLoss {
    fn default() -> Self {
        CompleteBoxIouLoss { eps: 1e-7, reduction: Reduction::None }
    }
}

setters!(CompleteBoxIouLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

/// What makes 1 of the square of a quarter turn.
const OF_TURN: f64 = 4.0 / (PI * PI);

impl CompleteBoxIouLoss {
    /// How much the aspect ratio counts, a constant.
    fn share(&self, iou: &Tensor, aspect: &Tensor) -> Result<Tensor> {
        // In this order: beside 1, a small eps would be lost.
        Ok(aspect.f_div(&iou.f_rsub_scalar(1.0)?.f_add(aspect)?.f_add_scalar(self.eps)?)?)
    }
}

impl OfPairs for CompleteBoxIouLoss {
    fn losses(&self, pair: &Pair) -> Result<Tensor> {
        let (losses, iou) = DistanceBoxIouLoss::default().with_iou(pair)?;
        let aspect = pair.turn()?.f_square()?.f_mul_scalar(OF_TURN)?;
        Ok(losses.f_addcmul(&self.share(&iou.f_detach()?, &aspect.f_detach()?)?, &aspect)?)
    }

    fn losses_and_slopes(&self, pair: &Pair) -> Result<(Tensor, Tensor)> {
        let (mut losses, iou, mut slopes) = DistanceBoxIouLoss::default().with_slopes(pair)?;
        let turn = pair.turn()?;
        let aspect = turn.f_square()?.f_mul_scalar_(OF_TURN)?;
        let share = self.share(&iou, &aspect)?;
        losses = losses.f_addcmul_(&share, &aspect)?;
        slopes.add_angle(&{ turn }.f_mul_scalar_(-2.0 * OF_TURN)?.f_mul_(&share)?)?;
        Ok((losses, slopes.joined()?))
    }
}

impl Loss for CompleteBoxIouLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, input, target, self.reduction)
    }
}
