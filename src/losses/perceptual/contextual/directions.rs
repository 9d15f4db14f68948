//! The directions of features, seen from the mean.

use tch::Tensor;

use crate::base::precision::accumulation_kind;
use crate::Result;

/// What the originals divide a vector by if it is shorter.
const SHORTEST: f64 = 1e-12;

/// The direction of each position's features `[P, C]`, seen from the mean.
pub(super) struct Directions {
    pub directions: Tensor,
    /// The lengths that the vectors were divided by, `[P, 1]`.
    lengths: Tensor,
}

impl Directions {
    /// From features `[C, h, w]`.
    pub(super) fn of(features: &Tensor, mean: &Tensor) -> Result<Directions> {
        let positions =
            features.f_permute([1i64, 2, 0].as_slice())?.f_reshape([-1, features.size()[0]].as_slice())?;
        let centred = positions.f_to_kind(mean.kind())?.f_sub(mean)?.f_contiguous()?;
        let lengths = centred.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?.f_clamp_min(SHORTEST)?;
        Ok(Directions { directions: centred.f_div(&lengths)?, lengths })
    }

    /// The gradient with respect to the positions' features, from that with respect to the directions.
    pub(super) fn back(&self, mut slopes: Tensor) -> Result<Tensor> {
        let Directions { directions, lengths } = self;
        // A vector that is not divided by its own length.
        let is_whole = lengths.f_gt(SHORTEST)?;
        let along = directions.f_mul(&slopes)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
        let along = along.f_mul(&is_whole)?;
        Ok(slopes.f_sub_(&directions.f_mul(&along)?)?.f_div_(lengths)?)
    }
}

/// The mean of features `[N, C, h, w]` over a batch and its positions, `[C]`, in [`accumulation_kind`].
pub(super) fn mean_of_batch(features: &Tensor) -> Result<Tensor> {
    Ok(features.f_mean_dim([0i64, 2, 3].as_slice(), false, accumulation_kind(features.kind()))?)
}

/// The directions `[N, C, P]` of features, seen from the mean, in libtorch's graph.
pub(super) fn directions_in_graph(features: &Tensor, mean: &Tensor) -> Result<Tensor> {
    let centred = features.f_to_kind(mean.kind())?.f_sub(&mean.f_view([-1i64, 1, 1].as_slice())?)?;
    let lengths = centred.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?.f_clamp_min(SHORTEST)?;
    Ok(centred.f_div(&lengths)?.f_flatten(2, 3)?)
}
