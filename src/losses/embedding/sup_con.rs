//! [`SupConLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::anchors::{above_0, check_labelled, of_batch, row_sum, soft_max, Anchors, Place};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Supervised contrastive loss: embeddings of a class are alike, those of other classes are not.
///
/// ```text
/// s[i, j] = cos(e[i], e[j]) / temperature
/// l[i]    = mean over p of  log(Σ_(j ≠ i) exp(s[i, j])) - s[i, p]      p ≠ i with the label of i
/// loss    = reduce(l)
/// ```
///
/// The arguments are `embeddings` and `labels`. Several views of an image are several embeddings with one label. The mean
/// is over the anchors that cost something, which are those with a positive. [`NtXentLoss`](crate::NtXentLoss) is for two
/// views without labels.
///
/// - **Shapes**: `embeddings` `[N, D]` with D at least 1, `labels` `[N]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: `embeddings` any, of a length from 1e-12 to 1e19; one of zeros has the similarity 0 with all. `labels`
///   any numbers of kind Int64 or Uint8. An anchor without another of its class costs nothing, and so does a batch of
///   one class. f16 and bf16 are computed in f32.
/// - **Gradients**: to `embeddings`. If the loss is reduced, forward computes the gradient, and second derivatives come out
///   as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Memory**: some megabytes, whatever N is. With [`Reduction::None`] some matrices `[N, N]`.
/// - **Defaults**: `temperature` 0.1, `reduction` mean: those of PyTorch Metric Learning.
/// - **Errors**: shapes, kinds or devices other than these; a `temperature` that is not positive and finite.
///
/// The code of the paper, SupContrast, has a temperature of 0.07, takes embeddings of length 1, and counts anchors without
/// a positive in the mean; see [`sup_contrast`](Self::sup_contrast).
///
/// Source: `SupConLoss` of [PyTorch Metric
/// Learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#supconloss); P. Khosla et al., [*Supervised
/// contrastive learning*](https://arxiv.org/abs/2004.11362) (2020).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SupConLoss};
///
/// let embeddings = Tensor::from_slice2(&[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]);
/// let labels = Tensor::from_slice(&[7i64, 7, 4]);
/// // Each of the first two has one positive, of cosine 1, and one negative, of cosine 0. The third has no positive.
/// let loss = SupConLoss::default().with_temperature(1.0).forward(&embeddings, &labels);
/// assert!((loss.double_value(&[]) - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
/// ```
#[doc(alias = "SupervisedContrastiveLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupConLoss {
    /// What the cosines are divided by.
    pub temperature: f64,
    /// How the losses of the anchors are reduced.
    pub reduction: Reduction,
}

impl Default for SupConLoss {
    fn default() -> Self {
        SupConLoss { temperature: 0.1, reduction: Reduction::Mean }
    }
}

setters!(SupConLoss { with_temperature(temperature: f64), with_reduction(reduction: Reduction) });

impl SupConLoss {
    /// The temperature of [SupContrast](https://github.com/HobbitLong/SupContrast), 0.07. Where each anchor has a positive,
    /// as with two views of each image, and there are two classes at least, the loss is that of SupContrast.
    pub fn sup_contrast() -> Self {
        SupConLoss { temperature: 0.07, ..Default::default() }
    }
}

/// The positives of some anchors.
struct Positives {
    /// 1 for each, `[R, N]`.
    same: Tensor,
    /// How many there are, `[R, 1]`.
    count: Tensor,
    /// Whether the anchor has positives and negatives, over the number of its positives, `[R, 1]`.
    weights: Tensor,
}

impl Positives {
    fn of(place: &Place) -> Result<Positives> {
        let same = place.positives()?;
        let count = row_sum(&same)?;
        let has_negatives = count.f_lt((place.batch - 1) as f64)?;
        let weights = count.f_clamp_min(1.0)?.f_reciprocal()?.f_mul(&has_negatives)?;
        Ok(Positives { same, count, weights })
    }

    /// Of the sums of the logarithms of the positives' shares. Not below 0, where rounding would have it.
    fn losses(&self, sums: &Tensor) -> Result<Tensor> {
        Ok(sums.f_mul(&self.weights)?.f_neg()?.f_relu()?)
    }
}

impl Anchors for SupConLoss {
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor> {
        let positives = Positives::of(place)?;
        place.exclude_itself(&scores)?;
        let sums = row_sum(&positives.same.f_mul(&scores.f_log_softmax(1, None)?)?)?;
        Ok(positives.losses(&sums)?.f_squeeze_dim(1)?)
    }

    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        let positives = Positives::of(place)?;
        place.exclude_itself(&scores)?;
        // Minus the logarithms of the largest shares, which stand for the sums that the others are shares of.
        let largest = scores.f_amax([1i64].as_slice(), true)?;
        let (mut shares, logarithms) = soft_max(&scores, &largest, 1)?;
        let Positives { same, count, weights } = &positives;
        let mut ahead = scores.f_sub(&largest)?;
        let sums = row_sum(&ahead.f_mul_(same)?)?.f_sub(&count.f_mul(&logarithms)?)?;
        let losses = positives.losses(&sums)?;
        let counted = above_0(&losses)?.f_to_kind(losses.kind())?;
        let mut slopes = shares.f_mul_(&counted)?;
        let slopes = slopes.f_addcmul_(same, &weights.f_mul(&counted)?.f_neg_()?)?;
        Ok((losses.f_squeeze_dim(1)?, slopes))
    }

    fn count(&self, losses: &Tensor, _: &Place) -> Result<Tensor> {
        Ok(above_0(losses)?.f_sum(losses.kind())?)
    }
}

/// Of embeddings and their labels.
impl Loss for SupConLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("temperature", self.temperature)
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_labelled(embeddings, labels)?;
        of_batch(self, embeddings, Some(labels), 1.0 / self.temperature, self.reduction)
    }
}
