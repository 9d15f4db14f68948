//! [`AsymmetricLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::rows::finish;
use super::{element_weight, smoothed};
use crate::base::pointwise::{sum_of_elements, Pointwise};
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result, WeightTensor};

/// Asymmetric loss of several classes at once: focal, with another focus on positives than on negatives, and with easy
/// negatives left out.
///
/// ```text
/// p    = σ(input)                                  y = target
/// n    = min(1 - p + clip, 1)                      the probability of a negative, shifted
/// q    = 1 - y * p - (1 - y) * n                   the probability of the wrong answer
/// g    = gamma_pos * y + gamma_neg * (1 - y)
/// l    = -w * q^g * (y * log max(p, eps) + (1 - y) * log max(n, eps))
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. It is for images with a few of many labels. Negatives with a `p`
/// below `clip` cost nothing. [`AsymmetricSingleLabelLoss`](crate::AsymmetricSingleLabelLoss) is for classes of which
/// one is right.
///
/// - **Shapes**: `input` and `target` any, equal; usually `[N, C]`. The loss is a scalar, or has that shape with
///   [`Reduction::None`].
/// - **Values**: `input` any logits; `target` 0, 1 or between, not checked. f16 and bf16 are computed in f32. The mean
///   of nothing is NaN.
/// - **Gradients**: to both arguments and to `weight`. If the loss is reduced and `input` alone requires one, forward
///   computes the gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`]
///   and reduce its result. Probabilities below `eps` have a gradient of 0.
/// - **Defaults**: `gamma_neg` 4, `gamma_pos` 1, `clip` 0.05, `eps` 1e-8, `detach_focus` false, `label_smoothing` 0, no
///   `weight`, `reduction` batchmean: the sum divided by the size of the batch. They are timm's. The authors' own
///   reduction is the sum.
/// - **Errors**: arguments of different shapes, kinds or devices; a `gamma_neg` or `gamma_pos` that is negative or not
///   finite; a `clip` or a `label_smoothing` outside `[0, 1]`; an `eps` that is not positive and finite; a `weight` that
///   does not broadcast to the shape of `input`.
///
/// Source: `AsymmetricLossMultiLabel` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; T.
/// Ridnik et al., [*Asymmetric loss for multi-label classification*](https://arxiv.org/abs/2009.14119) (2020).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{AsymmetricLoss, Loss};
///
/// // Undecided about two classes: p and 1 - p are 1/2, n is 0.55.
/// let (logits, target) = (Tensor::from_slice2(&[[0.0, 0.0]]), Tensor::from_slice2(&[[1.0, 0.0]]));
/// let loss = AsymmetricLoss::default().forward(&logits, &target);
/// let expected = 0.5 * 2f64.ln() - 0.45f64.powi(4) * 0.55f64.ln();
/// assert!((loss.double_value(&[]) - expected).abs() < 1e-12);
/// ```
#[doc(alias = "AsymmetricLossMultiLabel")]
#[doc(alias = "ASL")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AsymmetricLoss {
    /// How much less well classified negatives count.
    pub gamma_neg: f64,
    /// How much less well classified positives count.
    pub gamma_pos: f64,
    /// By how much the probability of negatives is shifted.
    pub clip: f64,
    /// The least probability in a logarithm.
    pub eps: f64,
    /// Whether the factor `q^g` counts as a constant: timm's `disable_torch_grad_focal_loss`.
    pub detach_focus: bool,
    /// How far targets are moved towards 1/2, in `[0, 1]`.
    pub label_smoothing: f64,
    /// The weight of each element, broadcast to the shape of `input`: `[C]` for the classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for AsymmetricLoss {
    fn default() -> Self {
        AsymmetricLoss {
            gamma_neg: 4.0,
            gamma_pos: 1.0,
            clip: 0.05,
            eps: 1e-8,
            detach_focus: false,
            label_smoothing: 0.0,
            weight: None,
            reduction: Reduction::BatchMean,
        }
    }
}

setters!(AsymmetricLoss {
    with_gamma_neg(gamma_neg: f64), with_gamma_pos(gamma_pos: f64), with_clip(clip: f64), with_eps(eps: f64),
    with_detach_focus(detach_focus: bool), with_label_smoothing(label_smoothing: f64),
    with_reduction(reduction: Reduction);
    with_weight(weight: WeightTensor)
});

impl AsymmetricLoss {
    /// `g`.
    fn exponents(&self, target: &Tensor) -> Result<Tensor> {
        Ok(target.f_mul_scalar(self.gamma_pos - self.gamma_neg)?.f_add_scalar(self.gamma_neg)?)
    }
}

