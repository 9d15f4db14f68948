//! [`PoissonNllLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::{chain, check, setters};
use crate::{Loss, Reduction, Result};

/// Negative log-likelihood of counts under Poisson distributions, given their expected values.
///
/// ```text
/// l    = exp(x) - y * x              with log_input        x = input, y = target
///        x - y * log(x + eps)        without
///      + y * log y - y + log(2π y)/2 with full, where y > 1
/// loss = reduce(l)
/// ```
///
/// It is for counts (photons, events), whose variance grows with their mean.
/// [`GaussianNllLoss`](crate::GaussianNllLoss) takes the variance as an argument. `full` adds Stirling's
/// approximation of `log y!`, which depends on the target alone.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: `input` the logarithm of the expected value; without `log_input` the expected value, 0 or
///   more. `target` counts, 0 or more. Values are not checked, as in PyTorch. The mean of nothing is NaN.
/// - **Defaults**: `log_input` true, `full` false, `eps` 1e-8, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; an `eps` that is negative or not finite.
///
/// Source:
/// [`torch.nn.PoissonNLLLoss`](https://pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, PoissonNllLoss};
///
/// let counts = Tensor::from_slice(&[2.0, 5.0]);
/// let at = |log_mean: &[f64]| PoissonNllLoss::default().forward(&Tensor::from_slice(log_mean), &counts);
/// // The likeliest expected values are the counts themselves.
/// let best = at(&[2f64.ln(), 5f64.ln()]);
/// assert!(best.double_value(&[]) < at(&[2f64.ln(), 4f64.ln()]).double_value(&[]));
/// ```
#[doc(alias = "PoissonNLLLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoissonNllLoss {
    /// Whether `input` is the logarithm of the expected value.
    pub log_input: bool,
    /// Whether Stirling's term is added.
    pub full: bool,
    /// The number added to the expected value under the logarithm. It has no effect with `log_input`.
    pub eps: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for PoissonNllLoss {
    fn default() -> Self {
        PoissonNllLoss { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

setters!(PoissonNllLoss {
    with_log_input(log_input: bool), with_full(full: bool), with_eps(eps: f64),
    with_reduction(reduction: Reduction)
});

impl Loss for PoissonNllLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        chain::of_numbers([input, target], self.reduction, |[input, target], reduction| {
            let reduction = reduction.torch();
            Ok(input.f_poisson_nll_loss(target, self.log_input, self.full, self.eps, reduction)?)
        })
    }
}
