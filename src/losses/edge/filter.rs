//! The common part of the losses on edges.
//!
//! Both losses turn the images to grey by the plain mean over the channels, filter them with a fixed 3x3
//! kernel (zero padding of 1) and take the L1 distance of the results. The filters are sums of shifted views:
//! in libtorch, a convolution with one channel in and out is an order of magnitude slower.
//!
//! If the loss is reduced and only `input` requires a gradient, value and gradient are computed together, a
//! few images at a time, in pieces that stay in the cache. That is possible because the filters are linear
//! and their adjoints are the same shifted views.
//!
//! Half and BFloat16 images are filtered in f32; the result has the images' kind. A value that is not finite
//! spreads to the neighbours for which the kernel has a weight. (A convolution spreads it to all nine.)

use tch::{no_grad, Tensor};

use crate::base::gradient::{at_once, pieces, with_gradient, Wanted, PER_THREAD};
use crate::base::precision::accumulation_kind;
use crate::{Reduction, Result};

/// What [`streamed`] needs to know of a loss.
pub(super) trait Filter {
    /// The sum of the absolute differences between the filtered images, times the number of channels, and at
    /// last into `gradient`, which may be `input`'s memory, its gradient with respect to `input`. The images
    /// are sums over the channels.
    fn compare(
        &self,
        input: &Tensor,
        target: &Tensor,
        channels: i64,
        gradient: Option<Tensor>,
    ) -> Result<Tensor>;
}

/// The loss without a graph: in pieces that stay in the cache, with the gradient in closed form. `None` for the
/// reduction `None`, which would gain nothing, and if `target` needs a gradient.
pub(super) fn streamed(
    filter: &dyn Filter,
    reduction: Reduction,
    input: &Tensor,
    target: &Tensor,
) -> Result<Option<Tensor>> {
    let wanted = Wanted::of(input, Some(target))?;
    if reduction == Reduction::None || wanted == Wanted::Graph {
        return Ok(None);
    }
    let size = input.size();
    let [count, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
    let kind = accumulation_kind(input.kind());
    let grey = |images: &Tensor| images.f_sum_dim_intlist([1i64].as_slice(), true, kind);
    // Summed in the graph, which so needs a gradient for one channel only.
    let input_grey = grey(input)?;
    // It takes the memory of what it is the gradient of: the backward pass of a sum needs neither its result
    // ...
    let gradient = input_grey.f_detach()?;
    let sum = no_grad(|| -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        // Twice the usual size: many short operations on few planes.
        for (start, length) in pieces(count, at_once(input.device(), height * width, 2 * PER_THREAD)) {
            let piece = |tensor: &Tensor| tensor.f_narrow(0, start, length);
            let out = match wanted {
                Wanted::InputGradient => Some(piece(&gradient)?),
                Wanted::Value | Wanted::Graph => None,
            };
            let part = filter.compare(&piece(&gradient)?, &grey(&piece(target)?)?, channels, out)?;
            sum = Some(match sum {
                Some(mut sum) => sum.f_add_(&part)?,
                None => part,
            });
        }
        Ok(sum.expect("there are images"))
    })?;
    let factor = match reduction {
        Reduction::Mean => 1.0 / (count * channels * height * width) as f64,
        _ => 1.0 / channels as f64,
    };
    let mut loss = sum.f_mul_scalar(factor)?;
    if wanted == Wanted::InputGradient {
        // ... nor that of a product with a constant the other factor.
        loss = with_gradient(&loss, &input_grey, &gradient, factor)?;
    }
    Ok(Some(loss.f_to_kind(input.kind())?))
}

pub(super) fn padded(grey: &Tensor) -> Result<Tensor> {
    Ok(grey.f_constant_pad_nd([1i64, 1, 1, 1].as_slice())?)
}
