//! [`HlGaussLoss`].

use std::f64::consts::SQRT_2;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::losses::classification::rows::Rows;
use crate::{Error, Loss, Reduction, Result, SoftTargetCrossEntropyLoss};

/// HL-Gauss: a number as a histogram. The network classifies into bins, the target is a normal distribution around the
/// number.
///
/// ```text
/// b    = edges of B bins of equal width, from min_value to max_value
/// y[c] = share of N(target, s²) between b[c] and b[c + 1], of what lies between the first and the last edge
/// s    = sigma_ratio * (max_value - min_value) / B
/// l    = -Σ y[c] * log softmax(input)[c]
/// loss = reduce(l)
/// ```
///
/// It takes the place of [`MseLoss`](crate::MseLoss) for critics in reinforcement learning and for numbers of unknown
/// scale. [`decode`](Self::decode) makes numbers of logits.
///
/// - **Shapes**: `input` `[N, B]` with two bins at least, `target` `[N]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: `input` any logits. A `target` beyond the range counts as its end. f16 and bf16 are computed in f32. The
///   mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires none, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Defaults**: `min_value` 0, `max_value` 1, `sigma_ratio` 0.75, `reduction` mean.
/// - **Errors**: shapes other than these, different kinds or devices; a `min_value` that is not below `max_value`, both
///   finite; a `sigma_ratio` that is not positive and finite.
///
/// Source: J. Farebrother et al., [*Stop regressing: training value functions via classification for scalable deep
/// RL*](https://arxiv.org/abs/2403.03950) (2024), appendix A.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{HlGaussLoss, Loss};
///
/// let loss = HlGaussLoss::default().with_min_value(-1.0);
/// let logits = Tensor::from_slice2(&[[0.0, 0.0, 0.0, 0.0]]);
/// // Undecided between four bins: log 4, whatever the number; their mean is 0.
/// let value = loss.forward(&logits, &Tensor::from_slice(&[0.3])).double_value(&[]);
/// assert!((value - 4f64.ln()).abs() < 1e-12);
/// assert!(loss.decode(&logits)?.double_value(&[0]).abs() < 1e-12);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HlGaussLoss {
    /// The first edge.
    pub min_value: f64,
    /// The last edge.
    pub max_value: f64,
    /// The deviation of the normal distribution, in widths of a bin.
    pub sigma_ratio: f64,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for HlGaussLoss {
    fn default() -> Self {
        HlGaussLoss { min_value: 0.0, max_value: 1.0, sigma_ratio: 0.75, reduction: Reduction::Mean }
    }
}

setters!(HlGaussLoss {
    with_min_value(min_value: f64), with_max_value(max_value: f64), with_sigma_ratio(sigma_ratio: f64),
    with_reduction(reduction: Reduction)
});

impl HlGaussLoss {
    /// The numbers `[N]` that logits `[N, B]` stand for: the means of the bins' centres.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn decode(&self, input: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_input(input)?;
        let kind = accumulation_kind(input.kind());
        let edges = self.edges(input, kind)?;
        let bins = input.size()[1];
        let centres = edges.f_narrow(0, 0, bins)?.f_add(&edges.f_narrow(0, 1, bins)?)?.f_mul_scalar(0.5)?;
        let means = input.f_to_kind(kind)?.f_softmax(1, None)?.f_matmul(&centres)?;
        Ok(means.f_to_kind(input.kind())?)
    }

    fn edges(&self, input: &Tensor, kind: Kind) -> Result<Tensor> {
        let options = (kind, input.device());
        Ok(Tensor::f_linspace(self.min_value, self.max_value, input.size()[1] + 1, options)?)
    }

    /// The shares of the bins, `[N, B]`.
    fn shares(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let bins = input.size()[1];
        let deviation = self.sigma_ratio * (self.max_value - self.min_value) / bins as f64;
        let edges = self.edges(input, target.kind())?;
        let target = target.f_clamp(self.min_value, self.max_value)?.f_unsqueeze(1)?;
        // Both are scaled while they are small.
        let scaled = |tensor: &Tensor| tensor.f_div_scalar(SQRT_2 * deviation);
        let distribution = scaled(&edges)?.f_sub(&scaled(&target)?)?.f_erf()?;
        let edge = |index: i64, count: i64| distribution.f_narrow(1, index, count);
        Ok(edge(1, bins)?.f_sub(&edge(0, bins)?)?.f_div(&edge(bins, 1)?.f_sub(&edge(0, 1)?)?)?)
    }
}

fn check_input(input: &Tensor) -> Result<()> {
    check::floating("input", input)?;
    if input.dim() != 2 || input.size()[1] < 2 {
        let expected = "[N, B] with two bins at least".into();
        return Err(Error::Shape { argument: "input", given: input.size(), expected });
    }
    Ok(())
}

impl Loss for HlGaussLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::finite("min_value", self.min_value)?;
        check::finite("max_value", self.max_value)?;
        let width = self.max_value - self.min_value;
        if !(width > 0.0 && width.is_finite()) {
            let expected = format!("a number above `min_value`, which is {}", self.min_value);
            return Err(Error::Option { option: "max_value", given: self.max_value.to_string(), expected });
        }
        check::positive("sigma_ratio", self.sigma_ratio)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_input(input)?;
        check::partners(("input", input), ("target", target))?;
        if target.size() != input.size()[..1] {
            let expected = format!("{:?}, a number for each row of `input`", &input.size()[..1]);
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        let wide = input.f_to_kind(accumulation_kind(input.kind()))?;
        let target = target.f_to_kind(wide.kind())?;
        let in_graph = Wanted::of(&wide, Some(&target))? != Wanted::InputGradient;
        if self.reduction == Reduction::None || in_graph || wide.numel() == 0 {
            let entropy = SoftTargetCrossEntropyLoss { reduction: self.reduction };
            let loss = entropy.try_forward(&wide, &self.shares(&wide, &target)?)?;
            return Ok(loss.f_to_kind(input.kind())?);
        }
        let sum = sum_of_rows(&wide.f_contiguous()?, &[target], &|input, constants| {
            SoftTargetCrossEntropyLoss::default().sum_and_slopes(input, &[self.shares(input, &constants[0])?])
        })?;
        let samples = if self.reduction == Reduction::Mean { wide.size()[0] as f64 } else { 1.0 };
        Ok(sum.f_div_scalar(samples)?.f_to_kind(input.kind())?)
    }
}
