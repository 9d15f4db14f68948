//! [`PolyBinaryCrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::poly_cross_entropy::check_epsilon;
use super::rows::finish;
use super::smoothed;
use crate::base::pointwise::{sum_of_elements, Pointwise};
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Poly-1 of logits: binary cross entropy, or its focal form, with another slope at well classified elements.
///
/// ```text
/// p    = σ(input)
/// y    = (1 - s) * target + s / 2
/// q    = y * (1 - p) + (1 - y) * p                  the probability of the wrong answer
/// bce  = -y * log p - (1 - y) * log(1 - p)
/// l    = (a * y + (1 - a) * (1 - y)) * (q^g * bce + e * q^(g + 1))
/// loss = reduce(l)
/// ```
///
/// `e` is [`epsilon`](Self::epsilon), `g` [`gamma`](Self::gamma), `s` [`label_smoothing`](Self::label_smoothing) and `a`
/// [`alpha`](Self::alpha); without an `alpha`, both sides count fully. Each class is present or not, independently of
/// the others. [`PolyCrossEntropyLoss`](crate::PolyCrossEntropyLoss) is for classes of which one is right.
/// [`SigmoidFocalLoss`](crate::SigmoidFocalLoss) is the loss with an `epsilon` of 0.
///
/// - **Shapes**: `input` and `target` any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: `input` any logits; `target` 0, 1 or between, not checked. f16 and bf16 are computed in f32. The mean
///   of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires none, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Defaults**: `epsilon` 2, `gamma` 0, no `alpha`, `label_smoothing` 0, `reduction` mean: timm's.
///   [`BatchMean`](Reduction::BatchMean) is the sum divided by the size of the batch.
/// - **Errors**: arguments of different shapes, kinds or devices; an `epsilon` outside `[-1000, 1000]`; a `gamma` that
///   is negative or not finite; an `alpha` or a `label_smoothing` outside `[0, 1]`.
///
/// The paper has an `epsilon` of -1, a `gamma` of 2 and an `alpha` of 0.25 for detection.
///
/// Source: `PolyBinaryCrossEntropy` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; Z. Leng et
/// al., [*PolyLoss: a polynomial expansion perspective of classification loss functions*](https://arxiv.org/abs/2204.12511)
/// (2022).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, PolyBinaryCrossEntropyLoss};
///
/// // Undecided: log 2 as in cross entropy, and twice the half that is wrong.
/// let (logits, target) = (Tensor::from_slice(&[0.0, 0.0]), Tensor::from_slice(&[1.0, 0.0]));
/// let loss = PolyBinaryCrossEntropyLoss::default().forward(&logits, &target);
/// assert!((loss.double_value(&[]) - 2f64.ln() - 1.0).abs() < 1e-12);
/// ```
#[doc(alias = "PolyLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolyBinaryCrossEntropyLoss {
    /// What is added to the first coefficient, 1.
    pub epsilon: f64,
    /// How much less well classified elements count.
    pub gamma: f64,
    /// The share of the positives, in `[0, 1]`; the negatives have the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// How far targets are moved towards 1/2, in `[0, 1]`.
    pub label_smoothing: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for PolyBinaryCrossEntropyLoss {
    fn default() -> Self {
        PolyBinaryCrossEntropyLoss {
            epsilon: 2.0,
            gamma: 0.0,
            alpha: None,
            label_smoothing: 0.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(PolyBinaryCrossEntropyLoss {
    with_epsilon(epsilon: f64), with_gamma(gamma: f64), with_label_smoothing(label_smoothing: f64),
    with_reduction(reduction: Reduction);
    with_alpha(alpha: f64)
});

impl PolyBinaryCrossEntropyLoss {
    /// `a * y + (1 - a) * (1 - y)`, if there is an `alpha`.
    fn share(&self, target: &Tensor) -> Result<Option<Tensor>> {
        let share = |alpha| Ok(target.f_mul_scalar(2.0 * alpha - 1.0)?.f_add_scalar(1.0 - alpha)?);
        self.alpha.map(share).transpose()
    }
}

impl Pointwise for PolyBinaryCrossEntropyLoss {
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let other = target.f_rsub_scalar(1.0)?;
        let bce = other.f_mul(input)?.f_sub(&input.f_log_sigmoid()?)?;
        let missed = input.f_neg()?.f_sigmoid()?.f_mul(target)?.f_add(&input.f_sigmoid()?.f_mul(&other)?)?;
        let poly = bce.f_add(&missed.f_mul_scalar(self.epsilon)?)?;
        let focal = missed
            .f_clamp_min(smallest_normal(input.kind()))?
            .f_pow_tensor_scalar(self.gamma)?
            .f_mul(&poly)?;
        Ok(match self.share(target)? {
            Some(share) => focal.f_mul(&share)?,
            None => focal,
        })
    }

    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let (right, wrong) = (input.f_sigmoid()?, input.f_neg()?.f_sigmoid()?);
        let other = target.f_rsub_scalar(1.0)?;
        let mut bce = other.f_mul(input)?.f_sub_(&input.f_log_sigmoid()?)?;
        let missed = right.f_mul(&other)?.f_addcmul_(&wrong, target)?;
        let missed = { missed }.f_clamp_min_(smallest_normal(input.kind()))?;
        // Of `missed`.
        let slope = { wrong }.f_mul_(&right)?.f_mul_(&{ other }.f_sub_(target)?)?;
        let (gamma, epsilon) = (self.gamma, self.epsilon);
        let mut slopes = { right }.f_sub_(target)?.f_add_(&slope.f_mul_scalar(epsilon * (gamma + 1.0))?)?;
        if gamma > 0.0 {
            slopes = slopes.f_add_(&slope.f_div(&missed)?.f_mul_(&bce)?.f_mul_scalar_(gamma)?)?;
        }
        bce = bce.f_add_(&missed.f_mul_scalar(epsilon)?)?;
        let mut factor = self.share(target)?;
        if gamma > 0.0 {
            let power = missed.f_pow_tensor_scalar(gamma)?;
            factor = Some(match factor {
                Some(share) => { power }.f_mul_(&share)?,
                None => power,
            });
        }
        Ok(match factor {
            Some(factor) => (bce.f_mul_(&factor)?, slopes.f_mul_(&factor)?),
            None => (bce, slopes),
        })
    }
}

impl Loss for PolyBinaryCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        check_epsilon(self.epsilon)?;
        check::non_negative("gamma", self.gamma)?;
        self.alpha.map_or(Ok(()), |alpha| check::fraction("alpha", alpha))?;
        check::fraction("label_smoothing", self.label_smoothing)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        let kind = accumulation_kind(input.kind());
        let target = smoothed(&target.f_to_kind(kind)?, self.label_smoothing)?;
        let batch = input.size().first().copied().unwrap_or(1);
        let elements = match self.reduction {
            Reduction::None => self.elements(&input.f_to_kind(kind)?, &target)?,
            _ => sum_of_elements(self, input, &target, None)?,
        };
        match self.reduction {
            Reduction::Mean => finish(elements, Reduction::BatchMean, input.numel() as i64, input),
            reduction => finish(elements, reduction, batch, input),
        }
    }
}
