//! Salience by simple priors (SDSP): what stands out by its frequencies, in warm colours, near the middle.

use tch::{Device, Kind, Tensor};

use super::frequencies::{frequencies, half, images, radius, set_zero_frequency, spectra};
use super::lab::lab;
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
    /// The band-pass filter: `[SIDE, SIDE / 2 + 1, 1]`.
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
        Ok(Salience { band: half(&band)?.f_unsqueeze(-1)?, nearness, sigma_c: priors.sigma_c, eps })
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
        let coldness = warmth.f_mul_scalar(-1.0 / self.sigma_c.powi(2))?.f_exp()?;
        let salience = sqrt(&squares)?.f_mul(&self.nearness)?.f_mul(&coldness.f_neg()?.f_add_scalar(1.0)?)?;
        self.stretched(&resized(&salience, [size[2], size[3]], true)?)
    }

    /// The planes with values from 0 to 1.
    fn stretched(&self, planes: &Tensor) -> Result<Tensor> {
        let dims = [2i64, 3];
        let (least, most) = (planes.f_amin(dims.as_slice(), true)?, planes.f_amax(dims.as_slice(), true)?);
        Ok(planes.f_sub(&least)?.f_div(&most.f_sub(&least)?.f_add_scalar(self.eps)?)?)
    }
}

fn resized(images: &Tensor, size: [i64; 2], corners_stay: bool) -> Result<Tensor> {
    if images.size()[2..] == size {
        return Ok(images.shallow_clone());
    }
    Ok(images.f_upsample_bilinear2d(size, corners_stay, None::<f64>, None::<f64>)?)
}
