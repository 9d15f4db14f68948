//! [`MultiResolutionStftLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::resolution::{forward, Resolution, Terms};
use crate::base::setters;
use crate::{Error, Loss, Result};

/// The mean of [`StftLoss`](crate::StftLoss) over several resolutions: of short frames, which tell when, and long ones,
/// which tell at what pitch.
///
/// ```text
/// loss = mean over the resolutions of StftLoss(fft_size, hop_size, win_length)
/// ```
///
/// It is usual for vocoders, beside an adversarial loss, and for effects and enhancement.
///
/// - **Shapes**: `input` and `target` `[N, C, T]` or `[N, T]`, equal; T at least half of the largest `fft_sizes`, plus
///   1. The loss is a scalar: the spectral convergence is of the batch as a whole, so there is no `reduction`.
/// - **Values**: any, usually in `[-1, 1]`. Equal waves cost 0. f16 and bf16 are computed in f32. The loss of no waves
///   is NaN.
/// - **Gradients**: to both arguments, 0 for coefficients below `sqrt(eps)`. If `target` requires no gradient, forward
///   computes the gradient, and second derivatives come out as zero.
/// - **Defaults**: `fft_sizes` 1024, 2048 and 512, `hop_sizes` 120, 240 and 50, `win_lengths` 600, 1200 and 240, `w_sc`
///   1, `w_log_mag` 1, `w_lin_mag` 0, `eps` 1e-8.
/// - **Errors**: arguments of different shapes, kinds or devices; waves that are too short; no sizes, different numbers
///   of them, or sizes below 1; a window that is longer than its transform; weights that are negative or not finite; an
///   `eps` that is not positive and finite.
///
/// The sizes are those of Parallel WaveGAN, whose `eps` is 1e-7.
///
/// Source: [`MultiResolutionSTFTLoss` of auraloss 0.4.0](https://github.com/csteinmetz1/auraloss);
/// R. Yamamoto et al., [*Parallel WaveGAN*](https://arxiv.org/abs/1910.11480) (2019).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, MultiResolutionStftLoss};
///
/// let target = Tensor::randn([2, 1, 2048], (Kind::Double, Device::Cpu));
/// // At half the volume, half of each magnitude is missing, and each logarithm is off by that of 2.
/// let loss = MultiResolutionStftLoss::default().with_eps(1e-30).forward(&(0.5 * &target), &target);
/// assert!((loss.double_value(&[]) - (0.5 + 2f64.ln())).abs() < 1e-9);
/// ```
#[doc(alias = "MultiResolutionSTFTLoss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiResolutionStftLoss {
    /// The samples of each resolution's transform.
    pub fft_sizes: Vec<i64>,
    /// The samples from one frame to the next.
    pub hop_sizes: Vec<i64>,
    /// The samples of the windows.
    pub win_lengths: Vec<i64>,
    /// The weight of the spectral convergence.
    pub w_sc: f64,
    /// The weight of the logarithms of the magnitudes.
    pub w_log_mag: f64,
    /// The weight of the magnitudes.
    pub w_lin_mag: f64,
    /// The least energy of a coefficient.
    pub eps: f64,
}

impl Default for MultiResolutionStftLoss {
    fn default() -> Self {
        MultiResolutionStftLoss {
            fft_sizes: vec![1024, 2048, 512],
            hop_sizes: vec![120, 240, 50],
            win_lengths: vec![600, 1200, 240],
            w_sc: 1.0,
            w_log_mag: 1.0,
            w_lin_mag: 0.0,
            eps: 1e-8,
        }
    }
}

setters!(MultiResolutionStftLoss {
    with_fft_sizes(fft_sizes: Vec<i64>),
    with_hop_sizes(hop_sizes: Vec<i64>),
    with_win_lengths(win_lengths: Vec<i64>),
    with_w_sc(w_sc: f64),
    with_w_log_mag(w_log_mag: f64),
    with_w_lin_mag(w_lin_mag: f64),
    with_eps(eps: f64)
});

impl MultiResolutionStftLoss {
    fn terms(&self) -> Terms {
        Terms { w_sc: self.w_sc, w_log_mag: self.w_log_mag, w_lin_mag: self.w_lin_mag, eps: self.eps }
    }

    fn resolutions(&self) -> Vec<Resolution> {
        let sizes = self.fft_sizes.iter().zip(&self.hop_sizes).zip(&self.win_lengths);
        sizes
            .map(|((fft_size, hop_size), win_length)| Resolution {
                fft_size: *fft_size,
                hop_size: *hop_size,
                win_length: *win_length,
            })
            .collect()
    }
}

impl Loss for MultiResolutionStftLoss {
    fn check_options(&self) -> Result<()> {
        let count = self.fft_sizes.len();
        if count == 0 {
            let expected = "at least one size".into();
            return Err(Error::Option { option: "fft_sizes", given: "[]".into(), expected });
        }
        for (option, sizes) in [("hop_sizes", &self.hop_sizes), ("win_lengths", &self.win_lengths)] {
            if sizes.len() != count {
                let expected = format!("{count} numbers, as many as `fft_sizes`");
                return Err(Error::Option { option, given: format!("{sizes:?}"), expected });
            }
        }
        for resolution in self.resolutions() {
            resolution.check(["fft_sizes", "hop_sizes", "win_lengths"])?;
        }
        self.terms().check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(&self.resolutions(), self.terms(), input, target)
    }
}
