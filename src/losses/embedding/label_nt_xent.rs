//! [`LabelNtXentLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::anchors::{check_labelled, of_batch, row_sum, Anchors, Place, NEVER};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Normalised cross entropy with a temperature, by labels: each pair of a class is told from the negatives of its anchor.
///
/// ```text
/// s[i, j] = cos(e[i], e[j]) / temperature
/// l[i, p] = log(exp(s[i, p]) + Σ_n exp(s[i, n])) - s[i, p]     p ≠ i with the label of i, n with another label
/// loss    = reduce(l) over all pairs i, p
/// ```
///
/// The arguments are `embeddings` and `labels`. [`NtXentLoss`](crate::NtXentLoss) is for two views without labels. Other
/// positives are no negatives here; in [`SupConLoss`](crate::SupConLoss) they are.
///
/// - **Shapes**: `embeddings` `[N, D]` with D at least 1, `labels` `[N]`. The loss is a scalar. With [`Reduction::None`] it
///   is `[N, N]`: at `[i, p]` the loss of that pair, 0 elsewhere.
/// - **Values**: `embeddings` any, of a length from 1e-12 to 1e19; one of zeros has the similarity 0 with all. `labels`
///   any numbers of kind Int64 or Uint8. A batch without pairs, or of one class, costs nothing. f16 and bf16 are
///   computed in f32.
/// - **Gradients**: to `embeddings`. If the loss is reduced, forward computes the gradient, and second derivatives come out
///   as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Memory**: some megabytes, whatever N is. With [`Reduction::None`] some matrices `[N, N]`. PyTorch Metric Learning
///   has one of all pairs by all negatives.
/// - **Defaults**: `temperature` 0.07, `reduction` mean, over the pairs: those of PyTorch Metric Learning.
/// - **Errors**: shapes, kinds or devices other than these; a `temperature` that is not positive and finite.
///
/// Source: `NTXentLoss` of [PyTorch Metric
/// Learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#ntxentloss), which is its InfoNCE as well.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{LabelNtXentLoss, Loss};
///
/// let embeddings = Tensor::from_slice2(&[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]);
/// let labels = Tensor::from_slice(&[7i64, 7, 4]);
/// // Two pairs, of cosine 1. The negative has the cosine 0.
/// let loss = LabelNtXentLoss::default().with_temperature(1.0).forward(&embeddings, &labels);
/// assert!((loss.double_value(&[]) - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
/// ```
#[doc(alias = "NTXentLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelNtXentLoss {
    /// What the cosines are divided by.
    pub temperature: f64,
    /// How the losses of the pairs are reduced.
    pub reduction: Reduction,
}

impl Default for LabelNtXentLoss {
    fn default() -> Self {
        LabelNtXentLoss { temperature: 0.07, reduction: Reduction::Mean }
    }
}

setters!(LabelNtXentLoss { with_temperature(temperature: f64), with_reduction(reduction: Reduction) });

/// What the loss of some anchors is made of.
struct Parts {
    scores: Tensor,
    /// 1 for each positive, `[R, N]`.
    same: Tensor,
    /// The exponentials of the negatives, of which the largest is 1, and their sum, `[R, 1]`.
    powers: Tensor,
    sum: Tensor,
    /// The logarithm of the sum of the negatives' exponentials, `[R, 1]`.
    negatives: Tensor,
}

impl Parts {
    fn of(scores: Tensor, place: &Place) -> Result<Parts> {
        let (same, different) = place.same_and_different()?;
        let alone = scores.f_masked_fill(&different.f_logical_not()?, NEVER)?;
        let largest = alone.f_detach()?.f_amax([1i64].as_slice(), true)?;
        let powers = alone.f_sub(&largest)?.f_exp()?;
        let sum = row_sum(&powers)?;
        let negatives = sum.f_log()?.f_add(&largest)?;
        Ok(Parts { same: same.f_to_kind(scores.kind())?, scores, powers, sum, negatives })
    }

    fn losses(&self) -> Result<Tensor> {
        let ahead = self.scores.f_sub(&self.negatives)?;
        Ok(ahead.f_log_sigmoid()?.f_mul(&self.same)?.f_neg()?)
    }
}

impl Anchors for LabelNtXentLoss {
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor> {
        Parts::of(scores, place)?.losses()
    }

    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        let parts = Parts::of(scores, place)?;
        let losses = parts.losses()?;
        let Parts { scores, same, mut powers, sum, negatives } = parts;
        let wrong = negatives.f_sub(&scores)?.f_sigmoid_()?.f_mul_(&same)?;
        let slopes = powers.f_mul_(&row_sum(&wrong)?.f_div(&sum)?)?.f_sub_(&wrong)?;
        Ok((losses, slopes))
    }

    fn count(&self, _: &Tensor, place: &Place) -> Result<Tensor> {
        Ok(place.same_and_different()?.0.f_sum(None)?)
    }
}

/// Of embeddings and their labels.
impl Loss for LabelNtXentLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("temperature", self.temperature)
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_labelled(embeddings, labels)?;
        let without_pairs = embeddings.size()[0] == 0 && self.reduction == Reduction::None;
        if without_pairs {
            return Ok(embeddings.f_narrow(1, 0, 0)?.f_mul_scalar(1.0)?);
        }
        of_batch(self, embeddings, Some(labels), 1.0 / self.temperature, self.reduction)
    }
}
