//! The arguments of losses of triplets.

use tch::Tensor;

use crate::base::check::{self, Named};
use crate::base::reduction::reduce;
use crate::{Reduction, Result};

pub(super) fn named<'a>(anchor: &'a Tensor, positive: &'a Tensor, negative: &'a Tensor) -> [Named<'a>; 3] {
    [("anchor", anchor), ("positive", positive), ("negative", negative)]
}

/// Three floating tensors of one kind, number of dimensions and device, that broadcast.
pub(super) fn check_vectors(anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<()> {
    let arguments = named(anchor, positive, negative);
    check::floating("anchor", anchor)?;
    check::partners(arguments[0], arguments[1])?;
    check::partners(arguments[0], arguments[2])?;
    check::same_dimensions(&arguments)?;
    check::broadcast(&arguments)?;
    Ok(())
}

/// The costs of distances to positives and negatives: `max(0, to_positive - to_negative + margin)`.
pub(super) fn costs(
    to_positive: &Tensor,
    to_negative: &Tensor,
    margin: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    let costs = to_positive.f_add_scalar(margin)?.f_sub(to_negative)?.f_clamp_min(0.0)?;
    reduce(&costs, reduction, to_positive.kind())
}
