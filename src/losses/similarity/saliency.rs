//! Salience by simple priors (SDSP): what stands out by its frequencies, in warm colours, near the middle.

use tch::{Device, Kind, Tensor};

use super::branchless::decay;
use super::frequencies::{frequencies, half, images, radius, set_zero_frequency, spectra};
use super::lab::{self, lab};
use crate::base::image::sqrt;
use crate::Result;

/// The side of the images that salience is computed of.
const SIDE: i64 = 256;

/// The options, as [`VsiLoss`](crate::VsiLoss) has them.
pub(super) struct Priors {
    pub omega_0: f64,
    pub sigma_f: f64,
    pub sigma_d: f64,
    pub sigma_c: f64,
}

/// What is the same for all images.
pub(super) struct Salience {
    /// The band-pass filter: `[SIDE, SIDE / 2 + 1, 2]`.
    band: Tensor,
    /// How near the middle a pixel is: `[SIDE, SIDE]`.
    nearness: Tensor,
    sigma_c: f64,
    /// The machine epsilon.
    pub eps: f64,
}

impl Salience {
    pub fn new(priors: &Priors, options: (Kind, Device)) -> Result<Salience> {
        let along = frequencies(SIDE, options)?;
        let radius = radius(&along, &along)?;
        // Beyond half of the sampling rate, the filter is that of frequency 0: 0.
        let beyond = radius.f_gt(0.5)?;
        set_zero_frequency(&radius, 1.0)?;
        let logarithm = radius.f_div_scalar(priors.omega_0)?.f_log()?;
        let exponent = logarithm.f_square()?.f_mul_scalar(-0.5 / priors.sigma_f.powi(2))?;
        let band = exponent.f_exp()?.f_masked_fill(&beyond, 0.0)?;
        set_zero_frequency(&band, 0.0)?;
        let distance = Tensor::f_arange_start(1 - SIDE / 2, 1 + SIDE / 2, options)?.f_square()?;
        let distance = distance.f_unsqueeze(1)?.f_add(&distance)?;
        let nearness = distance.f_mul_scalar(-1.0 / priors.sigma_d.powi(2))?.f_exp()?;
        let eps = if options.0 == Kind::Double { f64::EPSILON } else { f64::from(f32::EPSILON) };
        // Products of equal shapes are faster than those that repeat a number.
        let band = half(&band)?.f_unsqueeze(-1)?.f_expand([SIDE, SIDE / 2 + 1, 2], false)?.f_contiguous()?;
        Ok(Salience { band, nearness, sigma_c: priors.sigma_c, eps })
    }

    /// The salience `[N, 1, H, W]` of images `[N, 3, H, W]`, from 0 to 1.
    pub fn of(&self, colors: &Tensor) -> Result<Tensor> {
        let size = colors.size();
        let lab = lab(&resized(colors, [SIDE, SIDE], false)?)?;
        let channels = [1i64];
        let filtered = images(&spectra(&lab)?.f_mul(&self.band)?, [SIDE, SIDE])?;
        let squares = filtered.f_square()?.f_sum_dim_intlist(channels.as_slice(), true, None::<Kind>)?;
        let warmth = self.stretched(&lab.f_narrow(1, 1, 2)?)?.f_square()?;
        let warmth = warmth.f_sum_dim_intlist(channels.as_slice(), true, None::<Kind>)?;
        let coldness = decay(&warmth.f_mul_scalar(-1.0 / self.sigma_c.powi(2))?)?;
        let salience = sqrt(&squares)?.f_mul(&self.nearness)?.f_mul(&coldness.f_neg()?.f_add_scalar(1.0)?)?;
        self.stretched(&resized(&salience, [size[2], size[3]], true)?)
    }

    /// [`of`](Self::of) without a graph, and what its gradient needs.
    pub fn trace(&self, colors: &Tensor) -> Result<Trace> {
        let size = colors.size();
        let lab = lab::Trace::of(&resized(colors, [SIDE, SIDE], false)?)?;
        let filtered = images(&spectra(&lab.lab)?.f_mul_(&self.band)?, [SIDE, SIDE])?;
        let amplitude = sqrt(&over_channels(&filtered.f_square()?)?)?;
        let warm = Stretched::of(&lab.lab.f_narrow(1, 1, 2)?, self.eps)?;
        let mut warmth = over_channels(&warm.planes.f_square()?)?;
        let coldness = decay(&warmth.f_mul_scalar_(-1.0 / self.sigma_c.powi(2))?)?;
        let near = amplitude.f_mul(&self.nearness)?;
        let salience = near.f_sub(&near.f_mul(&coldness)?)?;
        let salience = Stretched::of(&resized(&salience, [size[2], size[3]], true)?, self.eps)?;
        Ok(Trace { lab, filtered, amplitude, warm, coldness, near, salience })
    }

