//! [`QuantileLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// Quantile loss (pinball loss): its minimum is a quantile of the target, the median by default.
///
/// ```text
/// d    = target - input
/// l    = max(q * d, (q - 1) * d)      q = the quantile of the element
/// loss = reduce(l)
/// ```
///
/// Several quantiles at once give a range in which the target lies. The loss of the median is half of
/// [`L1Loss`](crate::L1Loss). [`QuantileHuberLoss`](crate::QuantileHuberLoss) compares two sets of quantiles.
///
/// - **Shapes**: `target` any. `input` has the shape of `target` and one more axis at the end, of the quantiles; with
///   one quantile, also the shape of `target`. The loss is a scalar, or has the shape of `input` with
///   [`Reduction::None`].
/// - **Values**: any. f16 and bf16 are computed in f32. The mean is over the quantiles, too; that of nothing is NaN.
/// - **Gradients**: to both arguments. Where they are equal, the gradient is the mean of those to both sides. If the
///   loss is reduced and `target` requires none, forward computes the gradient, and second derivatives come out as zero,
///   as they are.
/// - **Defaults**: `quantiles` 0.5 alone, `reduction` mean.
/// - **Errors**: arguments of other shapes, or of different kinds or devices; `quantiles` outside `[0, 1]`, or with more
///   than one axis.
///
/// Source: R. Koenker and G. Bassett, *Regression quantiles* (1978); `QuantileLoss` of
/// [pytorch-forecasting](https://github.com/sktime/pytorch-forecasting), whose values are twice as large.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, QuantileLoss};
///
/// // The tenth part of the targets is to lie below 0, and nine tenths below 2.
/// let loss = QuantileLoss::default().with_quantiles([0.1, 0.9]);
/// let (input, target) = (Tensor::from_slice2(&[[0.0, 2.0]]), Tensor::from_slice(&[3.0]));
/// // 0.1 * 3 and 0.9 * 1, of which the mean.
/// assert!((loss.forward(&input, &target).double_value(&[]) - 0.6).abs() < 1e-12);
/// ```
#[doc(alias = "PinballLoss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantileLoss {
    /// The quantiles, in `[0, 1]`, in the order of `input`'s last axis.
    pub quantiles: WeightTensor,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for QuantileLoss {
    fn default() -> Self {
        QuantileLoss { quantiles: [0.5].into(), reduction: Reduction::Mean }
    }
}

setters!(QuantileLoss { with_reduction(reduction: Reduction) });

impl QuantileLoss {
    /// The same with other [`quantiles`](Self::quantiles).
    #[must_use]
    pub fn with_quantiles(mut self, quantiles: impl Into<WeightTensor>) -> Self {
        self.quantiles = quantiles.into();
        self
    }

    /// The number of quantiles.
    fn count(&self) -> i64 {
        self.quantiles.size().iter().product()
    }

    fn check_arguments(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        check::floating("input", input)?;
        check::partners(("input", input), ("target", target))?;
        let shape = input.size();
        let count = self.count();
        let expected = match shape.split_last() {
            _ if count == 1 && shape == target.size() => return Ok(()),
            Some((&last, rest)) if last == count => {
                if rest == target.size() {
                    return Ok(());
                }
                format!("{rest:?}, the shape of `input` without its {count} quantiles")
            }
            _ => {
                let expected = format!("a last axis of {count}, the quantiles");
                return Err(Error::Shape { argument: "input", given: shape, expected });
            }
        };
        Err(Error::Shape { argument: "target", given: target.size(), expected })
    }
}

/// `|d| / 2 + (1 / 2 - q) * d` of `d = input - target`, which is the loss.
fn elements(input: &Tensor, target: &Tensor, offsets: &Tensor) -> Result<Tensor> {
    let difference = input.f_sub(target)?;
    Ok(difference.f_abs()?.f_mul_scalar(0.5)?.f_add(&difference.f_mul(offsets)?)?)
}

impl Loss for QuantileLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.quantiles.check_each("quantiles", check::fraction)?;
        let given = self.quantiles.size();
        if given.len() > 1 {
            let (given, expected) = (format!("{:?}", self.quantiles), "a number or a list of numbers".into());
            return Err(Error::Option { option: "quantiles", given, expected });
        }
        Ok(())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        self.check_arguments(input, target)?;
        let wide = input.f_to_kind(accumulation_kind(input.kind()))?;
        let other = target.f_to_kind(wide.kind())?;
        let other = if input.dim() == target.dim() { other } else { other.f_unsqueeze(-1)? };
        let quantiles = self.quantiles.placed("quantiles", &wide)?;
        let offsets = quantiles.f_rsub_scalar(0.5)?;
        let in_graph = offsets.requires_grad() || Wanted::of(&wide, Some(&other))? != Wanted::InputGradient;
        if self.reduction == Reduction::None || in_graph || wide.numel() == 0 {
            let offsets =
                if offsets.numel() == 1 { offsets.f_reshape([0i64; 0].as_slice())? } else { offsets };
            return reduce(&elements(&wide, &other, &offsets)?, self.reduction, input.kind());
        }
        let rows = wide.f_reshape([-1, self.count()].as_slice())?;
        let other = other.f_reshape([-1i64, 1].as_slice())?;
        let sum = sum_of_rows(&rows, &[other], &|input, constants| {
            let difference = input.f_sub(&constants[0])?;
            let slopes = difference.f_sign()?.f_mul_scalar_(0.5)?.f_add_(&offsets)?;
            Ok(({ difference }.f_mul_(&slopes)?.f_sum(None)?, slopes))
        })?;
        let count = if self.reduction == Reduction::Mean { wide.numel() as f64 } else { 1.0 };
        Ok(sum.f_div_scalar(count)?.f_to_kind(input.kind())?)
    }
}
