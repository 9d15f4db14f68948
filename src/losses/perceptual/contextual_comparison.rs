//! How [`ContextualLoss`](crate::ContextualLoss) compares features.
//!
//! The similarities of all positions of an image with all of another are a matrix of millions of numbers. Without a graph,
//! it is computed in blocks of rows and never there as a whole.

use tch::{autocast, Device, Tensor};

use super::comparison::{Comparison, Other};
use super::contextual::ContextualForm;
use crate::base::gradient::pieces;
use crate::base::precision::accumulation_kind;
use crate::Result;

/// What is added to the distance of a position's nearest partner.
const DISTANCE_EPS: f64 = 1e-5;
/// What the originals divide a vector by if it is shorter.
const SHORTEST: f64 = 1e-12;

/// The contextual loss of features.
pub(super) struct ContextualComparison {
    pub form: ContextualForm,
    pub band_width: f64,
}

/// The direction of each position's features `[P, C]`, seen from the mean.
struct Directions {
    directions: Tensor,
    /// The lengths that the vectors were divided by, `[P, 1]`.
    lengths: Tensor,
}

/// What a run over all rows finds out about the columns.
struct Columns {
    /// The largest similarity of each column, `[P]`.
    largest: Tensor,
    /// Its row, `[P]`, if the slopes are to be known.
    rows: Option<Tensor>,
}

impl ContextualForm {
    /// What `1 - cos` is multiplied by to be a distance.
    fn factor(self) -> f64 {
        match self {
            ContextualForm::Pytorch => 1.0,
            ContextualForm::Original => 0.5,
        }
    }

    /// What is added to the similarity before its logarithm is taken.
    fn logarithm_eps(self) -> f64 {
        match self {
            ContextualForm::Pytorch => 1e-5,
            ContextualForm::Original => 0.0,
        }
    }
}

impl ContextualComparison {
    /// What the differences of cosines within a row are multiplied by, from the largest of its cosines.
    fn scales(&self, nearest: &Tensor) -> Result<Tensor> {
        let factor = self.form.factor();
        let distance = nearest.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(factor)?;
        Ok(distance.f_add_scalar(DISTANCE_EPS)?.f_reciprocal()?.f_mul_scalar(factor / self.band_width)?)
    }

    /// The similarity of whole images, plus what is added to it: from the largest number of each column.
    fn similarity(&self, largest: &Tensor) -> Result<Tensor> {
        let mean = largest.f_mean_dim([-1i64].as_slice(), false, None)?;
        Ok(mean.f_add_scalar(self.form.logarithm_eps())?)
    }

    /// The cosines of some rows with all columns, less the largest of each row and times its scale: the logarithms of
    /// the similarities, up to a constant for each row.
    fn logarithms(&self, cosines: &mut Tensor, nearest: &Tensor, scales: &Tensor) -> Result<()> {
        let _ = cosines.f_sub_(nearest)?.f_mul_(scales)?;
        Ok(())
    }

