//! Sums of exponentials over the positives and over the negatives of an anchor.

use tch::Tensor;

use super::anchors::{row_sum, Place, NEVER};
use crate::Result;

/// The exponentials of numbers `[R, N]`, apart for the positives and the negatives of each row.
pub(super) struct TwoSums {
    /// The exponentials, over that of their side's `shift`; 0 for the anchor itself. `[R, N]`.
    pub powers: Tensor,
    /// True for the positives, `[R, N]`.
    pub same: Tensor,
    /// The positives, then the negatives.
    pub sides: [Side; 2],
}

/// One side, `[R, 1]`.
pub(super) struct Side {
    /// The largest number, or the least that was asked for if that is more.
    pub shift: Tensor,
    /// The sum of the exponentials, over that of the shift.
    pub sum: Tensor,
}

impl TwoSums {
    /// Of numbers that are `NEVER` for the anchor itself.
    pub fn of(numbers: &Tensor, same: Tensor, least: f64) -> Result<TwoSums> {
        let shift = |others: &Tensor| -> Result<Tensor> {
            let own = numbers.f_detach()?.f_masked_fill(others, NEVER)?;
            Ok(own.f_amax([1i64].as_slice(), true)?.f_clamp_min(least)?)
        };
        let shifts = [shift(&same.f_logical_not()?)?, shift(&same)?];
        let powers = numbers.f_sub(&Tensor::f_where_self(&shifts[0], &same, &shifts[1])?)?.f_exp()?;
        let positives = powers.f_mul(&same)?;
        let sums = [row_sum(&positives)?, row_sum(&powers.f_masked_fill(&same, 0.0)?)?];
        let [positive, negative] = shifts;
        let [of_positives, of_negatives] = sums;
        let sides =
            [Side { shift: positive, sum: of_positives }, Side { shift: negative, sum: of_negatives }];
        Ok(TwoSums { powers, same, sides })
    }
}

/// The numbers `positive` for the positives, `negative` for the negatives, and `NEVER` for the anchor itself.
pub(super) fn numbers(place: &Place, same: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
    let numbers = positive.f_where_self(same, negative)?;
    place.exclude_itself(&numbers)?;
    Ok(numbers)
}
