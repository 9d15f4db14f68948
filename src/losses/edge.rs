//! Losses on edges: [`Sobel`] and [`Laplacian`].
//!
//! Both turn the images to grey by the plain mean over the channels, filter them with a fixed 3x3 kernel
//! (zero padding of 1) and take the L1 distance of the results. The filters are sums of shifted views: a
//! convolution with one channel in and out is an order of magnitude slower in libtorch.
//!
//! Where the loss is reduced and only `input` requires a gradient, both are computed at once, a few images at
//! a time, in pieces that stay in the cache: the filters are linear, and their adjoints are the same shifted
//! views.
//!
//! Half and BFloat16 images are filtered in f32; the result is returned in the images' kind. A value that is
//! not finite spreads to the neighbours for which the kernel has a weight; a convolution spreads it to all
//! nine.

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Reduction, Tensor};

use crate::base::check;
use crate::base::gradient::{pieces, with_gradient, Wanted};
use crate::base::reduction::{accumulation_kind, channel_mean, reduce};
use crate::{Loss, LossMap, Result};

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
///   `sqrt(eps)`, and `eps` is what gives them a gradient of 0: without it (`eps` 0, or too small for the
///   kind) it is NaN there. A sum in f16 is infinite beyond 65504.
/// - **Gradients**: to both arguments. Where `target` requires none and the loss is reduced, they are taken
///   inside forward, and second derivatives show as zero: take [`Reduction::None`] and reduce its result for
///   those.
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sobel {
    /// How the map of differences is reduced.
    #[serde(with = "crate::base::reduction::name")]
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
        let padded = padded(&channel_mean(image)?)?;
        let (gx, gy) = (horizontal(&padded)?, vertical(&padded)?);
        Ok(gx.f_square()?.f_add(&gy.f_square()?)?.f_add_scalar(self.eps)?.f_sqrt()?)
    }

    fn difference_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
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
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        match streamed(self, self.reduction, input, target)? {
            Some(loss) => Ok(loss),
            None => reduce(&self.difference_map(input, target)?, self.reduction, input.kind()),
        }
    }

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Laplacian {
    /// How the map of differences is reduced.
    #[serde(with = "crate::base::reduction::name")]
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
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        match streamed(self, self.reduction, input, target)? {
            Some(loss) => Ok(loss),
            None => reduce(&self.difference_map(input, target)?, self.reduction, input.kind()),
        }
    }

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
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

/// What [`streamed`] needs to know of a loss.
trait Filter {
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

/// The loss without a graph of it: in pieces that stay in the cache, with the gradient in closed form taken
/// at the same time. `None` where that does not do: with maps, which nothing is gained for, and where
/// `target` needs a gradient.
fn streamed(
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
        for (start, length) in pieces(count, images_in_cache(input.device(), height * width)) {
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

/// How many images of so many pixels to filter at a time.
fn images_in_cache(device: Device, pixels: i64) -> i64 {
    match device {
        // A megabyte per plane in f32; a handful of planes is in use at a time.
        Device::Cpu => ((1 << 18) / pixels).max(1),
        // Elsewhere it is launches of kernels that cost.
        _ => i64::MAX,
    }
}

/// A constant as an operand, on the device without a copy from the host.
fn scalar(value: f64, like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_full([0i64; 0].as_slice(), value, (like.kind(), like.device()))?)
}

fn padded(grey: &Tensor) -> Result<Tensor> {
    Ok(grey.f_constant_pad_nd([1i64, 1, 1, 1].as_slice())?)
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

fn laplace(grey: &Tensor) -> Result<Tensor> {
    Ok(neighbours(&padded(grey)?)?.f_sub(&grey.f_mul_scalar(4.0)?)?)
}
