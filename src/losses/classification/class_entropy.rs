//! Cross entropy and Poly-1 with one class for each place, and their slopes.

use tch::{Kind, Tensor};

use super::rows::{over_classes, Rows, Softened};
use crate::Result;

/// Cross entropy with labels smoothed by `s`, and `epsilon` times the share of the truth that is missed:
///
/// ```text
/// l = f * (-(1 - s) * log p[class] - s / C * Σ_c log p[c] + epsilon * (1 - (1 - s) * p[class] - s / C))
/// ```
///
/// The constants are the classes `[N, ...]`, all of which exist, and a factor `f` of each place, 1 where it is left out.
pub(in crate::losses) struct ClassEntropy {
    pub smoothing: f64,
    pub epsilon: f64,
}

/// Classes of which some do not count.
pub(in crate::losses) struct Known {
    /// With class 0 in place of those, for theirs may not exist.
    pub classes: Tensor,
    /// 1 for those that count and 0 for the others.
    pub counted: Tensor,
}

impl Known {
    pub fn of(target: &Tensor, ignore_index: i64, kind: Kind) -> Result<Known> {
        let counted = target.f_ne(ignore_index)?;
        Ok(Known { classes: target.f_mul(&counted)?, counted: counted.f_to_kind(kind)? })
    }
}

/// What libtorch ignores where it is not to ignore anything.
pub(in crate::losses) const NOT_A_CLASS: i64 = i64::MIN;

/// 0 where the factor is. A product alone would keep what is infinite there.
pub(in crate::losses) fn counted(losses: &Tensor, factor: &Tensor) -> Result<Tensor> {
    Ok(losses.f_masked_fill(&factor.f_eq(0.0)?, 0.0)?)
}

/// The losses times their factors. Where that is 0, whatever the loss is does not count.
pub(in crate::losses) fn counting(losses: &Tensor, factor: &Tensor) -> Result<Tensor> {
    counted(&losses.f_mul(factor)?, factor)
}

impl ClassEntropy {
    /// `1 - s` and `s / C`.
    fn shares(&self, input: &Tensor) -> (f64, f64) {
        (1.0 - self.smoothing, self.smoothing / input.size()[1] as f64)
    }

    /// What is missed, from the logarithms of the classes' probabilities.
    fn missed(&self, right: &Tensor, (share, even): (f64, f64)) -> Result<Tensor> {
        // Of `1 - p`, the digits of the small ones.
        let missed = right.f_expm1()?.f_mul_scalar(-share)?;
        Ok(if self.smoothing > 0.0 { missed.f_add_scalar(self.smoothing - even)? } else { missed })
    }
}

impl Rows for ClassEntropy {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let entropy = |smoothing| {
            let (weight, none) = (None::<&Tensor>, tch::Reduction::None);
            input.f_cross_entropy_loss(&constants[0], weight, none, NOT_A_CLASS, smoothing)
        };
        let mut losses = entropy(self.smoothing)?;
        if self.epsilon != 0.0 {
            let right = if self.smoothing > 0.0 { entropy(0.0)?.f_neg()? } else { losses.f_neg()? };
            losses = losses.f_add(&self.missed(&right, self.shares(input))?.f_mul_scalar(self.epsilon)?)?;
        }
        Ok(match constants.get(1) {
            Some(factor) => counting(&losses, factor)?,
            None => losses,
        })
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let classes = constants[0].f_unsqueeze(1)?;
        let (share, even) = self.shares(input);
        let Softened { shifted, probabilities: mut slopes, largest } = Softened::of(input)?;
        let right = shifted.f_gather(1, &classes, false)?.f_add_(&largest)?;
        let mut losses = right.f_mul_scalar(-share)?;
        if self.smoothing > 0.0 {
            let all = over_classes(&shifted, true)?.f_mul_scalar_(even)?;
            losses = losses.f_sub_(&all)?.f_sub_(&{ largest }.f_mul_scalar_(self.smoothing)?)?;
        }
        // At the class.
        let mut of_right = right.f_full_like(-share)?;
        if self.epsilon != 0.0 {
            losses = losses.f_add_(&self.missed(&right, (share, even))?.f_mul_scalar_(self.epsilon)?)?;
            let hit = { right }.f_exp_()?.f_mul_scalar_(self.epsilon * share)?;
            of_right = of_right.f_sub_(&hit)?;
            slopes = slopes.f_mul_(&{ hit }.f_add_scalar_(1.0)?)?;
        }
        if self.smoothing > 0.0 {
            slopes = slopes.f_sub_scalar_(even)?;
        }
        slopes = slopes.f_scatter_add_(1, &classes, &of_right)?;
        if let Some(factor) = constants.get(1) {
            let factor = factor.f_unsqueeze(1)?;
            losses = counting(&losses, &factor)?;
            slopes = slopes.f_mul_(&factor)?;
        }
        Ok((losses.f_sum(None)?, slopes))
    }
}
