//! Phase congruency: how far the frequencies of an image agree in phase, which they do at edges and lines.
//!
//! ```text
//! E(o, s)  = response of the log-Gabor filter of orientation o and scale s: even part a, odd part b
//! A(o, s)  = sqrt(a² + b²)
//! R(o)     = |Σs (a, b)|                                 the length of the summed responses
//! energy   = Σs (a, b)·e - |(a, b) x e|,  e = Σs (a, b) / (R + eps)
//! PC       = (Σo max(energy(o) - T(o), 0) + eps) / (Σo Σs A + eps)
//! ```
//!
//! `T` is what noise would have, estimated from the median of `A(o, 0)²`.
//!
//! The image is real, and a filter is the sum of a part that is even in frequency and one that is odd. The responses to
//! these are the even and the odd response, and real as well: spectra of half the width do, and no complex numbers are
//! left behind the transform.

mod gradient;

use std::f64::consts::{FRAC_PI_2, LN_2, PI};

use tch::{Device, Kind, Tensor};

use super::frequencies::{frequencies, half, images, radius, set_zero_frequency, spectra};
use crate::base::image::sqrt;
use crate::Result;

/// The options of the filters, as [`FsimLoss`](crate::FsimLoss) has them.
pub(super) struct Wavelets {
    pub scales: i64,
    pub orientations: i64,
    pub min_length: i64,
    pub mult: i64,
    pub sigma_f: f64,
    pub delta_theta: f64,
    pub k: f64,
}

/// The filters for images of one size, and what they need of an image.
pub(super) struct Bank {
    size: [i64; 2],
    /// The part of a filter that depends on the scale: `[S, H, W / 2 + 1, 2]`. The last size is for the two numbers of a
    /// complex one: products of equal shapes are faster than those that repeat a number.
    radial: Tensor,
    /// The part that depends on the orientation: `[H, W / 2 + 1, 2]` each.
    even: Vec<Tensor>,
    odd: Vec<Tensor>,
    /// By orientation, `T / sqrt(median)`.
    thresholds: Vec<Tensor>,
    /// The machine epsilon, and the smallest normal number.
    eps: f64,
    smallest: f64,
}

