//! Losses on the scores of classes.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{broadcast, class_indices, same_device};
use crate::base::check;
use crate::base::reduction::{accumulation_kind, reduce};
use crate::{Error, Loss, Result};

/// Multi-class hinge loss: wants the score of the true class above all others by a margin.
///
/// ```text
/// l    = w[y] * Σ max(0, margin - x[y] + x[i])^p / C      over the classes i ≠ y; x = input, y = target
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. Once the margin is kept a sample costs nothing;
/// cross entropy goes on separating. Where a sample has several classes: [`MultiLabelMarginLoss`].
///
/// - **Shapes**: `input` `[N, C]` and `target` `[N]`, or `[C]` and a scalar (or `[1]`). The loss is a scalar,
///   or of the shape of `target` with [`Reduction::None`].
/// - **Values**: `target` from 0 to C - 1, checked by libtorch: on CUDA a device assertion fails. A term of
///   NaN counts as 0, as in PyTorch. Of no samples the mean is NaN and the sum 0 (PyTorch returns whatever
///   its memory held).
/// - **Gradients**: to `input`, 0 on the kink; and to a `weight` that requires one (PyTorch refuses it).
/// - **Defaults**: `p` 1, `margin` 1, no weights, `reduction` mean (over the samples, whatever their
///   weights).
/// - **Errors**: other shapes; a `target` that is not Int64 or on another device; a `weight` that is not
///   `[C]`, or differs in kind or device; a `p` other than 1 and 2; a `margin` that is not finite.
///
/// Source:
/// [`torch.nn.MultiMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MultiMarginLoss};
///
/// let scores = Tensor::from_slice2(&[[0.1, 0.2, 0.4, 0.8]]);
/// let target = Tensor::from_slice(&[3i64]);
/// // ((1 - 0.8 + 0.1) + (1 - 0.8 + 0.2) + (1 - 0.8 + 0.4)) / 4
/// let loss = MultiMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 0.325).abs() < 1e-12);
/// ```
#[derive(Debug)]
pub struct MultiMarginLoss {
    /// The exponent of each term, 1 or 2.
    pub p: i64,
    /// By how much the true class shall lead.
    pub margin: f64,
    /// The weight of each class, `[C]`: of samples whose true class it is.
    pub weight: Option<Tensor>,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for MultiMarginLoss {
    fn default() -> Self {
        MultiMarginLoss { p: 1, margin: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

impl MultiMarginLoss {
    pub(crate) fn check_options(&self) -> Result<()> {
        check::reduction(self.reduction)?;
        check::finite("margin", self.margin)?;
        match self.p {
            1 | 2 => Ok(()),
            other => Err(Error::Option { option: "p", given: other.to_string(), expected: "1 or 2".into() }),
        }
    }
}

impl Loss for MultiMarginLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let (samples, classes) = samples_and_classes(input)?;
        class_indices(("input", input), ("target", target))?;
        let given = target.size();
        if given.len() > 1 || given.iter().product::<i64>() != samples {
            let expected = format!("[{samples}], one class for each sample of `input`");
            return Err(Error::Shape { argument: "target", given, expected });
        }
        if let Some(weight) = &self.weight {
            check::partners(("input", input), ("weight", weight))?;
            if weight.size() != [classes] {
                let expected = format!("[{classes}], one for each class of `input`");
                return Err(Error::Shape { argument: "weight", given: weight.size(), expected });
            }
        }
        // tch has no binding of libtorch's own forward function.
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?.f_reshape([samples, classes])?;
        let index = target.f_reshape([samples, 1])?;
        let of_target = scores.f_gather(1, &index, false)?;
        let terms = of_target.f_neg()?.f_add_scalar(self.margin)?.f_add(&scores)?;
        let counted = terms.f_gt(0.0)?.f_scatter_value(1, &index, 0i64)?;
        let terms = if self.p == 2 { terms.f_square()? } else { terms };
        let sum =
            terms.f_where_scalarother(&counted, 0.0)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
        let mut loss = sum.f_div_scalar(classes as f64)?;
        if let Some(weight) = &self.weight {
            loss = loss.f_mul(&weight.f_index_select(0, &index.f_view([samples])?)?)?;
        }
        reduce(&loss.f_reshape(given)?, self.reduction, input.kind())
    }
}

/// Multi-label hinge loss: wants the scores of all true classes above those of all others by 1.
///
/// ```text
/// l    = Σ Σ max(0, 1 - x[y] + x[i]) / C      over the true classes y, and over the classes i that are none
/// loss = reduce(l)
/// ```
///
/// `target` lists the true classes of a sample, the list ended by -1 unless it is full: `[3, 0, -1, 1]` is
/// the classes 3 and 0. [`MultiLabelSoftMarginLoss`] takes ones and zeros and looks at each class by itself.
///
/// - **Shapes**: `input` and `target` `[N, C]` or `[C]`. The loss is a scalar, or of shape `[N]`, scalar
///   without a batch, with [`Reduction::None`].
/// - **Values**: `target` from -1 to C - 1, checked by libtorch: on CUDA a device assertion fails. What
///   follows the first -1 does not count. A term of NaN counts as 0, as in PyTorch. Of no samples the mean is
///   NaN and the sum 0 (PyTorch returns whatever its memory held).
/// - **Gradients**: to `input`, 0 on the kink.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: other or different shapes; a `target` that is not Int64 or on another device.
///
/// Source:
/// [`torch.nn.MultiLabelMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MultiLabelMarginLoss};
///
/// let scores = Tensor::from_slice2(&[[0.1, 0.2, 0.4, 0.8]]);
/// let target = Tensor::from_slice2(&[[3i64, 0, -1, 1]]);
/// // ((1 - (0.1 - 0.2)) + (1 - (0.1 - 0.4)) + (1 - (0.8 - 0.2)) + (1 - (0.8 - 0.4))) / 4
/// let loss = MultiLabelMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 0.85).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiLabelMarginLoss {
    /// How the samples are reduced.
    #[serde(with = "crate::base::reduction::name")]
    pub reduction: Reduction,
}

impl Default for MultiLabelMarginLoss {
    fn default() -> Self {
        MultiLabelMarginLoss { reduction: Reduction::Mean }
    }
}

impl Loss for MultiLabelMarginLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        let (samples, _) = samples_and_classes(input)?;
        class_indices(("input", input), ("target", target))?;
        if target.size() != input.size() {
            let expected = format!("{:?}, the shape of `input`", input.size());
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        if samples == 0 {
            // libtorch leaves the loss of no samples as the memory was.
            let none = input.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
            return reduce(&none, self.reduction, input.kind());
        }
        // libtorch has no kernel for reduced precision on the CPU.
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?;
        Ok(scores.f_multilabel_margin_loss(target, self.reduction)?.f_to_kind(input.kind())?)
    }
}

