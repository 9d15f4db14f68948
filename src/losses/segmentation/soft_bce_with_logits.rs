//! [`SoftBceWithLogitsLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::pointwise::{sum_of_elements, Pointwise};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::weight::{check_weight, placed};
use crate::base::{check, setters};
use crate::losses::classification::binary_entropy::BinaryEntropy;
use crate::{Loss, Reduction, Result, WeightTensor};

/// Binary cross entropy of logits with places to ignore and smoothed labels.
///
/// ```text
/// y    = target * (1 - s) + (1 - target) * s                         s = smooth_factor
/// l    = -w * (p * y * log σ(input) + (1 - y) * log(1 - σ(input)))   0 where target is ignore_index
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight) and `p` [`pos_weight`](Self::pos_weight), both 1 unless given. Ignored places
/// count in the mean, as in segmentation-models-pytorch. [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) is
/// PyTorch's, without the two additions.
///
/// - **Shapes**: `input` and `target` any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: `input` any logits; `target` probabilities in `[0, 1]` or the `ignore_index`, not checked. f16 and
///   bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments. libtorch has no gradient for the weights and refuses a weight that requires
///   one. If the loss is reduced, there are no weights and only `input` requires a gradient, forward computes it, and
///   second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: no weights, `ignore_index` -100, `smooth_factor` 0, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; a weight that does not broadcast to the shape of
///   `input`, or that [`WeightTensor`] refuses; a `smooth_factor` outside `[0, 1]`.
///
/// Source: [`SoftBCEWithLogitsLoss` of
/// segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SoftBceWithLogitsLoss};
///
/// let (logits, labels) = (Tensor::from_slice(&[0.0, 7.0]), Tensor::from_slice(&[1.0, 255.0]));
/// // log 2, and nothing.
/// let loss = SoftBceWithLogitsLoss::default().with_ignore_index(255).forward(&logits, &labels);
/// assert!((loss.double_value(&[]) - 2f64.ln() / 2.0).abs() < 1e-12);
/// ```
#[doc(alias = "SoftBCEWithLogitsLoss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftBceWithLogitsLoss {
    /// The weight of each element, broadcast to the shape of `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The weight of the positive class, broadcast to the shape of `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos_weight: Option<WeightTensor>,
    /// The target of the places that do not count.
    pub ignore_index: i64,
    /// What a label of 1 gives to the other one, in `[0, 1]`.
    pub smooth_factor: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for SoftBceWithLogitsLoss {
    fn default() -> Self {
        SoftBceWithLogitsLoss {
            weight: None,
            pos_weight: None,
            ignore_index: -100,
            smooth_factor: 0.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(SoftBceWithLogitsLoss {
    with_ignore_index(ignore_index: i64), with_smooth_factor(smooth_factor: f64), with_reduction(reduction: Reduction);
    with_weight(weight: WeightTensor), with_pos_weight(pos_weight: WeightTensor)
});

impl Loss for SoftBceWithLogitsLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::fraction("smooth_factor", self.smooth_factor)?;
        check_weight("weight", self.weight.as_ref())?;
        check_weight("pos_weight", self.pos_weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        let kind = accumulation_kind(input.kind());
        let (logits, target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
        let weight = |option, weight: &Option<WeightTensor>| -> Result<Option<Tensor>> {
            let weight = placed(option, weight.as_ref(), &logits)?;
            weight.iter().try_for_each(|weight| check::element_weight((option, weight), input))?;
            Ok(weight)
        };
        let (weight, pos_weight) = (weight("weight", &self.weight)?, weight("pos_weight", &self.pos_weight)?);
        if weight.is_none() && pos_weight.is_none() && self.reduction != Reduction::None {
            let sum = sum_of_elements(self, &logits, &target, None)?;
            let count = if self.reduction == Reduction::Mean { logits.numel() as f64 } else { 1.0 };
            return Ok(sum.f_div_scalar(count)?.f_to_kind(input.kind())?);
        }
        let (labels, counted) = self.labels(&target)?;
        let none = tch::Reduction::None;
        let elements =
            logits.f_binary_cross_entropy_with_logits(&labels, weight.as_ref(), pos_weight.as_ref(), none)?;
        reduce(&elements.f_mul(&counted)?, self.reduction, input.kind())
    }
}

impl SoftBceWithLogitsLoss {
    /// The smoothed labels, and 1 for those that count.
    fn labels(&self, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let labels = match self.smooth_factor == 0.0 {
            true => target.shallow_clone(),
            false => target.f_mul_scalar(1.0 - 2.0 * self.smooth_factor)?.f_add_scalar(self.smooth_factor)?,
        };
        // In the target's kind, libtorch compares several at a time.
        let plain = target.f_detach()?;
        let counted = plain.f_ne_scalar_out(&plain.f_empty_like()?, self.ignore_index)?;
        Ok((labels, counted))
    }
}

impl Pointwise for SoftBceWithLogitsLoss {
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (labels, counted) = self.labels(target)?;
        Ok(BinaryEntropy.elements(input, &labels)?.f_mul(&counted)?)
    }

    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let (labels, counted) = self.labels(target)?;
        let (mut elements, mut slopes) = BinaryEntropy.elements_and_slopes(input, &labels)?;
        Ok((elements.f_mul_(&counted)?, slopes.f_mul_(&counted)?))
    }
}
