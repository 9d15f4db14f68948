//! [`TripletMarginWithMinerLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Kind, Tensor};

use super::anchors::{check_labelled, nothing, Place};
use super::distances::{add_slopes, distances, placed};
use super::sets::with_gradients;
use super::units::Units;
use crate::base::gradient::{is_tracked, pieces, rows_at_once};
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Which triplets of a batch a [`TripletMarginWithMinerLoss`] takes. `d_ap` and `d_an` are the distances of the positive
/// and of the negative from the anchor.
///
/// In an objective's file it is a word: `"semi_hard"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripletMiner {
    /// All of them, as without a miner. (The one of PyTorch Metric Learning that is called `all` leaves out the easy ones.)
    #[default]
    All,
    /// Those with `d_an - d_ap > miner_margin`.
    Easy,
    /// Those with `d_an <= d_ap`.
    Hard,
    /// Those with `0 < d_an - d_ap <= miner_margin`.
    SemiHard,
    /// For each anchor, its farthest positive with its nearest negative.
    BatchHard,
}

/// Triplet loss of a batch with labels: the negatives of an anchor are farther off than its positives, by a margin.
///
/// ```text
/// d[i, j]    = |e[i] - e[j]|                                  e = embeddings / |embeddings| with normalize
/// l[a, p, n] = max(0, d[a, p] - d[a, n] + margin)             p ≠ a with the label of a, n with another label
/// loss       = mean of the l that are above 0                 of the triplets that the miner takes
/// ```
///
/// The arguments are `embeddings` and `labels`. [`TripletMarginLoss`](crate::TripletMarginLoss) takes triplets that are
/// made already.
///
/// - **Shapes**: `embeddings` `[N, D]` with D at least 1, `labels` `[N]`. The loss is a scalar: there is no reduction, as
///   the losses of all triplets are not kept.
/// - **Values**: `embeddings` any, of a length from 1e-12 to 1e19; with `normalize`, one of zeros stays zero. `labels`
///   any numbers of kind Int64 or Uint8. Where no triplet costs anything, or there is none, the loss and its gradient
///   are 0. f16 and bf16 are computed in f32.
/// - **Gradients**: to `embeddings`, computed by forward; that of the distance of equal embeddings is 0. Which triplets
///   there are counts as a constant. Second derivatives come out as zero.
/// - **Memory and time**: some megabytes, whatever N is, and `N² log N` steps: the negatives of an anchor are sorted, and
///   its triplets are counted. PyTorch Metric Learning makes a list of all triplets.
/// - **Defaults**: `margin` 0.05, `miner` all, `miner_margin` 0.2, `normalize` true: those of PyTorch Metric Learning.
/// - **Errors**: shapes, kinds or devices other than these; a margin that is negative or not finite.
///
/// With the miner `Easy` the loss is 0 unless `miner_margin` is below `margin`.
///
/// Source: `TripletMarginLoss`, `TripletMarginMiner` and `BatchHardMiner` of [PyTorch Metric
/// Learning](https://kevinmusgrave.github.io/pytorch-metric-learning/miners/); F. Schroff et al.,
/// [*FaceNet*](https://arxiv.org/abs/1503.03832) (2015); A. Hermans et al., [*In defense of the triplet loss for person
/// re-identification*](https://arxiv.org/abs/1703.07737) (2017).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, TripletMarginWithMinerLoss};
///
/// let embeddings = Tensor::from_slice2(&[[0.0, 0.0], [0.0, 3.0], [4.0, 0.0]]);
/// let labels = Tensor::from_slice(&[7i64, 7, 4]);
/// let loss = TripletMarginWithMinerLoss::default().with_normalize(false).with_margin(2.5);
/// // The two triplets have the distances 3 and 4, and 3 and 5.
/// assert!((loss.forward(&embeddings, &labels).double_value(&[]) - (1.5 + 0.5) / 2.0).abs() < 1e-12);
/// ```
#[doc(alias = "BatchHardTripletLoss")]
#[doc(alias = "OnlineTripletLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMarginWithMinerLoss {
    /// The distance by which negatives shall be farther away.
    pub margin: f64,
    /// Which triplets are taken.
    pub miner: TripletMiner,
    /// The margin that the miners [`Easy`](TripletMiner::Easy) and [`SemiHard`](TripletMiner::SemiHard) look at.
    pub miner_margin: f64,
    /// Whether the embeddings are divided by their length.
    pub normalize: bool,
}

