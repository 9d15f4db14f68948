//! [`CircleLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::anchors::{above_0, check_labelled, of_batch, Anchors, Place, NEVER};
use super::two_sums::{numbers, Side, TwoSums};
use crate::base::precision::smallest_normal;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Circle loss: each similarity has a weight, the farther from its optimum the more.
///
/// ```text
/// s[i, j] = cos(e[i], e[j])
/// x[i, p] = -gamma * max(0, 1 + m - s[i, p]) * (s[i, p] - (1 - m))     p ≠ i with the label of i
/// x[i, n] = gamma * max(0, s[i, n] + m) * (s[i, n] - m)                n with another label
/// l[i]    = log(1 + Σ_n exp(x[i, n]) * Σ_p exp(x[i, p]))
/// loss    = reduce(l)
/// ```
///
/// The arguments are `embeddings` and `labels`. The mean is over the anchors that cost something.
///
/// - **Shapes**: `embeddings` `[N, D]` with D at least 1, `labels` `[N]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: `embeddings` any, of a length from 1e-12 to 1e19; one of zeros has the similarity 0 with all. `labels`
///   any numbers of kind Int64 or Uint8. An anchor without a positive or without a negative costs nothing. f16 and bf16
///   are computed in f32.
/// - **Gradients**: to `embeddings`. The weights `max(0, ..)` are constants. If the loss is reduced, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Memory**: some megabytes, whatever N is. With [`Reduction::None`] some matrices `[N, N]`.
/// - **Defaults**: `m` 0.4, `gamma` 80, `reduction` mean: those of PyTorch Metric Learning, and of the paper for the
///   retrieval of images. For faces the paper has 0.25 and 256, for persons 0.25 and 128.
/// - **Errors**: shapes, kinds or devices other than these; an `m` that is not in `[0, 1]`; a `gamma` that is not positive
///   and finite.
///
/// Source: `CircleLoss` of [PyTorch Metric
/// Learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#circleloss); Y. Sun et al., [*Circle
/// loss*](https://arxiv.org/abs/2002.10857) (2020).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{CircleLoss, Loss};
///
/// let embeddings = Tensor::from_slice2(&[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]);
/// let labels = Tensor::from_slice(&[7i64, 7, 4]);
/// // Of a positive of cosine 1 and a negative of cosine 0, both are -m² * gamma.
/// let loss = CircleLoss::default().with_m(0.5).with_gamma(2.0).forward(&embeddings, &labels);
/// assert!((loss.double_value(&[]) - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CircleLoss {
    /// The margin: positives are to be above `1 - m`, negatives below `m`.
    pub m: f64,
    /// The factor of the similarities.
    pub gamma: f64,
    /// How the losses of the anchors are reduced.
    pub reduction: Reduction,
}

impl Default for CircleLoss {
    fn default() -> Self {
        CircleLoss { m: 0.4, gamma: 80.0, reduction: Reduction::Mean }
    }
}

setters!(CircleLoss { with_m(m: f64), with_gamma(gamma: f64), with_reduction(reduction: Reduction) });

/// What the loss of some anchors is made of.
struct Parts {
    sums: TwoSums,
    /// The slopes of the numbers with respect to the similarities, `[R, N]`.
    weights: Tensor,
    /// The logarithm of the product of the sums, `[R, 1]`.
    product: Tensor,
    /// Whether the anchor has positives and negatives, `[R, 1]`.
    valid: Tensor,
}

impl CircleLoss {
    fn parts(&self, scores: Tensor, place: &Place) -> Result<Parts> {
        let (same, different) = place.same_and_different()?;
        let kind = scores.kind();
        let constant = scores.f_detach()?;
        let positive = constant.f_rsub_scalar(1.0 + self.m)?.f_relu()?.f_mul_scalar(-self.gamma)?;
        let negative = constant.f_add_scalar(self.m)?.f_relu()?.f_mul_scalar(self.gamma)?;
        let x = [
            scores.f_add_scalar(self.m - 1.0)?.f_mul(&positive)?,
            scores.f_sub_scalar(self.m)?.f_mul(&negative)?,
        ];
        let weights = positive.f_where_self(&same, &negative)?;
        let some = |mask: &Tensor| mask.f_any_dim(1, true);
        let valid = some(&same)?.f_logical_and(&some(&different)?)?;
        let sums = TwoSums::of(&numbers(place, &same, &x[0], &x[1])?, same, NEVER)?;
        let logarithm = |side: &Side| -> Result<Tensor> {
            // A sum over nothing belongs to an anchor that does not count.
            Ok(side.sum.f_clamp_min(smallest_normal(kind))?.f_log()?.f_add(&side.shift)?)
        };
        let product = logarithm(&sums.sides[0])?.f_add(&logarithm(&sums.sides[1])?)?;
        Ok(Parts { sums, weights, product, valid })
    }
}

impl Parts {
    fn losses(&self) -> Result<Tensor> {
        Ok(self.product.f_neg()?.f_log_sigmoid()?.f_neg()?.f_mul(&self.valid)?.f_squeeze_dim(1)?)
    }
}

impl Anchors for CircleLoss {
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor> {
        self.parts(scores, place)?.losses()
    }

    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        let parts = self.parts(scores, place)?;
        let losses = parts.losses()?;
        let Parts { sums, mut weights, product, valid } = parts;
        let outer = product.f_sigmoid()?.f_mul(&valid)?;
        let share = |side: &Side| -> Result<Tensor> {
            Ok(outer.f_div(&side.sum.f_clamp_min(smallest_normal(outer.kind()))?)?.f_mul(&valid)?)
        };
        let TwoSums { powers, same, sides: [positive, negative] } = sums;
        let shares = share(&positive)?.f_where_self(&same, &share(&negative)?)?;
        let slopes = weights.f_mul_(&powers)?.f_mul_(&shares)?;
        Ok((losses, slopes))
    }

    fn count(&self, losses: &Tensor, _: &Place) -> Result<Tensor> {
        Ok(above_0(losses)?.f_sum(losses.kind())?)
    }
}

/// Of embeddings and their labels.
impl Loss for CircleLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::fraction("m", self.m)?;
        check::positive("gamma", self.gamma)
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_labelled(embeddings, labels)?;
        of_batch(self, embeddings, Some(labels), 1.0, self.reduction)
    }
}
