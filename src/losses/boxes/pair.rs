//! Pairs of boxes: the areas and distances that their losses are made of.

use tch::Tensor;

use crate::base::check;
use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::{Error, Reduction, Result};

/// Boxes by their corners, each of which has the axes first: `[2, ...]`.
pub(super) struct Boxes {
    /// x1 and y1.
    pub low: Tensor,
    /// x2 and y2.
    pub high: Tensor,
}

/// Boxes of `input` with those of `target`.
pub(super) struct Pair {
    pub input: Boxes,
    pub target: Boxes,
}

/// A loss of two boxes.
pub(super) trait OfPairs: Sync {
    /// The losses of the pairs. Works in libtorch's graph and without.
    fn losses(&self, pair: &Pair) -> Result<Tensor>;

    /// The losses of pairs `[N]`, and their slopes with respect to the coordinates of `input`, `[4, N]`.
    fn losses_and_slopes(&self, pair: &Pair) -> Result<(Tensor, Tensor)>;
}

/// The loss of each pair of boxes, reduced.
pub(super) fn forward(
    loss: &dyn OfPairs,
    input: &Tensor,
    target: &Tensor,
    reduction: Reduction,
) -> Result<Tensor> {
    check::pair(input, target)?;
    let given = input.size();
    if given.last() != Some(&4) {
        let expected = "[..., 4], boxes as x1, y1, x2, y2".into();
        return Err(Error::Shape { argument: "input", given, expected });
    }
    let kind = accumulation_kind(input.kind());
    let (wide, other) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
    let in_graph = Wanted::of(&wide, Some(&other))? != Wanted::InputGradient;
    if reduction != Reduction::None && !in_graph && input.numel() > 0 {
        let rows = |boxes: &Tensor| boxes.f_reshape([-1i64, 4].as_slice());
        let sum = sum_of_rows(&rows(&wide)?, &[rows(&other)?], &|input, constants| {
            let pair = Pair { input: Boxes::of(input)?, target: Boxes::of(&constants[0])? };
            let (losses, slopes) = loss.losses_and_slopes(&pair)?;
            Ok((losses.f_sum(None)?, slopes.f_transpose(0, 1)?))
        })?;
        let count = if reduction == Reduction::Mean { input.numel() as f64 / 4.0 } else { 1.0 };
        return Ok(sum.f_div_scalar(count)?.f_to_kind(input.kind())?);
    }
    let losses = loss.losses(&Pair { input: Boxes::of(&wide)?, target: Boxes::of(&other)? })?;
    // As in torchvision, the mean of no boxes is 0: images without objects are usual.
    let reduction =
        if losses.numel() == 0 && reduction == Reduction::Mean { Reduction::Sum } else { reduction };
    reduce(&losses, reduction, input.kind())
}

impl Boxes {
    fn of(boxes: &Tensor) -> Result<Boxes> {
        // Coordinates that lie side by side in memory are computed with several at a time.
        let rows = Tensor::f_stack(&boxes.f_unbind(-1)?, 0)?;
        Ok(Boxes { low: rows.f_narrow(0, 0, 2)?, high: rows.f_narrow(0, 2, 2)? })
    }

    /// Width and height, `[2, ...]`.
    pub fn sides(&self) -> Result<Tensor> {
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
    /// Width and height of the intersection, `[2, ...]`.
    pub fn overlap(&self) -> Result<Tensor> {
        let low = self.input.low.f_maximum(&self.target.low)?;
        let high = self.input.high.f_minimum(&self.target.high)?;
        Ok(high.f_sub(&low)?.f_relu()?)
    }

    /// The area of the intersection, and that of the union.
    fn areas(&self) -> Result<(Tensor, Tensor)> {
        let intersection = product(&self.overlap()?)?;
        let union = self.input.area()?.f_add(&self.target.area()?)?.f_sub(&intersection)?;
        Ok((intersection, union))
    }

    /// Intersection over union, and the area of the union.
    pub fn iou_and_union(&self, eps: f64) -> Result<(Tensor, Tensor)> {
        let (intersection, union) = self.areas()?;
        Ok((intersection.f_div(&union.f_add_scalar(eps)?)?, union))
    }

    /// Width and height of the smallest box that holds both, `[2, ...]`.
    pub fn hull(&self) -> Result<Tensor> {
        let low = self.input.low.f_minimum(&self.target.low)?;
        let high = self.input.high.f_maximum(&self.target.high)?;
        Ok(high.f_sub(&low)?)
    }

    /// The distance of the centres, twice: `[2, ...]`.
    pub fn apart(&self) -> Result<Tensor> {
        let twice = |boxes: &Boxes| boxes.low.f_add(&boxes.high);
        Ok(twice(&self.input)?.f_sub(&twice(&self.target)?)?)
    }

    /// The difference of the diagonals' angles, `target`'s less `input`'s.
    pub fn turn(&self) -> Result<Tensor> {
        Ok(self.target.angle()?.f_sub(&self.input.angle()?)?)
    }
}

/// The product of both rows.
pub(super) fn product(sides: &Tensor) -> Result<Tensor> {
    Ok(sides.f_get(0)?.f_mul(&sides.f_get(1)?)?)
}

/// The sum of the squares of both rows.
pub(super) fn squared_length(sides: &Tensor) -> Result<Tensor> {
    Ok(sides.f_square()?.f_sum_dim_intlist([0i64].as_slice(), false, None)?)
}
