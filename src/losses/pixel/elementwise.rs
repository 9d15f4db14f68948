//! Losses that are a function of the difference of two values, element by element.
//!
//! If such a loss is reduced and only `input` requires a gradient, value and gradient are computed together, in pieces
//! that stay in the cache. Nothing is stored for `backward` but the gradient.

use std::cmp::Reverse;

use tch::{no_grad, Tensor};

use crate::base::check;
use crate::base::gradient::{numbers_at_once, pieces, with_gradient, Wanted};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::{Reduction, Result};

/// What [`forward`] needs to know of a loss.
pub(in crate::losses) trait Elementwise {
    /// The losses of the differences. Works in libtorch's graph and without.
    fn elements(&self, difference: &Tensor) -> Result<Tensor>;

    /// The sum of the losses of the differences. Overwrites the differences with the slopes of their losses.
    fn sum_and_slopes(&self, difference: Tensor) -> Result<Tensor>;
}

/// `input - target`, in f32 at least.
pub(in crate::losses) fn difference(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let kind = accumulation_kind(input.kind());
    Ok(input.f_to_kind(kind)?.f_sub(&target.f_to_kind(kind)?)?)
}

/// The reduced loss of two tensors, after the check of the options.
pub(in crate::losses) fn forward(
    loss: &dyn Elementwise,
    reduction: Reduction,
    input: &Tensor,
    target: &Tensor,
) -> Result<Tensor> {
    check::pair(input, target)?;
    let wanted = Wanted::of(input, Some(target))?;
    let difference = difference(input, target)?;
    let count = difference.numel() as i64;
    if reduction == Reduction::None || wanted != Wanted::InputGradient || count == 0 {
        return reduce(&loss.elements(&difference)?, reduction, input.kind());
    }
    let difference = flat(&difference)?;
    // The gradient takes the memory of the differences, which no backward pass reads.
    let gradient = difference.f_detach()?;
    let sum = no_grad(|| -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (start, length) in pieces(count, numbers_at_once(input.device(), 1)) {
            let part = loss.sum_and_slopes(gradient.f_narrow(0, start, length)?)?;
            sum = Some(match sum {
                Some(mut sum) => sum.f_add_(&part)?,
                None => part,
            });
        }
        Ok(sum.expect("there are elements"))
    })?;
    let factor = match reduction {
        Reduction::Mean => 1.0 / count as f64,
        _ => 1.0,
    };
    let loss = with_gradient(&sum.f_mul_scalar(factor)?, &difference, &gradient, factor)?;
    Ok(loss.f_to_kind(input.kind())?)
}

/// The elements in the order in which they lie in memory. That is a view, as the result of an operation has no gaps.
fn flat(tensor: &Tensor) -> Result<Tensor> {
    let strides = tensor.stride();
    let mut axes: Vec<i64> = (0..strides.len() as i64).collect();
    axes.sort_by_key(|axis| Reverse(strides[*axis as usize]));
    Ok(tensor.f_permute(axes)?.f_reshape([-1i64].as_slice())?)
}