impl Bank {
    pub fn new(wavelets: &Wavelets, size: [i64; 2], options: (Kind, Device)) -> Result<Bank> {
        let (down, across) = (frequencies(size[0], options)?, frequencies(size[1], options)?);
        let radius = radius(&down, &across)?;
        let low_pass =
            radius.f_div_scalar(0.45)?.f_pow_tensor_scalar(30)?.f_add_scalar(1.0)?.f_reciprocal()?;
        set_zero_frequency(&radius, 1.0)?;
        let radial = (0..wavelets.scales).map(|scale| {
            let length = wavelets.min_length as f64 * (wavelets.mult as f64).powi(scale as i32);
            let logarithm = radius.f_mul_scalar(length)?.f_log()?;
            let exponent = logarithm.f_square()?.f_mul_scalar(-0.5 / wavelets.sigma_f.ln().powi(2))?;
            Ok(exponent.f_exp()?.f_mul(&low_pass)?)
        });
        let radial = Tensor::f_stack(&radial.collect::<Result<Vec<_>>>()?, 0)?;
        set_zero_frequency(&radial, 0.0)?;
        let (first, all) = (radial.f_get(0)?, radial.f_sum_dim_intlist([0i64].as_slice(), false, options.0)?);

        let (mut even, mut odd, mut thresholds) = (Vec::new(), Vec::new(), Vec::new());
        let sigma = PI / (wavelets.orientations as f64 * wavelets.delta_theta);
        for orientation in 0..wavelets.orientations {
            let (sine, cosine) = (PI * orientation as f64 / wavelets.orientations as f64).sin_cos();
            let plane = |of_rows: f64, of_columns: f64| -> Result<Tensor> {
                Ok(down.f_mul_scalar(of_rows)?.f_unsqueeze(1)?.f_add(&across.f_mul_scalar(of_columns)?)?)
            };
            // The direction of a frequency is that of (down, -across), turned back by that of the filter.
            let angle = plane(-sine, -cosine)?.f_atan2(&plane(cosine, -sine)?)?;
            let filter = angle.f_square()?.f_mul_scalar(-0.5 / sigma.powi(2))?.f_exp()?;
            // At the negative frequencies.
            let dims = [0i64, 1];
            let mirrored = filter.f_flip(dims.as_slice())?.f_roll([1i64, 1].as_slice(), dims.as_slice())?;
            let of_even = filter.f_add(&mirrored)?.f_mul_scalar(0.5)?;
            let of_odd = filter.f_sub(&mirrored)?.f_mul_scalar(0.5)?;
            // The energy of the filters in space is that in frequency; only the even part is real in space.
            let energy = of_even.f_mul(&all)?.f_square()?.f_sum(None)?;
            let energy_of_first = filter.f_mul(&first)?.f_square()?.f_sum(None)?;
            let rayleigh = energy.f_div(&energy_of_first)?.f_div_scalar(LN_2)?.f_sqrt()?;
            // 1.7 is the authors' factor from one measure of phase congruency to another.
            let factor = (FRAC_PI_2.sqrt() + wavelets.k * (2.0 - FRAC_PI_2).sqrt()) / 1.7;
            thresholds.push(rayleigh.f_mul_scalar(factor)?);
            even.push(doubled(&of_even)?);
            odd.push(doubled(&of_odd)?);
        }
        let (eps, smallest) = match options.0 {
            Kind::Double => (f64::EPSILON, f64::MIN_POSITIVE),
            _ => (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE)),
        };
        Ok(Bank { size, radial: doubled(&radial)?, even, odd, thresholds, eps, smallest })
    }

    /// The spectra of greyscale images `[N, 1, H, W]` behind the radial filters, as the even and the odd filters take
    /// them: `[N, S, H, W / 2 + 1, 2]`.
    fn spectra(&self, grey: &Tensor) -> Result<[Tensor; 2]> {
        let spectra = spectra(grey)?;
        Ok([spectra.f_mul(&self.radial)?, turned(&spectra, -1.0)?.f_mul(&self.radial)?])
    }

    /// The phase congruency `[N, 1, H, W]` of greyscale images, in libtorch's graph.
    pub fn congruency(&self, grey: &Tensor) -> Result<Tensor> {
        let [for_even, for_odd] = self.spectra(grey)?;
        let (mut energies, mut amplitudes): (Option<Tensor>, Option<Tensor>) = (None, None);
        for ((of_even, of_odd), threshold) in self.even.iter().zip(&self.odd).zip(&self.thresholds) {
            let even = images(&for_even.f_mul(of_even)?, self.size)?;
            let odd = images(&for_odd.f_mul(of_odd)?, self.size)?;
            let squared = even.f_square()?.f_add(&odd.f_square()?)?;
            let (sum_even, sum_odd) = (over_scales(&even)?, over_scales(&odd)?);
            let squared_length = sum_even.f_square()?.f_add(&sum_odd.f_square()?)?;
            let across = over_scales(&even.f_mul(&sum_odd)?.f_sub(&odd.f_mul(&sum_even)?)?.f_abs()?)?;
            let length = sqrt(&squared_length)?.f_add_scalar(self.eps)?;
            let energy = squared_length.f_sub(&across)?.f_div(&length)?;
            let (median, _) = squared.f_select(1, 0)?.f_flatten(1, -1)?.f_median_dim(1, true)?;
            let noise = sqrt(&median)?.f_mul(threshold)?.f_view([-1, 1, 1, 1])?;
            let excess = energy.f_sub(&noise)?.f_relu()?;
            energies = Some(sum_of(energies, excess)?);
            amplitudes = Some(sum_of(amplitudes, over_scales(&sqrt(&squared)?)?)?);
        }
        let [energies, amplitudes] = [energies, amplitudes].map(|sum| sum.expect("there is an orientation"));
        Ok(energies.f_add_scalar(self.eps)?.f_div(&amplitudes.f_add_scalar(self.eps)?)?)
    }
}

/// Each number twice, in a size of its own.
fn doubled(filters: &Tensor) -> Result<Tensor> {
    let half = half(filters)?.f_unsqueeze(-1)?;
    let size = [&half.size()[..half.dim() - 1], &[2]].concat();
    Ok(half.f_expand(size, false)?.f_contiguous()?)
}

/// Complex numbers as pairs, times `sign * i`.
fn turned(pairs: &Tensor, sign: f64) -> Result<Tensor> {
    let (real, imaginary) = (pairs.f_select(-1, 0)?, pairs.f_select(-1, 1)?);
    let parts = match sign > 0.0 {
        true => [imaginary.f_neg()?, real],
        false => [imaginary, real.f_neg()?],
    };
    Ok(Tensor::f_stack(&parts, -1)?)
}

fn over_scales(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)?)
}

fn sum_of(sum: Option<Tensor>, term: Tensor) -> Result<Tensor> {
    Ok(match sum {
        Some(sum) => sum.f_add(&term)?,
        None => term,
    })
}
