//! [`VsiLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Kind, Tensor};

use super::alike::{Alike, RealPower};
use super::filtered::channels_back;
use super::gradient_magnitude::{dissimilarity, Operator};
use super::saliency::{Priors, Salience};
use super::weighted::Weighted;
use super::yiq::{power_of_magnitude, LEVELS};
use crate::base::image::color::{channel, Row};
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::pool::{average, average_gradient, factor_to_256};
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{DataRange, Loss, Reduction, Result};

/// VSI: how far two images differ in salience, gradients and colour. What stands out in one of them counts most.
///
/// ```text
/// sim(a, b, c) = (2ab + c) / (a² + b² + c)
/// S     = sim(V, V', c1) sim(G, G', c2)^alpha Re((sim(M, M', c3) sim(N, N', c3))^beta)
/// score = (Σ S max(V, V') + eps) / (Σ max(V, V') + eps)
/// loss  = 1 - score
/// ```
///
/// `V` is the salience of SDSP, from 0 to 1, found in an image of 256x256 pixels: a band of frequencies in the colour space
/// Lab, nearness to the middle, warm colours. `L`, `M` and `N` are brightness and colours of images from 0 to 255, `G` the
/// length of `L`'s gradient by Scharr's kernels, and `eps` the machine epsilon. Of images whose shorter side is nearer to
/// 512 pixels than to 256, or longer, all are averaged to about 256 before they are compared.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels. The loss is a scalar, or `[N]` with
///   [`Reduction::None`]. One channel stands for three equal ones.
/// - **Values**: from 0, which equal images have; seldom above 1. Symmetric. f16 and bf16 are computed in f32. The
///   score is `1 - loss`, under `tch::no_grad`.
/// - **Gradients**: to both arguments. They are 0 where a magnitude is 0, as on flat and black images. If `target` requires
///   no gradient, forward computes the gradient, and second derivatives come out as zero.
/// - **Map**: `(1 - S) max(V, V') / mean(max(V, V'))`, of which the mean is the loss of each image where none is averaged
///   before. Where it is, the map is enlarged again, and its mean is near the loss.
/// - **Defaults**: `data_range` unit, `c1` 1.27, `c2` 386, `c3` 130, `alpha` 0.4, `beta` 0.02, `omega_0` 0.021, `sigma_f`
///   1.34, `sigma_d` 145, `sigma_c` 0.001, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other numbers of channels; an `alpha` or `beta`
///   that is negative or not finite, another number that is not positive and finite.
///
/// The numbers are those of piq 0.8, up to rounding. piq has NaN for gradients on flat and black images, and takes a sum of
/// losses to be 1 less the sum of the scores; here it is the sum of the images' losses.
///
/// Source: [`VSILoss` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/vsi.py); L. Zhang et al., *VSI: A
/// Visual Saliency-Induced Index for Perceptual Image Quality Assessment* (2014).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, VsiLoss};
///
/// let restored = Tensor::rand([1, 3, 48, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let original = Tensor::rand([1, 3, 48, 64], (Kind::Float, Device::Cpu));
/// VsiLoss::default().forward(&restored, &original).backward();
/// assert_eq!(restored.grad().size(), restored.size());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VsiLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How little differences in salience count.
    pub c1: f64,
    /// How little differences in gradients count.
    pub c2: f64,
    /// How little differences in colour count.
    pub c3: f64,
    /// The power of the similarity of gradients.
    pub alpha: f64,
    /// The power of the similarity of colours.
    pub beta: f64,
    /// The middle of the band of frequencies that stand out.
    pub omega_0: f64,
    /// How wide that band is, on a logarithmic scale.
    pub sigma_f: f64,
    /// How fast salience falls off from the middle of the image, in pixels of 256.
    pub sigma_d: f64,
    /// How cold a colour has to be to lose its salience.
    pub sigma_c: f64,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

impl Default for VsiLoss {
    fn default() -> Self {
        VsiLoss {
            data_range: DataRange::Unit,
            c1: 1.27,
            c2: 386.0,
            c3: 130.0,
            alpha: 0.4,
            beta: 0.02,
            omega_0: 0.021,
            sigma_f: 1.34,
            sigma_d: 145.0,
            sigma_c: 0.001,
            reduction: Reduction::Mean,
        }
    }
}

setters!(VsiLoss {
    with_data_range(data_range: DataRange),
    with_c1(c1: f64),
    with_c2(c2: f64),
    with_c3(c3: f64),
    with_alpha(alpha: f64),
    with_beta(beta: f64),
    with_omega_0(omega_0: f64),
    with_sigma_f(sigma_f: f64),
    with_sigma_d(sigma_d: f64),
    with_sigma_c(sigma_c: f64),
    with_reduction(reduction: Reduction)
});