    /// The gradient of images `[N, 3, H, W]`, given that of their salience.
    pub fn gradient(&self, trace: &Trace, gradient: &Tensor) -> Result<Tensor> {
        let size = gradient.size();
        let gradient = resized_back(&trace.salience.gradient(gradient)?, [SIDE, SIDE], true)?;
        // Of the amplitude, over the amplitude: the length of a vector has the vector's direction for its gradient.
        let of_amplitude =
            gradient.f_mul(&self.nearness)?.f_mul_(&trace.coldness.f_neg()?.f_add_scalar_(1.0)?)?;
        let of_filtered = trace.filtered.f_mul(&of_amplitude.f_div(&trace.amplitude)?)?;
        // The filter is even: it is its own adjoint.
        let of_lab = images(&spectra(&of_filtered)?.f_mul_(&self.band)?, [SIDE, SIDE])?;
        let factor = 2.0 / self.sigma_c.powi(2);
        let of_warmth = gradient.f_mul(&trace.near)?.f_mul_(&trace.coldness)?.f_mul_scalar_(factor)?;
        let of_warm = trace.warm.gradient(&trace.warm.planes.f_mul(&of_warmth)?)?;
        let _ = of_lab.f_narrow(1, 1, 2)?.f_add_(&of_warm)?;
        resized_back(&trace.lab.gradient(&of_lab)?, [size[2], size[3]], false)
    }

    /// The planes with values from 0 to 1.
    fn stretched(&self, planes: &Tensor) -> Result<Tensor> {
        let dims = [2i64, 3];
        let (least, most) = (planes.f_amin(dims.as_slice(), true)?, planes.f_amax(dims.as_slice(), true)?);
        Ok(planes.f_sub(&least)?.f_div(&most.f_sub(&least)?.f_add_scalar(self.eps)?)?)
    }
}

/// The salience of images without a graph, and what its gradient needs of them.
pub(super) struct Trace {
    lab: lab::Trace,
    filtered: Tensor,
    amplitude: Tensor,
    warm: Stretched,
    coldness: Tensor,
    /// The amplitude, less far from the middle.
    near: Tensor,
    salience: Stretched,
}

impl Trace {
    pub fn salience(&self) -> &Tensor {
        &self.salience.planes
    }
}

/// Planes that have been stretched to values from 0 to 1, without a graph.
struct Stretched {
    planes: Tensor,
    /// The largest value less the smallest, with eps.
    extent: Tensor,
    /// Where the smallest and the largest values are.
    least: Tensor,
    most: Tensor,
}

impl Stretched {
    fn of(planes: &Tensor, eps: f64) -> Result<Stretched> {
        let dims = [2i64, 3];
        let (least, most) = (planes.f_amin(dims.as_slice(), true)?, planes.f_amax(dims.as_slice(), true)?);
        let extent = most.f_sub(&least)?.f_add_scalar_(eps)?;
        let stretched = planes.f_sub(&least)?.f_div_(&extent)?;
        Ok(Stretched {
            planes: stretched,
            extent,
            least: planes.f_eq_tensor_out(&planes.f_empty_like()?, &least)?,
            most: planes.f_eq_tensor_out(&planes.f_empty_like()?, &most)?,
        })
    }

    /// The gradient of the planes before. Equal extremes share that of the extreme.
    fn gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let sum = |planes: &Tensor| planes.f_sum_dim_intlist([2i64, 3].as_slice(), true, gradient.kind());
        let of_most = sum(&gradient.f_mul(&self.planes)?)?.f_neg()?;
        let of_least = sum(gradient)?.f_add(&of_most)?.f_neg_()?;
        let mut total = gradient.f_addcmul(&self.least, &of_least.f_div(&sum(&self.least)?)?)?;
        total = total.f_addcmul_(&self.most, &of_most.f_div(&sum(&self.most)?)?)?;
        Ok(total.f_div_(&self.extent)?)
    }
}

fn over_channels(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)?)
}

/// The gradient of what [`resized`] made larger or smaller, which had that `size`.
fn resized_back(gradient: &Tensor, size: [i64; 2], corners_stay: bool) -> Result<Tensor> {
    let own = gradient.size();
    if own[2..] == size {
        return Ok(gradient.shallow_clone());
    }
    let (after, before) = ([own[2], own[3]], [own[0], own[1], size[0], size[1]]);
    Ok(Tensor::f_upsample_bilinear2d_backward(
        gradient,
        after,
        before,
        corners_stay,
        None::<f64>,
        None::<f64>,
    )?)
}

fn resized(images: &Tensor, size: [i64; 2], corners_stay: bool) -> Result<Tensor> {
    if images.size()[2..] == size {
        return Ok(images.shallow_clone());
    }
    Ok(images.f_upsample_bilinear2d(size, corners_stay, None::<f64>, None::<f64>)?)
}
