//! [`DiceFocalLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::dice_ce::{not_zero, quotient};
use super::mode::{Places, Truth};
use super::overlap::Overlap;
use super::{DiceLoss, Intersection, OverlapScore, SegmentationMode};
use crate::base::gradient::{with_gradient, Wanted};
use crate::base::tensor::scalar;
use crate::base::weight::placed;
use crate::base::{check, setters};
use crate::{Loss, Result, WeightTensor};

/// Dice loss and focal loss of logits, added.
///
/// ```text
/// q    = probability that a sigmoid gives to the label t        t = 0 or 1, for each class
/// F    = mean of  -w * a * (1 - q) ^ gamma * log q              a = alpha for t = 1, 1 - alpha for t = 0
/// loss = lambda_dice * Dice + lambda_focal * F
/// ```
///
/// Dice is [`DiceLoss::monai`](crate::DiceLoss::monai) of the probabilities. `w` is the `weight` of the class. The
/// focal loss takes each class for itself, by a sigmoid, also with the mode multiclass, as in MONAI. Its mean is over
/// all classes and all places that count. Without `alpha` there is no `a`.
///
/// - **Shapes**: `input` `[N, C, ...]`, with any number of axes behind, or `[N, ...]` with the mode binary. `target`
///   is classes `[N, ...]`, or labels or probabilities in `input`'s shape: see
///   [`SegmentationMode`](crate::SegmentationMode). The loss is a scalar.
/// - **Values**: `input` any logits. Classes are in `[0, C)` or the `ignore_index`; a wrong one is
///   [`Error::Torch`](crate::Error::Torch) on the CPU and a failed device-side assertion on CUDA. If all places are
///   ignored, the focal loss is 0. f16 and bf16 are computed in f32.
/// - **Gradients**: to `input`, to a floating-point `target`, and to `weight`. If only `input` requires a gradient,
///   forward computes it, and second derivatives come out as zero.
/// - **Defaults**: `mode` multiclass, `include_background` true, `intersection` product, `score` per sample and
///   class, `smooth_nr` and `smooth_dr` 5e-6, `gamma` 2, no `alpha`, no weights, no `ignore_index`, `lambda_dice` and
///   `lambda_focal` 1.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[C]`, or one with the mode
///   binary; an `ignore_index` of 0 or more with probabilities of the mode multiclass; an `alpha` outside `[0, 1]`;
///   `gamma`, `smooth_nr`, `smooth_dr`, `lambda_dice` or `lambda_focal` that are negative or not finite.
///
/// Without the background, MONAI's `weight` has one number less. Its `smooth_nr` and `smooth_dr` are twice those
/// here.
///
/// Source: [`DiceFocalLoss` of MONAI](https://docs.monai.io/en/stable/losses.html#dicefocalloss).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{DiceFocalLoss, DiceLoss, Loss, SegmentationMode};
///
/// // Nothing is known: each class of each place costs log 2 / 4.
/// let logits = Tensor::zeros([2, 3, 8, 8], (Kind::Double, Device::Cpu));
/// let classes = Tensor::randint(3, [2, 8, 8], (Kind::Int64, Device::Cpu));
/// let dice = DiceLoss::monai().with_mode(SegmentationMode::Multiclass).with_from_logits(true);
/// let parts = dice.forward(&logits, &classes).double_value(&[]) + 2f64.ln() / 4.0;
/// let loss = DiceFocalLoss::default().forward(&logits, &classes);
/// assert!((loss.double_value(&[]) - parts).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiceFocalLoss {
    /// How the classes relate, and what the arguments look like.
    pub mode: SegmentationMode,
    /// Whether class 0 counts, if it is not the only one.
    pub include_background: bool,
    /// What is common to prediction and target in the Dice loss.
    pub intersection: Intersection,
    /// What has a Dice score of its own.
    pub score: OverlapScore,
    /// What is added to the true positives in the numerator.
    pub smooth_nr: f64,
    /// What is added to the denominator.
    pub smooth_dr: f64,
    /// How much less easy places count in the focal loss.
    pub gamma: f64,
    /// The weight of positive labels in the focal loss, in `[0, 1]`; that of negative ones is `1 - alpha`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The weight of each class, `[C]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The class of the places that do not count. With the modes binary and multilabel, the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// The weight of the Dice loss.
    pub lambda_dice: f64,
    /// The weight of the focal loss.
    pub lambda_focal: f64,
}

impl Default for DiceFocalLoss {
    fn default() -> Self {
        let DiceLoss { intersection, score, smooth_nr, smooth_dr, .. } = DiceLoss::monai();
        DiceFocalLoss {
            mode: SegmentationMode::Multiclass,
            include_background: true,
            intersection,
            score,
            smooth_nr,
            smooth_dr,
            gamma: 2.0,
            alpha: None,
            weight: None,
            ignore_index: None,
            lambda_dice: 1.0,
            lambda_focal: 1.0,
        }
    }
}

setters!(DiceFocalLoss {
    with_mode(mode: SegmentationMode), with_include_background(include_background: bool),
    with_intersection(intersection: Intersection), with_score(score: OverlapScore), with_smooth_nr(smooth_nr: f64),
    with_smooth_dr(smooth_dr: f64), with_gamma(gamma: f64), with_lambda_dice(lambda_dice: f64),
    with_lambda_focal(lambda_focal: f64);
    with_alpha(alpha: f64), with_weight(weight: WeightTensor), with_ignore_index(ignore_index: i64)
});