impl Default for TripletMarginWithMinerLoss {
    fn default() -> Self {
        TripletMarginWithMinerLoss {
            margin: 0.05,
            miner: TripletMiner::All,
            miner_margin: 0.2,
            normalize: true,
        }
    }
}

setters!(TripletMarginWithMinerLoss {
    with_margin(margin: f64), with_miner(miner: TripletMiner), with_miner_margin(miner_margin: f64),
    with_normalize(normalize: bool)
});

/// What some anchors add to the loss.
struct Part {
    sum: Tensor,
    /// How many triplets cost something.
    count: Tensor,
    /// The slopes of the sum with respect to the distances.
    weights: Tensor,
}

impl TripletMarginWithMinerLoss {
    /// One triplet for each anchor.
    fn batch_hard(&self, distances: &Tensor, same: &Tensor, different: &Tensor) -> Result<Part> {
        let others = |mask: &Tensor, infinity: f64| distances.f_masked_fill(&mask.f_logical_not()?, infinity);
        let (farthest, positive) = others(same, f64::NEG_INFINITY)?.f_max_dim(1, true)?;
        let (nearest, negative) = others(different, f64::INFINITY)?.f_min_dim(1, true)?;
        // An anchor without one of the two has minus infinity here.
        let losses = farthest.f_sub(&nearest)?.f_add_scalar(self.margin)?.f_relu()?;
        let counted = losses.f_gt(0.0)?.f_to_kind(distances.kind())?;
        let mut weights = distances.f_zeros_like()?;
        let weights = weights.f_scatter_add_(1, &positive, &counted)?.f_scatter_add_(
            1,
            &negative,
            &counted.f_neg()?,
        )?;
        Ok(Part { sum: losses.f_sum(None)?, count: counted.f_sum(None)?, weights })
    }

    /// All triplets of an interval of distances. The negatives of each anchor are sorted; those that a positive makes
    /// triplets with lie side by side.
    fn of_interval(&self, distances: &Tensor, same: &Tensor, different: &Tensor) -> Result<Part> {
        let kind = distances.kind();
        let [rows, batch] = [distances.size()[0], distances.size()[1]];
        let negatives = distances.f_masked_fill(&different.f_logical_not()?, f64::INFINITY)?;
        let (sorted, order) = negatives.f_sort(1, false)?;
        // How many negatives are nearer than the positive's distance and a number, or as near.
        let up_to = |more: f64, or_equal: bool| -> Result<Tensor> {
            let bounds = distances.f_add_scalar(more)?;
            let side = if or_equal { "right" } else { "left" };
            Ok(bounds.f_searchsorted::<Tensor>(&sorted, false, or_equal, side, None)?)
        };
        let mut last = up_to(self.margin, false)?;
        let first = match self.miner {
            TripletMiner::Easy => Some(up_to(self.miner_margin, true)?),
            TripletMiner::SemiHard => Some(up_to(0.0, true)?),
            _ => None,
        };
        match self.miner {
            TripletMiner::Hard => last = last.f_minimum(&up_to(0.0, true)?)?,
            TripletMiner::SemiHard => last = last.f_minimum(&up_to(self.miner_margin, true)?)?,
            _ => {}
        }
        let first = match first {
            Some(first) => first.f_minimum(&last)?,
            None => last.f_zeros_like()?,
        };
        let same = same.f_to_kind(kind)?;
        let counts = last.f_sub(&first)?.f_to_kind(kind)?.f_mul_(&same)?;
        // The sum of the nearest negatives, by their number. In f64, as differences of sums lose digits.
        let sums = sorted.f_cumsum(1, Kind::Double)?.f_constant_pad_nd([1i64, 0].as_slice())?;
        let mut between = sums.f_gather(1, &last, false)?.f_sub_(&sums.f_gather(1, &first, false)?)?;
        let mut above = distances.f_add_scalar(self.margin)?.f_mul(&counts)?.f_to_kind(Kind::Double)?;
        let sum = above.f_sub_(&between.f_mul_(&same)?)?.f_sum(kind)?;
        // In how many triplets each negative is: one more from the first of a positive on, one fewer behind the last.
        let mut steps = Tensor::f_zeros([rows, batch + 1].as_slice(), (kind, distances.device()))?;
        let mut steps = steps.f_scatter_add_(1, &first, &same)?.f_scatter_add_(1, &last, &same.f_neg()?)?;
        let times = steps.f_cumsum_(1, None)?.f_narrow(1, 0, batch)?;
        let of_negatives = distances.f_empty_like()?.f_scatter_(1, &order, &times)?;
        Ok(Part { sum, count: counts.f_sum(None)?, weights: counts.f_sub(&of_negatives)? })
    }

