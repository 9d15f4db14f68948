//! [`FocalLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::class_entropy::{counted, Known, NOT_A_CLASS};
use super::rows::{reduced, Rows};
use super::{class_weight, CLASSES};
use crate::base::exponential::exp_in_place;
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::reduction::mean_of_counted;
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result, WeightTensor};

/// What the mean of a [`FocalLoss`] is the sum divided by.
///
/// - **Default**: the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FocalMean {
    /// The weights of the places that are not ignored, as in [`CrossEntropyLoss`](crate::CrossEntropyLoss).
    #[default]
    Places,
    /// The number of logits, those of ignored places included: kornia's, and MONAI's without an `ignore_index`. It is
    /// smaller by the number of classes.
    Logits,
}

/// Focal loss of classes of which one is right: cross entropy that counts places less, the better they are classified.
///
/// ```text
/// p    = softmax(input) over the classes, at the target's class y
/// l    = -w[y] * a[y] * (1 - p)^g * log p
/// a[y] = alpha        for the classes from 1 on
///        1 - alpha    for class 0, the background
/// loss = reduce(l)
/// ```
///
/// `g` is [`gamma`](Self::gamma) and `w` [`weight`](Self::weight), 1 unless given. Without an `alpha`, `a` is 1. A
/// `gamma` of 0 without `alpha` is [`CrossEntropyLoss`](crate::CrossEntropyLoss).
/// [`SigmoidFocalLoss`](crate::SigmoidFocalLoss) is for classes that do not exclude each other, and for detectors.
///
/// - **Shapes**: `input` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]` (segmentation: `[N, C, H, W]`). `target` is classes,
///   of kind Int64 or Uint8, in that shape without the axis `C`. The loss is a scalar, or has the shape of the classes
///   with [`Reduction::None`]; kornia has zeros for the other classes there.
/// - **Values**: `input` any logits. Classes are in `[0, C)` or the `ignore_index`; a wrong one is
///   [`Error::Torch`](crate::Error::Torch) on the CPU and a failed device-side assertion on CUDA. f16 and bf16 are
///   computed in f32. If all places are ignored, the mean is NaN, or 0 with [`FocalMean::Logits`], and the gradient 0.
/// - **Gradients**: to `input` and to `weight`. A `gamma` below 1 has a finite gradient at well classified places, too.
///   If the loss is reduced and `weight` requires none, forward computes the gradient, and second derivatives come out
///   as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: no `alpha`, `gamma` 2, no `weight`, `ignore_index` -100, `mean` over places, `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[C]`; an `alpha` outside `[0, 1]`; a
///   `gamma` that is negative or not finite.
///
/// Source: [`kornia.losses.focal_loss`](https://kornia.readthedocs.io/en/latest/losses.html), but for the mean;
/// T.-Y. Lin et al., [*Focal loss for dense object detection*](https://arxiv.org/abs/1708.02002) (2017).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{FocalLoss, Loss};
///
/// // Four classes, and a network that cannot tell: a quarter is right, and log 4 counts (3/4)².
/// let logits = Tensor::zeros([2, 4, 8, 8], (Kind::Double, Device::Cpu));
/// let classes = Tensor::randint(4, [2, 8, 8], (Kind::Int64, Device::Cpu));
/// let loss = FocalLoss::default().forward(&logits, &classes).double_value(&[]);
/// assert!((loss - 0.75f64.powi(2) * 4f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FocalLoss {
    /// The share of the classes from 1 on, in `[0, 1]`; class 0 has the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// How much less well classified places count; 0 is cross entropy.
    pub gamma: f64,
    /// The weight of each class, `[C]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The class of the places that do not count.
    pub ignore_index: i64,
    /// What the mean is the sum divided by.
    pub mean: FocalMean,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for FocalLoss {
    fn default() -> Self {
        FocalLoss {
            alpha: None,
            gamma: 2.0,
            weight: None,
            ignore_index: -100,
            mean: FocalMean::Places,
            reduction: Reduction::Mean,
        }
    }
}

setters!(FocalLoss {
    with_gamma(gamma: f64), with_ignore_index(ignore_index: i64), with_mean(mean: FocalMean),
    with_reduction(reduction: Reduction);
    with_alpha(alpha: f64), with_weight(weight: WeightTensor)
});

