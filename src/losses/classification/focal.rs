//! [`FocalLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{class_weight, CLASSES};
use crate::base::pointwise::tiny;
use crate::base::precision::accumulation_kind;
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
/// - **Gradients**: to `input`. A `gamma` below 1 has a finite gradient at well classified places, too. libtorch has
///   derivatives of any order.
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
        // The rest works on a number for each place. Ignored places have 0, whose focal loss is 0.
        let none = tch::Reduction::None;
        let entropy = wide.f_cross_entropy_loss(&target, None::<&Tensor>, none, self.ignore_index, 0.0)?;
        // `1 - p`. At 0, the slope of a power below 1 would be infinite.
        let missed = entropy.f_neg()?.f_expm1()?.f_neg()?.f_clamp_min(tiny(&wide))?;
        let mut losses = missed.f_pow_tensor_scalar(self.gamma)?.f_mul(&entropy)?;
        if let Some(alpha) = self.alpha {
            let share = target.f_ne(0)?.f_to_kind(kind)?.f_mul_scalar(2.0 * alpha - 1.0)?;
            losses = losses.f_mul(&share.f_add_scalar(1.0 - alpha)?)?;
        }
        let counted = target.f_ne(self.ignore_index)?;
        let mut weights = counted.shallow_clone();
        if let Some(weight) = weight {
            // Class 0 stands in for the ignored ones, for theirs may not exist.
            let known = target.f_mul(&counted)?;
            weights = weight.f_take(&known)?.f_mul(&counted)?;
            losses = losses.f_mul(&weights)?;
        }
        let reduced = match (self.reduction, self.mean) {
            (Reduction::None, _) => losses,
            (Reduction::Mean, FocalMean::Logits) => losses.f_sum(None)?.f_div_scalar(input.numel() as f64)?,
            (Reduction::Mean, FocalMean::Places) => losses.f_sum(None)?.f_div(&weights.f_sum(kind)?)?,
            _ => losses.f_sum(None)?,
        };
        Ok(reduced.f_to_kind(input.kind())?)
    }
}
