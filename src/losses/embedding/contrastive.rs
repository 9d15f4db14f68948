//! [`ContrastiveLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::anchors::{check_labelled, Place};
use super::distances::{add_slopes, distances, placed};
use super::sets::with_gradients;
use super::units::Units;
use crate::base::gradient::is_tracked;
use crate::base::precision::accumulation_kind;
use crate::base::tensor::scalar;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Contrastive loss: embeddings of a class are near each other, those of different classes are farther off than a margin.
///
/// ```text
/// d[i, j] = |e[i] - e[j]|                         e = embeddings / |embeddings| with normalize
/// l[i, p] = max(0, d[i, p] - pos_margin)          p ≠ i with the label of i
/// l[i, n] = max(0, neg_margin - d[i, n])          n with another label
/// loss    = reduce(l of positives) + reduce(l of negatives)
/// ```
///
/// The arguments are `embeddings` and `labels`. Each of the two means is over the pairs that cost something.
/// [`TripletMarginWithMinerLoss`](crate::TripletMarginWithMinerLoss) compares distances with each other.
///
/// - **Shapes**: `embeddings` `[N, D]` with D at least 1, `labels` `[N]`. The loss is a scalar. With [`Reduction::None`] it
///   is `[N, N]`: at `[i, j]` the loss of that pair, on the diagonal 0.
/// - **Values**: `embeddings` any, of a length from 1e-12 to 1e19; with `normalize`, one of zeros stays zero. `labels`
///   any numbers of kind Int64 or Uint8. A mean over nothing is 0. f16 and bf16 are computed in f32.
/// - **Gradients**: to `embeddings`; that of the distance of equal embeddings is 0. If the loss is reduced, forward
///   computes the gradient, and second derivatives come out as zero.
/// - **Memory**: some matrices `[N, N]`, in forward only unless the reduction is none.
/// - **Defaults**: `pos_margin` 0, `neg_margin` 1, `normalize` true, `reduction` mean: those of PyTorch Metric Learning.
/// - **Errors**: shapes, kinds or devices other than these; a margin that is negative or not finite.
///
/// From more than 25 embeddings on, libtorch computes distances by products, and those below 0.001 or so are mostly
/// rounding in f32.
///
/// Source: `ContrastiveLoss` of [PyTorch Metric
/// Learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#contrastiveloss); R. Hadsell et al.,
/// *Dimensionality reduction by learning an invariant mapping* (2006), with squares.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{ContrastiveLoss, Loss};
///
/// let embeddings = Tensor::from_slice2(&[[0.0, 0.0], [0.0, 3.0], [4.0, 0.0]]);
/// let labels = Tensor::from_slice(&[7i64, 7, 4]);
/// let loss = ContrastiveLoss::default().with_normalize(false).with_neg_margin(4.5).forward(&embeddings, &labels);
/// // The positives are at a distance of 3. One of the negatives is 0.5 too near, the other is far enough.
/// assert!((loss.double_value(&[]) - 3.5).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastiveLoss {
    /// The distance up to which positives cost nothing.
    pub pos_margin: f64,
    /// The distance from which on negatives cost nothing.
    pub neg_margin: f64,
    /// Whether the embeddings are divided by their length.
    pub normalize: bool,
    /// How the losses of the pairs are reduced.
    pub reduction: Reduction,
}

impl Default for ContrastiveLoss {
    fn default() -> Self {
        ContrastiveLoss { pos_margin: 0.0, neg_margin: 1.0, normalize: true, reduction: Reduction::Mean }
    }
}

setters!(ContrastiveLoss {
    with_pos_margin(pos_margin: f64), with_neg_margin(neg_margin: f64), with_normalize(normalize: bool),
    with_reduction(reduction: Reduction)
});

impl ContrastiveLoss {
    fn units(&self, embeddings: &Tensor) -> Result<Units> {
        match self.normalize {
            true => Units::of(embeddings),
            false => Units::as_given(embeddings),
        }
    }

    /// The losses of the positives and those of the negatives, `[N, N]`, each 0 elsewhere.
    fn pairs(&self, distances: &Tensor, place: &Place) -> Result<[Tensor; 2]> {
        let (same, different) = place.same_and_different()?;
        let positive = distances.f_sub_scalar(self.pos_margin)?.f_relu()?.f_mul(&same)?;
        let negative = distances.f_rsub_scalar(self.neg_margin)?.f_relu()?.f_mul(&different)?;
        Ok([positive, negative])
    }
}

/// Of embeddings and their labels.
impl Loss for ContrastiveLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("pos_margin", self.pos_margin)?;
        check::non_negative("neg_margin", self.neg_margin)
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_labelled(embeddings, labels)?;
        let kind = embeddings.kind();
        let wide = embeddings.f_to_kind(accumulation_kind(kind))?;
        let place = Place::all(labels);
        if self.reduction == Reduction::None {
            let rows = placed(&self.units(&wide)?)?;
            let [positive, negative] = self.pairs(&distances(&rows, &rows)?, &place)?;
            return Ok(positive.f_add(&negative)?.f_to_kind(kind)?);
        }
        let tracked = is_tracked(&wide)?;
        let (value, gradient) = no_grad(|| -> Result<(Tensor, Option<Tensor>)> {
            let units = self.units(&wide)?;
            let rows = placed(&units)?;
            let distances = distances(&rows, &rows)?;
            let mut value = scalar(0.0, &wide)?;
            let mut weights = tracked.then(|| distances.f_zeros_like()).transpose()?;
            for (losses, sign) in self.pairs(&distances, &place)?.iter().zip([1.0, -1.0]) {
                let counted = losses.f_gt(0.0)?;
                let share = match self.reduction {
                    Reduction::Mean => counted.f_sum(wide.kind())?.f_clamp_min(1.0)?.f_reciprocal()?,
                    _ => value.f_ones_like()?,
                };
                value = value.f_addcmul(&losses.f_sum(None)?, &share)?;
                if let Some(weights) = &mut weights {
                    let _ =
                        weights.f_addcmul_(&counted.f_to_kind(wide.kind())?, &share.f_mul_scalar(sign)?)?;
                }
            }
            let Some(weights) = weights else { return Ok((value, None)) };
            let mut slopes = rows.f_zeros_like()?;
            add_slopes(&mut slopes, &rows, 0, weights, &distances)?;
            Ok((value, Some(units.back(&slopes)?)))
        })?;
        let gradients: Vec<_> = gradient.iter().map(|gradient| (&wide, gradient)).collect();
        Ok(with_gradients(value, &gradients)?.f_to_kind(kind)?)
    }
}
