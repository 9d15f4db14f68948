//! [`SigmoidFocalLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::element_weight;
use crate::base::pointwise::{sum_of_elements, Pointwise};
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::reduction::mean_of_counted;
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::losses::map_of_elements;
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// What a [`SigmoidFocalLoss`] takes for the probability of a soft target to be missed, `q`.
///
/// With targets of 0 and 1 all of them are the probability of the wrong answer, and the losses are equal.
///
/// - **Default**: the expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FocalModulation {
    /// `q = y * (1 - p) + (1 - y) * p`: torchvision's.
    #[default]
    Expectation,
    /// `q = 1 - exp(-bce)`: that of segmentation-models-pytorch.
    Likelihood,
    /// `q = σ(x * (1 - 2 * y))`: MONAI's.
    Logit,
    /// The two terms of the cross entropy have one each, `1 - p` and `p`: kornia's.
    Separate,
}

/// Focal loss of logits: binary cross entropy that counts elements less, the better they are classified.
///
/// ```text
/// p    = σ(input)                                   y = target
/// bce  = -y * log p - (1 - y) * log(1 - p)
/// q    = y * (1 - p) + (1 - y) * p                  the probability of the wrong answer
/// l    = w * (a * y + (1 - a) * (1 - y)) * q^g * bce
/// loss = reduce(l)
/// ```
///
/// `a` is [`alpha`](Self::alpha), `g` [`gamma`](Self::gamma) and `w` [`weight`](Self::weight). The loss is for many
/// easy negatives and few positives: the anchors of a detector, the pixels of small objects. Each class is present or
/// not, independently of the others. [`FocalLoss`](crate::FocalLoss) is for classes of which one is right.
///
/// - **Shapes**: `input` and `target` any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: `input` any logits; `target` 0, 1 or between, not checked. Elements whose target is `ignore_index`
///   cost 0, and do not count in the mean unless `count_ignored` is set. f16 and bf16 are computed in f32. The mean of
///   nothing is NaN.
/// - **Gradients**: to both arguments and to `weight`. If the loss is reduced and `input` alone requires one, forward
///   computes the gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`]
///   and reduce its result. A `gamma` below 1 has a finite gradient at well classified elements, too.
/// - **Map**: the mean of `l` over the channels. It is not the loss where elements are ignored.
/// - **Defaults**: `alpha` 0.25, `gamma` 2, no `weight`, no `ignore_index`, `reduction` none: torchvision's.
/// - **Errors**: arguments of different shapes, kinds or devices; an `alpha` that is neither in `[0, 1]` nor -1; a
///   `gamma` that is negative or not finite; a `weight` that does not broadcast to the shape of `input`.
///
/// RetinaNet takes the sum, and divides it by the number of its positive anchors. The presets
/// [`kornia`](Self::kornia), [`monai`](Self::monai) and [`smp`](Self::smp) are the losses of other libraries. They
/// differ for soft targets, and in what the mean counts.
///
/// Source: [`torchvision.ops.sigmoid_focal_loss`](https://pytorch.org/vision/stable/generated/torchvision.ops.sigmoid_focal_loss.html);
/// T.-Y. Lin et al., [*Focal loss for dense object detection*](https://arxiv.org/abs/1708.02002) (2017).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, Reduction, SigmoidFocalLoss};
///
/// let logits = Tensor::from_slice(&[0.5, -1.2, 2.0]);
/// let target = Tensor::from_slice(&[1.0, 0.0, 1.0]);
/// let loss = SigmoidFocalLoss::default().with_reduction(Reduction::Sum).forward(&logits, &target);
/// assert!((loss.double_value(&[]) - 0.0279244225).abs() < 1e-9);
/// ```
#[doc(alias = "BinaryFocalLossWithLogits")]
#[doc(alias = "sigmoid_focal_loss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidFocalLoss {
    /// The share of the positives, in `[0, 1]`; -1 counts both sides fully.
    pub alpha: f64,
    /// How much less well classified elements count; 0 is binary cross entropy.
    pub gamma: f64,
    /// What soft targets make of the focus.
    pub modulation: FocalModulation,
    /// The weight of each element, broadcast to the shape of `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The target of the elements that do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// Whether the mean counts ignored elements, as zeros.
    pub count_ignored: bool,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for SigmoidFocalLoss {
    fn default() -> Self {
        SigmoidFocalLoss {
            alpha: 0.25,
            gamma: 2.0,
            modulation: FocalModulation::Expectation,
            weight: None,
            ignore_index: None,
            count_ignored: false,
            reduction: Reduction::None,
        }
    }
}

setters!(SigmoidFocalLoss {
    with_alpha(alpha: f64), with_gamma(gamma: f64), with_modulation(modulation: FocalModulation),
    with_count_ignored(count_ignored: bool), with_reduction(reduction: Reduction);
    with_weight(weight: WeightTensor), with_ignore_index(ignore_index: i64)
});