impl FocalLoss {
    /// kornia's [`focal_loss`](https://kornia.readthedocs.io/en/latest/losses.html): the mean is over the logits.
    /// kornia's default is no reduction; here it is the mean.
    pub fn kornia() -> Self {
        FocalLoss { mean: FocalMean::Logits, ..Default::default() }
    }

    /// MONAI's [`FocalLoss`](https://docs.monai.io/en/stable/losses.html#focalloss) with `use_softmax` and
    /// `to_onehot_y`: the mean is over the logits. Its mean with an `ignore_index` is the default's,
    /// [`FocalMean::Places`]. Its sum is one of means over the pixels; here it is that of all places.
    pub fn monai() -> Self {
        FocalLoss::kornia()
    }
}

/// `1 - p` of `-log p`. At 0, the slope of a power below 1 would be infinite.
fn missed(entropy: &Tensor) -> Result<Tensor> {
    Ok(entropy.f_neg()?.f_expm1()?.f_neg()?.f_clamp_min(smallest_normal(entropy.kind()))?)
}

/// Of `input`, the classes `[N, ...]`, a factor of each place, and 1 for those that count.
impl Rows for FocalLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let (weight, none) = (None::<&Tensor>, tch::Reduction::None);
        let entropy = input.f_cross_entropy_loss(&constants[0], weight, none, NOT_A_CLASS, 0.0)?;
        let entropy = counted(&entropy, &constants[2])?;
        Ok(missed(&entropy)?.f_pow_tensor_scalar(self.gamma)?.f_mul(&entropy)?.f_mul(&constants[1])?)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let place = |index: usize| constants[index].f_unsqueeze(1);
        let (classes, factors) = (place(0)?, place(1)?);
        let mut slopes = input.f_log_softmax(1, None)?;
        let entropy = counted(&slopes.f_gather(1, &classes, false)?.f_neg_()?, &place(2)?)?;
        let missed = missed(&entropy)?;
        let power = missed.f_pow_tensor_scalar(self.gamma)?.f_mul_(&factors)?;
        let sum = power.f_mul(&entropy)?.f_sum(None)?;
        // Of the entropy: q^g (1 + g (1 - q) / q * entropy) with q = 1 - p; behind the soft-max, times p, less 1 at the
        // class.
        // The entropy of a sure answer is 0: the division by next to nothing comes last.
        let odds = missed.f_rsub_scalar(1.0)?.f_mul_(&entropy)?.f_mul_scalar_(self.gamma)?.f_div_(&missed)?;
        let steep = { odds }.f_add_scalar_(1.0)?.f_mul_(&power)?;
        slopes = exp_in_place(slopes)?.f_mul_(&steep)?.f_scatter_add_(1, &classes, &steep.f_neg()?)?;
        Ok((sum, slopes))
    }
}

impl Loss for FocalLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.alpha.map_or(Ok(()), |alpha| check::fraction("alpha", alpha))?;
        check::non_negative("gamma", self.gamma)?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let classes = check::classes(input)?;
        let kind = accumulation_kind(input.kind());
        let wide = input.f_to_kind(kind)?;
        let weight = class_weight(self.weight.as_ref(), &wide, classes)?;
        check::class_targets(&input.size(), input, target)?;
        let target = target.f_to_kind(CLASSES)?;
        let Known { classes: known, counted } = Known::of(&target, self.ignore_index, kind)?;
        let weights = match weight {
            Some(weight) => weight.f_take(&known)?.f_mul(&counted)?,
            None => counted.shallow_clone(),
        };
        let factors = match self.alpha {
            Some(alpha) => {
                let share = known.f_ne(0)?.f_to_kind(kind)?.f_mul_scalar(2.0 * alpha - 1.0)?;
                weights.f_mul(&share.f_add_scalar(1.0 - alpha)?)?
            }
            None => weights.shallow_clone(),
        };
        if self.reduction == Reduction::None {
            return reduced(self, input, &[&known, &factors, &counted], Reduction::None);
        }
        let sum = reduced(self, &wide, &[&known, &factors, &counted], Reduction::Sum)?;
        let loss = match (self.reduction, self.mean) {
            (Reduction::Mean, FocalMean::Logits) => sum.f_div_scalar(input.numel() as f64)?,
            (Reduction::Mean, FocalMean::Places) => mean_of_counted(&sum, &weights.f_sum(None)?)?,
            _ => sum,
        };
        Ok(loss.f_to_kind(input.kind())?)
    }
}
