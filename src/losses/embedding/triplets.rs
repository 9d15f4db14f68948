//! The arguments of losses of triplets.

use tch::Tensor;

use crate::base::check::{self, Named};
use crate::Result;

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
