//! [`StftLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::resolution::{forward, Resolution, Terms};
use crate::base::setters;
use crate::{Loss, Result};

/// Distance of spectrograms: what a sound is, without the phases, which are hardly heard.
///
/// ```text
/// X, Y = |stft(input)|, |stft(target)|        each at least sqrt(eps)
/// loss = w_sc      * ‖Y - X‖ / ‖Y‖            spectral convergence, of the whole batch
///      + w_log_mag * mean(|log X - log Y|)
///      + w_lin_mag * mean(|X - Y|)
/// ```
///
/// The transform is `torch.stft`'s: frames every `hop_size` samples, centred, beyond the ends of a wave its reflection;
/// of each, a Hann window of `win_length` samples, in the middle of `fft_size`. The spectral convergence looks at loud
/// places, the logarithms at quiet ones. [`MultiResolutionStftLoss`](crate::MultiResolutionStftLoss) takes several
/// resolutions, and leaves less room for artefacts.
///
/// - **Shapes**: `input` and `target` `[N, C, T]` or `[N, T]`, equal; T at least `fft_size / 2 + 1`. The loss is a
///   scalar: the spectral convergence is of the batch as a whole, so there is no `reduction`.
/// - **Values**: any, usually in `[-1, 1]`. Equal waves cost 0. Where both are silent, both have the magnitude
///   `sqrt(eps)`. f16 and bf16 are computed in f32. The loss of no waves is NaN.
/// - **Gradients**: to both arguments, 0 for coefficients below `sqrt(eps)`. If `target` requires no gradient, forward
///   computes the gradient, and second derivatives come out as zero.
/// - **Defaults**: `fft_size` 1024, `hop_size` 256, `win_length` 1024, `w_sc` 1, `w_log_mag` 1, `w_lin_mag` 0, `eps`
///   1e-8.
/// - **Errors**: arguments of different shapes, kinds or devices; waves that are too short; sizes below 1; a
///   `win_length` above `fft_size`; weights that are negative or not finite; an `eps` that is not positive and finite.
///
/// Parallel WaveGAN has an `eps` of 1e-7. auraloss's other windows, its phases, scales and filters are not here.
///
/// Source: [`STFTLoss` of auraloss 0.4.0](https://github.com/csteinmetz1/auraloss); S. Ö. Arık et al., [*Fast Spectrogram Inversion using Multi-head Convolutional Neural Networks*](https://arxiv.org/abs/1808.06719)
/// (2018).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, StftLoss};
///
/// let target = Tensor::randn([2, 1, 2048], (Kind::Double, Device::Cpu));
/// // At half the volume, half of each magnitude is missing, and each logarithm is off by that of 2.
/// let loss = StftLoss::default().with_eps(1e-30).forward(&(0.5 * &target), &target);
/// assert!((loss.double_value(&[]) - (0.5 + 2f64.ln())).abs() < 1e-9);
/// ```
#[doc(alias = "STFTLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StftLoss {
    /// The samples of a transform.
    pub fft_size: i64,
    /// The samples from one frame to the next.
    pub hop_size: i64,
    /// The samples of the window.
    pub win_length: i64,
    /// The weight of the spectral convergence.
    pub w_sc: f64,
    /// The weight of the logarithms of the magnitudes.
    pub w_log_mag: f64,
    /// The weight of the magnitudes.
    pub w_lin_mag: f64,
    /// The least energy of a coefficient.
    pub eps: f64,
}

impl Default for StftLoss {
    fn default() -> Self {
        StftLoss {
            fft_size: 1024,
            hop_size: 256,
            win_length: 1024,
            w_sc: 1.0,
            w_log_mag: 1.0,
            w_lin_mag: 0.0,
            eps: 1e-8,
        }
    }
}

setters!(StftLoss {
    with_fft_size(fft_size: i64),
    with_hop_size(hop_size: i64),
    with_win_length(win_length: i64),
    with_w_sc(w_sc: f64),
    with_w_log_mag(w_log_mag: f64),
    with_w_lin_mag(w_lin_mag: f64),
    with_eps(eps: f64)
});

impl StftLoss {
    fn parts(&self) -> (Resolution, Terms) {
        let StftLoss { fft_size, hop_size, win_length, w_sc, w_log_mag, w_lin_mag, eps } = *self;
        (Resolution { fft_size, hop_size, win_length }, Terms { w_sc, w_log_mag, w_lin_mag, eps })
    }
}

impl Loss for StftLoss {
    fn check_options(&self) -> Result<()> {
        let (resolution, terms) = self.parts();
        resolution.check(["fft_size", "hop_size", "win_length"])?;
        terms.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let (resolution, terms) = self.parts();
        forward(&[resolution], terms, input, target)
    }
}