impl DiceFocalLoss {
    fn dice(&self) -> Overlap<'_> {
        let mut dice = Overlap::monai(self.mode, self.intersection, self.score, self.ignore_index);
        dice.include_background = self.include_background;
        dice.weight = self.weight.as_ref();
        (dice.smooth_nr, dice.smooth_dr) = (self.smooth_nr, self.smooth_dr);
        dice
    }

    /// The focal loss, in the kind of the computation.
    fn focal(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let places = Places::new(self.mode, self.ignore_index, input, target)?;
        let weight = placed("weight", self.weight.as_ref(), &places.input)?;
        if let Some(weight) = &weight {
            check::class_weight(weight, places.classes())?;
        }
        let weight = weight.as_ref();
        let in_graph = weight.is_some_and(Tensor::requires_grad) || places.input.numel() == 0;
        if in_graph || Wanted::of(input, Some(target))? != Wanted::InputGradient {
            let (sum, count) = self.focal_sum(&places, weight, None)?;
            return quotient(&sum, &count);
        }
        let (sum, count, gradient) = no_grad(|| -> Result<_> {
            let mut gradient = places.input.f_zeros_like()?;
            let (mut sums, mut counts) = (Vec::new(), Vec::new());
            for (start, length) in places.pieces() {
                let to = gradient.f_narrow(0, start, length)?;
                let (sum, count) = self.focal_sum(&places.narrow(start, length)?, weight, Some(to))?;
                sums.push(sum);
                counts.push(count);
            }
            let total = |parts: &[Tensor]| Tensor::f_stack(parts, 0)?.f_sum(None);
            let (sum, count) = (total(&sums)?, total(&counts)?);
            let _ = gradient.f_div_(&not_zero(&count)?)?;
            Ok((sum, count, gradient))
        })?;
        with_gradient(&quotient(&sum, &count)?, &places.input, &gradient, 1.0)
    }

    /// The sum of the focal losses of all places and classes, and how many count. Writes the gradient of the sum
    /// where it is to go.
    fn focal_sum(
        &self,
        places: &Places,
        weight: Option<&Tensor>,
        to: Option<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let classes = places.classes();
        let from = i64::from(!self.include_background && classes > 1);
        let counting = |tensor: &Tensor| tensor.f_narrow(1, from, classes - from);
        let (logits, labels) = (counting(&places.input)?, counting(&places.labels()?)?);
        let signs = labels.f_mul_scalar(-2.0)?.f_add_scalar_(1.0)?;
        let signed = logits.f_mul(&signs)?;
        // With labels of 0 and 1, one sigmoid is enough. Behind its power, the graph would have a slope of 0 *
        // infinity.
        let wrong = match (&to, &places.truth) {
            (Some(_), Truth::Classes(_)) => Some(signed.f_sigmoid()?),
            _ => None,
        };
        let (cost, mut factor) = match &wrong {
            Some(wrong) => {
                let cost = signed.f_neg()?.f_log_sigmoid()?.f_neg_()?;
                (cost, wrong.f_pow_tensor_scalar(self.gamma)?)
            }
            None => {
                let none = tch::Reduction::None;
                let cost = logits.f_binary_cross_entropy_with_logits(
                    &labels,
                    None::<&Tensor>,
                    None::<&Tensor>,
                    none,
                )?;
                (cost, signed.f_log_sigmoid()?.f_mul_scalar(self.gamma)?.f_exp()?)
            }
        };
        if let Some(alpha) = self.alpha {
            factor = factor.f_mul(&labels.f_mul_scalar(2.0 * alpha - 1.0)?.f_add_scalar(1.0 - alpha)?)?;
        }
        if let Some(weight) = weight {
            factor = factor.f_mul(&weight.f_narrow(0, from, classes - from)?.f_unsqueeze(1)?)?;
        }
        let count = match &places.counted {
            Some(counted) => {
                let counted =
                    if counted.size()[1] == 1 { counted.shallow_clone() } else { counting(counted)? };
                factor = factor.f_mul(&counted)?;
                counted.f_expand_as(&factor)?.f_sum(None)?
            }
            None => scalar(factor.numel() as f64, &factor)?,
        };
        if let Some(to) = to {
            // Of the cost, and of the factor in front of it.
            let slopes = match &wrong {
                Some(wrong) => {
                    let of_factor = wrong.f_rsub_scalar(1.0)?.f_mul_(&cost)?.f_mul_scalar_(self.gamma)?;
                    { of_factor }.f_add_(wrong)?.f_mul_(&signs)?
                }
                None => {
                    let of_factor = signed.f_neg()?.f_sigmoid()?.f_mul(&signs)?.f_mul(&cost)?;
                    logits.f_sigmoid()?.f_sub(&labels)?.f_add(&of_factor.f_mul_scalar(self.gamma)?)?
                }
            };
            let _ = slopes.f_mul_out(&counting(&to)?, &factor)?;
        }
        Ok((factor.f_mul(&cost)?.f_sum(None)?, count))
    }
}

impl Loss for DiceFocalLoss {
    fn check_options(&self) -> Result<()> {
        self.dice().check_options()?;
        check::non_negative("gamma", self.gamma)?;
        self.alpha.map_or(Ok(()), |alpha| check::fraction("alpha", alpha))?;
        check::non_negative("lambda_dice", self.lambda_dice)?;
        check::non_negative("lambda_focal", self.lambda_focal)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let dice = self.dice().forward_wide(input, target)?.f_mul_scalar(self.lambda_dice)?;
        let focal = self.focal(input, target)?.f_mul_scalar(self.lambda_focal)?;
        Ok(dice.f_add(&focal)?.f_to_kind(input.kind())?)
    }
}
