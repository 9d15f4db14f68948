//! Spectrograms of one resolution, and what the losses on them compare.

use tch::{no_grad, Kind, Tensor};

use crate::base::check;
use crate::base::gradient::{at_once, pieces, with_gradient, Wanted, PER_THREAD};
use crate::base::integer::div_ceil;
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::{Error, Result};

/// A short-time Fourier transform.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolution {
    pub fft_size: i64,
    pub hop_size: i64,
    pub win_length: i64,
}

/// The weights of the terms, and the least energy of a coefficient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub w_sc: f64,
    pub w_log_mag: f64,
    pub w_lin_mag: f64,
    pub eps: f64,
}

impl Terms {
    pub fn check(&self) -> Result<()> {
        check::non_negative("w_sc", self.w_sc)?;
        check::non_negative("w_log_mag", self.w_log_mag)?;
        check::non_negative("w_lin_mag", self.w_lin_mag)?;
        check::positive("eps", self.eps)
    }

    /// Whether the spectral convergence is computed: without any weight, it gives the loss of 0 its graph.
    fn converges(&self) -> bool {
        self.w_sc > 0.0 || (self.w_log_mag == 0.0 && self.w_lin_mag == 0.0)
    }
}

/// The mean over the resolutions of the loss of waves `[N, C, T]` or `[N, T]`.
pub(super) fn forward(
    resolutions: &[Resolution],
    terms: Terms,
    input: &Tensor,
    target: &Tensor,
) -> Result<Tensor> {
    check::pair(input, target)?;
    let size = input.size();
    // Reflected at both ends, a wave has to reach beyond the middle of a transform.
    let least = resolutions.iter().map(|resolution| resolution.fft_size / 2 + 1).max().unwrap_or(1);
    if !(2..=3).contains(&size.len()) || size[size.len() - 1] < least {
        let expected =
            format!("[N, C, T] or [N, T] with T at least {least}, more than half of the largest transform");
        return Err(Error::Shape { argument: "input", given: size, expected });
    }
    let kind = accumulation_kind(input.kind());
    let (wide, wide_target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
    if input.numel() == 0 {
        return Ok(wide.f_mean(None)?.f_to_kind(input.kind())?);
    }
    let terms = Terms { eps: terms.eps.max(smallest_normal(kind)), ..terms };
    let rows = |waves: &Tensor| waves.f_reshape([-1, size[size.len() - 1]].as_slice());
    let (own, other) = (rows(&wide)?, rows(&wide_target)?);
    let share = 1.0 / resolutions.len() as f64;
    let loss = match Wanted::of(input, Some(target))? {
        Wanted::Graph => {
            let losses = resolutions.iter().map(|resolution| resolution.loss(terms, &own, &other));
            Tensor::f_stack(&losses.collect::<Result<Vec<_>>>()?, 0)?.f_mean(None)?
        }
        wanted => {
            let mut gradient = match wanted {
                Wanted::Value => None,
                _ => Some(no_grad(|| own.f_zeros_like())?),
            };
            let value = no_grad(|| -> Result<Tensor> {
                let (own, other) = (own.f_detach()?, other.f_detach()?);
                let losses = resolutions
                    .iter()
                    .map(|resolution| resolution.loss_and_gradient(terms, &own, &other, gradient.as_mut()));
                Ok(Tensor::f_stack(&losses.collect::<Result<Vec<_>>>()?, 0)?.f_mean(None)?)
            })?;
            match gradient {
                None => value,
                Some(gradient) => with_gradient(&value, &own, &gradient, share)?,
            }
        }
    };
    Ok(loss.f_to_kind(input.kind())?)
}

/// The energies `[.., F]` of coefficients.
fn energies(spectrum: &Tensor) -> Result<Tensor> {
    let parts = spectrum.f_view_as_real()?;
    let (real, imaginary) = (parts.f_select(-1, 0)?, parts.f_select(-1, 1)?);
    Ok(real.f_square()?.f_addcmul(&imaginary, &imaginary)?)
}

fn total(numbers: &[Tensor]) -> Result<Tensor> {
    Ok(Tensor::f_stack(numbers, 0)?.f_sum(None)?)
}

/// Some waves of `input`, from a start on.
struct Piece {
    start: i64,
    /// `[r, L, F]`.
    spectrum: Tensor,
    /// The magnitudes of the target.
    target: Tensor,
}

impl Resolution {
    /// As part of a loss whose options have these names.
    pub fn check(&self, [fft_size, hop_size, win_length]: [&'static str; 3]) -> Result<()> {
        check::at_least_1(fft_size, self.fft_size)?;
        check::at_least_1(hop_size, self.hop_size)?;
        check::between(win_length, self.win_length, 1, self.fft_size)
    }

    /// On both sides of a wave, so that frames are centred.
    fn padding(&self) -> [i64; 2] {
        [self.fft_size / 2; 2]
    }

    /// Where the first window begins in a padded wave.
    fn start(&self) -> i64 {
        (self.fft_size - self.win_length) / 2
    }

    fn frames(&self, length: i64) -> i64 {
        1 + (length + 2 * (self.fft_size / 2) - self.fft_size) / self.hop_size
    }

    fn window(&self, like: &Tensor) -> Result<Tensor> {
        // In f64 first: of large windows, the angles have few digits left in f32.
        let window = Tensor::f_hann_window(self.win_length, (Kind::Double, like.device()))?;
        Ok(window.f_to_kind(like.kind())?)
    }

    /// The spectra `[R, L, F]` of waves `[R, T]`. Unlike `torch.stft`'s, their phases are relative to the start of the
    /// window, which their magnitudes do not show.
    fn spectra(&self, waves: &Tensor, window: &Tensor) -> Result<Tensor> {
        let frames = self.frames(waves.size()[1]);
        let padded = waves.f_reflection_pad1d(self.padding().as_slice())?;
        let used = padded.f_narrow(1, self.start(), (frames - 1) * self.hop_size + self.win_length)?;
        let windowed = used.f_unfold(1, self.win_length, self.hop_size)?.f_mul(window)?;
        Ok(windowed.f_fft_rfft(self.fft_size, -1, "backward")?)
    }

    /// What [`spectra`](Self::spectra) makes of gradients, backwards: those with respect to `waves`. Gradients of the
    /// coefficients that stand for two are halved.
    fn gradient(&self, spectra: &Tensor, waves: &Tensor, window: &Tensor) -> Result<Tensor> {
        let frames = spectra.f_fft_irfft(self.fft_size, -1, "forward")?;
        let mut windowed = frames.f_narrow(-1, 0, self.win_length)?;
        let _ = windowed.f_mul_(window)?;
        let [rows, length] = [waves.size()[0], waves.size()[1]];
        let padded = Tensor::f_zeros(
            [rows, length + 2 * (self.fft_size / 2)].as_slice(),
            (waves.kind(), waves.device()),
        )?;
        // Windows overlap, but of each, the samples between two hops do not.
        for hop in 0..div_ceil(self.win_length, self.hop_size) {
            let offset = hop * self.hop_size;
            let width = self.hop_size.min(self.win_length - offset);
            let span = (self.frames(length) - 1) * self.hop_size + width;
            let mut place =
                padded.f_narrow(1, self.start() + offset, span)?.f_unfold(1, width, self.hop_size)?;
            let _ = place.f_add_(&windowed.f_narrow(-1, offset, width)?)?;
        }
        Ok(waves.f_reflection_pad1d_backward(&padded, self.padding().as_slice())?)
    }

    /// In libtorch's graph.
    fn loss(&self, terms: Terms, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let window = self.window(input)?;
        let magnitudes = |waves: &Tensor| -> Result<Tensor> {
            Ok(energies(&self.spectra(waves, &window)?)?.f_clamp_min(terms.eps)?.f_sqrt()?)
        };
        let (own, other) = (magnitudes(input)?, magnitudes(target)?);
        let difference = own.f_sub(&other)?;
        let mut losses = Vec::new();
        if terms.converges() {
            losses.push(difference.f_norm()?.f_div(&other.f_norm()?)?.f_mul_scalar(terms.w_sc)?);
        }
        if terms.w_log_mag > 0.0 {
            let logarithms = own.f_log()?.f_sub(&other.f_log()?)?;
            losses.push(logarithms.f_abs()?.f_mean(None)?.f_mul_scalar(terms.w_log_mag)?);
        }
        if terms.w_lin_mag > 0.0 {
            losses.push(difference.f_abs()?.f_mean(None)?.f_mul_scalar(terms.w_lin_mag)?);
        }
        total(&losses)
    }

    /// Without a graph. Adds the gradient with respect to `input`, where it is wanted.
    fn loss_and_gradient(
        &self,
        terms: Terms,
        input: &Tensor,
        target: &Tensor,
        gradient: Option<&mut Tensor>,
    ) -> Result<Tensor> {
        let window = self.window(input)?;
        let (rows, length) = (input.size()[0], input.size()[1]);
        let coefficients = self.frames(length) * (self.fft_size / 2 + 1);
        let count = (rows * coefficients) as f64;
        // Sums of squared differences, of squares of the target, of differences of logarithms, of differences.
        let mut sums: [Vec<Tensor>; 4] = Default::default();
        let mut kept = Vec::new();
        for (start, rows) in pieces(rows, at_once(input.device(), coefficients, PER_THREAD)) {
            let spectra = |waves: &Tensor| self.spectra(&waves.f_narrow(0, start, rows)?, &window);
            let spectrum = spectra(input)?;
            let own = energies(&spectrum)?.f_clamp_min_(terms.eps)?.f_sqrt_()?;
            let mut squares = energies(&spectra(target)?)?.f_clamp_min_(terms.eps)?;
            if terms.converges() {
                sums[1].push(squares.f_sum(None)?);
            }
            let other = squares.f_sqrt_()?;
            if terms.w_log_mag > 0.0 {
                sums[2].push(own.f_div(&other)?.f_log_()?.f_abs_()?.f_sum(None)?);
            }
            let mut difference = own.f_sub(&other)?;
            if terms.w_lin_mag > 0.0 {
                sums[3].push(difference.f_abs()?.f_sum(None)?);
            }
            if terms.converges() {
                sums[0].push(difference.f_square_()?.f_sum(None)?);
            }
            if gradient.is_some() {
                kept.push(Piece { start, spectrum, target: other });
            }
        }
        let (mut losses, mut of_distance) = (Vec::new(), None);
        if terms.converges() {
            let (distance, norm) = (total(&sums[0])?.f_sqrt_()?, total(&sums[1])?.f_sqrt_()?);
            losses.push(distance.f_div(&norm)?.f_mul_scalar_(terms.w_sc)?);
            // Equal spectra are at no distance, and have no slope.
            let product = distance.f_mul(&norm)?;
            let slope = product.f_reciprocal()?.f_mul_scalar_(terms.w_sc)?;
            of_distance = Some(slope.f_masked_fill(&product.f_eq(0.0)?, 0.0)?);
        }
        for (sums, weight) in [(&sums[2], terms.w_log_mag), (&sums[3], terms.w_lin_mag)] {
            if weight > 0.0 {
                losses.push(total(sums)?.f_mul_scalar_(weight / count)?);
            }
        }
        let loss = total(&losses)?;
        let Some(gradient) = gradient else { return Ok(loss) };
        for Piece { start, spectrum, target } in kept {
            let rows = spectrum.size()[0];
            let factors = self.slopes(terms, &spectrum, &target, of_distance.as_ref(), count)?;
            let spectrum =
                spectrum.f_view_as_real()?.f_mul_(&factors.f_unsqueeze(-1)?)?.f_view_as_complex()?;
            let waves = input.f_narrow(0, start, rows)?;
            let part = self.gradient(&spectrum, &waves, &window)?;
            let _ = gradient.f_narrow(0, start, rows)?.f_add_(&part)?;
        }
        Ok(loss)
    }

    /// What the coefficients are multiplied by to become the gradient with respect to them, halved where they stand for
    /// two.
    fn slopes(
        &self,
        terms: Terms,
        spectrum: &Tensor,
        target: &Tensor,
        of_distance: Option<&Tensor>,
        count: f64,
    ) -> Result<Tensor> {
        let energies = energies(spectrum)?;
        let too_small = energies.f_lt(terms.eps)?;
        let own = energies.f_clamp_min(terms.eps)?.f_sqrt_()?;
        let difference = own.f_sub(target)?;
        let inverse = own.f_reciprocal()?;
        let relative = difference.f_mul(&inverse)?;
        let mut factors = match of_distance {
            Some(slope) => relative.f_mul(slope)?,
            None => relative.f_zeros_like()?,
        };
        if terms.w_log_mag > 0.0 || terms.w_lin_mag > 0.0 {
            let mut of_means = inverse.f_mul_scalar(terms.w_log_mag / count)?;
            of_means = of_means.f_add_scalar_(terms.w_lin_mag / count)?.f_mul_(&inverse)?;
            factors = factors.f_addcmul_(&relative.f_sgn()?, &of_means)?;
        }
        let _ = factors.f_masked_fill_(&too_small, 0.0)?;
        let _ = factors.f_narrow(-1, 1, (self.fft_size - 1) / 2)?.f_mul_scalar_(0.5)?;
        Ok(factors)
    }
}
