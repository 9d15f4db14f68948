//! Measures that have a value for each image of a batch.
//!
//! Such a measure needs only one image at a time in the cache, and no more than that in memory: where `input` alone
//! needs a gradient, it is taken during forward, a few images at a time.

use tch::{no_grad, Device, Tensor};

use super::DataRange;
use crate::base::gradient::{at_once, pieces, with_gradients, Wanted, PER_THREAD};
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::Result;

/// A measure with a value for each image.
pub(crate) trait PerImage {
    /// The values `[N]` of images with values from 0 to 1, in libtorch's graph.
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// The values, and the gradient of their sum with respect to `input`. Neither has a graph.
    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        by_autograd(self, input, target)
    }

    /// How many images of so many pixels to work on at a time.
    fn images_at_once(&self, device: Device, pixels: i64) -> i64 {
        at_once(device, pixels, PER_THREAD)
    }
}

/// [`PerImage::values_and_gradient`] by libtorch.
pub(crate) fn by_autograd<M: PerImage + ?Sized>(
    measure: &M,
    input: &Tensor,
    target: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let leaf = input.f_detach()?.f_set_requires_grad(true)?;
    let values = measure.values(&leaf, target)?;
    let gradients = Tensor::f_run_backward(&[values.f_sum(None)?], &[&leaf], false, false)?;
    let gradient = gradients.into_iter().next().expect("there is one for each leaf");
    Ok((values.f_detach()?, gradient))
}

/// The values `[N]` of a batch, in [`accumulation_kind`]. Gradients flow to both arguments.
pub(crate) fn per_image(
    measure: &dyn PerImage,
    data_range: DataRange,
    input: &Tensor,
    target: &Tensor,
) -> Result<Tensor> {
    let unit = |images: &Tensor| data_range.to_unit(images);
    let wanted = Wanted::of(input, Some(target))?;
    if wanted == Wanted::Graph {
        return measure.values(&unit(input)?, &unit(target)?);
    }
    if input.device() == Device::Cpu {
        keep_freed_blocks();
    }
    let size = input.size();
    let [count, _, height, width] = size[..] else { unreachable!("an image has four dimensions") };
    let most = measure.images_at_once(input.device(), height * width);
    let (mut values, mut gradients) = (Vec::new(), Vec::new());
    for (start, length) in pieces(count, most) {
        let piece = |images: &Tensor| unit(&images.f_detach()?.f_narrow(0, start, length)?);
        let (input, target) = no_grad(|| -> Result<_> { Ok((piece(input)?, piece(target)?)) })?;
        if wanted == Wanted::InputGradient {
            let (value, gradient) = measure.values_and_gradient(&input, &target)?;
            values.push(value);
            gradients.push(gradient);
        } else {
            values.push(no_grad(|| measure.values(&input, &target))?);
        }
    }
    let joined = |parts: Vec<Tensor>| -> Result<Tensor> {
        match &parts[..] {
            [whole] => Ok(whole.shallow_clone()),
            parts => Ok(Tensor::f_cat(parts, 0)?),
        }
    };
    let values = joined(values)?;
    if gradients.is_empty() {
        return Ok(values);
    }
    with_gradients(
        &values,
        &input.f_to_kind(accumulation_kind(input.kind()))?,
        &joined(gradients)?,
        data_range.slope(),
    )
}
