//! [`DiceCeLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::entropy::Entropy;
use super::mode::{Places, Truth};
use super::overlap::Overlap;
use super::{DiceLoss, Intersection, OverlapScore, SegmentationMode};
use crate::base::weight::placed;
use crate::base::{check, setters};
use crate::losses::classification::class_entropy::{counting, ClassEntropy};
use crate::losses::classification::rows::reduced;
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// Dice loss and cross entropy of logits, added.
///
/// ```text
/// loss = lambda_dice * Dice + lambda_ce * CE
/// ```
///
/// Dice is [`DiceLoss::monai`](crate::DiceLoss::monai) of the probabilities. CE is the mean of
/// [`CrossEntropyLoss`](crate::CrossEntropyLoss) with the mode multiclass, and of
/// [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) with the others, over the places that are not ignored. `weight` is
/// that of the classes in both; in the latter it is the weight of positive labels. Cross entropy has a background
/// always.
///
/// - **Shapes**: `input` `[N, C, ...]`, with any number of axes behind, or `[N, ...]` with the mode binary. `target`
///   is classes `[N, ...]`, or labels or probabilities in `input`'s shape: see
///   [`SegmentationMode`](crate::SegmentationMode). The loss is a scalar.
/// - **Values**: `input` any logits. Classes are in `[0, C)` or the `ignore_index`; a wrong one is
///   [`Error::Torch`] on the CPU and a failed device-side assertion on CUDA. If all places are ignored, the cross
///   entropy is 0. f16 and bf16 are computed in f32.
/// - **Gradients**: to `input` and to a floating-point `target`. libtorch has no gradient for `weight` and refuses
///   one that requires it. If only `input` requires a gradient, second derivatives of the Dice loss come out
///   as zero, and those of the cross entropy of classes, unless it has a `weight` and smoothed labels.
/// - **Defaults**: `mode` multiclass, `include_background` true, `intersection` product, `score` per sample and
///   class, `smooth_nr` and `smooth_dr` 5e-6, no weights, no `ignore_index`, `label_smoothing` 0, `lambda_dice` and
///   `lambda_ce` 1.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[C]`; an `ignore_index` of 0 or
///   more with probabilities of the mode multiclass; a `label_smoothing` outside `[0, 1]`, or with another mode than
///   multiclass; `smooth_nr`, `smooth_dr`, `lambda_dice` or `lambda_ce` that are negative or not finite.
///
/// MONAI's `sigmoid` with several channels takes the cross entropy of a softmax still. Here the mode multilabel takes
/// that of sigmoids. Its `smooth_nr` and `smooth_dr` are twice those here. Its other reductions are of
/// [`DiceLoss`](crate::DiceLoss) and [`CrossEntropyLoss`](crate::CrossEntropyLoss).
///
/// Source: [`DiceCELoss` of MONAI](https://docs.monai.io/en/stable/losses.html#diceceloss).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{CrossEntropyLoss, DiceCeLoss, DiceLoss, Loss, SegmentationMode};
///
/// let logits = Tensor::randn([2, 3, 8, 8], (Kind::Double, Device::Cpu));
/// let classes = Tensor::randint(3, [2, 8, 8], (Kind::Int64, Device::Cpu));
/// let dice = DiceLoss::monai().with_mode(SegmentationMode::Multiclass).with_from_logits(true);
/// let parts = dice.forward(&logits, &classes) + CrossEntropyLoss::default().forward(&logits, &classes) * 0.5;
/// let loss = DiceCeLoss::default().with_lambda_ce(0.5).forward(&logits, &classes);
/// assert!((loss - parts).abs().double_value(&[]) < 1e-12);
/// ```
#[doc(alias = "DiceCELoss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiceCeLoss {
    /// How the classes relate, and what the arguments look like.
    pub mode: SegmentationMode,
    /// Whether class 0 counts in the Dice loss, if it is not the only one.
    pub include_background: bool,
    /// What is common to prediction and target in the Dice loss.
    pub intersection: Intersection,
    /// What has a Dice score of its own.
    pub score: OverlapScore,
    /// What is added to the true positives in the numerator.
    pub smooth_nr: f64,
    /// What is added to the denominator.
    pub smooth_dr: f64,
    /// The weight of each class, `[C]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The class of the places that do not count. With the modes binary and multilabel, the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// The share of the target that is spread evenly over all classes in the cross entropy, in `[0, 1]`.
    pub label_smoothing: f64,
    /// The weight of the Dice loss.
    pub lambda_dice: f64,
    /// The weight of the cross entropy.
    pub lambda_ce: f64,
}

impl Default for DiceCeLoss {
    fn default() -> Self {
        let DiceLoss { intersection, score, smooth_nr, smooth_dr, .. } = DiceLoss::monai();
        DiceCeLoss {
            mode: SegmentationMode::Multiclass,
            include_background: true,
            intersection,
            score,
            smooth_nr,
            smooth_dr,
            weight: None,
            ignore_index: None,
            label_smoothing: 0.0,
            lambda_dice: 1.0,
            lambda_ce: 1.0,
        }
    }
}

setters!(DiceCeLoss {
    with_mode(mode: SegmentationMode), with_include_background(include_background: bool),
    with_intersection(intersection: Intersection), with_score(score: OverlapScore), with_smooth_nr(smooth_nr: f64),
    with_smooth_dr(smooth_dr: f64), with_label_smoothing(label_smoothing: f64), with_lambda_dice(lambda_dice: f64),
    with_lambda_ce(lambda_ce: f64);
    with_weight(weight: WeightTensor), with_ignore_index(ignore_index: i64)
});

