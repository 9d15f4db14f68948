//! [`DistillationLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rows::{over_classes, reduced, Rows};
use crate::base::exponential::{exp, exp_in_place};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Knowledge distillation: how far a student's distribution over the classes is from a teacher's, both softened by a
/// temperature.
///
/// ```text
/// p    = softmax(target / T)      the teacher
/// q    = softmax(input / T)       the student
/// l    = T² * Σ p[c] * log(p[c] / q[c])      over the classes c
/// loss = reduce(l)
/// ```
///
/// `T` is [`temperature`](Self::temperature). `T²` keeps the magnitude of the gradient, whatever the temperature. Both
/// arguments are logits, the student's first. Trainers add the loss to a [`CrossEntropyLoss`](crate::CrossEntropyLoss)
/// of the labels, in a [`WeightedSum`](crate::WeightedSum) for instance. [`KlDivLoss`](crate::KlDivLoss) takes
/// log-probabilities; its mean is over the classes as well, and so smaller by their number.
///
/// - **Shapes**: `input` and `target` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`, equal. The loss is a scalar, or has that
///   shape without `C` with [`Reduction::None`].
/// - **Values**: any logits. Equal distributions cost 0. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires none, as of a teacher under
///   `no_grad`, forward computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Defaults**: `temperature` 1, `reduction` batchmean, the sum divided by the size of the batch: timm's. Values from
///   2 to 4 are usual. The mean is over the places; of `[N, C]` it is the batchmean.
/// - **Errors**: arguments of different shapes, kinds or devices, or without classes; a `temperature` that is not
///   positive and finite.
///
/// Source: `LogitDistillationTask` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; G. Hinton et
/// al., [*Distilling the knowledge in a neural network*](https://arxiv.org/abs/1503.02531) (2015).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{DistillationLoss, Loss};
///
/// let student = Tensor::from_slice2(&[[0.0, 0.0]]);
/// let teacher = Tensor::from_slice2(&[[4f64.ln() * 2.0, 0.0]]);
/// // At a temperature of 2 the teacher says 4/5 and 1/5.
/// let loss = DistillationLoss::default().with_temperature(2.0).forward(&student, &teacher);
/// let expected = 4.0 * (0.8 * 1.6f64.ln() + 0.2 * 0.4f64.ln());
/// assert!((loss.double_value(&[]) - expected).abs() < 1e-12);
/// ```
#[doc(alias = "KnowledgeDistillationLoss")]
#[doc(alias = "KDLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillationLoss {
    /// What the logits are divided by.
    pub temperature: f64,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for DistillationLoss {
    fn default() -> Self {
        DistillationLoss { temperature: 1.0, reduction: Reduction::BatchMean }
    }
}

setters!(DistillationLoss { with_temperature(temperature: f64), with_reduction(reduction: Reduction) });

impl DistillationLoss {
    fn logs(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(match self.temperature == 1.0 {
            true => logits.f_log_softmax(1, None)?,
            false => logits.f_div_scalar(self.temperature)?.f_log_softmax(1, None)?,
        })
    }

    /// Of the teacher. A class that it rules out, by a logit of minus infinity, counts 0 times a finite number.
    fn teacher(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(self.logs(logits)?.f_clamp_min(-1e30)?)
    }
}

impl Rows for DistillationLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let (student, teacher) = (self.logs(input)?, self.teacher(&constants[0])?);
        let divergence = over_classes(&teacher.f_exp()?.f_mul(&teacher.f_sub(&student)?)?, false)?;
        Ok(divergence.f_mul_scalar(self.temperature * self.temperature)?)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let (student, teacher) = (self.logs(input)?, self.teacher(&constants[0])?);
        let probabilities = exp(&teacher)?;
        let sum = { teacher }.f_sub_(&student)?.f_mul_(&probabilities)?.f_sum(None)?;
        let slopes = exp_in_place(student)?.f_sub_(&probabilities)?.f_mul_scalar_(self.temperature)?;
        Ok((sum.f_mul_scalar(self.temperature * self.temperature)?, slopes))
    }
}

impl Loss for DistillationLoss {
    fn check_options(&self) -> Result<()> {
        check::positive("temperature", self.temperature)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::classes(input)?;
        check::pair(input, target)?;
        reduced(self, input, &[target], self.reduction)
    }
}