/// Multi-label loss by binary cross entropy: each class is there or not, whatever the others.
///
/// ```text
/// l    = -Σ w[i] * (y[i] * log σ(x[i]) + (1 - y[i]) * log σ(-x[i])) / C      over the classes i
/// loss = reduce(l)                                                           x = input, y = target
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. The mean is that of
/// [`BceWithLogitsLoss`](crate::BceWithLogitsLoss), which also weighs positives and keeps the classes apart
/// with [`Reduction::None`]; the sum is one over samples, not over elements. [`MultiLabelMarginLoss`]
/// compares the classes with each other.
///
/// - **Shapes**: `input` and `target` `[N, C]`, or any others with the classes last; `target` and `weight`
///   are broadcast, as in PyTorch, as long as the classes stay the last axis of `input`. The loss is a
///   scalar, or of the shape without the classes with [`Reduction::None`].
/// - **Values**: `input` any scores; `target` 0, 1 or between, not checked. The mean of nothing is NaN.
/// - **Gradients**: to `input`, to a floating `target`, and to `weight`.
/// - **Defaults**: no weights, `reduction` mean.
/// - **Errors**: arguments that do not broadcast so or are on different devices; a `target` that is neither
///   of the kind of `input` nor an integer; a `weight` of another kind than `input`.
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
#[derive(Debug)]
pub struct MultiLabelSoftMarginLoss {
    /// The weight of each class, `[C]`, or what broadcasts to the shape of the arguments.
    pub weight: Option<Tensor>,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for MultiLabelSoftMarginLoss {
    fn default() -> Self {
        MultiLabelSoftMarginLoss { weight: None, reduction: Reduction::Mean }
    }
}

impl MultiLabelSoftMarginLoss {
    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        check::reduction(self.reduction)?;
        check::floating("input", input)?;
        let shape = input.size();
        let Some(&classes) = shape.last() else {
            let expected = "at least one dimension, the classes".into();
            return Err(Error::Shape { argument: "input", given: shape, expected });
        };
        check::dense("target", target)?;
        let given = target.f_kind()?;
        if given != input.kind() && !check::is_integer(given) {
            let expected = format!("{:?}, the kind of `input`, or an integer", input.kind());
            return Err(Error::Kind { argument: "target", given, expected });
        }
        same_device(("input", input), ("target", target))?;
        let mut arguments = vec![("input", input), ("target", target)];
        if let Some(weight) = &self.weight {
            check::partners(("input", input), ("weight", weight))?;
            arguments.push(("weight", weight));
        }
        for index in 1..arguments.len() {
            let common = broadcast(&arguments[..=index])?;
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
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?;
        let present = scores.f_log_sigmoid()?.f_mul(target)?;
        let absent = scores.f_neg()?.f_log_sigmoid()?.f_mul(&target.f_rsub_scalar(1i64)?)?;
        let mut elements = present.f_add(&absent)?;
        if let Some(weight) = &self.weight {
            elements = elements.f_mul(weight)?;
        }
        let classes = input.size().last().copied().unwrap_or(1);
        let sum = elements.f_sum_dim_intlist([-1i64].as_slice(), false, None)?;
        reduce(&sum.f_div_scalar(-(classes as f64))?, self.reduction, input.kind())
    }
}

/// `N` and `C` of scores `[N, C]`; those without a batch, `[C]` or of one class only, are one sample.
fn samples_and_classes(input: &Tensor) -> Result<(i64, i64)> {
    check::floating("input", input)?;
    match input.size()[..] {
        [] => Ok((1, 1)),
        [classes] if classes > 0 => Ok((1, classes)),
        [samples, classes] if classes > 0 => Ok((samples, classes)),
        _ => Err(Error::Shape {
            argument: "input",
            given: input.size(),
            expected: "[N, C] or [C] with C at least 1".into(),
        }),
    }
}
