//! Gradients taken inside forward.
//!
//! Penalties are losses of a gradient: [`gradient_of`] takes it.
//!
//! When only `input` needs a gradient, a loss can compute it during `forward`. It works through the batch in
//! pieces that fit the cache, takes each piece's gradient while the intermediate results are at hand, and
//! keeps only the gradient.

use tch::{Device, Kind, Tensor};

use super::check::Named;
use super::integer::div_ceil;
use super::workers::available;
use crate::{Error, Result};

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
/// gradient, and the grad mode.
pub(crate) fn is_tracked(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.requires_grad() && gradients_are_enabled()?)
}

/// The grad mode, which tch does not expose. A view of a leaf requires a gradient in any mode, the result of another
/// operation does not.
fn gradients_are_enabled() -> Result<bool> {
    let leaf = Tensor::f_zeros([0i64].as_slice(), (Kind::Float, Device::Cpu))?.f_set_requires_grad(true)?;
    Ok(leaf.f_neg()?.requires_grad())
}

/// The gradient of the sum of `value` with respect to `tensor`. The graph behind `value` is kept. With `create_graph`,
/// the gradient has a graph of its own. Both tensors are defined.
pub(crate) fn gradient_of((of, value): Named, (by, tensor): Named, create_graph: bool) -> Result<Tensor> {
    let missing = |reason| Error::NoGradient { of, by, reason };
    // libtorch takes the former for granted and has a poor message about the latter.
    if !value.requires_grad() {
        return Err(missing("it has no graph"));
    }
    if !tensor.requires_grad() {
        return Err(missing("the latter does not require one"));
    }
    let gradient = Tensor::f_run_backward(&[value], &[tensor], true, create_graph)?.remove(0);
    match gradient.defined() {
        true => Ok(gradient),
        false => Err(missing("it does not depend on it")),
    }
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
    with_each_gradient(value, &[(input, gradient)], factor)
}

/// The same with respect to several tensors, each with its gradient. There is one at least.
pub(crate) fn with_each_gradient(
    value: &Tensor,
    gradients: &[(&Tensor, &Tensor)],
    factor: f64,
) -> Result<Tensor> {
    let flat = |tensor: &Tensor| tensor.f_reshape([-1i64].as_slice());
    let product = |(input, gradient): &(&Tensor, &Tensor)| -> Result<Tensor> {
        Ok(flat(input)?.f_dot(&flat(gradient)?)?)
    };
    let mut sum = product(&gradients[0])?;
    for other in &gradients[1..] {
        sum = sum.f_add(&product(other)?)?;
    }
    let scalar = sum.f_mul_scalar(factor)?;
    // The graph holds the gradients now. None of the operations reads its result again.
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

/// How many pixels of a plane a thread works on at a time, where a loss has a handful of planes: they stay in the cache
/// of its core.
pub(crate) const PER_THREAD: i64 = MEGABYTE / 2;

/// How many parts of so many `elements` to work on at a time. On a CPU they have `per_thread` elements together for each
/// thread. One at least. Beyond 32 threads, the planes would need more memory than their cores' caches save time.
pub(crate) fn at_once(device: Device, elements: i64, per_thread: i64) -> i64 {
    match device {
        Device::Cpu => (per_thread * available().min(32) as i64 / elements).max(1),
        // Elsewhere it is launches of kernels that cost.
        _ => i64::MAX,
    }
}

/// The same for losses of numbers that depend on no neighbours. Up to 8 MB of f32 these are twice as long: that saves waits
/// for the slowest thread, which take most time beside other programs, and still stays in the cache that the cores share.
pub(crate) fn numbers_at_once(device: Device, elements: i64) -> i64 {
    let share = 8 * MEGABYTE / available() as i64;
    at_once(device, elements, share.clamp(PER_THREAD, 2 * PER_THREAD))
}

/// How many rows of a matrix of all pairs to work on at a time, of `columns` each. One at least. On a CPU they have four
/// megabytes of f32: matrix products of fewer rows are slower. Elsewhere a quarter of a gigabyte keeps the device busy.
pub(crate) fn rows_at_once(device: Device, columns: i64) -> i64 {
    let most = if device == Device::Cpu { 4 * MEGABYTE } else { 256 * MEGABYTE };
    (most / columns).max(1)
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
    use tch::{no_grad, with_grad, Device, Kind, Tensor};

    use super::{is_tracked, pieces};

    #[test]
    fn what_is_tracked() {
        let constant = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let leaf = constant.detach().set_requires_grad(true);
        let tracked = |tensor: &Tensor| is_tracked(tensor).unwrap();
        for tensor in [leaf.shallow_clone(), leaf.view([1, 2]), &leaf * 2.0] {
            assert!(tracked(&tensor));
            assert!(!no_grad(|| tracked(&tensor)));
            assert!(no_grad(|| with_grad(|| tracked(&tensor))));
        }
        assert!(!tracked(&constant));
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
