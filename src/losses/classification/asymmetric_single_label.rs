//! [`AsymmetricSingleLabelLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rows::{over_classes, reduced, Rows};
use super::CLASSES;
use crate::base::exponential::exp_in_place;
use crate::base::precision::smallest_normal;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Asymmetric loss of classes of which one is right: focal cross entropy with label smoothing, and with another focus on
/// the right class than on the others.
///
/// ```text
/// p    = softmax(input) over the classes
/// l    = -(1 - s + s / C) * (1 - p[y])^gamma_pos * log p[y]
///        - Σ s / C * p[c]^gamma_neg * log p[c]      over the classes c other than y = target
/// loss = reduce(l)
/// ```
///
/// `s` is [`label_smoothing`](Self::label_smoothing). Without it the loss is [`FocalLoss`](crate::FocalLoss).
/// [`AsymmetricLoss`](crate::AsymmetricLoss) is for several classes at once.
///
/// - **Shapes**: `input` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`. `target` is classes, of kind Int64 or Uint8, in that
///   shape without the axis `C`. The loss is a scalar, or has the shape of the classes with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are in `[0, C)`; a wrong one is [`Error::Torch`](crate::Error::Torch) on
///   the CPU and a failed device-side assertion on CUDA. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to `input`. If the loss is reduced, forward computes the gradient, and second derivatives come out
///   as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `gamma_neg` 4, `gamma_pos` 1, `label_smoothing` 0.1 (timm's `eps`), `reduction` mean: timm's.
/// - **Errors**: shapes, kinds or devices other than these; a `gamma_neg` or `gamma_pos` that is negative or not finite;
///   a `label_smoothing` outside `[0, 1]`.
///
/// Source: `AsymmetricLossSingleLabel` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; T.
/// Ridnik et al., [*Asymmetric loss for multi-label classification*](https://arxiv.org/abs/2009.14119) (2020).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{AsymmetricSingleLabelLoss, Loss};
///
/// let logits = Tensor::zeros([1, 2], (Kind::Double, Device::Cpu));
/// let loss = AsymmetricSingleLabelLoss::default().forward(&logits, &Tensor::from_slice(&[0i64]));
/// // Of 0.95 at the right class, and of 0.05 at the other.
/// let expected = (0.95 * 0.5 + 0.05 * 0.5f64.powi(4)) * 2f64.ln();
/// assert!((loss.double_value(&[]) - expected).abs() < 1e-12);
/// ```
#[doc(alias = "AsymmetricLossSingleLabel")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AsymmetricSingleLabelLoss {
    /// How much less the other classes count, the less probable they are.
    pub gamma_neg: f64,
    /// How much less the right class counts, the better it is classified.
    pub gamma_pos: f64,
    /// The share of the target that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for AsymmetricSingleLabelLoss {
    fn default() -> Self {
        AsymmetricSingleLabelLoss {
            gamma_neg: 4.0,
            gamma_pos: 1.0,
            label_smoothing: 0.1,
            reduction: Reduction::Mean,
        }
    }
}

setters!(AsymmetricSingleLabelLoss {
    with_gamma_neg(gamma_neg: f64), with_gamma_pos(gamma_pos: f64), with_label_smoothing(label_smoothing: f64),
    with_reduction(reduction: Reduction)
});

impl AsymmetricSingleLabelLoss {
    /// The targets of the other classes and of the right one.
    fn shares(&self, input: &Tensor) -> (f64, f64) {
        let off = self.label_smoothing / input.size()[1] as f64;
        (off, 1.0 - self.label_smoothing + off)
    }

    /// `(1 - p)^gamma_pos * log p` from the logarithm, and `1 - p`.
    fn of_right(&self, logs: &Tensor) -> Result<(Tensor, Tensor)> {
        let missed = logs.f_expm1()?.f_neg()?.f_clamp_min(smallest_normal(logs.kind()))?;
        Ok((missed.f_pow_tensor_scalar(self.gamma_pos)?.f_mul(logs)?, missed))
    }

    /// `p^gamma_neg * log p` from the logarithm.
    fn of_others(&self, logs: &Tensor) -> Result<Tensor> {
        Ok(logs.f_mul_scalar(self.gamma_neg)?.f_exp()?.f_mul(logs)?)
    }
}

/// Of `input` and the classes, `[N, 1, ...]`.
impl Rows for AsymmetricSingleLabelLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let (off, on) = self.shares(input);
        let logs = input.f_log_softmax(1, None)?;
        let right = logs.f_gather(1, &constants[0], false)?;
        let others = over_classes(&self.of_others(&logs)?, true)?.f_sub(&self.of_others(&right)?)?;
        let right = self.of_right(&right)?.0.f_mul_scalar(on)?;
        Ok(right.f_add(&others.f_mul_scalar(off)?)?.f_neg()?.f_squeeze_dim(1)?)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let (classes, (off, on)) = (&constants[0], self.shares(input));
        let logs = input.f_log_softmax(1, None)?;
        let right = logs.f_gather(1, classes, false)?;
        let (of_right, missed) = self.of_right(&right)?;
        // Slopes with respect to the logarithms: p^g (g log p + 1) at the others ...
        let mut slopes = exp_in_place(logs.f_mul_scalar(self.gamma_neg)?)?.f_mul_scalar_(off)?;
        let mut others = slopes.f_mul(&logs)?;
        slopes = slopes.f_add_(&others.f_mul_scalar(self.gamma_neg)?)?;
        // ... and (1 - p)^g - g p (1 - p)^(g - 1) log p at the right one.
        // Of a sure answer, `of_right` is 0: the division by next to nothing comes last.
        let odds = right.f_exp()?.f_mul_scalar_(self.gamma_pos)?.f_mul_(&of_right)?.f_div_(&missed)?;
        let of_power = missed.f_pow_tensor_scalar(self.gamma_pos)?.f_sub_(&odds)?.f_mul_scalar_(on)?;
        slopes = slopes.f_scatter_(1, classes, &of_power)?;
        others = others.f_scatter_(1, classes, &of_right.f_mul_scalar(on)?)?;
        let total = over_classes(&slopes, true)?;
        // Behind the soft-max, with the sign of the loss: p * Σ - slope.
        slopes = exp_in_place(logs)?.f_mul_(&total)?.f_sub_(&slopes)?;
        Ok((others.f_sum(None)?.f_neg()?, slopes))
    }
}

impl Loss for AsymmetricSingleLabelLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("gamma_neg", self.gamma_neg)?;
        check::non_negative("gamma_pos", self.gamma_pos)?;
        check::fraction("label_smoothing", self.label_smoothing)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::classes(input)?;
        check::class_targets(&input.size(), input, target)?;
        let axis = i64::from(input.dim() > 1);
        let classes = target.f_to_kind(CLASSES)?.f_unsqueeze(axis)?;
        reduced(self, input, &[&classes], self.reduction)
    }
}