    fn columns(&self, own: &Tensor, other: &Tensor, with_rows: bool) -> Result<Columns> {
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
    /// Let `p` be the similarities of row i, softmax of `z`, and `c` the sum of the largest `m` in the columns that row i
    /// wins. The gradient with respect to `z` is `p (1 - c)` in those columns and `-p c` in the others. It goes on to
    /// the cosines, which `scale` multiplies, and to the largest cosine of the row, which decides on the scale.
    fn slopes_of_directions(&self, own: &Tensor, other: &Tensor, columns: &Columns) -> Result<Tensor> {
        let Columns { largest, rows } = columns;
        let rows = rows.as_ref().expect("the rows are known");
        let of_rows = |values: &Tensor| -> Result<Tensor> {
            let mut size = values.size();
            size[0] = own.size()[0];
            let zeros = Tensor::f_zeros(&size, (values.kind(), values.device()))?;
            Ok(zeros.f_index_add(0, rows, values)?)
        };
        let largest = largest.f_unsqueeze(1)?;
        let won = of_rows(&largest)?;
        // Of the columns that a row wins: the sum of m ln m, and that of m times the direction.
        let won_logarithms = of_rows(&largest.f_xlogy(&largest)?)?;
        let slopes = of_rows(&other.f_mul(&largest)?)?;
        for (start, length) in blocks(own, other) {
            let of_block = |values: &Tensor| values.f_narrow(0, start, length);
            let mut cosines = of_block(own)?.f_mm(&other.f_transpose(0, 1)?)?;
            let (nearest, place) = cosines.f_max_dim(1, true)?;
            let scales = self.scales(&nearest)?;
            self.logarithms(&mut cosines, &nearest, &scales)?;
            let similarities = cosines.f_softmax(1, None)?;
            let won = of_block(&won)?;
            // What goes to the scale: c Σ p z - Σ m z over the columns won, where z is ln m less that of the row's
            // largest p.
            let logarithm = similarities.f_amax([1i64].as_slice(), true)?.f_log()?;
            let mut of_all =
                cosines.f_mul_(&similarities)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
            let of_scale = of_all.f_add_(&logarithm)?.f_mul_(&won)?.f_sub_(&of_block(&won_logarithms)?)?;
            let to_nearest = other.f_index_select(0, &place.f_view([-1i64].as_slice())?)?;
            let to_nearest = to_nearest.f_mul(&of_scale)?.f_mul_scalar(self.band_width)?;
            let mut slopes = of_block(&slopes)?;
            let mut slopes = slopes.f_sub_(&similarities.f_mm(other)?.f_mul_(&won)?)?.f_sub_(&to_nearest)?;
            let _ = slopes.f_mul_(&scales)?;
        }
        Ok(slopes)
    }

    /// The number of one image, and its gradient times `share`; features are `[C, h, w]`.
    fn image(
        &self,
        own: &Tensor,
        other: &Tensor,
        mean: &Tensor,
        share: Option<f64>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let size = own.size();
        let (own, other) = (Directions::of(own, mean)?, Directions::of(other, mean)?.directions);
        let columns = self.columns(&own.directions, &other, share.is_some())?;
        let similarity = self.similarity(&columns.largest)?;
        let value = similarity.f_log()?.f_neg()?;
        let Some(share) = share else { return Ok((value, None)) };
        let slopes = self.slopes_of_directions(&own.directions, &other, &columns)?;
        let factor = similarity.f_reciprocal()?.f_mul_scalar(-share / other.size()[0] as f64)?;
        let slopes = own.back(slopes)?.f_mul_(&factor)?;
        // Back to `[C, h, w]`.
        let slopes = slopes.f_view([size[1], size[2], size[0]].as_slice())?;
        Ok((value, Some(slopes.f_permute([2i64, 0, 1].as_slice())?)))
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

impl Directions {
    /// From features `[C, h, w]`.
    fn of(features: &Tensor, mean: &Tensor) -> Result<Directions> {
        let positions =
            features.f_permute([1i64, 2, 0].as_slice())?.f_reshape([-1, features.size()[0]].as_slice())?;
        let centred = positions.f_to_kind(mean.kind())?.f_sub(mean)?.f_contiguous()?;
        let lengths = centred.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?.f_clamp_min(SHORTEST)?;
        Ok(Directions { directions: centred.f_div(&lengths)?, lengths })
    }

    /// The gradient with respect to the positions' features, from that with respect to the directions.
    fn back(&self, mut slopes: Tensor) -> Result<Tensor> {
        let Directions { directions, lengths } = self;
        // A vector that is not divided by its own length.
        let is_whole = lengths.f_gt(SHORTEST)?;
        let along = directions.f_mul(&slopes)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
        let along = along.f_mul(&is_whole)?;
        Ok(slopes.f_sub_(&directions.f_mul(&along)?)?.f_div_(lengths)?)
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
    Ok(marks.f_clamp_min(1.0)?.f_neg()?.f_add_scalar(rows as f64)?.f_to_kind(tch::Kind::Int64)?)
}

/// The mean of features `[N, C, h, w]` over a batch and its positions, `[C]`, in [`accumulation_kind`].
fn mean_of_batch(features: &Tensor) -> Result<Tensor> {
    Ok(features.f_mean_dim([0i64, 2, 3].as_slice(), false, accumulation_kind(features.kind()))?)
}

/// The directions `[N, C, P]` of features, seen from the mean, in libtorch's graph.
fn directions_in_graph(features: &Tensor, mean: &Tensor) -> Result<Tensor> {
    let centred = features.f_to_kind(mean.kind())?.f_sub(&mean.f_view([-1i64, 1, 1].as_slice())?)?;
    let lengths = centred.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?.f_clamp_min(SHORTEST)?;
    Ok(centred.f_div(&lengths)?.f_flatten(2, 3)?)
}

impl Comparison for ContextualComparison {
    fn count(&self, _: &[i64]) -> f64 {
        1.0
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        // libtorch's autocast would round the cosines.
        autocast(false, || {
            let mean = mean_of_batch(other)?;
            let (own, other) = (directions_in_graph(own, &mean)?, directions_in_graph(other, &mean)?);
            let cosines = own.f_transpose(1, 2)?.f_bmm(&other)?;
            let (nearest, _) = cosines.f_max_dim(2, true)?;
            // What is subtracted from all of a row has no effect on its softmax.
            let logarithms = cosines.f_sub(&nearest.f_detach()?)?.f_mul(&self.scales(&nearest)?)?;
            let (largest, _) = logarithms.f_softmax(2, None)?.f_max_dim(1, false)?;
            Ok(self.similarity(&largest)?.f_log()?.f_neg()?)
        })
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        autocast(false, || {
            let mean = other.statistics.expect("the engine asks for the mean of the whole target");
            let (mut values, mut slopes) = (Vec::new(), Vec::new());
            for image in 0..own.size()[0] {
                let (own, other) = (own.f_get(image)?, other.features.f_get(image)?);
                let (value, slope) = self.image(&own, &other, mean, share)?;
                values.push(value);
                slopes.extend(slope.map(|slope| slope.f_unsqueeze(0)).transpose()?);
            }
            let slopes = share.map(|_| Tensor::f_cat(&slopes, 0)).transpose()?;
            Ok((Tensor::f_stack(&values, 0)?, slopes))
        })
    }

    fn needs_whole_target(&self) -> bool {
        true
    }

    fn statistics(&self, target: &Tensor) -> Result<Option<Tensor>> {
        mean_of_batch(target).map(Some)
    }

    /// The smaller the features, the larger their gradients.
    fn is_unbounded(&self) -> bool {
        true
    }

    /// The mean of the similarities is under a logarithm.
    fn map(&self, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}
