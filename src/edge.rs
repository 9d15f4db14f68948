//! Losses on edges: [`Sobel`] and [`Laplacian`].
//!
//! Both turn the images to grey by the plain mean over the channels, filter them with a fixed 3x3 kernel
//! (zero padding of 1) and take the L1 distance of the results. The filters are sums of shifted views: a
//! convolution with one channel in and out is an order of magnitude slower in libtorch.
//!
//! Half and BFloat16 images are filtered in f32; the result is returned in the images' kind. A value that is not
//! finite spreads to the neighbours for which the kernel has a weight; a convolution spreads it to all nine.

use tch::{Reduction, Tensor};

use crate::reduce::{channel_mean, reduce};
use crate::{check, Loss, LossMap, Result};

/// L1 distance of gradient magnitudes, as found by the Sobel operator: blurred or displaced edges cost.
///
/// ```text
/// g    = mean over channels
/// Gx   = g * [[1, 0, -1], [2, 0, -2], [1, 0, -1]]      (cross-correlation, zero padding 1)
/// Gy   = g * [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
/// M    = sqrt(Gx² + Gy² + eps)
/// loss = reduce(|M(input) - M(target)|)
/// ```
///
/// It sees how strong an edge is, whatever its direction; [`Laplacian`] sees fine detail with its sign, and
/// is linear, hence cheaper. Neither sees constant offsets in colour: they accompany a loss on pixels.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1; the loss is a scalar, or
///   `[N, 1, H, W]` with [`Reduction::None`].
/// - **Values**: any; the loss scales with them (usual are `[-1, 1]`). Flat regions have magnitude
///   `sqrt(eps)`, and `eps` is what gives them a gradient of 0: without it (`eps` 0, or too small for the kind)
///   it is NaN there. A sum in f16 is infinite beyond 65504.
/// - **Defaults**: `reduction` mean, `eps` 1e-6.
/// - **Errors**: arguments that are not images of one shape, kind and device; an `eps` that is negative or
///   not finite.
///
/// Source: I. Sobel and G. Feldman, *A 3x3 isotropic gradient operator for image processing* (1968); as a
/// loss with these defaults in NectarGAN.
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sobel {
    /// How the map of differences is reduced.
    pub reduction: Reduction,
    /// What is added under the square root.
    pub eps: f64,
}

impl Default for Sobel {
    fn default() -> Self {
        Sobel { reduction: Reduction::Mean, eps: 1e-6 }
    }
}

impl Sobel {
    fn check_options(&self) -> Result<()> {
        check::reduction(self.reduction)?;
        check::non_negative("eps", self.eps)
    }

    fn magnitude(&self, image: &Tensor) -> Result<Tensor> {
        let padded = channel_mean(image)?.f_constant_pad_nd([1i64, 1, 1, 1].as_slice())?;
        // Both kernels are separable: [1, 2, 1] along one axis, [1, 0, -1] along the other.
        let gx = difference(&smooth(&padded, 2)?, 3)?;
        let gy = smooth(&difference(&padded, 2)?, 3)?;
        Ok(gx.f_square()?.f_add(&gy.f_square()?)?.f_add_scalar(self.eps)?.f_sqrt()?)
    }

    fn difference_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        Ok(self.magnitude(input)?.f_sub(&self.magnitude(target)?)?.f_abs()?)
    }
}

impl Loss for Sobel {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        reduce(&self.difference_map(input, target)?, self.reduction, input.kind())
    }
}

impl LossMap for Sobel {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        reduce(&self.difference_map(input, target)?, Reduction::None, input.kind())
    }

    /// The gradient magnitude `M`.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image("image", image)?;
        Ok(Some(self.magnitude(image)?.f_to_kind(image.kind())?))
    }
}

/// L1 distance of second derivatives, as found by the Laplacian operator: missing detail and noise cost.
///
/// ```text
/// g    = mean over channels
/// L    = g * [[0, 1, 0], [1, -4, 1], [0, 1, 0]]        (zero padding 1)
/// loss = reduce(|L(input) - L(target)|)
/// ```
///
/// The filter is linear, so that it runs once, on the difference of the images. [`Sobel`] compares the
/// strength of edges instead.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1; the loss is a scalar, or
///   `[N, 1, H, W]` with [`Reduction::None`].
/// - **Values**: any; the loss scales with them (usual are `[-1, 1]`).
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device.
///
/// Source: D. Marr and E. Hildreth, *Theory of edge detection* (1980); as a loss with these defaults in
/// NectarGAN.
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Laplacian {
    /// How the map of differences is reduced.
    pub reduction: Reduction,
}

impl Default for Laplacian {
    fn default() -> Self {
        Laplacian { reduction: Reduction::Mean }
    }
}

impl Laplacian {
    fn difference_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        let difference = channel_mean(input)?.f_sub(&channel_mean(target)?)?;
        Ok(laplace(&difference)?.f_abs()?)
    }
}

impl Loss for Laplacian {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        reduce(&self.difference_map(input, target)?, self.reduction, input.kind())
    }
}

impl LossMap for Laplacian {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        reduce(&self.difference_map(input, target)?, Reduction::None, input.kind())
    }

    /// The second derivative `L`, with its sign.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        check::image("image", image)?;
        Ok(Some(laplace(&channel_mean(image)?)?.f_to_kind(image.kind())?))
    }
}

/// `[1, 2, 1]` along `dim`, which gets shorter by 2.
fn smooth(padded: &Tensor, dim: i64) -> Result<Tensor> {
    let length = padded.size()[dim as usize] - 2;
    let middle = padded.f_narrow(dim, 1, length)?.f_mul_scalar(2.0)?;
    let ends = padded.f_narrow(dim, 0, length)?.f_add(&padded.f_narrow(dim, 2, length)?)?;
    Ok(ends.f_add(&middle)?)
}

/// `[1, 0, -1]` along `dim`, which gets shorter by 2.
fn difference(padded: &Tensor, dim: i64) -> Result<Tensor> {
    let length = padded.size()[dim as usize] - 2;
    Ok(padded.f_narrow(dim, 0, length)?.f_sub(&padded.f_narrow(dim, 2, length)?)?)
}

fn laplace(grey: &Tensor) -> Result<Tensor> {
    let (height, width) = (grey.size()[2], grey.size()[3]);
    let padded = grey.f_constant_pad_nd([1i64, 1, 1, 1].as_slice())?;
    let shifted = |y, x| padded.f_narrow(2, y, height)?.f_narrow(3, x, width);
    let neighbours = shifted(0, 1)?.f_add(&shifted(2, 1)?)?.f_add(&shifted(1, 0)?)?.f_add(&shifted(1, 2)?)?;
    Ok(neighbours.f_sub(&grey.f_mul_scalar(4.0)?)?)
}
