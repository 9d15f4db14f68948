//! Gradients taken inside forward.
//!
//! Where only `input` needs a gradient, a loss need not keep a graph of all it computed until the trainer
//! calls `backward`: it can work through the batch in pieces that fit the cache, take each piece's gradient
//! at once while its intermediate results are at hand, and keep nothing but that.

use tch::{Device, Kind, Tensor};

use crate::Result;

/// What is to be known of a loss, besides its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    Value,
    /// The gradient with respect to `input` alone.
    InputGradient,
    /// More: a graph is needed.
    Graph,
}

impl Wanted {
    /// Of a loss of two tensors; of one, where the target is a constant.
    pub(crate) fn of(input: &Tensor, target: Option<&Tensor>) -> Result<Wanted> {
        if target.map(is_tracked).transpose()? == Some(true) {
            return Ok(Wanted::Graph);
        }
        Ok(if is_tracked(input)? { Wanted::InputGradient } else { Wanted::Value })
    }
}

/// Whether operations on `tensor` are recorded for a backward pass: it requires a gradient, and the grad
/// mode, which tch does not tell, is on.
fn is_tracked(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.requires_grad() && tensor.f_alias()?.requires_grad())
}

/// The scalar `value`, whose gradient with respect to `input` is `factor * gradient`. All are of one kind.
///
/// `factor` is applied in backward, so that `gradient` can be of a size that its kind represents well.
pub(crate) fn with_gradient(
    value: &Tensor,
    input: &Tensor,
    gradient: &Tensor,
    factor: f64,
) -> Result<Tensor> {
    let flat = |tensor: &Tensor| tensor.f_reshape([-1i64].as_slice());
    let scalar = flat(input)?.f_dot(&flat(gradient)?)?.f_mul_scalar(factor)?;
    // The graph has the gradient now; neither of the two operations looks at its result again.
    scalar.f_detach()?.f_copy_(value)?;
    Ok(scalar)
}

/// The pieces, as start and length, in which to go through a batch of `count`, as equal as can be and of
/// `most` at most.
pub(crate) fn pieces(count: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    let pieces = (count - 1) / most + 1;
    (0..pieces).map(move |piece| {
        let (start, end) = (piece * count / pieces, (piece + 1) * count / pieces);
        (start, end - start)
    })
}

/// While it lives, memory that tensors free on the CPU stays in the process, for the next piece to use.
///
/// glibc gives free memory at the upper end of its heap back to the system. The system hands it out again page by page,
/// cleared, which took a tenth of the time of a batch. A block above that memory keeps it in the process. The block
/// takes addresses but no memory, as nothing is written to it. Other allocators keep freed memory by themselves; there
/// the block changes nothing.
pub(crate) struct KeepFreedMemory {
    _end: Option<Tensor>,
}

impl KeepFreedMemory {
    /// With room for what a few images of 256x256 take in a network.
    pub(crate) fn new() -> KeepFreedMemory {
        // glibc maps blocks of more than 32 MB for themselves, and at first all of more than 128 kB, until one of
        // these was freed: hence the first block.
        let block = || Tensor::f_empty([16i64 << 20].as_slice(), (Kind::Uint8, Device::Cpu)).ok();
        drop(block());
        let room = [(); 8].map(|()| block());
        let end = block();
        drop(room);
        KeepFreedMemory { _end: end }
    }
}

#[cfg(test)]
mod tests {
    use super::pieces;

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
