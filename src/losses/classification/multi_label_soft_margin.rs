//! [`MultiLabelSoftMarginLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::{accumulation_kind, is_integer};
use crate::base::reduction::reduce;
use crate::base::weight::{check_weight, placed};
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// Multi-label loss by binary cross entropy: each class is present or not, independently of the others.
///
/// ```text
/// l    = -Σ w[i] * (y[i] * log σ(x[i]) + (1 - y[i]) * log σ(-x[i])) / C      over the classes i
/// loss = reduce(l)                                                           x = input, y = target
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. The mean is that of
/// [`BceWithLogitsLoss`](crate::BceWithLogitsLoss); the sum is over samples, not over elements.
/// [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) also weighs positives, and keeps the classes apart with
/// [`Reduction::None`]. [`MultiLabelMarginLoss`](crate::MultiLabelMarginLoss) compares the classes with each
/// other.
///
/// - **Shapes**: `input` and `target` `[N, C]`, or any others with the classes last. `target` and `weight`
///   are broadcast, as in PyTorch, as long as the classes stay the last axis of `input`. The loss is a
///   scalar, or has the shape without the classes with [`Reduction::None`].
/// - **Values**: `input` any scores; `target` 0, 1 or between, not checked. The mean of nothing is NaN.
/// - **Gradients**: to `input`, to a floating `target`, and to `weight`.
/// - **Defaults**: no weights, `reduction` mean.
/// - **Errors**: shapes that do not broadcast this way; a `target` on another device than `input`, or neither
///   of its kind nor an integer; a weight that [`WeightTensor`] refuses.
///
/// Source:
/// [`torch.nn.MultiLabelSoftMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MultiLabelSoftMarginLoss};
///
/// // Undecided about all classes: log 2, whatever the truth.
/// let scores = Tensor::from_slice2(&[[0.0, 0.0, 0.0]]);
/// let target = Tensor::from_slice2(&[[1i64, 0, 1]]);
/// let loss = MultiLabelSoftMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiLabelSoftMarginLoss {
    /// The weight of each class, `[C]`, or a weight that broadcasts to the shape of the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

setters!(MultiLabelSoftMarginLoss { with_reduction(reduction: Reduction); with_weight(weight: WeightTensor) });

impl MultiLabelSoftMarginLoss {
    fn check_arguments(input: &Tensor, target: &Tensor, weight: Option<&Tensor>) -> Result<()> {
        let shape = input.size();
        let Some(&classes) = shape.last() else {
            let expected = "at least one dimension, the classes".into();
            return Err(Error::Shape { argument: "input", given: shape, expected });
        };
        check::dense("target", target)?;
        let given = target.f_kind()?;
        if given != input.kind() && !is_integer(given) {
            let expected = format!("{:?}, the kind of `input`, or an integer", input.kind());
            return Err(Error::Kind { argument: "target", given, expected });
        }
        check::same_device(("input", input), ("target", target))?;
        let mut arguments = vec![("input", input), ("target", target)];
        if let Some(weight) = weight {
            arguments.push(("weight", weight));
        }
        for index in 1..arguments.len() {
            let common = check::broadcast(&arguments[..=index])?;
            // PyTorch sums along the last axis of `input`, which would no longer be that of the classes.
            if common.len() != shape.len() || common.last() != Some(&classes) {
                let (argument, given) = (arguments[index].0, arguments[index].1.size());
                let expected = format!("{} dimensions at most, the last {classes} or 1", shape.len());
                return Err(Error::Shape { argument, given, expected });
            }
        }
        Ok(())
    }
}

impl Loss for MultiLabelSoftMarginLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input", input)?;
        let weight = placed("weight", self.weight.as_ref(), input)?;
        MultiLabelSoftMarginLoss::check_arguments(input, target, weight.as_ref())?;
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?;
        let target = target.f_to_kind(scores.kind())?;
        let (present, absent) = (scores.f_log_sigmoid()?, scores.f_neg()?.f_log_sigmoid()?);
        let mut elements = present.f_mul(&target)?.f_addcmul(&absent, &target.f_rsub_scalar(1i64)?)?;
        if let Some(weight) = &weight {
            elements = elements.f_mul(weight)?;
        }
        let classes = input.size().last().copied().unwrap_or(1);
        let sum = elements.f_sum_dim_intlist([-1i64].as_slice(), false, None)?;
        reduce(&sum.f_div_scalar(-(classes as f64))?, self.reduction, input.kind())
    }
}