impl Pointwise for AsymmetricLoss {
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (right, wrong) = (input.f_sigmoid()?, input.f_neg()?.f_sigmoid()?);
        let other = target.f_rsub_scalar(1.0)?;
        let shifted = wrong.f_add_scalar(self.clip)?.f_clamp_max(1.0)?;
        let of_negatives = shifted.f_clamp_min(self.eps)?.f_log()?.f_mul(&other)?;
        let logs = right.f_clamp_min(self.eps)?.f_log()?.f_mul(target)?.f_add(&of_negatives)?;
        let focus = || -> Result<Tensor> {
            // `1 - n` as what is left of p: the difference has no digits for small ones.
            let left = right.f_sub_scalar(self.clip)?.f_clamp_min(0.0)?;
            let missed = wrong
                .f_mul(target)?
                .f_add(&left.f_mul(&other)?)?
                .f_clamp_min(smallest_normal(input.kind()))?;
            Ok(missed.f_pow(&self.exponents(target)?)?)
        };
        let focus = if self.detach_focus { no_grad(focus) } else { focus() }?;
        Ok(logs.f_mul(&focus)?.f_neg()?)
    }

    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let (right, wrong) = (input.f_sigmoid()?, input.f_neg()?.f_sigmoid()?);
        let other = target.f_rsub_scalar(1.0)?;
        let exponents = self.exponents(target)?;
        let steep = right.f_mul(&wrong)?;
        // How far n goes down: p (1 - p), or not at all where it is cut off.
        let left = right.f_sub_scalar(self.clip)?;
        let down = steep.f_mul(&left.f_ge(0.0)?)?.f_mul_(&other)?;
        let unheld = wrong.f_add_scalar(self.clip)?;
        // Where `eps` holds n, its logarithm does not move. With a larger `clip` that is nowhere.
        let moving =
            if self.clip < self.eps { down.f_mul(&unheld.f_ge(self.eps)?)? } else { down.shallow_clone() };
        let shifted = { unheld }.f_clamp_max_(1.0)?.f_clamp_min_(self.eps)?;
        let missed = { left }.f_clamp_min_(0.0)?.f_mul_(&other)?.f_addcmul_(&wrong, target)?;
        let missed = { missed }.f_clamp_min_(smallest_normal(input.kind()))?;
        let mut logs = shifted.f_log()?.f_mul_(&other)?;
        logs = logs.f_add_(&right.f_clamp_min(self.eps)?.f_log_()?.f_mul_(target)?)?;
        let power = missed.f_pow(&exponents)?;
        // The slope of the logarithms.
        let mut slopes = { wrong }.f_mul_(target)?.f_mul_(&right.f_ge(self.eps)?)?;
        slopes = slopes.f_sub_(&moving.f_div(&shifted)?)?;
        if !self.detach_focus {
            // That of `q^g` over itself, `g * q' / q`.
            let missed_slope = { down }.f_sub_(&{ steep }.f_mul_(target)?)?;
            let relative = missed_slope.f_div(&missed)?.f_mul_(&exponents)?;
            slopes = slopes.f_addcmul_(&relative, &logs)?;
        }
        slopes = slopes.f_mul_(&power)?.f_neg_()?;
        Ok((logs.f_mul_(&power)?.f_neg_()?, slopes))
    }
}

impl Loss for AsymmetricLoss {
    fn check_options(&self) -> Result<()> {
        check::non_negative("gamma_neg", self.gamma_neg)?;
        check::non_negative("gamma_pos", self.gamma_pos)?;
        check::fraction("clip", self.clip)?;
        check::positive("eps", self.eps)?;
        check::fraction("label_smoothing", self.label_smoothing)?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        let kind = accumulation_kind(input.kind());
        let wide = input.f_to_kind(kind)?;
        let target = smoothed(&target.f_to_kind(kind)?, self.label_smoothing)?;
        let weight = element_weight("weight", self.weight.as_ref(), &wide)?;
        let batch = input.size().first().copied().unwrap_or(1);
        if self.reduction == Reduction::None {
            let elements = self.elements(&wide, &target)?;
            let weighted = match weight {
                Some(weight) => elements.f_mul(&weight)?,
                None => elements,
            };
            return finish(weighted, self.reduction, batch, input);
        }
        let sum = sum_of_elements(self, &wide, &target, weight.as_ref())?;
        match self.reduction {
            Reduction::Mean => finish(sum, Reduction::BatchMean, input.numel() as i64, input),
            reduction => finish(sum, reduction, batch, input),
        }
    }
}