/// What a mean or a sum is made of, beside the logits.
struct Prepared {
    target: Tensor,
    /// A factor of each element.
    factor: Option<Tensor>,
    /// How many elements the mean counts, where that is not all of them.
    counted: Option<Tensor>,
}

impl SigmoidFocalLoss {
    /// kornia's [`binary_focal_loss_with_logits`](https://kornia.readthedocs.io/en/latest/losses.html): the target -100
    /// is ignored, and counts in the mean. kornia's default is no reduction; here it is the mean.
    pub fn kornia() -> Self {
        SigmoidFocalLoss {
            modulation: FocalModulation::Separate,
            ignore_index: Some(-100),
            count_ignored: true,
            reduction: Reduction::Mean,
            ..Default::default()
        }
    }

    /// MONAI's [`FocalLoss`](https://docs.monai.io/en/stable/losses.html#focalloss) with sigmoids: no `alpha`. Its sum
    /// is one of means over the pixels; here it is that of all elements.
    pub fn monai() -> Self {
        SigmoidFocalLoss {
            alpha: -1.0,
            modulation: FocalModulation::Logit,
            reduction: Reduction::Mean,
            ..Default::default()
        }
    }

    /// [`FocalLoss`](https://smp.readthedocs.io/en/latest/losses.html#focalloss) of segmentation-models-pytorch, binary
    /// and multi-label: no `alpha`. Its multi-class loss is this one as well, with one-hot targets.
    pub fn smp() -> Self {
        SigmoidFocalLoss {
            alpha: -1.0,
            modulation: FocalModulation::Likelihood,
            reduction: Reduction::Mean,
            ..Default::default()
        }
    }

    /// Of an input in [`accumulation_kind`], so that the weights are not rounded to fewer digits.
    fn prepare(&self, input: &Tensor, target: &Tensor) -> Result<Prepared> {
        let factor = element_weight("weight", self.weight.as_ref(), input)?;
        let Some(ignored) = self.ignore_index else {
            return Ok(Prepared { target: target.shallow_clone(), factor, counted: None });
        };
        let counts = target.f_ne(ignored)?;
        let counted = match self.count_ignored {
            true => None,
            false => Some(counts.f_sum(input.kind())?),
        };
        let mask = counts.f_to_kind(input.kind())?;
        let factor = match factor {
            Some(weight) => weight.f_mul(&mask)?,
            None => mask,
        };
        // Whatever number stands for ignored elements, their losses are finite.
        let target = target.f_masked_fill(&counts.f_logical_not()?, 0.0)?;
        Ok(Prepared { target, factor: Some(factor), counted })
    }

    /// The losses of all elements.
    fn unreduced(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let wide = input.f_to_kind(kind)?;
        let Prepared { target, factor, .. } = self.prepare(&wide, target)?;
        let elements = self.elements(&wide, &target.f_to_kind(kind)?)?;
        let weighted = match factor {
            Some(factor) => elements.f_mul(&factor)?,
            None => elements,
        };
        Ok(weighted.f_to_kind(input.kind())?)
    }

    /// `a * y + (1 - a) * (1 - y)`, or nothing if both sides count fully.
    fn share(&self, target: &Tensor) -> Result<Option<Tensor>> {
        Ok(match self.alpha < 0.0 {
            true => None,
            false => Some(target.f_mul_scalar(2.0 * self.alpha - 1.0)?.f_add_scalar(1.0 - self.alpha)?),
        })
    }

    /// The shares of the positives and of the negatives.
    fn shares(&self) -> (f64, f64) {
        if self.alpha < 0.0 {
            (1.0, 1.0)
        } else {
            (self.alpha, 1.0 - self.alpha)
        }
    }
}

/// `1 - y`.
fn complement(target: &Tensor) -> Result<Tensor> {
    Ok(target.f_rsub_scalar(1.0)?)
}

