//! [`Sobel`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::filter::{padded, streamed, Filter};
use crate::base::precision::channel_mean;
use crate::base::reduction::reduce;
use crate::base::tensor::scalar;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// L1 distance of gradient magnitudes, as the Sobel operator finds them. Blurred or displaced edges cost.
///
/// ```text
/// g    = mean over channels
/// Gx   = g * [[1, 0, -1], [2, 0, -2], [1, 0, -1]]      (cross-correlation, zero padding 1)
/// Gy   = g * [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
/// M    = sqrt(Gx² + Gy² + eps)
/// loss = reduce(|M(input) - M(target)|)
/// ```
///
/// It compares how strong an edge is, whatever its direction. [`Laplacian`](crate::Laplacian) compares fine
/// detail with its sign; it is linear, hence cheaper. Neither sees constant offsets in colour, so combine
/// them with a loss on pixels.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1. The loss is a scalar, or `[N, 1, H, W]`
///   with [`Reduction::None`].
/// - **Values**: any (usual are `[-1, 1]`). The loss scales with them. Flat regions have magnitude
///   `sqrt(eps)`. `eps` gives them a gradient of 0; if it is 0, or too small for the kind, the gradient there
///   is NaN. A sum in f16 is infinite beyond 65504.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward
///   computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Map**: `|M(input) - M(target)|`.
/// - **Defaults**: `reduction` mean, `eps` 1e-6.
/// - **Errors**: arguments that are not images of one shape, kind and device; an `eps` that is negative or
///   not finite.
///
/// Source: I. Sobel and G. Feldman, *A 3x3 isotropic gradient operator for image processing* (1968).
/// NectarGAN has the loss with these defaults.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, Sobel};
///
/// let fake = Tensor::rand([4, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([4, 3, 64, 64], (Kind::Float, Device::Cpu));
/// let loss = Sobel::default().forward(&fake, &real);
/// loss.backward();
/// assert_eq!(fake.grad().size(), fake.size());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sobel {
    /// How the map of differences is reduced.
    pub reduction: Reduction,
    /// The number added under the square root.
    pub eps: f64,
}

impl Default for Sobel {
    fn default() -> Self {
        Sobel { reduction: Reduction::Mean, eps: 1e-6 }
    }
}

setters!(Sobel { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl Sobel {
    fn magnitude(&self, image: &Tensor) -> Result<Tensor> {
        let padded = padded(&channel_mean(image)?)?;
        let (gx, gy) = (horizontal(&padded)?, vertical(&padded)?);
        Ok(gx.f_square()?.f_add(&gy.f_square()?)?.f_add_scalar(self.eps)?.f_sqrt()?)
    }

    fn difference_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(self.magnitude(input)?.f_sub(&self.magnitude(target)?)?.f_abs()?)
    }
}

impl Filter for Sobel {
    fn compare(
        &self,
        input: &Tensor,
        target: &Tensor,
        channels: i64,
        gradient: Option<Tensor>,
    ) -> Result<Tensor> {
        // Of the sums over the channels rather than their means.
        let eps = scalar(self.eps * (channels * channels) as f64, input)?;
        let edges = |padded: &Tensor| -> Result<(Tensor, Tensor, Tensor)> {
            let (gx, gy) = (horizontal(padded)?, vertical(padded)?);
            let magnitude = eps.f_addcmul(&gx, &gx)?.f_addcmul_(&gy, &gy)?.f_sqrt_()?;
            Ok((gx, gy, magnitude))
        };
        let (mut gx, mut gy, magnitude) = edges(&padded(input)?)?;
        // The kernels change their sign when turned: the adjoint of each is its negative. So the difference
        // is, too.
        let mut difference = edges(&padded(target)?)?.2.f_sub_(&magnitude)?;
        if let Some(gradient) = gradient {
            let slope = difference.f_sgn()?.f_div_(&magnitude)?;
            let to_x = horizontal(&padded(&gx.f_mul_(&slope)?)?)?;
            let to_y = vertical(&padded(&gy.f_mul_(&slope)?)?)?;
            let _ = to_x.f_add_out(&gradient, &to_y)?;
        }
        Ok(difference.f_abs_()?.f_sum(None)?)
    }
}

impl Loss for Sobel {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        match streamed(self, self.reduction, input, target)? {
            Some(loss) => Ok(loss),
            None => reduce(&self.difference_map(input, target)?, self.reduction, input.kind()),
        }
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image_pair(input, target)?;
        Ok(Some(self.difference_map(input, target)?.f_to_kind(input.kind())?))
    }

    /// The gradient magnitude `M`.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image("image", image)?;
        Ok(Some(self.magnitude(image)?.f_to_kind(image.kind())?))
    }
}

/// `Gx` of a padded image. Both kernels are separable: [1, 2, 1] along one axis, [1, 0, -1] along the other.
fn horizontal(padded: &Tensor) -> Result<Tensor> {
    difference(&smooth(padded, 2)?, 3)
}

/// `Gy` of a padded image.
fn vertical(padded: &Tensor) -> Result<Tensor> {
    smooth(&difference(padded, 2)?, 3)
}

/// `[1, 2, 1]` along `dim`, which gets shorter by 2.
fn smooth(padded: &Tensor, dim: i64) -> Result<Tensor> {
    // [1, 1] twice, which are fewer passes over memory than three terms, one with a factor.
    let pairs = |tensor: &Tensor| -> Result<Tensor> {
        let length = tensor.size()[dim as usize] - 1;
        Ok(tensor.f_narrow(dim, 0, length)?.f_add(&tensor.f_narrow(dim, 1, length)?)?)
    };
    pairs(&pairs(padded)?)
}

/// `[1, 0, -1]` along `dim`, which gets shorter by 2.
fn difference(padded: &Tensor, dim: i64) -> Result<Tensor> {
    let length = padded.size()[dim as usize] - 2;
    Ok(padded.f_narrow(dim, 0, length)?.f_sub(&padded.f_narrow(dim, 2, length)?)?)
}
