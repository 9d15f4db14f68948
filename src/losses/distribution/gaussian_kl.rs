//! [`GaussianKlLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Kullback-Leibler divergence of normal distributions from the standard normal distribution: the prior of a VAE.
///
/// ```text
/// l    = (mu² + exp(logvar) - 1 - logvar) / 2
/// loss = reduce(l)
/// ```
///
/// `mu` is the mean and `logvar` the logarithm of the variance, both outputs of an encoder, in this order.
/// [`GaussianNllLoss`](crate::GaussianNllLoss) is the likelihood of values under normal distributions,
/// [`KlDivLoss`](crate::KlDivLoss) the divergence of probabilities.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The loss is 0 for `mu` 0 and `logvar` 0, and positive elsewhere. f16 and bf16 are computed in
///   f32: the exponential of 12 is beyond f16. The loss is in the arguments' kind, so a sum beyond 65504 is infinite in
///   f16. The mean of nothing is NaN.
/// - **Defaults**: `reduction` sum, over everything, the batch included.
///   [`BatchMean`](Reduction::BatchMean) is the sum divided by the size of the batch, the paper's.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// SPADE multiplies the loss by 0.05.
///
/// Source: [`KLDLoss` of SPADE](https://github.com/NVlabs/SPADE/blob/master/models/networks/loss.py); D. P. Kingma and
/// M. Welling, *Auto-encoding variational Bayes* (2013).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GaussianKlLoss, Loss, Reduction};
///
/// let mu = Tensor::from_slice2(&[[0.0, 2.0], [0.0, 0.0]]);
/// let loss = GaussianKlLoss::default();
/// assert_eq!(loss.forward(&mu, &mu.zeros_like()).double_value(&[]), 2.0);
/// let mean = loss.with_reduction(Reduction::BatchMean);
/// assert_eq!(mean.forward(&mu, &mu.zeros_like()).double_value(&[]), 1.0);
/// ```
#[doc(alias = "KLDLoss")]
#[doc(alias = "GaussianKLLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianKlLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for GaussianKlLoss {
    fn default() -> Self {
        GaussianKlLoss { reduction: Reduction::Sum }
    }
}

setters!(GaussianKlLoss { with_reduction(reduction: Reduction) });

/// Of `mu` and `logvar`.
impl Loss for GaussianKlLoss {
    fn try_forward(&self, mu: &Tensor, logvar: &Tensor) -> Result<Tensor> {
        check::floating("mu", mu)?;
        check::partners(("mu", mu), ("logvar", logvar))?;
        check::same_shape(("mu", mu), ("logvar", logvar))?;
        let kind = accumulation_kind(mu.kind());
        let (wide_mu, wide_logvar) = (mu.f_to_kind(kind)?, logvar.f_to_kind(kind)?);
        // `exp(logvar) - 1` in one: their difference would lose the digits of small numbers.
        let twice = wide_logvar.f_expm1()?.f_sub(&wide_logvar)?.f_addcmul(&wide_mu, &wide_mu)?;
        let share = match (self.reduction, mu.size().first()) {
            (Reduction::BatchMean, Some(&batch)) => 0.5 / batch as f64,
            _ => 0.5,
        };
        Ok(reduce(&twice, self.reduction, kind)?.f_mul_scalar(share)?.f_to_kind(mu.kind())?)
    }
}
