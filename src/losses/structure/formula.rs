//! The formula of SSIM: means, variances and covariances in windows, and how alike they are.

use tch::{Device, Tensor};

use crate::base::gradient::{pieces, MEGABYTE};
use crate::base::image::window::Window;
use crate::Result;

/// The constants of the formula.
#[derive(Debug, Clone, Copy)]
pub(super) struct Formula {
    /// What is added to the squared means.
    pub c1: f64,
    /// What is added to the variances.
    pub c2: f64,
    /// What is added to the denominator.
    pub eps: f64,
    /// Whether variances below 0, which rounding makes, count as 0.
    pub clamp_variance: bool,
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    /// Contrast and structure.
    Contrast,
    /// Luminance, contrast and structure: SSIM.
    All,
}

/// Means over the places of the window, and what they depend on.
pub(super) struct Means {
    /// Of each channel of each image, `[N, C]`.
    pub means: Tensor,
    /// The gradient of each mean with respect to its channel of `x`, divided by `factor`: `[N, C, H, W]`.
    pub gradient: Tensor,
    pub factor: f64,
}

impl Formula {
    /// With `k1` and `k2` for values from 0 to 1.
    pub(super) fn new(k1: f64, k2: f64) -> Formula {
        Formula { c1: k1 * k1, c2: k2 * k2, eps: 0.0, clamp_variance: false }
    }

    /// The similarity of planes `[1, K, H, W]` at each place of the window, in libtorch's graph.
    pub(super) fn map(&self, window: &Window, x: &Tensor, y: &Tensor, part: Part) -> Result<Tensor> {
        let (xx, yy) = (x.f_square()?, y.f_square()?);
        let squares = if self.clamp_variance { vec![xx, yy] } else { vec![xx.f_add(&yy)?] };
        let mut moments = vec![x.shallow_clone(), y.shallow_clone(), x.f_mul(y)?];
        moments.extend(squares);
        let sums = window.sums(&Tensor::f_cat(&moments, 0)?)?;
        let sums = |index: i64| sums.f_narrow(0, index, 1);
        let (mx, my) = (sums(0)?, sums(1)?);
        let (mxx, myy, mxy) = (mx.f_square()?, my.f_square()?, mx.f_mul(&my)?);
        let variances = if self.clamp_variance {
            sums(3)?.f_sub(&mxx)?.f_clamp_min(0.0)?.f_add(&sums(4)?.f_sub(&myy)?.f_clamp_min(0.0)?)?
        } else {
            sums(3)?.f_sub(&mxx)?.f_sub(&myy)?
        };
        let above = sums(2)?.f_sub(&mxy)?.f_mul_scalar(2.0)?.f_add_scalar(self.c2)?;
        let below = variances.f_add_scalar(self.c2)?;
        if part == Part::Contrast {
            return Ok(above.f_div(&below)?);
        }
        let above = mxy.f_mul_scalar(2.0)?.f_add_scalar(self.c1)?.f_mul(&above)?;
        let below = mxx.f_add(&myy)?.f_add_scalar(self.c1)?.f_mul(&below)?;
        let below = if self.eps > 0.0 { below.f_add_scalar(self.eps)? } else { below };
        Ok(above.f_div(&below)?)
    }

    /// Whether [`means`](Self::means) knows the gradient.
    pub(super) fn has_closed_form(&self) -> bool {
        self.eps == 0.0 && !self.clamp_variance
    }

