//! [`HlGaussLoss`].

use std::f64::consts::SQRT_2;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::losses::classification::rows::{over_classes, reduced, Rows, Softened};
use crate::{Error, Loss, Reduction, Result};

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
/// - **Values**: `input` any finite logits. A `target` beyond the range counts as its end. f16 and bf16 are computed in f32. The
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

    /// Which bins of `input` have a share, and the shares.
    fn histogram(&self, input: &Tensor, target: &Tensor) -> Result<Histogram> {
        let bins = input.size()[1];
        let edges = self.edges(input, target.kind())?;
        let target = target.f_clamp(self.min_value, self.max_value)?.f_unsqueeze(1)?;
        let near = self.edges_near(&target, bins)?;
        let edges = match &near {
            Some(near) => edges.f_take(near)?,
            None => edges,
        };
        let deviation = self.sigma_ratio * (self.max_value - self.min_value) / bins as f64;
        // Both are scaled while they are small.
        let scaled = |tensor: &Tensor| tensor.f_div_scalar(SQRT_2 * deviation);
        let distribution = scaled(&edges)?.f_sub(&scaled(&target)?)?.f_erf()?;
        let last = distribution.size()[1] - 1;
        let edge = |index: i64, count: i64| distribution.f_narrow(1, index, count);
        let shares = edge(1, last)?.f_sub(&edge(0, last)?)?.f_div(&edge(last, 1)?.f_sub(&edge(0, 1)?)?)?;
        // A bin has the index of its first edge.
        let near = near.map(|near| near.f_narrow(1, 0, last)).transpose()?;
        Ok(Histogram { near, shares })
    }

    /// The indices of the edges of `near` bins around each target, `[N, near + 1]`, or `None` where all bins are computed:
    /// because they are few, or too narrow for the kind. Other bins have no share: so far from the target, the error
    /// function rounds to 1.
    fn edges_near(&self, target: &Tensor, bins: i64) -> Result<Option<Tensor>> {
        let (saturated, digits) = if target.kind() == Kind::Double { (6.0, 1e-14) } else { (4.0, 1e-6) };
        // On each side, with one for a target that rounding puts into the bin beside its own.
        let reach = (saturated * SQRT_2 * self.sigma_ratio).ceil() + 1.0;
        let width = (self.max_value - self.min_value) / bins as f64;
        // Picking some bins takes as long as computing three times as many.
        let few = 3.0 * (2.0 * reach + 1.0) > bins as f64;
        if few || width < digits * self.min_value.abs().max(self.max_value.abs()) {
            return Ok(None);
        }
        let near = 2 * reach as i64 + 1;
        let own = target.f_sub_scalar(self.min_value)?.f_div_scalar(width)?.f_floor()?;
        let first = own.f_sub_scalar(reach)?.f_to_kind(Kind::Int64)?.f_clamp(0, bins - near)?;
        Ok(Some(first.f_add(&Tensor::f_arange(near + 1, (Kind::Int64, target.device()))?)?))
    }
}

/// The shares of bins, which add up to 1 for each target.
struct Histogram {
    /// The indices of the bins, `[N, near]`, or `None` for all of them.
    near: Option<Tensor>,
    /// `[N, near]`, or `[N, B]` for all of them.
    shares: Tensor,
}

impl Histogram {
    /// What `scores` `[N, B]` have at the bins.
    fn of(&self, scores: &Tensor) -> Result<Tensor> {
        Ok(match &self.near {
            Some(near) => scores.f_gather(1, near, false)?,
            None => scores.shallow_clone(),
        })
    }
}

/// Of logits and numbers.
impl Rows for HlGaussLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let histogram = self.histogram(input, &constants[0])?;
        let logs = histogram.of(&input.f_log_softmax(1, None)?)?;
        Ok(over_classes(&logs.f_mul(&histogram.shares)?, false)?.f_neg()?)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let histogram = self.histogram(input, &constants[0])?;
        let Softened { shifted, probabilities, largest } = Softened::of(input)?;
        let products = histogram.of(&shifted)?.f_mul(&histogram.shares)?;
        let sum = products.f_sum(None)?.f_add(&largest.f_sum(None)?)?;
        let slopes = match &histogram.near {
            Some(near) => { probabilities }.f_scatter_add_(1, near, &histogram.shares.f_neg()?)?,
            None => { probabilities }.f_sub_(&histogram.shares)?,
        };
        Ok((sum.f_neg()?, slopes))
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
        reduced(self, input, &[target], self.reduction)
    }
}
