//! Pairs of boxes: the areas and distances that their losses are made of.

use tch::Tensor;

use crate::base::check;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::{Error, Reduction, Result};

/// Boxes by their corners, each of which has the axes first: `[2, ...]`.
pub(super) struct Boxes {
    /// x1 and y1.
    low: Tensor,
    /// x2 and y2.
    high: Tensor,
}

/// Boxes of `input` with those of `target`.
pub(super) struct Pair {
    input: Boxes,
    target: Boxes,
}

/// The loss of each pair of boxes, reduced. `loss` gives the losses of the pairs.
pub(super) fn forward(
    input: &Tensor,
    target: &Tensor,
    reduction: Reduction,
    loss: impl FnOnce(&Pair) -> Result<Tensor>,
) -> Result<Tensor> {
    check::pair(input, target)?;
    let given = input.size();
    if given.last() != Some(&4) {
        let expected = "[..., 4], boxes as x1, y1, x2, y2".into();
        return Err(Error::Shape { argument: "input", given, expected });
    }
    let losses = loss(&Pair { input: Boxes::of(input)?, target: Boxes::of(target)? })?;
    // As in torchvision, the mean of no boxes is 0: images without objects are usual.
    let reduction =
        if losses.numel() == 0 && reduction == Reduction::Mean { Reduction::Sum } else { reduction };
    reduce(&losses, reduction, input.kind())
}

impl Boxes {
    fn of(boxes: &Tensor) -> Result<Boxes> {
        // Coordinates that lie side by side in memory are computed with several at a time.
        let rows = boxes.f_to_kind(accumulation_kind(boxes.kind()))?.f_movedim_int(-1, 0)?.f_contiguous()?;
        Ok(Boxes { low: rows.f_narrow(0, 0, 2)?, high: rows.f_narrow(0, 2, 2)? })
    }

    /// Width and height, `[2, ...]`.
    fn sides(&self) -> Result<Tensor> {
        Ok(self.high.f_sub(&self.low)?)
    }

    fn area(&self) -> Result<Tensor> {
        product(&self.sides()?)
    }

    /// The angle of the diagonal, `atan(width / height)`. It is 0 for a point. Its gradient is finite, also where the
    /// height is 0.
    fn angle(&self) -> Result<Tensor> {
        let sides = self.sides()?;
        let (width, height) = (sides.f_get(0)?, sides.f_get(1)?);
        let is_point = width.f_eq(0.0)?.f_logical_and(&height.f_eq(0.0)?)?;
        // The angle of a quotient does not tell a negative height from a negative width.
        let sign =
            height.f_detach()?.f_lt(0.0)?.f_to_kind(height.kind())?.f_mul_scalar(-2.0)?.f_add_scalar(1.0)?;
        let height = height.f_mul(&sign)?.f_add(&is_point.f_to_kind(sign.kind())?)?;
        Ok(width.f_mul(&sign)?.f_atan2(&height)?)
    }
}

impl Pair {
    /// The area of the intersection, and that of the union.
    fn areas(&self) -> Result<(Tensor, Tensor)> {
        let low = self.input.low.f_maximum(&self.target.low)?;
        let high = self.input.high.f_minimum(&self.target.high)?;
        let intersection = product(&high.f_sub(&low)?.f_relu()?)?;
        let union = self.input.area()?.f_add(&self.target.area()?)?.f_sub(&intersection)?;
        Ok((intersection, union))
    }

    /// Intersection over union, and the area of the union.
    pub fn iou_and_union(&self, eps: f64) -> Result<(Tensor, Tensor)> {
        let (intersection, union) = self.areas()?;
        Ok((intersection.f_div(&union.f_add_scalar(eps)?)?, union))
    }

    /// Width and height of the smallest box that holds both, `[2, ...]`.
    fn hull(&self) -> Result<Tensor> {
        let low = self.input.low.f_minimum(&self.target.low)?;
        let high = self.input.high.f_maximum(&self.target.high)?;
        Ok(high.f_sub(&low)?)
    }

    /// The area of the smallest box that holds both.
    pub fn hull_area(&self) -> Result<Tensor> {
        product(&self.hull()?)
    }

    /// `1 - IoU`, and the squared distance of the centres over the squared diagonal of the smallest box that holds
    /// both. Returns the intersection over union as well.
    pub fn distance_loss(&self, eps: f64) -> Result<(Tensor, Tensor)> {
        let (iou, _) = self.iou_and_union(eps)?;
        let diagonal = squared_length(&self.hull()?)?.f_add_scalar(eps)?;
        let twice = |boxes: &Boxes| boxes.low.f_add(&boxes.high);
        let apart = squared_length(&twice(&self.input)?.f_sub(&twice(&self.target)?)?)?.f_mul_scalar(0.25)?;
        Ok((apart.f_div(&diagonal)?.f_sub(&iou)?.f_add_scalar(1.0)?, iou))
    }

    /// The squared difference of the diagonals' angles, over that of 0 and 90 degrees.
    pub fn aspect(&self) -> Result<Tensor> {
        let difference = self.target.angle()?.f_sub(&self.input.angle()?)?;
        Ok(difference.f_square()?.f_mul_scalar(4.0 / std::f64::consts::PI.powi(2))?)
    }
}

/// The product of both rows.
fn product(sides: &Tensor) -> Result<Tensor> {
    Ok(sides.f_get(0)?.f_mul(&sides.f_get(1)?)?)
}

/// The sum of the squares of both rows.
fn squared_length(sides: &Tensor) -> Result<Tensor> {
    Ok(sides.f_square()?.f_sum_dim_intlist([0i64].as_slice(), false, None)?)
}
