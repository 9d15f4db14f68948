//! Gradients taken inside forward.
//!
//! When only `input` needs a gradient, a loss can compute it during `forward`. It works through the batch in
//! pieces that fit the cache, takes each piece's gradient while the intermediate results are at hand, and
//! keeps only the gradient.

use tch::{Device, Tensor};

use super::integer::div_ceil;
use crate::Result;

/// What a caller needs besides a loss's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    Value,
    /// The gradient with respect to `input` alone.
    InputGradient,
    /// More than that: the loss is computed in libtorch's graph.
    Graph,
}

impl Wanted {
    /// For a loss of `input` and `target`. `None` is a target that is a constant.
    pub(crate) fn of(input: &Tensor, target: Option<&Tensor>) -> Result<Wanted> {
        if target.map(is_tracked).transpose()? == Some(true) {
            return Ok(Wanted::Graph);
        }
        Ok(if is_tracked(input)? { Wanted::InputGradient } else { Wanted::Value })
    }
}

/// Whether libtorch records operations on `tensor` for a backward pass. That takes a tensor that requires a
/// gradient, and the grad mode, which tch does not expose.
fn is_tracked(tensor: &Tensor) -> Result<bool> {
    // A view tells what its base does, whatever the mode. So it takes an operation on it, and no elements.
    let is_recorded = || -> Result<bool> {
        let nothing = tensor.f_as_strided([0i64].as_slice(), [1i64].as_slice(), 0)?;
        Ok(nothing.f_neg()?.requires_grad())
    };
    Ok(tensor.requires_grad() && is_recorded()?)
}

/// The scalar `value`, whose gradient with respect to `input` is `factor * gradient`. All have the same kind.
///
/// `backward` applies `factor`, so that `gradient` can have a magnitude that its kind represents well.
pub(crate) fn with_gradient(
    value: &Tensor,
    input: &Tensor,
    gradient: &Tensor,
    factor: f64,
) -> Result<Tensor> {
    let flat = |tensor: &Tensor| tensor.f_reshape([-1i64].as_slice());
    let scalar = flat(input)?.f_dot(&flat(gradient)?)?.f_mul_scalar(factor)?;
    // The graph holds the gradient now. Neither of the two operations reads its result again.
    scalar.f_detach()?.f_copy_(value)?;
    Ok(scalar)
}

/// The `values` `[N]`, of which the gradient of each with respect to its image of `input` is `factor * gradient`.
pub(crate) fn with_gradients(
    values: &Tensor,
    input: &Tensor,
    gradient: &Tensor,
    factor: f64,
) -> Result<Tensor> {
    let products = input.f_mul(gradient)?.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None)?;
    let products = products.f_mul_scalar(factor)?;
    // The backward pass reads the gradient alone.
    products.f_detach()?.f_copy_(values)?;
    Ok(products)
}

/// How many numbers of f32 are a megabyte.
pub(crate) const MEGABYTE: i64 = 1 << 18;

/// How many parts of so many `elements` to work on at a time. On a CPU they have `most` elements together, which stay
/// in the cache. One at least.
pub(crate) fn at_once(device: Device, elements: i64, most: i64) -> i64 {
    match device {
        Device::Cpu => (most / elements).max(1),
        // Elsewhere it is launches of kernels that cost.
        _ => i64::MAX,
    }
}

/// Cuts `count` images into pieces of about equal length, `most` at most. Yields start and length of each.
pub(crate) fn pieces(count: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    let pieces = div_ceil(count, most);
    (0..pieces).map(move |piece| {
        let (start, end) = (piece * count / pieces, (piece + 1) * count / pieces);
        (start, end - start)
    })
}

#[cfg(test)]
mod tests {
    use tch::{no_grad, Device, Kind, Tensor};

    use super::{is_tracked, pieces};

    #[test]
    fn nothing_is_tracked_without_the_grad_mode() {
        for shape in [vec![], vec![0, 3], vec![2, 3]] {
            let constant = Tensor::zeros(&shape, (Kind::Float, Device::Cpu));
            let leaf = constant.copy().set_requires_grad(true);
            for tensor in [&leaf, &(&leaf * 2.0), &leaf.alias()] {
                assert!(is_tracked(tensor).unwrap());
                assert!(!no_grad(|| is_tracked(tensor).unwrap()));
            }
            assert!(!is_tracked(&constant).unwrap());
        }
    }

    #[test]
    fn pieces_cover_the_batch() {
        for count in 1..40 {
            for most in 1..50 {
                let pieces: Vec<_> = pieces(count, most).collect();
                let mut next = 0;
                for (start, length) in &pieces {
                    assert_eq!(*start, next);
                    assert!((1..=most).contains(length), "{count} by {most}: {pieces:?}");
                    next += length;
                }
                assert_eq!(next, count);
                assert_eq!(pieces.len() as i64, (count as f64 / most as f64).ceil() as i64);
            }
        }
    }
}
