//! Phase congruency without a graph, and its gradient in closed form.

use tch::{Kind, Tensor};

use super::{over_scales, turned, Bank};
use crate::losses::similarity::frequencies::{images, spectra};
use crate::Result;

/// The phase congruency of images, and what its gradient needs of them.
pub(in crate::losses::similarity) struct Trace {
    pub congruency: Tensor,
    /// The sum of all amplitudes `A`, with eps.
    amplitudes: Tensor,
    /// By orientation; empty if no gradient is wanted.
    responses: Vec<Responses>,
    /// By orientation, what of the energy is beyond the threshold: `[N, 1, H, W]`.
    excesses: Vec<Tensor>,
    /// The medians of `A` at the first scale, and where in the images they are: `[O, N]`.
    medians: Tensor,
    places: Tensor,
}

/// Of one orientation.
struct Responses {
    /// `[N, S, H, W]`, and so the next three.
    even: Tensor,
    odd: Tensor,
    amplitude: Tensor,
    /// The sign of `(a, b) x e`.
    sign: Tensor,
    /// `[N, 1, H, W]`, and so the next three.
    sum_even: Tensor,
    sum_odd: Tensor,
    /// `R`.
    length: Tensor,
    energy: Tensor,
}

impl Bank {
    /// The phase congruency of greyscale images, without a graph.
    pub fn trace(&self, grey: &Tensor, for_gradient: bool) -> Result<Trace> {
        let [for_even, for_odd] = self.spectra(grey)?;
        let mut amplitudes = grey.f_full_like(self.eps)?;
        let (mut responses, mut energies, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for (of_even, of_odd) in self.even.iter().zip(&self.odd) {
            let even = images(&for_even.f_mul(of_even)?, self.size)?;
            let odd = images(&for_odd.f_mul(of_odd)?, self.size)?;
            // As `image::sqrt`.
            let amplitude =
                even.f_square()?.f_addcmul_(&odd, &odd)?.f_clamp_min_(self.smallest)?.f_sqrt_()?;
            let (sum_even, sum_odd) = (over_scales(&even)?, over_scales(&odd)?);
            let squared_length = sum_even.f_square()?.f_addcmul_(&sum_odd, &sum_odd)?;
            let mut across = even.f_mul(&sum_odd)?.f_addcmul_(&odd, &sum_even.f_neg()?)?;
            let sign = if for_gradient { across.f_sgn()? } else { Tensor::new() };
            let mut across = over_scales(&across.f_abs_()?)?;
            let length = squared_length.f_clamp_min(self.smallest)?.f_sqrt_()?;
            let energy = across.f_neg_()?.f_add_(&squared_length)?.f_div_(&length.f_add_scalar(self.eps)?)?;
            amplitudes = amplitudes.f_add_(&over_scales(&amplitude)?)?;
            firsts.push(amplitude.f_select(1, 0)?.f_flatten(1, -1)?);
            energies.push(energy.shallow_clone());
            if for_gradient {
                responses.push(Responses { even, odd, amplitude, sign, sum_even, sum_odd, length, energy });
            }
        }
        // All at once: libtorch takes a median with one thread.
        let (medians, places) = Tensor::f_stack(&firsts, 0)?.f_median_dim(2, false)?;
        let mut total = grey.f_full_like(self.eps)?;
        let mut excesses = Vec::new();
        for (index, energy) in energies.iter().enumerate() {
            let noise = medians.f_get(index as i64)?.f_mul(&self.thresholds[index])?;
            let excess = energy.f_sub(&noise.f_view([-1, 1, 1, 1])?)?.f_relu_()?;
            total = total.f_add_(&excess)?;
            excesses.push(excess);
        }
        let congruency = total.f_div_(&amplitudes)?;
        Ok(Trace { congruency, amplitudes, responses, excesses, medians, places })
    }

    /// The gradient of the images, given that of their phase congruency.
    pub fn gradient(&self, trace: &Trace, gradient: &Tensor) -> Result<Tensor> {
        let of_energies = gradient.f_div(&trace.amplitudes)?;
        let of_amplitudes = of_energies.f_mul(&trace.congruency)?.f_neg_()?;
        let (mut sum_even, mut sum_odd): (Option<Tensor>, Option<Tensor>) = (None, None);
        for (index, responses) in trace.responses.iter().enumerate() {
            let of_energy = of_energies.f_mul(&trace.excesses[index].f_sgn()?)?;
            let [mut of_even, mut of_odd] = responses.gradient(&of_energy, &of_amplitudes, self.eps)?;
            // The threshold depends on the one pixel that is the median.
            let of_threshold = over_pixels(&of_energy)?.f_neg_()?.f_mul_(&self.thresholds[index])?;
            let of_median = of_threshold.f_div(&trace.medians.f_get(index as i64)?)?;
            let place = place_of(&trace.places.f_get(index as i64)?, self.size[1])?;
            for (gradient, own) in [(&mut of_even, &responses.even), (&mut of_odd, &responses.odd)] {
                let _ = gradient.f_index_put_(&place, &own.f_index(&place)?.f_mul_(&of_median)?, true)?;
            }
            // The filters are real in space: the adjoint of each turns it around, to the conjugate in frequency.
            sum_even = Some(sum_of_products(sum_even, &spectra(&of_even)?, &self.even[index])?);
            sum_odd = Some(sum_of_products(sum_odd, &spectra(&of_odd)?, &self.odd[index])?);
        }
        let [sum_even, sum_odd] = [sum_even, sum_odd].map(|sum| sum.expect("there is an orientation"));
        let both = sum_even.f_add(&turned(&sum_odd, 1.0)?)?.f_mul_(&self.radial)?;
        images(&over_scales(&both)?, self.size)
    }
}

impl Responses {
    /// The gradients of the even and the odd responses, given those of the energy and of all amplitudes.
    fn gradient(&self, of_energy: &Tensor, of_amplitudes: &Tensor, eps: f64) -> Result<[Tensor; 2]> {
        // energy = (R² - Σ|c|) / (R + eps), c = even * sum_odd - odd * sum_even.
        let factor = of_energy.f_div(&self.length.f_add_scalar(eps)?)?;
        let along = self.energy.f_div(&self.length)?.f_neg_()?.f_add_scalar_(2.0)?;
        let base = |sum: &Tensor, signed: &Tensor| -> Result<Tensor> {
            Ok(along.f_mul(sum)?.f_add_(signed)?.f_mul_(&factor)?)
        };
        let of_sum_even = base(&self.sum_even, &over_scales(&self.sign.f_mul(&self.odd)?)?)?;
        let of_sum_odd = base(&self.sum_odd, &over_scales(&self.sign.f_mul(&self.even)?)?.f_neg_()?)?;
        let per_amplitude = of_amplitudes.f_div(&self.amplitude)?;
        let response = |of_sum: &Tensor, own: &Tensor, other_sum: &Tensor| -> Result<Tensor> {
            Ok(per_amplitude.f_mul(own)?.f_add_(of_sum)?.f_addcmul_(&self.sign, other_sum)?)
        };
        let against_odd = self.sum_odd.f_mul(&factor)?.f_neg_()?;
        let of_even = response(&of_sum_even, &self.even, &against_odd)?;
        let of_odd = response(&of_sum_odd, &self.odd, &self.sum_even.f_mul(&factor)?)?;
        Ok([of_even, of_odd])
    }
}

/// Indices into `[N, S, H, W]` of one pixel of each image, at the first scale.
fn place_of(pixels: &Tensor, width: i64) -> Result<[Option<Tensor>; 4]> {
    Ok([
        Some(Tensor::f_arange(pixels.size()[0], (Kind::Int64, pixels.device()))?),
        Some(pixels.f_zeros_like()?),
        Some(pixels.f_floor_divide_scalar(width)?),
        Some(pixels.f_remainder(width)?),
    ])
}

/// `[N]`.
fn over_pixels(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None::<Kind>)?)
}

fn sum_of_products(sum: Option<Tensor>, spectra: &Tensor, filter: &Tensor) -> Result<Tensor> {
    Ok(match sum {
        Some(mut sum) => sum.f_addcmul_(spectra, filter)?,
        None => spectra.f_mul(filter)?,
    })
}