    /// The loss of embeddings, and its gradient if it is asked for.
    fn value_and_gradient(
        &self,
        embeddings: &Tensor,
        labels: &Tensor,
        tracked: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let units = if self.normalize { Units::of(embeddings)? } else { Units::as_given(embeddings)? };
        let rows = &placed(&units)?;
        let batch = rows.size()[0];
        let mut slopes = rows.f_zeros_like()?;
        let (mut sums, mut counts) = (Vec::new(), Vec::new());
        // A quarter of the rows of other losses: there are more numbers for each pair, some of eight bytes.
        for (start, length) in pieces(batch, rows_at_once(rows.device(), 4 * batch)) {
            let (same, different) = Place::some(labels, start, length).same_and_different()?;
            let distances = distances(&rows.f_narrow(0, start, length)?, rows)?;
            let part = match self.miner {
                TripletMiner::BatchHard => self.batch_hard(&distances, &same, &different)?,
                _ => self.of_interval(&distances, &same, &different)?,
            };
            sums.push(part.sum);
            counts.push(part.count);
            if tracked {
                add_slopes(&mut slopes, rows, start, part.weights, &distances)?;
            }
        }
        let total = |parts: &[Tensor]| -> Result<Tensor> { Ok(Tensor::f_stack(parts, 0)?.f_sum(None)?) };
        let share = total(&counts)?.f_clamp_min(1.0)?.f_reciprocal()?;
        let gradient = match tracked {
            true => Some(units.back(&slopes.f_mul_(&share)?)?),
            false => None,
        };
        Ok((total(&sums)?.f_mul(&share)?, gradient))
    }
}

/// Of embeddings and their labels.
impl Loss for TripletMarginWithMinerLoss {
    fn check_options(&self) -> Result<()> {
        check::non_negative("margin", self.margin)?;
        check::non_negative("miner_margin", self.miner_margin)
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_labelled(embeddings, labels)?;
        let kind = embeddings.kind();
        let wide = embeddings.f_to_kind(accumulation_kind(kind))?;
        if wide.size()[0] == 0 {
            return nothing(&wide, Reduction::Mean, kind);
        }
        let tracked = is_tracked(&wide)?;
        let (value, gradient) = no_grad(|| self.value_and_gradient(&wide, labels, tracked))?;
        let gradients: Vec<_> = gradient.iter().map(|gradient| (&wide, gradient)).collect();
        Ok(with_gradients(value, &gradients)?.f_to_kind(kind)?)
    }
}
