//! [`BinaryCrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::binary_entropy::OneOfMany;
use super::rows::{finish, reduced};
use super::{element_weight, smoothed, CLASSES};
use crate::base::precision::accumulation_kind;
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// Binary cross entropy of each class, with classes as targets: the loss of timm's ResNet recipes.
///
/// ```text
/// y    = 1 - s + s / C at the target's class, s / C at the others
/// l    = -w * (p * y * log σ(x) + (1 - y) * log(1 - σ(x)))      x = input
/// loss = reduce(l)
/// ```
///
/// `s` is [`label_smoothing`](Self::label_smoothing), `w` [`weight`](Self::weight) and `p`
/// [`pos_weight`](Self::pos_weight), both 1 unless given. A target of probabilities, as of Mixup and CutMix, is `y`
/// itself. [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) is PyTorch's, of probabilities;
/// [`BceLoss`](crate::BceLoss) has no sigmoid inside.
///
/// - **Shapes**: `input` `[N, C]`. `target` is classes `[N]`, of kind Int64 or Uint8, or probabilities, in `input`'s
///   shape and kind. The loss is a scalar, or `[N, C]` with [`Reduction::None`], `[N]` with `sum_classes` as well.
/// - **Values**: `input` any logits. Classes are in `[0, C)`; a wrong one is [`Error::Torch`] on the CPU and a failed
///   device-side assertion on CUDA. Probabilities are not checked. f16 and bf16 are computed in f32. The mean of nothing
///   is NaN.
/// - **Gradients**: to `input` and to probabilities. If targets are classes and the loss is reduced and has neither
///   weights nor a threshold, forward computes the gradient, and second derivatives come out as zero. For second
///   derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `label_smoothing` 0.1, no `target_threshold`, `sum_classes` and `smooth_dense` false, no weights,
///   `reduction` mean: timm's.
/// - **Errors**: shapes, kinds or devices other than these; a `label_smoothing` or a `target_threshold` outside
///   `[0, 1]`; a weight that does not broadcast to the shape of `input`.
///
/// Source: `BinaryCrossEntropy` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; R. Wightman et
/// al., [*ResNet strikes back*](https://arxiv.org/abs/2110.00476) (2021).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{BinaryCrossEntropyLoss, Loss};
///
/// let logits = Tensor::zeros([2, 4], (Kind::Double, Device::Cpu));
/// let classes = Tensor::from_slice(&[1i64, 3]);
/// // Undecided: log 2 for each class, whatever the truth.
/// let loss = BinaryCrossEntropyLoss::default().with_sum_classes(true).forward(&logits, &classes);
/// assert!((loss.double_value(&[]) - 4.0 * 2f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias = "BinaryCrossEntropy")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BinaryCrossEntropyLoss {
    /// The share of a target of classes that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// Targets above are 1 and others 0, if it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_threshold: Option<f64>,
    /// Whether classes are added up, so that the mean is over samples.
    pub sum_classes: bool,
    /// Whether `label_smoothing` moves probabilities towards 1/2.
    pub smooth_dense: bool,
    /// The weight of each element, broadcast to the shape of `input`: `[C]` for the classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The weight of the positive term, broadcast to the shape of `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos_weight: Option<WeightTensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for BinaryCrossEntropyLoss {
    fn default() -> Self {
        BinaryCrossEntropyLoss {
            label_smoothing: 0.1,
            target_threshold: None,
            sum_classes: false,
            smooth_dense: false,
            weight: None,
            pos_weight: None,
            reduction: Reduction::Mean,
        }
    }
}

setters!(BinaryCrossEntropyLoss {
    with_label_smoothing(label_smoothing: f64), with_sum_classes(sum_classes: bool),
    with_smooth_dense(smooth_dense: bool), with_reduction(reduction: Reduction);
    with_target_threshold(target_threshold: f64), with_weight(weight: WeightTensor),
    with_pos_weight(pos_weight: WeightTensor)
});

impl BinaryCrossEntropyLoss {
    /// The targets of all classes, in the kind of `wide`.
    fn probabilities(&self, wide: &Tensor, target: &Tensor) -> Result<Tensor> {
        let dense = if check::is_class_kind(target.kind()) {
            OneOfMany { smoothing: self.label_smoothing }.labels(wide, target)?
        } else {
            let share = if self.smooth_dense { self.label_smoothing } else { 0.0 };
            smoothed(&target.f_to_kind(wide.kind())?, share)?
        };
        Ok(match self.target_threshold {
            Some(threshold) => dense.f_gt(threshold)?.f_to_kind(wide.kind())?,
            None => dense,
        })
    }
}

impl BinaryCrossEntropyLoss {
    /// The sum over all classes of classes as targets, for losses that are reduced and have no weights.
    fn sum_of_classes(&self, wide: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        let weighted = self.weight.is_some() || self.pos_weight.is_some();
        let of_classes = check::is_class_kind(target.kind()) && self.target_threshold.is_none();
        if weighted || !of_classes || self.reduction == Reduction::None {
            return Ok(None);
        }
        let entropy = OneOfMany { smoothing: self.label_smoothing };
        Ok(Some(reduced(&entropy, wide, &[&target.f_to_kind(CLASSES)?], Reduction::Sum)?))
    }
}

impl Loss for BinaryCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::fraction("label_smoothing", self.label_smoothing)?;
        self.target_threshold.map_or(Ok(()), |threshold| check::fraction("target_threshold", threshold))?;
        check_weight("weight", self.weight.as_ref())?;
        check_weight("pos_weight", self.pos_weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input", input)?;
        if input.dim() != 2 || input.size()[1] == 0 {
            let expected = "[N, C] with C at least 1".into();
            return Err(Error::Shape { argument: "input", given: input.size(), expected });
        }
        super::CrossEntropyLoss::check_target(&input.size(), input, target)?;
        let wide = input.f_to_kind(accumulation_kind(input.kind()))?;
        if let Some(sum) = self.sum_of_classes(&wide, target)? {
            let count = match (self.reduction, self.sum_classes) {
                (Reduction::Mean, true) => input.size()[0],
                (Reduction::Mean, false) => wide.numel() as i64,
                _ => 1,
            };
            return finish(sum, Reduction::BatchMean, count, input);
        }
        let target = self.probabilities(&wide, target)?;
        let weight = element_weight("weight", self.weight.as_ref(), &wide)?;
        let pos_weight = element_weight("pos_weight", self.pos_weight.as_ref(), &wide)?;
        let by_libtorch = |reduction| {
            wide.f_binary_cross_entropy_with_logits(&target, weight.as_ref(), pos_weight.as_ref(), reduction)
        };
        if self.sum_classes {
            let samples =
                by_libtorch(tch::Reduction::None)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
            return finish(samples, self.reduction, input.size()[0], input);
        }
        Ok(by_libtorch(self.reduction.torch())?.f_to_kind(input.kind())?)
    }
}