impl Pointwise for SigmoidFocalLoss {
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        // Each σ on its own: `1 - σ(x)` has no digits left for large x.
        let wrong = |positive: bool| if positive { input.f_neg()?.f_sigmoid() } else { input.f_sigmoid() };
        let power =
            |base: Tensor| base.f_clamp_min(smallest_normal(input.kind()))?.f_pow_tensor_scalar(self.gamma);
        if self.modulation == FocalModulation::Separate {
            let (positives, negatives) = self.shares();
            let positive = power(wrong(true)?)?.f_mul(&input.f_log_sigmoid()?)?.f_mul(target)?;
            let negative =
                power(wrong(false)?)?.f_mul(&input.f_neg()?.f_log_sigmoid()?)?.f_mul(&complement(target)?)?;
            return Ok(positive.f_mul_scalar(-positives)?.f_sub(&negative.f_mul_scalar(negatives)?)?);
        }
        let bce = complement(target)?.f_mul(input)?.f_sub(&input.f_log_sigmoid()?)?;
        let missed = match self.modulation {
            FocalModulation::Likelihood => bce.f_neg()?.f_expm1()?.f_neg()?,
            FocalModulation::Logit => {
                target.f_mul_scalar(-2.0)?.f_add_scalar(1.0)?.f_mul(input)?.f_sigmoid()?
            }
            _ => wrong(true)?.f_mul(target)?.f_add(&wrong(false)?.f_mul(&complement(target)?)?)?,
        };
        let focal = power(missed)?.f_mul(&bce)?;
        Ok(match self.share(target)? {
            Some(share) => focal.f_mul(&share)?,
            None => focal,
        })
    }

    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let (right, log) = (input.f_sigmoid()?, input.f_log_sigmoid()?);
        let wrong = || input.f_neg()?.f_sigmoid_();
        let gamma = self.gamma;
        if self.modulation == FocalModulation::Separate {
            // The loss of a positive, `-σ(-x)^g log σ(x)`, has the slope `σ(-x)^g (g σ(x) log σ(x) - σ(-x))`; that of a
            // negative is its mirror image.
            let side =
                |share: f64, p: &Tensor, q: &Tensor, log: &Tensor, y: &Tensor| -> Result<(Tensor, Tensor)> {
                    let power = q.f_pow_tensor_scalar(gamma)?.f_mul(y)?.f_mul_scalar(share)?;
                    let mut slopes = p.f_mul(log)?.f_mul_scalar(gamma)?;
                    Ok((power.f_mul(log)?, slopes.f_sub_(q)?.f_mul_(&power)?))
                };
            let (wrong, (positives, negatives)) = (wrong()?, self.shares());
            let (mut losses, mut slopes) = side(positives, &right, &wrong, &log, target)?;
            let other = log.f_sub(input)?;
            let (more, opposite) = side(negatives, &wrong, &right, &other, &complement(target)?)?;
            return Ok((losses.f_add_(&more)?.f_neg_()?, slopes.f_sub_(&opposite)?));
        }
        let bce = complement(target)?.f_mul_(input)?.f_sub_(&log)?;
        let towards = || target.f_mul_scalar(-2.0)?.f_add_scalar_(1.0);
        // The probability `q` of the wrong answer, and its slope, over `q` or `s = σ(x) - y`.
        let (missed, slope) = match self.modulation {
            FocalModulation::Likelihood => {
                let missed = bce.f_neg()?.f_expm1_()?.f_neg_()?;
                let slope = complement(&missed)?;
                (missed, slope)
            }
            FocalModulation::Logit => {
                let towards = towards()?;
                let missed = towards.f_mul(input)?.f_sigmoid_()?;
                let slope = complement(&missed)?.f_mul_(&towards)?;
                (missed, slope)
            }
            _ => {
                let wrong = wrong()?;
                let missed = right.f_mul(&complement(target)?)?.f_addcmul_(&wrong, target)?;
                (missed, { wrong }.f_mul_(&right)?.f_mul_(&towards()?)?)
            }
        };
        // The power of 0 would be infinite below 1, and that of a negative number none.
        let missed = { missed }.f_clamp_min_(smallest_normal(input.kind()))?;
        let mut power = match gamma == 2.0 {
            true => missed.shallow_clone(),
            false => missed.f_pow_tensor_scalar(gamma - 1.0)?,
        };
        if let Some(share) = self.share(target)? {
            power = power.f_mul(&share)?;
        }
        // Of `q^g b`: `q^(g - 1) (g q' b + q s)`.
        let change = { slope }.f_mul_(&bce)?.f_mul_scalar_(gamma)?;
        let mut steep = { right }.f_sub_(target)?;
        steep = match self.modulation {
            FocalModulation::Likelihood => steep.f_mul_(&{ change }.f_add_(&missed)?)?,
            FocalModulation::Logit => steep.f_add_(&change)?.f_mul_(&missed)?,
            _ => steep.f_mul_(&missed)?.f_add_(&change)?,
        };
        Ok(({ bce }.f_mul_(&missed)?.f_mul_(&power)?, steep.f_mul_(&power)?))
    }
}

impl Loss for SigmoidFocalLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        if self.alpha != -1.0 && !(0.0..=1.0).contains(&self.alpha) {
            let (given, expected) = (self.alpha.to_string(), "a number in [0, 1], or -1".into());
            return Err(Error::Option { option: "alpha", given, expected });
        }
        check::non_negative("gamma", self.gamma)?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        if self.reduction == Reduction::None {
            return self.unreduced(input, target);
        }
        let wide = input.f_to_kind(accumulation_kind(input.kind()))?;
        let Prepared { target, factor, counted } = self.prepare(&wide, target)?;
        let sum = sum_of_elements(self, &wide, &target, factor.as_ref())?;
        let reduced = match (self.reduction, counted) {
            (Reduction::Mean, Some(counted)) => mean_of_counted(&sum, &counted)?,
            (Reduction::Mean, None) => sum.f_div_scalar(input.numel() as f64)?,
            _ => sum,
        };
        Ok(reduced.f_to_kind(input.kind())?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.unreduced(input, target))
    }
}
