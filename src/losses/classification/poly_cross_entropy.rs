//! [`PolyCrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::class_entropy::{ClassEntropy, Known};
use super::rows::{over_classes, reduced, Rows};
use super::{CrossEntropyLoss, CLASSES};
use crate::base::exponential::exp_in_place;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::mean_of_counted;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// Poly-1: cross entropy with another slope at well classified places.
///
/// ```text
/// p    = softmax(input) over the classes
/// y    = (1 - s) * truth + s / C
/// l    = -Σ y[c] * log p[c] + e * (1 - Σ y[c] * p[c])      over the classes c
/// loss = reduce(l)
/// ```
///
/// `e` is [`epsilon`](Self::epsilon) and `s` [`label_smoothing`](Self::label_smoothing). `truth` is 1 for the target's
/// class and 0 elsewhere. A target of probabilities is `y` itself. Cross entropy is a series of powers of `1 - p`; the
/// loss adds to the first of them. [`CrossEntropyLoss`](crate::CrossEntropyLoss) is the loss with an `epsilon` of 0.
/// [`PolyBinaryCrossEntropyLoss`](crate::PolyBinaryCrossEntropyLoss) is for classes that do not exclude each other.
///
/// - **Shapes**: `input` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`. `target` is classes, of kind Int64 or Uint8, in that
///   shape without the axis `C`; or probabilities, in `input`'s shape and kind. The loss is a scalar, or has the shape
///   of the classes with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are in `[0, C)` or the `ignore_index`; a wrong one is [`Error::Torch`] on
///   the CPU and a failed device-side assertion on CUDA. Probabilities are not checked. The mean is over the places
///   that are not ignored; that of nothing is NaN. f16 and bf16 are computed in f32.
/// - **Gradients**: to `input` and to probabilities. If the loss is reduced and `input` alone requires one, forward
///   computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Defaults**: `epsilon` 2, `label_smoothing` 0, `ignore_index` -100, `reduction` mean: timm's.
/// - **Errors**: shapes, kinds or devices other than these; an `epsilon` outside `[-1000, 1000]`; a
///   `label_smoothing` outside `[0, 1]`; an `ignore_index` of 0 or more with probabilities.
///
/// The paper has an `epsilon` of 2 for ImageNet and of -1 for detection.
///
/// Source: `PolyCrossEntropy` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; Z. Leng et al.,
/// [*PolyLoss: a polynomial expansion perspective of classification loss functions*](https://arxiv.org/abs/2204.12511)
/// (2022).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, PolyCrossEntropyLoss};
///
/// // A network that cannot tell: log 4 as in cross entropy, and twice the three quarters that are wrong.
/// let logits = Tensor::zeros([2, 4], (Kind::Double, Device::Cpu));
/// let loss = PolyCrossEntropyLoss::default().forward(&logits, &Tensor::from_slice(&[0i64, 3]));
/// assert!((loss.double_value(&[]) - 4f64.ln() - 1.5).abs() < 1e-12);
/// ```
#[doc(alias = "PolyLoss")]
#[doc(alias = "Poly1CrossEntropyLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolyCrossEntropyLoss {
    /// What is added to the first coefficient, 1.
    pub epsilon: f64,
    /// The share of a target of classes that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// The class of the places that do not count.
    pub ignore_index: i64,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for PolyCrossEntropyLoss {
    fn default() -> Self {
        PolyCrossEntropyLoss {
            epsilon: 2.0,
            label_smoothing: 0.0,
            ignore_index: -100,
            reduction: Reduction::Mean,
        }
    }
}

setters!(PolyCrossEntropyLoss {
    with_epsilon(epsilon: f64), with_label_smoothing(label_smoothing: f64), with_ignore_index(ignore_index: i64),
    with_reduction(reduction: Reduction)
});

/// The least and the largest `epsilon`: beyond, f32 has no digits left for the cross entropy.
pub(super) fn check_epsilon(epsilon: f64) -> Result<()> {
    match epsilon.abs() <= 1000.0 {
        true => Ok(()),
        false => Err(Error::Option {
            option: "epsilon",
            given: epsilon.to_string(),
            expected: "a number in [-1000, 1000]".into(),
        }),
    }
}

impl PolyCrossEntropyLoss {
    fn of_classes(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let wide = input.f_to_kind(kind)?;
        let target = target.f_to_kind(CLASSES)?;
        let Known { classes, counted } = Known::of(&target, self.ignore_index, kind)?;
        let entropy = ClassEntropy { smoothing: self.label_smoothing, epsilon: self.epsilon };
        let reduced = |reduction| reduced(&entropy, &wide, &[&classes, &counted], reduction);
        let loss = match self.reduction {
            Reduction::Mean => mean_of_counted(&reduced(Reduction::Sum)?, &counted.f_sum(None)?)?,
            reduction => reduced(reduction)?,
        };
        Ok(loss.f_to_kind(input.kind())?)
    }
}

/// With probabilities.
impl Rows for PolyCrossEntropyLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let logs = input.f_log_softmax(1, None)?;
        let entropy = over_classes(&logs.f_mul(&constants[0])?, false)?;
        let hit = over_classes(&logs.f_exp()?.f_mul(&constants[0])?, false)?;
        Ok(hit.f_rsub_scalar(1.0)?.f_mul_scalar(self.epsilon)?.f_sub(&entropy)?)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let (target, epsilon) = (&constants[0], self.epsilon);
        let logs = input.f_log_softmax(1, None)?;
        let entropy = logs.f_mul(target)?.f_sum(None)?;
        let mut slopes = exp_in_place(logs)?;
        let (total, hit) = (over_classes(target, true)?, over_classes(&slopes.f_mul(target)?, true)?);
        let places = hit.numel() as f64;
        let sum = hit.f_sum(None)?.f_rsub_scalar(places)?.f_mul_scalar(epsilon)?.f_sub(&entropy)?;
        // p * (Σy + e * Σyp - e * y) - y
        let factor =
            target.f_mul_scalar(-epsilon)?.f_add_(&{ hit }.f_mul_scalar_(epsilon)?.f_add_(&total)?)?;
        slopes = slopes.f_mul_(&factor)?.f_sub_(target)?;
        Ok((sum, slopes))
    }
}

impl Loss for PolyCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check_epsilon(self.epsilon)?;
        check::fraction("label_smoothing", self.label_smoothing)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::classes(input)?;
        CrossEntropyLoss::check_target(&input.size(), input, target)?;
        if check::is_class_kind(target.kind()) {
            return self.of_classes(input, target);
        }
        CrossEntropyLoss::check_without_classes(self.ignore_index)?;
        reduced(self, input, &[target], self.reduction)
    }
}
