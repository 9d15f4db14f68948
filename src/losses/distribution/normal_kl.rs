//! [`NormalKlLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::exponential::exp_in_place;
use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, Loss, Reduction, Result};

/// Kullback-Leibler divergence of normal distributions from other ones: of a posterior from a prior that is learnt.
///
/// ```text
/// l    = (logvar2 - logvar1 - 1 + exp(logvar1 - logvar2) + (mu1 - mu2)² * exp(-logvar2)) / 2
/// loss = reduce(l)
/// ```
///
/// `mu1` and `logvar1` are the mean and the logarithm of the variance of `input`, `mu2` and `logvar2` those of `target`.
/// As a [`Loss`] it takes both as an encoder gives them: joined along axis 1, the means first.
/// [`forward_moments`](Self::forward_moments) takes four tensors. [`GaussianKlLoss`](crate::GaussianKlLoss) is the loss
/// with the standard normal distribution as the target.
///
/// - **Shapes**: `input` and `target` `[N, 2 * D, ...]`, equal. The loss is a scalar, or `[N, D, ...]` with
///   [`Reduction::None`].
/// - **Values**: any. The loss is 0 for equal distributions, and positive elsewhere. f16 and bf16 are computed in f32.
///   The mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires none, forward computes the gradient,
///   and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `reduction` sum, over everything, the batch included. [`BatchMean`](Reduction::BatchMean) is the sum
///   divided by the size of the batch.
/// - **Errors**: arguments of different shapes, kinds or devices, or without an even axis 1.
///
/// Source: `normal_kl` of [guided-diffusion](https://github.com/openai/guided-diffusion/blob/main/guided_diffusion/losses.py);
/// `DiagonalGaussianDistribution.kl` of [latent-diffusion](https://github.com/CompVis/latent-diffusion).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, NormalKlLoss};
///
/// // N(2, 1) and N(0, 4): means, and logarithms of variances.
/// let (input, target) = (Tensor::from_slice2(&[[2.0, 0.0]]), Tensor::from_slice2(&[[0.0, 4f64.ln()]]));
/// let loss = NormalKlLoss::default().forward(&input, &target).double_value(&[]);
/// assert!((loss - (4f64.ln() - 1.0 + 0.25 + 1.0) / 2.0).abs() < 1e-12);
/// ```
#[doc(alias = "normal_kl")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalKlLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for NormalKlLoss {
    fn default() -> Self {
        NormalKlLoss { reduction: Reduction::Sum }
    }
}

setters!(NormalKlLoss { with_reduction(reduction: Reduction) });

impl NormalKlLoss {
    /// The loss of distributions `(mu1, logvar1)` against `(mu2, logvar2)`, all of one shape.
    ///
    /// # Errors
    /// Arguments of different shapes, kinds or devices.
    pub fn try_forward_moments(
        &self,
        mu1: &Tensor,
        logvar1: &Tensor,
        mu2: &Tensor,
        logvar2: &Tensor,
    ) -> Result<Tensor> {
        check::floating("mu1", mu1)?;
        for other in [("logvar1", logvar1), ("mu2", mu2), ("logvar2", logvar2)] {
            check::partners(("mu1", mu1), other)?;
            check::same_shape(("mu1", mu1), other)?;
        }
        let kind = accumulation_kind(mu1.kind());
        let distance = mu1.f_to_kind(kind)?.f_sub(&mu2.f_to_kind(kind)?)?;
        let wide_logvar2 = logvar2.f_to_kind(kind)?;
        let ratio = logvar1.f_to_kind(kind)?.f_sub(&wide_logvar2)?;
        let scaled = wide_logvar2.f_mul_scalar(-0.5)?.f_exp()?.f_mul(&distance)?;
        // `exp(ratio) - 1` in one: their difference would lose the digits of small numbers.
        let twice = ratio.f_expm1()?.f_sub(&ratio)?.f_addcmul(&scaled, &scaled)?;
        let reduced = match self.reduction {
            Reduction::None => twice,
            Reduction::Mean => twice.f_mean(None)?,
            Reduction::Sum | Reduction::BatchMean => twice.f_sum(None)?,
        };
        let share = match (self.reduction, mu1.size().first()) {
            (Reduction::BatchMean, Some(&batch)) => 0.5 / batch as f64,
            _ => 0.5,
        };
        Ok(reduced.f_mul_scalar(share)?.f_to_kind(mu1.kind())?)
    }

    /// The same in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward_moments`](Self::try_forward_moments) returns an error, with the error's message.
    #[track_caller]
    pub fn forward_moments(&self, mu1: &Tensor, logvar1: &Tensor, mu2: &Tensor, logvar2: &Tensor) -> Tensor {
        or_panic(self.try_forward_moments(mu1, logvar1, mu2, logvar2))
    }
}

/// The sum of the elements, and its slopes with respect to the first moments.
fn sum_and_slopes(first: &Tensor, second: &Tensor) -> Result<(Tensor, Tensor)> {
    let halves = |moments: &Tensor| moments.f_chunk(2, 1);
    let (first, second) = (halves(first)?, halves(second)?);
    let inverse = exp_in_place(second[1].f_mul_scalar(-0.5)?)?;
    let scaled = first[0].f_sub(&second[0])?.f_mul_(&inverse)?;
    let mut ratio = first[1].f_sub(&second[1])?;
    // Of the logarithm of the variance, twice its slope.
    let mut growth = ratio.f_expm1()?;
    let twice = ratio.f_neg_()?.f_add_(&growth)?.f_addcmul_(&scaled, &scaled)?;
    let slopes = Tensor::f_cat(&[{ scaled }.f_mul_(&inverse)?, growth.f_mul_scalar_(0.5)?], 1)?;
    Ok((twice.f_sum(None)?.f_mul_scalar(0.5)?, slopes))
}

/// Of the parameters `input` and `target`.
impl Loss for NormalKlLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::floating("input", input)?;
        let given = input.size();
        let Some(half) = given.get(1).filter(|size| *size % 2 == 0).map(|size| size / 2) else {
            let expected = "[N, 2 * D, ...], means and logarithms of variances".into();
            return Err(Error::Shape { argument: "input", given, expected });
        };
        check::pair(input, target)?;
        let wanted = Wanted::of(input, Some(target))?;
        if self.reduction != Reduction::None && wanted == Wanted::InputGradient && input.numel() > 0 {
            let kind = accumulation_kind(input.kind());
            let (wide, other) = (input.f_to_kind(kind)?.f_contiguous()?, target.f_to_kind(kind)?);
            let sum = sum_of_rows(&wide, &[other], &|input, constants| sum_and_slopes(input, &constants[0]))?;
            let count = match self.reduction {
                Reduction::Mean => input.numel() as f64 / 2.0,
                Reduction::BatchMean => given[0] as f64,
                _ => 1.0,
            };
            return Ok(sum.f_div_scalar(count)?.f_to_kind(input.kind())?);
        }
        let part = |tensor: &Tensor, start: i64| tensor.f_narrow(1, start, half);
        let [mu1, mu2] = [part(input, 0)?, part(target, 0)?];
        let [logvar1, logvar2] = [part(input, half)?, part(target, half)?];
        self.try_forward_moments(&mu1, &logvar1, &mu2, &logvar2)
    }
}
