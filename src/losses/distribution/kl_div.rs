//! [`KlDivLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::{chain, check, setters};
use crate::{Loss, Reduction, Result};

/// Kullback-Leibler divergence of log-probabilities from a target distribution.
///
/// ```text
/// l    = y * (log y - input)               y = target
///        exp(target) * (target - input)    with log_target
/// loss = reduce(l)
/// ```
///
/// It is for soft targets, as in distillation and variational methods. The order is `(log q, p)` for `KL(p ‖
/// q)`. It differs from [`CrossEntropyLoss`](crate::CrossEntropyLoss) with probabilities in two ways: it
/// takes log-probabilities instead of logits, and subtracts the entropy of the target. So the gradient is the
/// same, and equal distributions cost 0.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: `input` log-probabilities. `target` probabilities, or log-probabilities with `log_target`. A
///   probability of 0 costs 0. Values are not checked, as in PyTorch. The mean of nothing is NaN.
/// - **Defaults**: `log_target` false, `reduction` mean. You most likely want
///   [`BatchMean`](Reduction::BatchMean); PyTorch warns of its own default.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// Source: [`torch.nn.KLDivLoss`](https://pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html);
/// S. Kullback and R. A. Leibler, *On information and sufficiency* (1951).
///
/// ```
/// use tch::{Kind, Tensor};
/// use tch_losses::{KlDivLoss, Loss, Reduction};
///
/// let kl = KlDivLoss { reduction: Reduction::BatchMean, ..Default::default() };
/// let target = Tensor::from_slice(&[0.5, 0.5, 1.0, 0.0]).view([2, 2]);
/// let uniform = Tensor::from_slice(&[0.5, 0.5, 0.5, 0.5]).view([2, 2]);
/// // The first of the two is uniform, the second log 2 away from it.
/// let loss = kl.forward(&uniform.log(), &target);
/// assert!((loss - 2f64.ln() / 2.0).abs().double_value(&[]) < 1e-12);
/// ```
#[doc(alias = "KLDivLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlDivLoss {
    /// Whether `target` holds log-probabilities.
    pub log_target: bool,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(KlDivLoss { with_log_target(log_target: bool), with_reduction(reduction: Reduction) });

impl Loss for KlDivLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::pair(input, target)?;
        let reduced = chain::of_numbers([input, target], self.reduction, |[input, target], reduction| {
            Ok(input.f_kl_div(target, reduction.torch(), self.log_target)?)
        })?;
        match (self.reduction, input.size().first()) {
            (Reduction::BatchMean, Some(&batch)) => Ok(reduced.f_div_scalar(batch)?),
            _ => Ok(reduced),
        }
    }
}
