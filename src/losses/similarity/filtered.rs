//! Measures that filter both images and compare what they find.
//!
//! Filters are linear: their backward passes are filters, too, and need neither the images nor a graph. Where `input`
//! alone needs a gradient, the graph is that of the comparison, which works element by element.

use tch::{Device, Tensor};

use crate::base::gradient::{at_once, PER_THREAD};
use crate::base::image::color::Row;
use crate::base::image::per_image::PerImage;
use crate::Result;

/// A measure with a value for each image.
pub(super) trait Filtered {
    /// What the filters find in images with values from 0 to 1: planes `[N, 1, .., ..]`. In libtorch's graph or
    /// without one.
    fn filter(&self, images: &Tensor) -> Result<Vec<Tensor>>;

    /// The gradient of `images`, given those of the planes. Without a graph.
    fn back(&self, slopes: &[Tensor], images: &Tensor) -> Result<Tensor>;

    /// The values `[N]` for the planes of both images, in libtorch's graph.
    fn compare(&self, input: &[Tensor], target: &[Tensor]) -> Result<Tensor>;

    /// How many pixels of images a thread works on at a time, so that the planes stay in the cache of its core. Most
    /// measures have planes of a quarter of that: 128 kilobytes in f32.
    fn pixels_at_once(&self) -> i64 {
        PER_THREAD
    }
}

impl<T: Filtered> PerImage for T {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.compare(&self.filter(input)?, &self.filter(target)?)
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut leaves = self.filter(input)?;
        for leaf in &mut leaves {
            *leaf = leaf.f_detach()?.f_set_requires_grad(true)?;
        }
        let values = self.compare(&leaves, &self.filter(target)?)?;
        let slopes = Tensor::f_run_backward(&[values.f_sum(None)?], &leaves, false, false)?;
        Ok((values.f_detach()?, self.back(&slopes, input)?))
    }

    fn images_at_once(&self, device: Device, pixels: i64) -> i64 {
        at_once(device, pixels, self.pixels_at_once())
    }
}

/// The gradient of images of red, green and blue, given those of weighted sums of the channels.
pub(super) fn channels_back(sums: &[(&Tensor, Row)]) -> Result<Tensor> {
    let channel = |index: usize| -> Result<Tensor> {
        let (first, row) = sums[0];
        let mut channel = first.f_mul_scalar(row[index])?;
        for (sum, row) in &sums[1..] {
            channel = channel.f_add_(&sum.f_mul_scalar(row[index])?)?;
        }
        Ok(channel)
    };
    Ok(Tensor::f_cat(&[channel(0)?, channel(1)?, channel(2)?], 1)?)
}

/// The gradient of images `[.., height, width]`, given that of what [`halved`](crate::base::image::pool::halved) makes
/// of them.
pub(super) fn halved_back(slopes: &Tensor, height: i64, width: i64) -> Result<Tensor> {
    let size = slopes.size();
    let quarters = slopes.f_mul_scalar(0.25)?;
    let whole = quarters.f_upsample_nearest2d([2 * size[2], 2 * size[3]], 2.0, 2.0)?;
    Ok(whole.f_narrow(2, 0, height)?.f_narrow(3, 0, width)?)
}
