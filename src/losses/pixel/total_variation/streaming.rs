//! Total variation with its gradient, a few images at a time, in pieces that stay in the cache.

use tch::{no_grad, Tensor};

use super::{TotalVariationLoss, TotalVariationNorm};
use crate::base::gradient::{at_once, pieces, with_gradient, PER_THREAD};
use crate::base::image;
use crate::base::precision::accumulation_kind;
use crate::{Reduction, Result};

/// The reduced loss of images that need a gradient.
pub(super) fn streamed(loss: &TotalVariationLoss, input: &Tensor) -> Result<Tensor> {
    let size = input.size();
    let count = size[0];
    let elements: i64 = size[1..].iter().product();
    let rows = input.f_to_kind(accumulation_kind(input.kind()))?.f_reshape([count, elements])?;
    let [down, right] = loss.factors(&size);
    // The factor to the right is applied in the end.
    let (of_value, of_gradient) = match loss.norm {
        TotalVariationNorm::L1 => (right, right),
        TotalVariationNorm::L2 => (right.sqrt(), right.sqrt()),
        TotalVariationNorm::L2Squared => (right, 2.0 * right),
    };
    let each = match loss.reduction {
        Reduction::Mean => 1.0 / count as f64,
        _ => 1.0,
    };
    let (sum, gradient) = no_grad(|| -> Result<_> {
        let images = rows.f_detach()?.f_contiguous()?;
        let options = (images.kind(), images.device());
        let gradient = Tensor::f_empty([count, elements], options)?;
        let most = at_once(images.device(), elements, PER_THREAD).min(count);
        let room = Tensor::f_zeros([most, 2 * elements + 1 + size[3]], options)?;
        let mut sum: Option<Tensor> = None;
        for (start, length) in pieces(count, most) {
            let differences = Differences::new(&room.f_narrow(0, 0, length)?, &size)?;
            let piece = |tensor: &Tensor| tensor.f_narrow(0, start, length);
            differences.take(&piece(&images)?)?;
            let part = differences.sum_and_gradient(loss.norm, down / right, piece(&gradient)?)?;
            sum = Some(match sum {
                Some(mut sum) => sum.f_add_(&part)?,
                None => part,
            });
        }
        Ok((sum.expect("there are images"), gradient))
    })?;
    let value = with_gradient(&sum.f_mul_scalar(of_value * each)?, &rows, &gradient, of_gradient * each)?;
    Ok(value.f_to_kind(input.kind())?)
}

/// The differences of images, `[N, C * H * W]` in each direction; 0 at the last pixels.
///
/// The images are rows of numbers, in which the next pixel is 1 further to the right and `W` further down. That is
/// faster than views of images. The differences to the previous pixel are the same numbers, found 1 or `W` before.
struct Differences {
    right: Tensor,
    before_right: Tensor,
    down: Tensor,
    before_down: Tensor,
    size: [i64; 4],
}

impl Differences {
    /// Views of `room`, which is zeros at first: `[0 | right | W zeros | down]`.
    fn new(room: &Tensor, size: &[i64]) -> Result<Differences> {
        let [_, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
        let elements = channels * height * width;
        let part = |start: i64| room.f_narrow(1, start, elements);
        Ok(Differences {
            right: part(1)?,
            before_right: part(0)?,
            down: part(1 + elements + width)?,
            before_down: part(1 + elements)?,
            size: [room.size()[0], channels, height, width],
        })
    }

    /// Those of other images.
    fn take(&self, images: &Tensor) -> Result<()> {
        let [_, _, height, width] = self.size;
        let elements = images.size()[1];
        for (differences, step) in [(&self.right, 1), (&self.down, width)] {
            let most = |tensor: &Tensor, start: i64| tensor.f_narrow(1, start, elements - step);
            let _ = most(images, step)?.f_sub_out(&most(differences, 0)?, &most(images, 0)?)?;
        }
        // The next number of the last pixel is in another row or channel.
        let _ = self.right.f_view(self.size)?.f_select(3, width - 1)?.f_zero_()?;
        let _ = self.down.f_view(self.size)?.f_select(2, height - 1)?.f_zero_()?;
        Ok(())
    }

    /// The sum over the images, and at last into `gradient` its gradient, or half of it with the norm of the squares.
    /// `ratio` is the factor of the differences down.
    fn sum_and_gradient(self, norm: TotalVariationNorm, ratio: f64, mut gradient: Tensor) -> Result<Tensor> {
        let Differences { mut right, before_right, mut down, before_down, .. } = self;
        let mut sums = sum_of_each(norm, &right)?.f_add(&sum_of_each(norm, &down)?.f_mul_scalar(ratio)?)?;
        if norm == TotalVariationNorm::L1 {
            let _ = (right.f_sgn_()?, down.f_sgn_()?);
        }
        if ratio != 1.0 {
            let _ = down.f_mul_scalar_(ratio)?;
        }
        let _ = before_right.f_sub_out(&gradient, &right)?;
        let _ = gradient.f_add_(&before_down)?.f_sub_(&down)?;
        if norm == TotalVariationNorm::L2 {
            sums = image::sqrt(&sums)?;
            let _ = gradient.f_div_(&sums)?;
        }
        Ok(sums.f_sum(None)?)
    }
}

/// The sum of the absolute values or of the squares of each row, `[N, 1]`.
fn sum_of_each(norm: TotalVariationNorm, rows: &Tensor) -> Result<Tensor> {
    let elements = match norm {
        TotalVariationNorm::L1 => rows.f_abs()?,
        TotalVariationNorm::L2 | TotalVariationNorm::L2Squared => rows.f_square()?,
    };
    Ok(elements.f_sum_dim_intlist([1i64].as_slice(), true, elements.kind())?)
}