impl DiceCeLoss {
    fn dice(&self) -> Overlap<'_> {
        let mut dice = Overlap::monai(self.mode, self.intersection, self.score, self.ignore_index);
        dice.include_background = self.include_background;
        dice.weight = self.weight.as_ref().filter(|_| self.mode != SegmentationMode::Binary);
        (dice.smooth_nr, dice.smooth_dr) = (self.smooth_nr, self.smooth_dr);
        dice
    }

    /// The cross entropy, in the kind of the computation.
    fn cross_entropy(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let places = Places::new(self.mode, self.ignore_index, input, target)?;
        let logits = &places.input;
        let weight = placed("weight", self.weight.as_ref(), logits)?;
        if let Some(weight) = &weight {
            check::class_weight(weight, places.classes())?;
        }
        let counted = places.counted.as_ref();
        if self.mode != SegmentationMode::Multiclass {
            let Truth::Values(labels) = &places.truth else { unreachable!("labels of their own are values") };
            let weight = weight.map(|weight| weight.f_unsqueeze(1)).transpose()?;
            let none = tch::Reduction::None;
            let elements =
                logits.f_binary_cross_entropy_with_logits(labels, None::<&Tensor>, weight.as_ref(), none)?;
            return match counted {
                Some(counted) => mean_of(&counting(&elements, counted)?, counted),
                None => Ok(elements.f_mean(None)?),
            };
        }
        let smoothing = self.label_smoothing;
        let entropy = |target: &Tensor, reduction: tch::Reduction| {
            logits.f_cross_entropy_loss(target, weight.as_ref(), reduction, -100, smoothing)
        };
        let classes = match &places.truth {
            Truth::Values(values) => return Ok(entropy(values, tch::Reduction::Mean)?),
            Truth::Classes(classes) => classes,
        };
        let counted = counted.map(|counted| counted.f_squeeze_dim(1)).transpose()?;
        let of_classes = match &weight {
            Some(weight) => Some(weight.f_index_select(0, &classes.f_flatten(0, -1)?)?.f_view_as(classes)?),
            None => None,
        };
        let factor = match (of_classes, &counted) {
            (Some(own), Some(counted)) => Some(own.f_mul(counted)?),
            (own, counted) => own.or(counted.as_ref().map(Tensor::shallow_clone)),
        };
        let by_libtorch = |weight: &Tensor| smoothing > 0.0 || weight.requires_grad();
        let sum = if weight.as_ref().is_some_and(by_libtorch) {
            // With smoothed labels, the weights of the other classes count as well.
            let losses = entropy(classes, tch::Reduction::None)?;
            counted.map_or(Ok(losses.shallow_clone()), |own| counting(&losses, &own))?.f_sum(None)?
        } else {
            let constants: Vec<&Tensor> = [Some(classes), factor.as_ref()].into_iter().flatten().collect();
            reduced(&ClassEntropy { smoothing, epsilon: 0.0 }, logits, &constants, Reduction::Sum)?
        };
        match factor {
            Some(factor) => quotient(&sum, &factor.f_sum(None)?),
            // Without places, 0.
            None => Ok(sum.f_div_scalar((classes.numel() as f64).max(1.0))?),
        }
    }
}

/// The sum over that of the shares, 0 where there are none.
fn mean_of(losses: &Tensor, shares: &Tensor) -> Result<Tensor> {
    quotient(&losses.f_sum(None)?, &shares.f_sum(None)?)
}

/// A sum over a count, 0 where nothing counts.
pub(super) fn quotient(sum: &Tensor, count: &Tensor) -> Result<Tensor> {
    Ok(sum.f_div(&not_zero(count)?)?)
}

/// A divisor: 1 in place of 0. A tiny one would make slopes infinite.
pub(super) fn not_zero(count: &Tensor) -> Result<Tensor> {
    Ok(count.f_masked_fill(&count.f_eq(0.0)?, 1.0)?)
}

impl Loss for DiceCeLoss {
    fn check_options(&self) -> Result<()> {
        self.dice().check_options()?;
        check::fraction("label_smoothing", self.label_smoothing)?;
        if self.label_smoothing > 0.0 && self.mode != SegmentationMode::Multiclass {
            return Err(Error::Option {
                option: "label_smoothing",
                given: self.label_smoothing.to_string(),
                expected: "0 with another mode than multiclass".into(),
            });
        }
        check::non_negative("lambda_dice", self.lambda_dice)?;
        check::non_negative("lambda_ce", self.lambda_ce)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input", input)?;
        check::dense("target", target)?;
        if self.weight.is_none() && self.label_smoothing == 0.0 && self.lambda_ce > 0.0 {
            let entropy = Entropy { factor: self.lambda_ce };
            let both = self.dice().forward_with_entropy(input, target, self.lambda_dice, &entropy)?;
            if let Some(both) = both {
                return Ok(both.f_to_kind(input.kind())?);
            }
        }
        let dice = self.dice().forward_wide(input, target)?.f_mul_scalar(self.lambda_dice)?;
        let cross_entropy = self.cross_entropy(input, target)?.f_mul_scalar(self.lambda_ce)?;
        Ok(dice.f_add(&cross_entropy)?.f_to_kind(input.kind())?)
    }
}
