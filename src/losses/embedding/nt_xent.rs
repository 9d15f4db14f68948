//! [`NtXentLoss`].

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::anchors::{check_two, of_batch, soft_max, Anchors, Place};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Normalised cross entropy with a temperature, SimCLR's loss of two views: each view is told from all others by what is
/// like its partner.
///
/// ```text
/// e       = the first views, then the second ones, 2N in all
/// s[i, j] = cos(e[i], e[j]) / temperature
/// l[i]    = log(Σ_(j ≠ i) exp(s[i, j])) - s[i, partner of i]
/// loss    = reduce(l)
/// ```
///
/// The arguments are the embeddings of two views of the same samples in the same order. They can be exchanged.
/// [`LabelNtXentLoss`](crate::LabelNtXentLoss) takes labels, [`InfoNceLoss`](crate::InfoNceLoss) has no negatives within
/// a view.
///
/// - **Shapes**: `[N, D]` with D at least 1, equal. The loss is a scalar, or `[2N]` with [`Reduction::None`]: those of the
///   first views, then those of the second.
/// - **Values**: any, of a length from 1e-12 to 1e19; an embedding of zeros has the similarity 0 with all. A batch of
///   one sample, or of none, costs nothing. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments. If the loss is reduced, forward computes the gradient, and second derivatives come
///   out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Memory**: some megabytes, whatever N is. With [`Reduction::None`] some matrices `[2N, 2N]`.
/// - **Defaults**: `temperature` 0.5, `reduction` mean: lightly's and SimCLR's.
/// - **Errors**: arguments of other or different shapes, of different kinds or devices; a `temperature` that is not
///   positive and finite.
///
/// Source: `NTXentLoss` of [lightly](https://docs.lightly.ai/self-supervised-learning/lightly.loss.html) without a memory
/// bank; T. Chen et al., [*A simple framework for contrastive learning of visual
/// representations*](https://arxiv.org/abs/2002.05709) (2020).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, NtXentLoss};
///
/// let views = Tensor::from_slice2(&[[1.0, 0.0], [0.0, 1.0]]);
/// // Each view has its partner, of cosine 1, and two others, of cosine 0.
/// let loss = NtXentLoss::default().with_temperature(1.0).forward(&views, &views);
/// assert!((loss.double_value(&[]) - (1.0 + 2.0 * (-1f64).exp()).ln()).abs() < 1e-12);
/// ```
#[doc(alias = "NTXentLoss")]
#[doc(alias = "SimCLRLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NtXentLoss {
    /// What the cosines are divided by.
    pub temperature: f64,
    /// How the losses of the views are reduced.
    pub reduction: Reduction,
}

impl Default for NtXentLoss {
    fn default() -> Self {
        NtXentLoss { temperature: 0.5, reduction: Reduction::Mean }
    }
}

setters!(NtXentLoss { with_temperature(temperature: f64), with_reduction(reduction: Reduction) });

/// Where each row has its partner, `[R, 1]`.
fn partners(place: &Place, device: Device) -> Result<Tensor> {
    let anchors = Tensor::f_arange(place.rows, (Kind::Int64, device))?;
    let partners = anchors.f_add_scalar(place.start + place.batch / 2)?.f_remainder(place.batch)?;
    Ok(partners.f_unsqueeze(1)?)
}

impl Anchors for NtXentLoss {
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor> {
        place.exclude_itself(&scores)?;
        let partners = partners(place, scores.device())?;
        Ok(scores.f_log_softmax(1, None)?.f_gather(1, &partners, false)?.f_squeeze_dim(1)?.f_neg()?)
    }

    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)> {
        place.exclude_itself(&scores)?;
        let partners = partners(place, scores.device())?;
        let (mut slopes, losses) = soft_max(&scores, &scores.f_gather(1, &partners, false)?, 1)?;
        let less = losses.f_full_like(-1.0)?;
        let slopes = slopes.f_scatter_add_(1, &partners, &less)?;
        Ok((losses.f_squeeze_dim(1)?, slopes))
    }

    fn count(&self, losses: &Tensor, _: &Place) -> Result<Tensor> {
        Ok(losses.f_ones_like()?.f_sum(None)?)
    }
}

/// Of two views.
impl Loss for NtXentLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("temperature", self.temperature)
    }

    fn try_forward(&self, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_two(("first", first), ("second", second))?;
        let views = Tensor::f_cat(&[first, second], 0)?;
        of_batch(self, &views, None, 1.0 / self.temperature, self.reduction)
    }
}
