//! The similarities of all positions of one image with all of another, without a graph.
//!
//! They are a matrix of millions of numbers. It is computed in blocks of rows and never there as a whole.

use tch::{Device, Kind, Tensor};

use super::comparison::ContextualComparison;
use crate::base::gradient::pieces;
use crate::Result;

/// What a run over all rows finds out about the columns.
pub(super) struct Columns {
    /// The largest similarity of each column, `[P]`.
    pub largest: Tensor,
    /// Its row, `[P]`, if the slopes are to be known.
    rows: Option<Tensor>,
}

impl ContextualComparison {
    /// The cosines of some rows with all columns, less the largest of each row and times its scale: the logarithms of
    /// the similarities, up to a constant for each row.
    fn logarithms(&self, cosines: &mut Tensor, nearest: &Tensor, scales: &Tensor) -> Result<()> {
        let _ = cosines.f_sub_(nearest)?.f_mul_(scales)?;
        Ok(())
    }

    /// `own` and `other` are directions `[P, C]`.
    pub(super) fn columns(&self, own: &Tensor, other: &Tensor, with_rows: bool) -> Result<Columns> {
        let mut found: Option<Columns> = None;
        for (start, length) in blocks(own, other) {
            let mut cosines = own.f_narrow(0, start, length)?.f_mm(&other.f_transpose(0, 1)?)?;
            let nearest = cosines.f_amax([1i64].as_slice(), true)?;
            self.logarithms(&mut cosines, &nearest, &self.scales(&nearest)?)?;
            let similarities = cosines.f_softmax(1, None)?;
            let largest = similarities.f_amax([0i64].as_slice(), false)?;
            let rows = match with_rows {
                true => Some(first_row_of(&similarities, &largest, cosines)?.f_add_scalar(start)?),
                false => None,
            };
            found = Some(match found {
                None => Columns { largest, rows },
                Some(before) => before.joined(&largest, rows)?,
            });
        }
        Ok(found.expect("there are positions"))
    }

    /// The gradient with respect to the directions `own` of the sum over the columns of their largest similarities.
    ///
    /// Let `p` be the similarities of a row, softmax of `z`, and `c` the sum of the largest ones in the columns that
    /// the row wins. The gradient with respect to `z` is `p (1 - c)` in those columns and `-p c` in the others. It goes
    /// on to the cosines, which the row's scale multiplies, and to the largest cosine, which decides on the scale.
    pub(super) fn slopes_of_directions(
        &self,
        own: &Tensor,
        other: &Tensor,
        columns: &Columns,
    ) -> Result<Tensor> {
        let Columns { largest, rows } = columns;
        let rows = rows.as_ref().expect("the rows are known");
        let options = (own.kind(), own.device());
        let count = own.size()[0];
        let won =
            Tensor::f_zeros([count].as_slice(), options)?.f_index_add(0, rows, largest)?.f_unsqueeze(1)?;
        let numbers = Tensor::f_arange(count, options)?.f_unsqueeze(1)?;
        let rows = rows.f_to_kind(own.kind())?;
        let mut of_blocks = Vec::new();
        for (start, length) in blocks(own, other) {
            let of_block = |values: &Tensor| values.f_narrow(0, start, length);
            let mut cosines = of_block(own)?.f_mm(&other.f_transpose(0, 1)?)?;
            let (nearest, place) = cosines.f_max_dim(1, true)?;
            let scales = self.scales(&nearest)?;
            self.logarithms(&mut cosines, &nearest, &scales)?;
            let mut of_logarithms = cosines.f_softmax(1, None)?;
            // 1 in the columns that a row wins.
            let wins = of_logarithms.f_empty_like()?;
            let mut wins = of_block(&numbers)?.f_eq_tensor_out(&wins, &rows)?;
            let _ = of_logarithms.f_mul_(&wins.f_sub_(&of_block(&won)?)?)?;
            let of_scales =
                cosines.f_mul_(&of_logarithms)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
            let mut to_nearest = other.f_index_select(0, &place.f_view([-1i64].as_slice())?)?;
            let to_nearest = to_nearest.f_mul_(&of_scales)?.f_mul_scalar_(self.band_width)?;
            of_blocks.push(of_logarithms.f_mm(other)?.f_add_(&to_nearest)?.f_mul_(&scales)?);
        }
        Ok(Tensor::f_cat(&of_blocks, 0)?)
    }
}

impl Columns {
    /// With further rows.
    fn joined(self, largest: &Tensor, rows: Option<Tensor>) -> Result<Columns> {
        let rows = match (self.rows, rows) {
            // The first of equal ones stays.
            (Some(before), Some(rows)) => {
                Some(rows.f_where_self(&largest.f_gt_tensor(&self.largest)?, &before)?)
            }
            _ => None,
        };
        Ok(Columns { largest: self.largest.f_maximum(largest)?, rows })
    }
}

/// The rows to work on at a time, as start and length: few enough for the cache of a CPU, and a part of the memory of
/// other devices.
fn blocks(own: &Tensor, other: &Tensor) -> impl Iterator<Item = (i64, i64)> {
    let most = if own.device() == Device::Cpu { 1 << 19 } else { 1 << 24 };
    pieces(own.size()[0], (most / other.size()[0]).max(1))
}

/// The first row of a `block` in which each column has its largest number. `scratch` has the size of the block and is
/// overwritten.
///
/// libtorch's own search for it takes one number after the other.
fn first_row_of(block: &Tensor, largest: &Tensor, scratch: Tensor) -> Result<Tensor> {
    let rows = block.size()[0];
    let from_the_end = Tensor::f_arange_start_step(rows, 0, -1, (block.kind(), block.device()))?;
    let mut marks = block.f_eq_tensor_out(&scratch, largest)?;
    let marks = marks.f_mul_(&from_the_end.f_unsqueeze(1)?)?.f_amax([0i64].as_slice(), false)?;
    // A column of NaN is equal to nothing.
    Ok(marks.f_clamp_min(1.0)?.f_neg()?.f_add_scalar(rows as f64)?.f_to_kind(Kind::Int64)?)
}
