//! [`CrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{class_weight, CLASSES};
use crate::base::precision::{accumulation_kind, is_floating};
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// Cross entropy of logits, the usual loss of classifiers: soft-max and [`NllLoss`](crate::NllLoss) in one.
///
/// ```text
/// p    = softmax(input) over the classes
/// l    = -Σ over classes c of  w[c] * y[c] * log p[c]
/// y    = (1 - s) * truth + s / C
/// loss = reduce(l)
/// ```
///
/// - `truth` is 1 for the target's class and 0 elsewhere. A target of probabilities is `truth` itself.
/// - `w` is [`weight`](Self::weight), 1 unless given. `s` is [`label_smoothing`](Self::label_smoothing).
/// - The mean over classes is the sum over the places that are not ignored, divided by the sum of their
///   classes' weights. The mean over probabilities is the sum divided by the number of places.
///
/// [`NllLoss`](crate::NllLoss) takes log-probabilities. [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) is
/// for classes that do not exclude each other. [`LinearCrossEntropyLoss`](crate::LinearCrossEntropyLoss)
/// includes the last layer, for very many classes.
///
/// - **Shapes**: `input` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]` (segmentation: `[N, C, H, W]`). `target` is
///   classes, of kind Int64 or Uint8, in `input`'s shape without the axis `C`; or probabilities, in `input`'s
///   shape and kind. The loss is a scalar, or has the shape of the classes with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are in `[0, C)` or the `ignore_index`; a wrong one is
///   [`Error::Torch`] on the CPU and a failed device-side assertion on CUDA. Probabilities are not checked,
///   as in PyTorch. If all places are ignored, the mean is NaN and the gradient 0.
/// - **Gradients**: to `input`; to probabilities and, with them, to `weight`. With classes, libtorch has no
///   gradient for `weight` and refuses a weight that requires one.
/// - **Defaults**: no weights, `ignore_index` -100, `label_smoothing` 0, `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these; a weight that is not `[C]`, or that
///   [`WeightTensor`] refuses; a `label_smoothing` outside `[0, 1]`; an `ignore_index` of 0 or more with
///   probabilities, which have none to ignore.
///
/// Source:
/// [`torch.nn.CrossEntropyLoss`](https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html);
/// label smoothing: C. Szegedy et al., [*Rethinking the Inception architecture for computer
/// vision*](https://arxiv.org/abs/1512.00567) (2015).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{CrossEntropyLoss, Loss};
///
/// // Segmentation into four classes by a network that cannot tell: log 4.
/// let logits = Tensor::zeros([2, 4, 8, 8], (Kind::Float, Device::Cpu));
/// let classes = Tensor::randint(4, [2, 8, 8], (Kind::Int64, Device::Cpu));
/// let loss = CrossEntropyLoss::default().forward(&logits, &classes);
/// assert!((loss - 4f64.ln()).abs().double_value(&[]) < 1e-6);
///
/// // Class 0 is rare and counts tenfold, class 3 means "unknown".
/// let weighted = CrossEntropyLoss::default()
///     .with_weight([10.0, 1.0, 1.0, 1.0])
///     .with_ignore_index(3)
///     .with_label_smoothing(0.1);
/// assert!(weighted.forward(&logits, &classes).double_value(&[]) > 0.0);
/// ```
#[doc(alias = "LabelSmoothingCrossEntropy")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropyLoss {
    /// The weight of each class, `[C]`: for classes that are rare, or matter more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The class of the places that do not count.
    pub ignore_index: i64,
    /// The share of the target that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for CrossEntropyLoss {
    fn default() -> Self {
        CrossEntropyLoss {
            weight: None,
            ignore_index: -100,
            label_smoothing: 0.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(CrossEntropyLoss {
    with_ignore_index(ignore_index: i64), with_label_smoothing(label_smoothing: f64),
    with_reduction(reduction: Reduction);
    with_weight(weight: WeightTensor)
});

impl CrossEntropyLoss {
    /// Checks a target for logits of a shape, of `input`'s kind and device.
    pub(super) fn check_target(logits: &[i64], input: &Tensor, target: &Tensor) -> Result<()> {
        check::dense("target", target)?;
        let given = target.f_kind()?;
        if check::is_class_kind(given) {
            return check::class_targets(logits, input, target);
        }
        if !is_floating(given) {
            let expected = format!("Int64 or Uint8 for classes, {:?} for probabilities", input.kind());
            return Err(Error::Kind { argument: "target", given, expected });
        }
        check::partners(("input", input), ("target", target))?;
        if target.size() != logits {
            let expected = format!("{logits:?}, probabilities for each of the logits");
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        Ok(())
    }

    /// Probabilities have no class to ignore.
    pub(super) fn check_without_classes(ignore_index: i64) -> Result<()> {
        if ignore_index < 0 {
            return Ok(());
        }
        Err(Error::Option {
            option: "ignore_index",
            given: ignore_index.to_string(),
            expected: "a negative number, for `target` holds probabilities, not classes".into(),
        })
    }

    /// What the mean over places with classes is the sum divided by: the weights of those that are not
    /// ignored.
    pub(super) fn sum_of_weights(
        &self,
        weight: Option<&Tensor>,
        classes: &Tensor,
        kind: Kind,
    ) -> Result<Tensor> {
        let classes = classes.f_to_kind(CLASSES)?.f_flatten(0, -1)?;
        let counted = classes.f_ne(self.ignore_index)?;
        Ok(match weight {
            None => counted.f_sum(kind)?,
            Some(weight) => {
                // Class 0 stands in for the ignored ones, for theirs may not exist.
                let weights = weight.f_index_select(0, &classes.f_mul(&counted)?)?;
                weights.f_mul(&counted)?.f_sum(kind)?
            }
        })
    }
}

impl Loss for CrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::fraction("label_smoothing", self.label_smoothing)?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let weight = class_weight(self.weight.as_ref(), input, check::classes(input)?)?;
        CrossEntropyLoss::check_target(&input.size(), input, target)?;
        let of_classes = check::is_class_kind(target.kind());
        if !of_classes {
            CrossEntropyLoss::check_without_classes(self.ignore_index)?;
        }
        let target = &if of_classes { target.f_to_kind(CLASSES)? } else { target.shallow_clone() };
        let reduced = |reduction: Reduction| {
            let (reduction, smoothing) = (reduction.torch(), self.label_smoothing);
            input.f_cross_entropy_loss(target, weight.as_ref(), reduction, self.ignore_index, smoothing)
        };
        if of_classes && self.label_smoothing > 0.0 && self.reduction == Reduction::Mean {
            // libtorch's own mean picks out the places that count, and on CUDA waits for their number.
            let kind = accumulation_kind(input.kind());
            let sum = reduced(Reduction::None)?.f_sum(kind)?;
            let weights = self.sum_of_weights(weight.as_ref(), target, kind)?;
            return Ok(sum.f_div(&weights)?.f_to_kind(input.kind())?);
        }
        Ok(reduced(self.reduction)?)
    }
}
