//! [`Laplacian`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::filter::{padded, streamed, Filter};
use crate::base::precision::channel_mean;
use crate::base::reduction::reduce;
use crate::base::tensor::scalar;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// L1 distance of second derivatives, as the Laplacian operator finds them. Missing detail and noise cost.
///
/// ```text
/// g    = mean over channels
/// L    = g * [[0, 1, 0], [1, -4, 1], [0, 1, 0]]        (zero padding 1)
/// loss = reduce(|L(input) - L(target)|)
/// ```
///
/// The filter is linear, so it runs once, on the difference of the images. [`Sobel`](crate::Sobel) compares
/// the strength of edges instead.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1. The loss is a scalar, or `[N, 1, H, W]`
///   with [`Reduction::None`].
/// - **Values**: any (usual are `[-1, 1]`). The loss scales with them.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward
///   computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Map**: `|L(input) - L(target)|`.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device.
///
/// Source: D. Marr and E. Hildreth, *Theory of edge detection* (1980). NectarGAN has the loss with these
/// defaults.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Laplacian, Loss};
///
/// // A single bright pixel against black: the kernel itself, 4 + 1 + 1 + 1 + 1 over 9 pixels.
/// let fake = Tensor::zeros([1, 1, 3, 3], (Kind::Double, Device::Cpu));
/// let real = fake.copy();
/// let _ = fake.get(0).get(0).get(1).get(1).fill_(1.0);
/// let loss = Laplacian::default().forward(&fake, &real);
/// assert!((loss.double_value(&[]) - 8.0 / 9.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Laplacian {
    /// How the map of differences is reduced.
    pub reduction: Reduction,
}

setters!(Laplacian { with_reduction(reduction: Reduction) });

/// The absolute differences of the filtered images.
fn difference_map(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let difference = channel_mean(input)?.f_sub(&channel_mean(target)?)?;
    Ok(laplace(&difference)?.f_abs()?)
}

impl Filter for Laplacian {
    fn compare(&self, input: &Tensor, target: &Tensor, _: i64, gradient: Option<Tensor>) -> Result<Tensor> {
        let minus_four = scalar(-4.0, input)?;
        let difference = zero_padded(input)?;
        let _ = input.f_sub_out(&inner(&difference)?, target)?;
        let mut filtered = neighbours(&difference)?.f_addcmul_(&inner(&difference)?, &minus_four)?;
        if let Some(gradient) = gradient {
            // The filter is its own adjoint. Its border is 0 already.
            let sign = difference;
            let _ = filtered.f_sgn_out(&inner(&sign)?)?;
            let _ = neighbours(&sign)?.f_addcmul_out(&gradient, &inner(&sign)?, &minus_four)?;
        }
        Ok(filtered.f_abs_()?.f_sum(None)?)
    }
}

impl Loss for Laplacian {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        match streamed(self, self.reduction, input, target)? {
            Some(loss) => Ok(loss),
            None => reduce(&difference_map(input, target)?, self.reduction, input.kind()),
        }
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image_pair(input, target)?;
        Ok(Some(difference_map(input, target)?.f_to_kind(input.kind())?))
    }

    /// The second derivative `L`, with its sign.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image("image", image)?;
        Ok(Some(laplace(&channel_mean(image)?)?.f_to_kind(image.kind())?))
    }
}

/// `padded`'s frame, to be filled.
fn zero_padded(grey: &Tensor) -> Result<Tensor> {
    let size = grey.size();
    let size = [size[0], size[1], size[2] + 2, size[3] + 2];
    Ok(Tensor::f_zeros(size.as_slice(), (grey.kind(), grey.device()))?)
}

/// The image in a padded one.
fn inner(padded: &Tensor) -> Result<Tensor> {
    let size = padded.size();
    Ok(padded.f_narrow(2, 1, size[2] - 2)?.f_narrow(3, 1, size[3] - 2)?)
}

/// The sum of each pixel's four neighbours.
fn neighbours(padded: &Tensor) -> Result<Tensor> {
    let (height, width) = (padded.size()[2] - 2, padded.size()[3] - 2);
    let shifted = |y, x| padded.f_narrow(2, y, height)?.f_narrow(3, x, width);
    Ok(shifted(0, 1)?.f_add(&shifted(2, 1)?)?.f_add_(&shifted(1, 0)?)?.f_add_(&shifted(1, 2)?)?)
}

fn laplace(grey: &Tensor) -> Result<Tensor> {
    Ok(neighbours(&padded(grey)?)?.f_sub(&grey.f_mul_scalar(4.0)?)?)
}
