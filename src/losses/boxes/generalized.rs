//! [`GeneralizedBoxIouLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pair::{forward, product, OfPairs, Pair};
use super::slopes::{other, Slopes};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Generalized IoU loss of boxes: boxes that do not overlap are drawn together.
///
/// ```text
/// l    = 1 - I / (U + eps) + (C - U) / (C + eps)
///
/// I, U = areas of intersection and union
/// C    = area of the smallest box that holds both
/// loss = reduce(l)
/// ```
///
/// The last term is the part of the smallest box around both that neither covers. Its gradient does not vanish where
/// boxes are apart.
///
/// - **Shapes**: `[..., 4]`, equal: `[N, 4]`, or `[4]` for one pair. The loss is a scalar, or has that shape without
///   the 4 with [`Reduction::None`].
/// - **Values**: corners `x1, y1, x2, y2` with `x1 <= x2` and `y1 <= y2`, in any unit; they are not checked. The loss
///   is in `[0, 2]`. Boxes without an area have a finite loss and finite gradients. f16 and bf16 are computed in f32.
///   The mean of no boxes is 0, as in torchvision.
/// - **Gradients**: to both arguments. Where two edges coincide, each gets half of the gradient, as in PyTorch. If the
///   loss is reduced and `input` alone requires one, forward computes the gradient, and second derivatives come out as
///   zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `eps` 1e-7, `reduction` none.
/// - **Errors**: arguments of different shapes, kinds or devices; a last axis that is not 4; an `eps` that is not
///   positive and finite.
///
/// Source: [`generalized_box_iou_loss` of
/// torchvision](https://pytorch.org/vision/stable/generated/torchvision.ops.generalized_box_iou_loss.html); H.
/// Rezatofighi et al., [*Generalized intersection over union*](https://arxiv.org/abs/1902.09630) (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GeneralizedBoxIouLoss, Loss};
///
/// let loss = GeneralizedBoxIouLoss::default();
/// let predicted = Tensor::from_slice(&[0.0, 0.0, 1.0, 1.0]);
/// let near = loss.forward(&predicted, &Tensor::from_slice(&[2.0, 0.0, 3.0, 1.0]));
/// let far = loss.forward(&predicted, &Tensor::from_slice(&[8.0, 0.0, 9.0, 1.0]));
/// assert!(near.double_value(&[]) < far.double_value(&[]));
/// ```
#[doc(alias = "GIoU")]
#[doc(alias = "generalized_box_iou_loss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneralizedBoxIouLoss {
    /// What is added to areas that are divided by.
    pub eps: f64,
    /// How the pairs are reduced.
    pub reduction: Reduction,
}

impl Default for GeneralizedBoxIouLoss {
    fn default() -> Self {
        GeneralizedBoxIouLoss { eps: 1e-7, reduction: Reduction::None }
    }
}

setters!(GeneralizedBoxIouLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl OfPairs for GeneralizedBoxIouLoss {
    fn losses(&self, pair: &Pair) -> Result<Tensor> {
        let (iou, union) = pair.iou_and_union(self.eps)?;
        let hull = product(&pair.hull()?)?;
        let empty = hull.f_sub(&union)?.f_div(&hull.f_add_scalar(self.eps)?)?;
        Ok(empty.f_sub(&iou)?.f_add_scalar(1.0)?)
    }

    fn losses_and_slopes(&self, pair: &Pair) -> Result<(Tensor, Tensor)> {
        let (iou, union) = pair.iou_and_union(self.eps)?;
        let sides = pair.hull()?;
        let hull = product(&sides)?;
        let share = hull.f_add_scalar(self.eps)?.f_reciprocal_()?;
        let mut empty = { hull }.f_sub_(&union)?.f_mul_(&share)?;
        let mut slopes = Slopes::of_iou(pair, &iou, &union.f_add_scalar(self.eps)?, Some(&share.f_neg()?))?;
        // Of the empty share: `(1 - empty) / (C + eps)` times the other side.
        let of_area = empty.f_rsub_scalar(1.0)?.f_mul_(&share)?;
        slopes.add_hull(&other(&sides)?.f_mul_(&of_area)?)?;
        Ok((empty.f_sub_(&iou)?.f_add_scalar_(1.0)?, slopes.joined()?))
    }
}

impl Loss for GeneralizedBoxIouLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, input, target, self.reduction)
    }
}
