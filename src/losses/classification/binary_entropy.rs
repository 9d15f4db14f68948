//! Binary cross entropy of logits, and its slopes.

use tch::Tensor;

use super::rows::{over_classes, Rows};
use super::CLASSES;
use crate::base::pointwise::Pointwise;
use crate::Result;

/// Each logit with a label of its own.
pub(in crate::losses) struct BinaryEntropy;

impl Pointwise for BinaryEntropy {
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (none, whole) = (None::<&Tensor>, tch::Reduction::None);
        Ok(input.f_binary_cross_entropy_with_logits(target, none, none, whole)?)
    }

    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.elements(input, target)?, input.f_sigmoid()?.f_sub_(target)?))
    }
}

/// A class for each sample, whose labels are 1 but for a share `s` that all classes have evenly: `1 - s + s / C` at the
/// class, and `s / C` elsewhere.
pub(super) struct OneOfMany {
    pub smoothing: f64,
}

impl OneOfMany {
    /// `s / C`.
    fn even(&self, input: &Tensor) -> f64 {
        self.smoothing / input.size()[1] as f64
    }

    /// The labels of all classes.
    pub fn labels(&self, input: &Tensor, classes: &Tensor) -> Result<Tensor> {
        let even = self.even(input);
        let classes = classes.f_to_kind(CLASSES)?.f_unsqueeze(1)?;
        let mut labels = input.f_detach()?.f_full_like(even)?;
        Ok(labels.f_scatter_value_(1, &classes, 1.0 - self.smoothing + even)?)
    }
}

/// Of logits `[N, C]` and classes `[N]`.
impl Rows for OneOfMany {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        over_classes(&BinaryEntropy.elements(input, &self.labels(input, &constants[0])?)?, false)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let (classes, even) = (constants[0].f_unsqueeze(1)?, self.even(input));
        // `log σ(-x)` of the other classes, `log σ(x)` of the right one: of labels 0 and 1, all that there is.
        let right = input.f_gather(1, &classes, false)?;
        let logs = input.f_neg()?.f_log_sigmoid()?;
        let mut sum = { logs }.f_scatter_(1, &classes, &right.f_log_sigmoid()?)?.f_sum(None)?;
        let mut slopes = input.f_sigmoid()?;
        if self.smoothing > 0.0 {
            // Shares before the sums: those of the largest numbers would be infinite.
            sum = sum.f_add_(&input.f_mul_scalar(even)?.f_sum(None)?)?;
            sum = sum.f_sub_(&right.f_mul_scalar(self.smoothing)?.f_sum(None)?)?;
            slopes = slopes.f_sub_scalar_(even)?;
        }
        let slopes = slopes.f_scatter_add_(1, &classes, &right.f_full_like(self.smoothing - 1.0)?)?;
        Ok((sum.f_neg_()?, slopes))
    }
}
