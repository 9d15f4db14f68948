//! [`GeneralizedDiceLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::sums::{Reading, Sums};
use super::{Intersection, SegmentationMode};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// What a class counts in [`GeneralizedDiceLoss`], by its volume: the number of its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeWeight {
    /// One over the squared volume.
    #[default]
    Square,
    /// One over the volume.
    Simple,
    /// All the same.
    Uniform,
}

/// Generalised Dice loss: one score over all classes, in which rare ones count more.
///
/// ```text
/// TP_c = Σ p * t over the places of class c      p = probabilities, t = target
/// V_c  = Σ t,    w_c = 1 / V_c²
/// l    = 1 - (2 * Σ_c w_c * TP_c + smooth_nr) / (Σ_c w_c * (Σ p + Σ t) + smooth_dr)
/// loss = reduce(l)                               one l for each sample, or for all with batch
/// ```
///
/// A class that no place has gets the largest weight of those that there are. If no class has a place, all weights
/// are 0, or 1 if they are uniform. [`DiceLoss`](crate::DiceLoss) has a score for each class.
///
/// - **Shapes**: `input` `[N, C, ...]`, with any number of axes behind, or `[N, ...]` with the mode binary. `target`
///   is classes `[N, ...]`, or labels or probabilities in `input`'s shape: see
///   [`SegmentationMode`](crate::SegmentationMode). The loss is a scalar, or `[N]` with [`Reduction::None`], `[1]`
///   with `batch`.
/// - **Values**: `input` any logits, or probabilities in `[0, 1]` without `from_logits`. Classes are in `[0, C)` or
///   the `ignore_index`; a wrong one is [`Error::Torch`](crate::Error::Torch) on the CPU and a failed device-side
///   assertion on CUDA. Probabilities are not checked. f16 and bf16 are computed in f32.
/// - **Gradients**: to `input` and to a floating-point `target`. If the loss is reduced and only `input` requires a
///   gradient, forward computes it, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Defaults**: `mode` multiclass, `from_logits` true, `volume_weight` square, `intersection` product,
///   `include_background` true, `batch` false, no `ignore_index`, `smooth_nr` and `smooth_dr` 1e-5, `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these; an `ignore_index` of 0 or more with probabilities of the
///   mode multiclass, which have none to ignore; `smooth_nr` or `smooth_dr` that are negative or not finite.
///
/// MONAI's activation is an option that is off: its `softmax` is `from_logits`, and its `sigmoid` that with the mode
/// multilabel. Its `w_type` is `volume_weight`; its `soft_label` is [`Intersection::Minimum`].
///
/// Source: [`GeneralizedDiceLoss` of MONAI](https://docs.monai.io/en/stable/losses.html#generalizeddiceloss); C.
/// Sudre et al., [*Generalised Dice overlap*](https://arxiv.org/abs/1707.03237) (2017).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{GeneralizedDiceLoss, Loss};
///
/// let classes = Tensor::from_slice(&[0i64, 0, 0, 1]).view([1, 2, 2]);
/// // Nothing is known: half of each place is right.
/// let logits = Tensor::zeros([1, 2, 2, 2], (Kind::Double, Device::Cpu));
/// let loss = GeneralizedDiceLoss::default().forward(&logits, &classes);
/// let (above, below) = (1.5 / 9.0 + 0.5, 5.0 / 9.0 + 3.0);
/// assert!((loss.double_value(&[]) - (1.0 - 2.0 * above / below)).abs() < 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneralizedDiceLoss {
    /// How the classes relate, and what the arguments look like.
    pub mode: SegmentationMode,
    /// Whether `input` holds logits. Otherwise it holds probabilities in `[0, 1]`.
    pub from_logits: bool,
    /// What a class counts.
    pub volume_weight: VolumeWeight,
    /// What is common to prediction and target.
    pub intersection: Intersection,
    /// Whether class 0 counts, if it is not the only one.
    pub include_background: bool,
    /// Whether the sums are over the batch.
    pub batch: bool,
    /// The class of the places that do not count. With the modes binary and multilabel, the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// What is added to the numerator.
    pub smooth_nr: f64,
    /// What is added to the denominator.
    pub smooth_dr: f64,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for GeneralizedDiceLoss {
    fn default() -> Self {
        GeneralizedDiceLoss {
            mode: SegmentationMode::Multiclass,
            from_logits: true,
            volume_weight: VolumeWeight::Square,
            intersection: Intersection::Product,
            include_background: true,
            batch: false,
            ignore_index: None,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
            reduction: Reduction::Mean,
        }
    }
}

setters!(GeneralizedDiceLoss {
    with_mode(mode: SegmentationMode), with_from_logits(from_logits: bool),
    with_volume_weight(volume_weight: VolumeWeight), with_intersection(intersection: Intersection),
    with_include_background(include_background: bool), with_batch(batch: bool), with_smooth_nr(smooth_nr: f64),
    with_smooth_dr(smooth_dr: f64), with_reduction(reduction: Reduction);
    with_ignore_index(ignore_index: i64)
});

impl GeneralizedDiceLoss {
    /// The weights of classes with these volumes, along the last axis.
    fn weights(&self, volumes: &Tensor) -> Result<Tensor> {
        let of = |volumes: &Tensor| -> Result<Tensor> {
            let inverse = volumes.f_reciprocal()?;
            Ok(match self.volume_weight {
                VolumeWeight::Uniform => inverse.f_ones_like()?,
                VolumeWeight::Simple => inverse,
                VolumeWeight::Square => inverse.f_square()?,
            })
        };
        // Also those of so little that the weight overflows.
        let absent = of(&volumes.f_detach()?)?.f_isinf()?;
        let weights = of(&volumes.f_masked_fill(&absent, 1.0)?)?.f_masked_fill(&absent, 0.0)?;
        let largest = weights.f_amax([-1i64].as_slice(), true)?;
        Ok(weights.f_addcmul(&absent.f_to_kind(volumes.kind())?, &largest)?)
    }

    fn loss(&self, sums: &Sums) -> Result<Tensor> {
        let total = |sum: &Tensor| -> Result<Tensor> {
            let classes = sum.size()[1];
            let from = i64::from(!self.include_background && classes > 1);
            let sum = sum.f_narrow(1, from, classes - from)?;
            Ok(if self.batch { sum.f_sum_dim_intlist([0i64].as_slice(), true, None)? } else { sum })
        };
        let (both, predicted, actual) = (total(&sums.both)?, total(&sums.predicted)?, total(&sums.actual)?);
        let weights = self.weights(&actual)?;
        let weighted = |sum: &Tensor| sum.f_mul(&weights)?.f_sum_dim_intlist([1i64].as_slice(), false, None);
        let above = weighted(&both)?.f_mul_scalar(2.0)?.f_add_scalar(self.smooth_nr)?;
        let below = weighted(&predicted.f_add(&actual)?)?.f_add_scalar(self.smooth_dr)?;
        let score = above.f_div(&below.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?;
        reduce(&score.f_neg()?.f_add_scalar(1.0)?, self.reduction, score.kind())
    }
}

impl Loss for GeneralizedDiceLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("smooth_nr", self.smooth_nr)?;
        check::non_negative("smooth_dr", self.smooth_dr)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let reading = Reading {
            mode: self.mode,
            from_logits: self.from_logits,
            intersection: self.intersection,
            ignore_index: self.ignore_index,
        };
        let in_graph = self.reduction == Reduction::None;
        Ok(reading.forward(input, target, in_graph, |sums| self.loss(sums))?.f_to_kind(input.kind())?)
    }
}