    /// The means of [`map`](Self::map) over images `[N, C, H, W]`, with the gradient in closed form, without a graph:
    /// four blurs forward, three back, strip by strip, so that work stays in the cache.
    pub(super) fn means(&self, window: &Window, x: &Tensor, y: &Tensor, part: Part) -> Result<Means> {
        let size = x.size();
        let [count, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
        let margin = window.size() - 1;
        let (planes, places) = (count * channels, [height - margin, width - margin]);
        let strips: Vec<_> = pieces(places[0], rows_at_once(x.device(), planes * width, margin)).collect();
        let longest = strips.iter().map(|(_, rows)| *rows).max().expect("there are rows");
        let space = Workspace::new(planes, width, places[1], longest, margin, x)?;
        let mut sums = Tensor::f_zeros([planes], (x.kind(), x.device()))?;
        let gradient = Tensor::f_zeros(&size, (x.kind(), x.device()))?;
        for (start, rows) in strips {
            let strip = |images: &Tensor| images.f_narrow(2, start, rows + margin);
            let (sum, back) = self.strip(window, &strip(x)?, &strip(y)?, part, &space.of(rows)?)?;
            let _ = sums.f_add_(&sum)?;
            let back = back.f_view([count, channels, rows + margin, width])?;
            let _ = strip(&gradient)?.f_add_(&back)?;
        }
        let multiple = if part == Part::All { 4.0 } else { 2.0 };
        let factor = multiple / (places[0] * places[1]) as f64;
        Ok(Means { means: sums.f_mul_scalar_(factor)?.f_view([count, channels])?, gradient, factor })
    }

    /// The sums `[N * C]` of `f` over the places of a strip, of which the similarity is a multiple, and their gradient
    /// `[1, N * C, H, W]`.
    ///
    /// With the sums of the window `P = w * xy` and `S = w * (x² + y²)`, it is halves of the factors that are computed,
    /// as this saves passes over memory: `a1 = mx my + c1 / 2`, `a2 = P - mx my + c2 / 2`, `b1 = mx² + my² + c1` and
    /// `b2 = S - mx² - my² + c2`. SSIM is `4 f`, `f = a1 a2 / (b1 b2)`, with the slopes
    ///
    /// ```text
    /// df/dP  = a1 / (b1 b2)      df/dS = -f / b2
    /// df/dmx = my (a2 / b2 / b1 - df/dP) + 2 mx (f / b2 - f / b1)
    /// ```
    ///
    /// and the gradient is `w' * df/dmx + 2 x (w' * df/dS) + y (w' * df/dP)`, where `w' *` is the adjoint of `w *`.
    /// For contrast and structure alone, 1 takes the place of `a1` and `b1`, `2 f` is the similarity, and
    /// `df/dmx = 2 mx f / b2 - my / b2`. Where the images are the same, `a1` and `a2` are exact halves of `b1` and `b2`,
    /// and SSIM is 1.
    fn strip(
        &self,
        window: &Window,
        x: &Tensor,
        y: &Tensor,
        part: Part,
        space: &Space,
    ) -> Result<(Tensor, Tensor)> {
        let Space { moments, slopes, halves } = space;
        let (size, moment) = (x.size(), |index: i64| moments.f_narrow(0, index, 1));
        moment(0)?.f_view(&size[..])?.f_copy_(x)?;
        moment(1)?.f_view(&size[..])?.f_copy_(y)?;
        let (x, y) = (moment(0)?, moment(1)?);
        let _ = x.f_mul_out(&moment(2)?, &x)?.f_addcmul_(&y, &y)?;
        let _ = x.f_mul_out(&moment(3)?, &y)?;
        let sums = window.sums(moments)?;
        let sum = |index: i64| sums.f_narrow(0, index, 1);
        let (mx, my) = (sum(0)?, sum(1)?);
        let mut a1 = mx.f_mul_out(&halves.f_narrow(0, 0, 1)?, &my)?;
        let mut b1 = mx.f_mul_out(&halves.f_narrow(0, 1, 1)?, &mx)?.f_addcmul_(&my, &my)?;
        let c1 = if part == Part::All { self.c1 } else { 0.0 };
        if part == Part::All {
            (a1, b1) = (a1.f_add_scalar_(c1 / 2.0)?, b1.f_add_scalar_(c1)?);
        }
        let mut a2 = sum(3)?.f_sub_(&a1)?.f_add_scalar_((c1 + self.c2) / 2.0)?;
        let b2 = sum(2)?.f_sub_(&b1)?.f_add_scalar_(c1 + self.c2)?;

        let slope = |index: i64| slopes.f_narrow(0, index, 1);
        let (mut of_means, of_squares, of_product) = (slope(0)?, slope(1)?, slope(2)?);
        let contrast = a2.f_div_(&b2)?;
        let f = match part {
            Part::All => {
                let mut luminance = a1.f_div_(&b1)?;
                let _ = luminance.f_div_out(&of_product, &b2)?;
                let f = luminance.f_mul_(&contrast)?;
                let _ = f.f_div_out(&of_squares, &b2)?;
                let of_mxy = a2.f_div_(&b1)?.f_sub_(&of_product)?;
                let of_mxx = f.f_div_out(&b1, &b1)?.f_sub_(&of_squares)?.f_mul_scalar_(-2.0)?;
                let _ = of_mxy.f_mul_out(&of_means, &my)?.f_addcmul_(&of_mxx, &mx)?;
                f
            }
            Part::Contrast => {
                let _ = b2.f_reciprocal_out(&of_product)?;
                let _ = contrast.f_mul_out(&of_squares, &of_product)?;
                let of_my = of_product.f_mul_out(&a1, &my)?;
                let _ = of_squares.f_mul_out(&of_means, &mx)?.f_mul_scalar_(2.0)?;
                let _ = of_means.f_sub_(&of_my)?;
                contrast
            }
        };
        let sum = f.f_sum_dim_intlist([0i64, 2, 3].as_slice(), false, None)?;
        let back = window.spread(slopes)?;
        let back = |index: i64| back.f_narrow(0, index, 1);
        let gradient = back(0)?.f_addcmul_(&x, &back(1)?.f_mul_scalar_(-2.0)?)?.f_addcmul_(&y, &back(2)?)?;
        Ok((sum, gradient))
    }
}

/// How many rows of places to work on at a time: planes of a megabyte in f32, but not so few that most of the work is
/// on rows that the next strip has, too.
fn rows_at_once(device: Device, row: i64, margin: i64) -> i64 {
    match device {
        Device::Cpu => (MEGABYTE / row - margin).max(3 * margin).max(1),
        // Elsewhere it is launches of kernels that cost.
        _ => i64::MAX,
    }
}

/// Room for the intermediate results of a strip, all of it one block: the allocator gives blocks of this size back to
/// the system only beyond twice the largest one, and fetching them anew costs more than the arithmetic.
struct Workspace {
    block: Tensor,
    planes: i64,
    margin: i64,
    /// The width of the images, and how many places the window has along it.
    widths: [i64; 2],
}

/// The part of a [`Workspace`] that a strip needs, packed.
struct Space {
    /// What is blurred, `[4, K, H, W]`.
    moments: Tensor,
    /// What is blurred back, `[3, K, H', W']`.
    slopes: Tensor,
    /// The factors of luminance, `[2, K, H', W']`.
    halves: Tensor,
}

impl Workspace {
    fn new(planes: i64, width: i64, places: i64, rows: i64, margin: i64, like: &Tensor) -> Result<Workspace> {
        let elements = planes * (4 * (rows + margin) * width + 5 * rows * places);
        let block = Tensor::f_empty([elements], (like.kind(), like.device()))?;
        Ok(Workspace { block, planes, margin, widths: [width, places] })
    }

    /// For a strip with so many rows of places.
    fn of(&self, rows: i64) -> Result<Space> {
        let mut next = 0;
        let mut take = |count: i64, rows: i64, width: i64| -> Result<Tensor> {
            let elements = count * rows * width * self.planes;
            let part = self.block.f_narrow(0, next, elements)?;
            next += elements;
            Ok(part.f_view([count, rows, width, self.planes])?.f_permute([0, 3, 1, 2])?)
        };
        let [width, places] = self.widths;
        Ok(Space {
            moments: take(4, rows + self.margin, width)?,
            slopes: take(3, rows, places)?,
            halves: take(2, rows, places)?,
        })
    }
}
