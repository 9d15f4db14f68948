//! The slopes of losses of pairs with respect to the corners of `input`, by hand.

use tch::Tensor;

use super::pair::Pair;
use crate::base::precision::smallest_normal;
use crate::Result;

/// Slopes of the corners, `[2, N]` each, and what they are made of.
pub(super) struct Slopes<'a> {
    pair: &'a Pair,
    high: Tensor,
    /// With the other sign: most things grow with a high corner as they shrink with a low one.
    low: Tensor,
    /// How much of a high corner's change the overlap's high corner takes: 1, or 0 where `target`'s is lower, and half
    /// where they are equal. The box around both takes the rest.
    of_high: Tensor,
    of_low: Tensor,
}

/// The same numbers for the other axis: the slope of a product with respect to its factors.
pub(super) fn other(sides: &Tensor) -> Result<Tensor> {
    Ok(sides.f_flip([0i64].as_slice())?)
}

impl Slopes<'_> {
    /// Those of minus the intersection over union. The area of the union may have a slope of its own.
    pub fn of_iou<'a>(
        pair: &'a Pair,
        iou: &Tensor,
        divisor: &Tensor,
        of_union: Option<&Tensor>,
    ) -> Result<Slopes<'a>> {
        // The union is the divisor, and has the intersection taken off.
        let mut of_area = iou.f_div(divisor)?;
        if let Some(own) = of_union {
            of_area = of_area.f_add_(own)?;
        }
        let of_intersection = divisor.f_reciprocal()?.f_add_(&of_area)?;
        let area = other(&pair.input.sides()?)?.f_mul_(&of_area)?;
        let overlap = pair.overlap()?;
        let inner = other(&overlap)?.f_mul_(&overlap.f_sign()?)?.f_mul_(&of_intersection)?;
        let share = |ahead: Tensor| { ahead }.f_sign_()?.f_add_scalar_(1.0)?.f_mul_scalar_(0.5);
        let of_high = share(pair.target.high.f_sub(&pair.input.high)?)?;
        let of_low = share(pair.input.low.f_sub(&pair.target.low)?)?;
        let high = area.f_sub(&inner.f_mul(&of_high)?)?;
        let low = { area }.f_sub_(&{ inner }.f_mul_(&of_low)?)?;
        Ok(Slopes { pair, high, low, of_high, of_low })
    }

    /// Adds those of what has these slopes with respect to the sides of the box around both.
    pub fn add_hull(&mut self, slopes: &Tensor) -> Result<()> {
        for (own, of_overlap) in [(&mut self.high, &self.of_high), (&mut self.low, &self.of_low)] {
            let _ = own.f_addcmul_(slopes, &of_overlap.f_rsub_scalar(1.0)?)?;
        }
        Ok(())
    }

    /// Adds those of what has these slopes with respect to the sides.
    pub fn add_sides(&mut self, slopes: &Tensor) -> Result<()> {
        let _ = self.high.f_add_(slopes)?;
        let _ = self.low.f_add_(slopes)?;
        Ok(())
    }

    /// Adds those of what has these slopes with respect to the sums of both corners.
    pub fn add_sums(&mut self, slopes: &Tensor) -> Result<()> {
        let _ = self.high.f_add_(slopes)?;
        let _ = self.low.f_sub_(slopes)?;
        Ok(())
    }

    /// Adds those of `factor` times the angle of the diagonal.
    pub fn add_angle(&mut self, factor: &Tensor) -> Result<()> {
        let sides = self.pair.input.sides()?;
        let (width, height) = (sides.f_get(0)?, sides.f_get(1)?);
        // A point has the angle that it would have above a height of 1.
        let is_point = width.f_eq(0.0)?.f_logical_and(&height.f_eq(0.0)?)?.f_to_kind(width.kind())?;
        let height = height.f_add(&is_point)?;
        let squares = width.f_square()?.f_addcmul_(&height, &height)?;
        // Boxes whose squares have no digits left have no slope.
        let share = factor.f_div(&squares)?;
        let share = { share }.f_masked_fill_(&squares.f_lt(smallest_normal(squares.kind()))?, 0.0)?;
        let slopes = Tensor::f_stack(&[{ height }.f_mul_(&share)?, { share }.f_mul_(&width)?.f_neg_()?], 0)?;
        self.add_sides(&slopes)
    }

    /// Those of all four coordinates, `[4, N]`.
    pub fn joined(self) -> Result<Tensor> {
        Ok(Tensor::f_cat(&[{ self.low }.f_neg_()?, self.high], 0)?)
    }
}