/// Brightness and two colours, as the salient image is compared.
const L: Row = [0.06, 0.63, 0.27];
const M: Row = [0.30, 0.04, -0.35];
const N: Row = [0.34, -0.6, 0.17];

/// The loss for images of one size.
struct Measure<'a> {
    loss: &'a VsiLoss,
    salience: Salience,
    /// By how much the images shrink before they are compared.
    factor: i64,
}

impl VsiLoss {
    fn check_arguments(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])
    }

    fn measure(&self, input: &Tensor) -> Result<Measure<'_>> {
        let size = input.size();
        let VsiLoss { omega_0, sigma_f, sigma_d, sigma_c, .. } = *self;
        let options = (accumulation_kind(input.kind()), input.device());
        let salience = no_grad(|| Salience::new(&Priors { omega_0, sigma_f, sigma_d, sigma_c }, options))?;
        Ok(Measure { loss: self, salience, factor: factor_to_256(size[2], size[3]) })
    }
}

/// An image as it is compared.
struct Features {
    salience: Tensor,
    /// The gradients of L along both axes, of which the magnitude is the length.
    edges: [Tensor; 2],
    magnitude: Tensor,
    colors: [Tensor; 2],
}

/// The slopes of the scores with respect to [`Features`].
struct Slopes {
    salience: Tensor,
    magnitude: Tensor,
    colors: [Tensor; 2],
}

impl Measure<'_> {
    fn features(&self, images: &Tensor, salience: &Tensor) -> Result<Features> {
        let images = colorful(images)?;
        let row = |row: Row| self.shrunk(&channel(&images, levels(row))?);
        let edges = Operator::Scharr.gradients(&row(L)?)?;
        let magnitude = Operator::Scharr.magnitude_of(&edges)?;
        Ok(Features { salience: self.shrunk(salience)?, edges, magnitude, colors: [row(M)?, row(N)?] })
    }

    fn shrunk(&self, planes: &Tensor) -> Result<Tensor> {
        if self.factor == 1 {
            return Ok(planes.shallow_clone());
        }
        let (before, after) = (self.factor / 2, (self.factor - 1) / 2);
        average(&planes.f_replication_pad2d([before, after, before, after])?, self.factor)
    }

    /// The gradient of planes, given that of what is [`shrunk`](Self::shrunk).
    fn shrunk_back(&self, gradient: &Tensor, planes: &Tensor) -> Result<Tensor> {
        if self.factor == 1 {
            return Ok(gradient.shallow_clone());
        }
        let (before, after) = (self.factor / 2, (self.factor - 1) / 2);
        let border = [before, after, before, after];
        let padded = average_gradient(gradient, &planes.f_replication_pad2d(border)?, self.factor)?;
        Ok(planes.f_replication_pad2d_backward(&padded, border)?)
    }

    fn weighted(&self, input: &Tensor, target: &Tensor) -> Result<Weighted> {
        let features = |images: &Tensor| self.features(images, &self.salience.of(&colorful(images)?)?);
        self.compare(&features(input)?, &features(target)?)
    }

    fn compare(&self, input: &Features, target: &Features) -> Result<Weighted> {
        let alike = |a: &Tensor, b: &Tensor, constant: f64| -> Result<Tensor> {
            Ok(dissimilarity(a, b, constant)?.f_neg()?.f_add_scalar(1.0)?)
        };
        let VsiLoss { c1, c2, c3, alpha, beta, .. } = *self.loss;
        let gradients = alike(&input.magnitude, &target.magnitude, c2)?.f_pow_tensor_scalar(alpha)?;
        let [first, second] = [0, 1].map(|index| alike(&input.colors[index], &target.colors[index], c3));
        let similarity = alike(&input.salience, &target.salience, c1)?
            .f_mul(&gradients)?
            .f_mul(&real_power(&first?.f_mul(&second?)?, beta)?)?;
        let weight = input.salience.f_maximum(&target.salience)?;
        Ok(Weighted { similarity, weight, eps: [self.salience.eps; 2] })
    }

    /// The scores of [`compare`](Self::compare) and their slopes in closed form, without a graph.
    ///
    /// With `W` for `max(V, V')` and `Z` for `Σ W + eps`, the slopes are those of `S`, times `W / Z`. That of salience has
    /// another part, `(S - score) / Z`, where `W` is the input's.
    fn scores_and_slopes(&self, input: &Features, target: &Features) -> Result<(Tensor, Slopes)> {
        let VsiLoss { c1, c2, c3, alpha, beta, .. } = *self.loss;
        let salience = Alike::of(&input.salience, &target.salience, c1)?;
        let gradients = Alike::of(&input.magnitude, &target.magnitude, c2)?;
        let [first, second] = [0, 1].map(|index| Alike::of(&input.colors[index], &target.colors[index], c3));
        let (first, second) = (first?, second?);
        let colors = RealPower::of(&first.similarity.f_mul(&second.similarity)?, beta)?;

        let base = gradients.similarity.f_clamp_min(smallest_normal(input.salience.kind()))?;
        let others = base.f_pow_tensor_scalar(alpha)?.f_mul_(&colors.power)?;
        let mut similarity = salience.similarity.f_mul(&others)?;
        let mut weight = input.salience.f_maximum(&target.salience)?;
        let sum = |planes: &Tensor| planes.f_sum_dim_intlist([1i64, 2, 3].as_slice(), true, None::<Kind>);
        let below = sum(&weight)?.f_add_scalar_(self.salience.eps)?;
        let mut product = similarity.f_mul(&weight)?;
        let scores = sum(&product)?.f_add_scalar_(self.salience.eps)?.f_div_(&below)?;

        // Half of it where both are equal.
        let is_own =
            input.salience.f_sub(&target.salience)?.f_sgn_()?.f_add_scalar_(1.0)?.f_mul_scalar_(0.5)?;
        let of_weight = similarity.f_sub_(&scores)?.f_mul_(&is_own)?.f_div_(&below)?;
        let of_salience =
            weight.f_div_(&below)?.f_mul_(&others)?.f_mul_(&salience.slope)?.f_add_(&of_weight)?;
        let product = product.f_div_(&below)?;
        let of_magnitude = product.f_div(&base)?.f_mul_(&gradients.slope)?.f_mul_scalar_(alpha)?;
        let of_colors = product.f_mul(&colors.relative_slope)?;
        let of_color = |own: &Alike, other: &Alike| -> Result<Tensor> {
            Ok(of_colors.f_mul(&other.similarity)?.f_mul_(&own.slope)?)
        };
        let colors = [of_color(&first, &second)?, of_color(&second, &first)?];
        let slopes = Slopes { salience: of_salience, magnitude: of_magnitude, colors };
        Ok((scores.f_view([-1])?, slopes))
    }
}

