//! [`DistanceBoxIouLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pair::{forward, squared_length, OfPairs, Pair};
use super::slopes::Slopes;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Distance IoU loss of boxes: their centres are drawn together.
///
/// ```text
/// l    = 1 - I / (U + eps) + d² / (c² + eps)
///
/// I, U = areas of intersection and union
/// d    = distance of the centres
/// c    = diagonal of the smallest box that holds both
/// loss = reduce(l)
/// ```
///
/// [`CompleteBoxIouLoss`](crate::CompleteBoxIouLoss) compares the aspect ratios as well.
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
/// Source: [`distance_box_iou_loss` of
/// torchvision](https://pytorch.org/vision/stable/generated/torchvision.ops.distance_box_iou_loss.html); Z. Zheng et
/// al., [*Distance-IoU loss*](https://arxiv.org/abs/1911.08287) (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{DistanceBoxIouLoss, Loss};
///
/// // A square within another one, at its centre: only the ratio of the areas counts.
/// let (inner, outer) = (Tensor::from_slice(&[1.0, 1.0, 3.0, 3.0]), Tensor::from_slice(&[0.0, 0.0, 4.0, 4.0]));
/// let loss = DistanceBoxIouLoss::default().forward(&inner, &outer);
/// assert!((loss.double_value(&[]) - 0.75).abs() < 1e-6);
/// ```
#[doc(alias = "DIoU")]
#[doc(alias = "distance_box_iou_loss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistanceBoxIouLoss {
    /// What is added to the area of the union and to the squared diagonal.
    pub eps: f64,
    /// How the pairs are reduced.
    pub reduction: Reduction,
}

impl Default for DistanceBoxIouLoss {
    fn default() -> Self {
        DistanceBoxIouLoss { eps: 1e-7, reduction: Reduction::None }
    }
}

setters!(DistanceBoxIouLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl DistanceBoxIouLoss {
    /// The losses, and the intersection over union.
    pub(super) fn with_iou(&self, pair: &Pair) -> Result<(Tensor, Tensor)> {
        let (iou, _) = pair.iou_and_union(self.eps)?;
        let diagonal = squared_length(&pair.hull()?)?.f_add_scalar(self.eps)?;
        let apart = squared_length(&pair.apart()?)?.f_mul_scalar(0.25)?;
        Ok((apart.f_div(&diagonal)?.f_sub(&iou)?.f_add_scalar(1.0)?, iou))
    }

    /// The same and the slopes.
    pub(super) fn with_slopes<'a>(&self, pair: &'a Pair) -> Result<(Tensor, Tensor, Slopes<'a>)> {
        let (iou, union) = pair.iou_and_union(self.eps)?;
        let (hull, apart) = (pair.hull()?, pair.apart()?);
        let share = squared_length(&hull)?.f_add_scalar_(self.eps)?.f_reciprocal_()?;
        let far = squared_length(&apart)?.f_mul_scalar_(0.25)?.f_mul_(&share)?;
        let mut slopes = Slopes::of_iou(pair, &iou, &union.f_add_scalar(self.eps)?, None)?;
        slopes.add_sums(&{ apart }.f_mul_scalar_(0.5)?.f_mul_(&share)?)?;
        slopes.add_hull(&{ hull }.f_mul_scalar_(-2.0)?.f_mul_(&far.f_mul(&share)?)?)?;
        Ok(({ far }.f_sub_(&iou)?.f_add_scalar_(1.0)?, iou, slopes))
    }
}

impl OfPairs for DistanceBoxIouLoss {
    fn losses(&self, pair: &Pair) -> Result<Tensor> {
        Ok(self.with_iou(pair)?.0)
    }

    fn losses_and_slopes(&self, pair: &Pair) -> Result<(Tensor, Tensor)> {
        let (losses, _, slopes) = self.with_slopes(pair)?;
        Ok((losses, slopes.joined()?))
    }
}

impl Loss for DistanceBoxIouLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, input, target, self.reduction)
    }
}
