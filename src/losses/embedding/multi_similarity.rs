//! [`MultiSimilarityLoss`].

use std::f64::consts::LOG2_E;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::anchors::{check_labelled, of_batch, row_sum, Anchors, Place};
use super::two_sums::{numbers, Side, TwoSums};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Multi-similarity loss: positives below a similarity and negatives above it cost, the farther off the more.
///
/// ```text
/// s[i, j] = cos(e[i], e[j])
/// l[i]    = log(1 + Σ_p exp(-alpha * (s[i, p] - base))) / alpha      p ≠ i with the label of i
///         + log(1 + Σ_n exp(beta * (s[i, n] - base))) / beta         n with another label
/// loss    = reduce(l)
/// ```
///
/// The arguments are `embeddings` and `labels`.
///
/// - **Shapes**: `embeddings` `[N, D]` with D at least 1, `labels` `[N]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: `embeddings` any, of a length from 1e-12 to 1e19; one of zeros has the similarity 0 with all. `labels`
///   any numbers of kind Int64 or Uint8. A sum over nothing is 0, and a batch without embeddings costs nothing. f16 and
///   bf16 are computed in f32.
/// - **Gradients**: to `embeddings`. If the loss is reduced, forward computes the gradient, and second derivatives come out
///   as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Memory**: some megabytes, whatever N is. With [`Reduction::None`] some matrices `[N, N]`.
/// - **Defaults**: `alpha` 2, `beta` 50, `base` 0.5, `reduction` mean: those of PyTorch Metric Learning.
/// - **Errors**: shapes, kinds or devices other than these; an `alpha` or a `beta` that is not positive and finite; a
///   `base` that is not in `[0, 1]`.
///
/// All pairs count. The paper leaves out those that a miner finds easy.
///
/// Source: `MultiSimilarityLoss` of [PyTorch Metric
/// Learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#multisimilarityloss); X. Wang et al.,
/// [*Multi-similarity loss with general pair weighting for deep metric learning*](https://arxiv.org/abs/1904.06627) (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MultiSimilarityLoss};
///
/// let embeddings = Tensor::from_slice2(&[[1.0, 0.0], [0.0, 1.0]]);
/// let labels = Tensor::from_slice(&[0i64, 1]);
/// // No positives, and a negative of cosine 0.
/// let loss = MultiSimilarityLoss::default().with_beta(2.0).forward(&embeddings, &labels);
/// assert!((loss.double_value(&[]) - (1.0 + (-1f64).exp()).ln() / 2.0).abs() < 1e-12);
/// ```
#[doc(alias = "MSLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiSimilarityLoss {
    /// How steep the positives' part is.
    pub alpha: f64,
    /// How steep the negatives' part is.
    pub beta: f64,
    /// The similarity that divides positives from negatives.
    pub base: f64,
    /// How the losses of the anchors are reduced.
    pub reduction: Reduction,
}

impl Default for MultiSimilarityLoss {
    fn default() -> Self {
        MultiSimilarityLoss { alpha: 2.0, beta: 50.0, base: 0.5, reduction: Reduction::Mean }
    }
}

setters!(MultiSimilarityLoss {
    with_alpha(alpha: f64), with_beta(beta: f64), with_base(base: f64), with_reduction(reduction: Reduction)
});

/// Sums of exponentials of less are far from the largest f32.
const WITHIN: f64 = 60.0;

/// `exp(-shift)` and the sum: what `1 + Σ exp` is, over `exp(shift)`.
fn with_one(side: &Side) -> Result<Tensor> {
    Ok(side.shift.f_neg()?.f_exp()?.f_add(&side.sum)?)
}

impl MultiSimilarityLoss {
    /// The sums of the exponentials, none of which is beyond 1.
    fn sums(&self, scores: Tensor, place: &Place) -> Result<TwoSums> {
        let (same, _) = place.same_and_different()?;
        let above = scores.f_sub_scalar(self.base)?;
        let [positive, negative] = [above.f_mul_scalar(-self.alpha)?, above.f_mul_scalar(self.beta)?];
        TwoSums::of(&numbers(place, &same, &positive, &negative)?, same, 0.0)
    }

    /// The losses and the slopes, where no exponential comes near to what f32 holds, since cosines are 1 at most. Without
    /// choices between positives and negatives, and without the largest of each.
    fn within_bounds(&self, mut scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        let different = place.differences()?;
        let (alpha, beta) = (self.alpha * LOG2_E, self.beta * LOG2_E);
        // Powers of 2 are faster than those of e.
        let steepness = different.f_mul_scalar(alpha + beta)?.f_sub_scalar_(alpha)?;
        let mut powers = scores.f_sub_scalar_(self.base)?.f_mul_(&steepness)?;
        place.exclude_itself(&powers)?;
        let mut powers = powers.f_exp2_()?;
        let negatives = powers.f_mul_out(&steepness, &different)?;
        let mut positives = powers.f_sub_(&negatives)?;
        let with_one = |powers: &Tensor| -> Result<Tensor> { Ok(row_sum(powers)?.f_add_scalar_(1.0)?) };
        let (positive, negative) = (with_one(&positives)?, with_one(&negatives)?);
        let part = |sum: &Tensor, steepness: f64| sum.f_log()?.f_div_scalar(steepness);
        let losses = part(&positive, self.alpha)?.f_add(&part(&negative, self.beta)?)?;
        let mut slopes = positives.f_mul_(&positive.f_reciprocal()?.f_neg()?)?;
        let slopes = slopes.f_addcmul_(&negatives, &negative.f_reciprocal()?)?;
        Ok((losses.f_squeeze_dim(1)?, slopes))
    }

    fn losses_of(&self, sums: &TwoSums) -> Result<Tensor> {
        let part = |side: &Side, steepness: f64| -> Result<Tensor> {
            Ok(with_one(side)?.f_log()?.f_add(&side.shift)?.f_div_scalar(steepness)?)
        };
        let [positive, negative] = &sums.sides;
        Ok(part(positive, self.alpha)?.f_add(&part(negative, self.beta)?)?.f_squeeze_dim(1)?)
    }
}

impl Anchors for MultiSimilarityLoss {
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor> {
        self.losses_of(&self.sums(scores, place)?)
    }

    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        // A cosine is rounded.
        let largest = 1.0 + 1e-6;
        if self.alpha * (largest + self.base) < WITHIN && self.beta * (largest - self.base) < WITHIN {
            return self.within_bounds(scores, place);
        }
        let sums = self.sums(scores, place)?;
        let losses = self.losses_of(&sums)?;
        let TwoSums { mut powers, same, sides: [positive, negative] } = sums;
        let shares = [with_one(&positive)?.f_reciprocal()?.f_neg()?, with_one(&negative)?.f_reciprocal()?];
        let slopes = powers.f_mul_(&shares[0].f_where_self(&same, &shares[1])?)?;
        Ok((losses, slopes))
    }

    fn count(&self, losses: &Tensor, _: &Place) -> Result<Tensor> {
        Ok(losses.f_ones_like()?.f_sum(None)?)
    }
}

/// Of embeddings and their labels.
impl Loss for MultiSimilarityLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("alpha", self.alpha)?;
        check::positive("beta", self.beta)?;
        check::fraction("base", self.base)
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_labelled(embeddings, labels)?;
        of_batch(self, embeddings, Some(labels), 1.0, self.reduction)
    }
}
