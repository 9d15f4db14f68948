//! [`InfoNceLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::anchors::{check_two, of_two_sets, soft_max, Anchors, Place};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// InfoNCE: each query is told by what is like its key, and not like the keys of the others.
///
/// ```text
/// s[i, j] = cos(query[i], key[j]) / temperature
/// l[i]    = log(Σ_j exp(s[i, j])) - s[i, i]
/// loss    = reduce(l)
/// ```
///
/// Both ways, `query` from `key` and `key` from `query`, are the [`ClipLoss`](crate::ClipLoss).
/// [`NtXentLoss`](crate::NtXentLoss) has the other queries as negatives, too. [`PatchNceLoss`](crate::PatchNceLoss) is for
/// the patches of images.
///
/// - **Shapes**: `query` and `key` `[N, D]` with D at least 1, equal. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: any, of a length from 1e-12 to 1e19; an embedding of zeros has the similarity 0 with all. A batch of
///   one sample, or of none, costs nothing. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments; detach the `key` of a momentum encoder. If the loss is reduced, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Memory**: some megabytes, whatever N is. With [`Reduction::None`] some matrices `[N, N]`.
/// - **Defaults**: `temperature` 0.1, `reduction` mean.
/// - **Errors**: arguments of other or different shapes, of different kinds or devices; a `temperature` that is not
///   positive and finite.
///
/// Source: `InfoNCE` of [info-nce-pytorch](https://github.com/RElbers/info-nce-pytorch) without `negative_keys`; A. van den
/// Oord et al., [*Representation learning with contrastive predictive coding*](https://arxiv.org/abs/1807.03748) (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{InfoNceLoss, Loss};
///
/// let query = Tensor::from_slice2(&[[1.0, 0.0], [0.0, 1.0]]);
/// let loss = InfoNceLoss::default().with_temperature(1.0).forward(&query, &(&query * 5.0));
/// assert!((loss.double_value(&[]) - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
/// ```
#[doc(alias = "InfoNCE")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfoNceLoss {
    /// What the cosines are divided by.
    pub temperature: f64,
    /// How the losses of the queries are reduced.
    pub reduction: Reduction,
}

impl Default for InfoNceLoss {
    fn default() -> Self {
        InfoNceLoss { temperature: 0.1, reduction: Reduction::Mean }
    }
}

setters!(InfoNceLoss { with_temperature(temperature: f64), with_reduction(reduction: Reduction) });

impl Anchors for InfoNceLoss {
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor> {
        Ok(place.diagonal(&scores.f_log_softmax(1, None)?)?.f_neg()?)
    }

    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        let (slopes, losses) = soft_max(&scores, &place.diagonal(&scores)?.f_unsqueeze(1)?, 1)?;
        let _ = place.diagonal(&slopes)?.f_sub_scalar_(1.0)?;
        Ok((losses.f_squeeze_dim(1)?, slopes))
    }

    fn count(&self, losses: &Tensor, _: &Place) -> Result<Tensor> {
        Ok(losses.f_ones_like()?.f_sum(None)?)
    }
}

/// Of queries and their keys.
impl Loss for InfoNceLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("temperature", self.temperature)
    }

    fn try_forward(&self, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_two(("query", query), ("key", key))?;
        of_two_sets(self, [query, key], 1.0 / self.temperature, self.reduction)
    }
}