/// For values from 0 to 255.
fn levels(row: Row) -> Row {
    row.map(|weight| weight * LEVELS)
}

/// Images of three channels: grey is a colour, too.
fn colorful(images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    Ok(images.f_expand([size[0], 3, size[2], size[3]], false)?)
}

/// The real part of the complex power.
fn real_power(base: &Tensor, exponent: f64) -> Result<Tensor> {
    let power = power_of_magnitude(base, exponent)?;
    let turned = power.f_mul_scalar((std::f64::consts::PI * exponent).cos())?;
    Ok(turned.f_where_self(&base.f_lt(0.0)?, &power)?)
}

impl PerImage for Measure<'_> {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.weighted(input, target)?.scores()
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        no_grad(|| {
            let target = self.features(target, &self.salience.of(&colorful(target)?)?)?;
            let trace = self.salience.trace(&colorful(input)?)?;
            let own = self.features(input, trace.salience())?;
            let (scores, slopes) = self.scores_and_slopes(&own, &target)?;
            let one = input.f_narrow(1, 0, 1)?;
            let planes = |gradient: &Tensor| self.shrunk_back(gradient, &one);
            let mut gradient = self.salience.gradient(&trace, &planes(&slopes.salience)?)?;
            let edges = Operator::Scharr.magnitude_back(&slopes.magnitude, &own.edges, &own.magnitude)?;
            let [luma, m, n] = [planes(&edges)?, planes(&slopes.colors[0])?, planes(&slopes.colors[1])?];
            let of_colors = channels_back(&[(&luma, levels(L)), (&m, levels(M)), (&n, levels(N))])?;
            let _ = gradient.f_add_(&of_colors)?;
            let gradient = match input.size()[1] {
                3 => gradient,
                _ => gradient.f_sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)?,
            };
            Ok((scores, gradient))
        })
    }

    /// One: however small it is, salience takes dozens of planes of 256x256 pixels.
    fn images_at_once(&self, device: Device, _pixels: i64) -> i64 {
        match device {
            Device::Cpu => 1,
            _ => i64::MAX,
        }
    }
}

impl Loss for VsiLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        check::positive("c1", self.c1)?;
        check::positive("c2", self.c2)?;
        check::positive("c3", self.c3)?;
        check::non_negative("alpha", self.alpha)?;
        check::non_negative("beta", self.beta)?;
        check::positive("omega_0", self.omega_0)?;
        check::positive("sigma_f", self.sigma_f)?;
        check::positive("sigma_d", self.sigma_d)?;
        check::positive("sigma_c", self.sigma_c)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_arguments(input, target)?;
        let scores = per_image(&self.measure(input)?, self.data_range, input, target)?;
        reduce(&scores.f_neg()?.f_add_scalar(1.0)?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_arguments(input, target)?;
        let measure = self.measure(input)?;
        let unit = |images: &Tensor| self.data_range.to_unit(images);
        Ok(Some(measure.weighted(&unit(input)?, &unit(target)?)?.map(input)?))
    }
}
