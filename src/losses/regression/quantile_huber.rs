//! [`QuantileHuberLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_long_rows;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Reduction, Result, TernaryLoss};

/// Quantile loss of distributions, smooth at 0: that of distributional reinforcement learning (QR-DQN, IQN, FQF).
///
/// ```text
/// d    = target[j] - input[i]                     for each quantile i and each sample j of the target
/// h    = d² / 2                    where |d| <= kappa
///        kappa * (|d| - kappa / 2) elsewhere
/// l    = Σ over i, mean over j of  |taus[i] - (1 where d < 0)| * h / kappa
/// loss = reduce(l)
/// ```
///
/// As a [`TernaryLoss`] it takes `input`, the predicted quantiles, `target`, samples or quantiles of the distribution to
/// be learnt, and `taus`, which quantiles are predicted: `(i + 1/2) / K` in QR-DQN, drawn for each sample in IQN.
/// [`QuantileLoss`](crate::QuantileLoss) has one target for each quantile.
///
/// - **Shapes**: `input` `[N, K]`, `target` `[N, M]`, `taus` `[K]` or `[N, K]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: `taus` in `[0, 1]`, not checked. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to all arguments. If the loss is reduced and `input` alone requires one, as with a target network,
///   forward computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Defaults**: `kappa` 1, `reduction` mean, over the samples.
/// - **Errors**: shapes other than these, different kinds or devices; a `kappa` that is not positive and finite.
///
/// Source: the agents of [Dopamine](https://github.com/google/dopamine); W. Dabney et al., [*Distributional
/// reinforcement learning with quantile regression*](https://arxiv.org/abs/1710.10044) (2017).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{QuantileHuberLoss, TernaryLoss};
///
/// let (input, target) = (Tensor::from_slice2(&[[0.0, 3.0]]), Tensor::from_slice2(&[[1.0]]));
/// let taus = Tensor::from_slice(&[0.25, 0.75]);
/// // 0.25 * 1/2 below the target, and |0.75 - 1| * (2 - 1/2) above it.
/// let loss = QuantileHuberLoss::default().forward(&input, &target, &taus);
/// assert_eq!(loss.double_value(&[]), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantileHuberLoss {
    /// The difference from which on the error is absolute.
    pub kappa: f64,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for QuantileHuberLoss {
    fn default() -> Self {
        QuantileHuberLoss { kappa: 1.0, reduction: Reduction::Mean }
    }
}

setters!(QuantileHuberLoss { with_kappa(kappa: f64), with_reduction(reduction: Reduction) });

/// What each pair costs.
struct Pairs {
    /// `|tau - 1|` where the input is above the target, `|tau|` elsewhere.
    weights: Tensor,
    /// `input - target`, `[N, M, K]`.
    differences: Tensor,
    /// The differences, `kappa` at most.
    clamped: Tensor,
}

impl QuantileHuberLoss {
    fn check_arguments(&self, input: &Tensor, target: &Tensor, taus: &Tensor) -> Result<()> {
        check::floating("input", input)?;
        check::partners(("input", input), ("target", target))?;
        check::partners(("input", input), ("taus", taus))?;
        let [samples, quantiles] = input.size()[..] else {
            return Err(Error::Shape { argument: "input", given: input.size(), expected: "[N, K]".into() });
        };
        if target.dim() != 2 || target.size()[0] != samples {
            let expected = format!("[{samples}, M], of as many samples as `input`");
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        let given = taus.size();
        if given != [quantiles] && given != [samples, quantiles] {
            let expected =
                format!("[{quantiles}] or [{samples}, {quantiles}], one for each quantile of `input`");
            return Err(Error::Shape { argument: "taus", given, expected });
        }
        Ok(())
    }

    fn pairs(&self, input: &Tensor, target: &Tensor, taus: &Tensor) -> Result<Pairs> {
        let differences = input.f_unsqueeze(1)?.f_sub(&target.f_unsqueeze(2)?)?;
        let above = differences.f_gt(0.0)?.f_to_kind(input.kind())?;
        let weights = taus.f_unsqueeze(1)?.f_sub(&above)?.f_abs()?;
        let clamped = differences.f_clamp(-self.kappa, self.kappa)?;
        Ok(Pairs { weights, differences, clamped })
    }

    /// The losses of the samples.
    fn samples(&self, input: &Tensor, target: &Tensor, taus: &Tensor) -> Result<Tensor> {
        let Pairs { weights, differences, .. } = self.pairs(input, target, taus)?;
        let zeros = differences.f_zeros_like()?;
        let huber = differences.f_huber_loss(&zeros, tch::Reduction::None, self.kappa)?;
        let sum = weights.f_mul(&huber)?.f_sum_dim_intlist([1i64, 2].as_slice(), false, None)?;
        Ok(sum.f_mul_scalar(self.share(target))?)
    }

    /// What the sum over all pairs is multiplied with.
    fn share(&self, target: &Tensor) -> f64 {
        1.0 / (self.kappa * target.size()[1] as f64)
    }

    fn sum_and_slopes(&self, input: &Tensor, target: &Tensor, taus: &Tensor) -> Result<(Tensor, Tensor)> {
        let Pairs { weights, mut differences, clamped } = self.pairs(input, target, taus)?;
        // The slope `c` of Huber's loss, which itself is `c * (d - c / 2)`.
        let _ = differences.f_sub_(&clamped.f_mul_scalar(0.5)?)?;
        let weighted = { clamped }.f_mul_(&weights)?;
        let sum = { differences }.f_mul_(&weighted)?.f_sum(None)?;
        let slopes = weighted.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
        let share = self.share(target);
        Ok((sum.f_mul_scalar(share)?, slopes.f_mul_scalar(share)?))
    }
}

/// Of `input`, `target` and `taus`.
impl TernaryLoss for QuantileHuberLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("kappa", self.kappa)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor, taus: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        self.check_arguments(input, target, taus)?;
        let kind = accumulation_kind(input.kind());
        let (wide, target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
        let taus = taus.f_to_kind(kind)?.f_expand_as(&wide)?;
        let constant = if target.requires_grad() { &target } else { &taus };
        let in_graph = Wanted::of(&wide, Some(constant))? != Wanted::InputGradient;
        if self.reduction == Reduction::None || in_graph || wide.numel() == 0 || target.numel() == 0 {
            return reduce(&self.samples(&wide, &target, &taus)?, self.reduction, input.kind());
        }
        let pairs = wide.size()[1] * target.size()[1];
        let sum = sum_of_long_rows(&wide.f_contiguous()?, pairs, &[target, taus], &|input, constants| {
            self.sum_and_slopes(input, &constants[0], &constants[1])
        })?;
        let count = if self.reduction == Reduction::Mean { wide.size()[0] as f64 } else { 1.0 };
        Ok(sum.f_div_scalar(count)?.f_to_kind(input.kind())?)
    }
}
