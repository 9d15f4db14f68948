//! Losses of the similarities of each embedding with all others.
//!
//! If such a loss is reduced, value and gradient are computed together, for some embeddings at a time: no matrix of all
//! similarities is kept.

use tch::{no_grad, Kind, Tensor};

use super::sets::with_gradients;
use super::units::Units;
use crate::base::check;
use crate::base::gradient::{is_tracked, pieces, rows_at_once};
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::{Error, Reduction, Result};

/// What stands for a similarity that does not count. Its exponential is 0, and so is its product with 0.
pub(super) const NEVER: f64 = -1e30;

/// What the drivers here need to know of a loss.
pub(super) trait Anchors {
    /// The losses of some anchors `[R]`, or of their pairs `[R, N]`, of the similarities `[R, N]`, which it may overwrite.
    /// Works in libtorch's graph and without.
    fn losses(&self, scores: Tensor, place: &Place) -> Result<Tensor>;

    /// The losses, and the slopes of the sum of those that count with respect to the similarities.
    fn losses_and_slopes(&self, scores: Tensor, place: &Place) -> Result<(Tensor, Tensor)>;

    /// How many losses the mean is taken over.
    fn count(&self, losses: &Tensor, place: &Place) -> Result<Tensor>;
}

/// Which anchors of a batch are looked at.
pub(super) struct Place<'a> {
    /// Of any kind in which different labels are different numbers.
    labels: Option<&'a Tensor>,
    /// The first of them.
    pub start: i64,
    pub rows: i64,
    /// The size of the batch.
    pub batch: i64,
}

impl<'a> Place<'a> {
    /// All anchors with these labels.
    pub fn all(labels: &'a Tensor) -> Place<'a> {
        Place::some(labels, 0, labels.size()[0])
    }

    pub fn some(labels: &'a Tensor, start: i64, rows: i64) -> Place<'a> {
        Place { labels: Some(labels), start, rows, batch: labels.size()[0] }
    }

    /// Which of all have the label of each anchor, the anchor itself not counted, and which have another: `[R, N]`.
    pub fn same_and_different(&self) -> Result<(Tensor, Tensor)> {
        let labels = self.labels.expect("the loss is one of labels");
        let anchors = labels.f_narrow(0, self.start, self.rows)?.f_unsqueeze(1)?;
        let same = anchors.f_eq_tensor(labels)?;
        let different = same.f_logical_not()?;
        let _ = self.diagonal(&same)?.f_fill_(0)?;
        Ok((same, different))
    }

    /// 1 for those of all that have another label than the anchor, and 0 for the others: `[R, N]`. Labels are
    /// [`ranks`]: arithmetic is several times as fast as operations on truth values and choices by them.
    pub fn differences(&self) -> Result<Tensor> {
        let ranks = self.labels.expect("the loss is one of labels");
        let anchors = ranks.f_narrow(0, self.start, self.rows)?.f_unsqueeze(1)?;
        Ok(anchors.f_sub(ranks)?.f_abs_()?.f_clamp_max_(1.0)?)
    }

    /// 1 for those of all that have the label of the anchor, the anchor itself not counted, and 0 for the others.
    pub fn positives(&self) -> Result<Tensor> {
        let same = self.differences()?.f_neg_()?.f_add_scalar_(1.0)?;
        let _ = self.diagonal(&same)?.f_fill_(0)?;
        Ok(same)
    }

    /// Takes each anchor's similarity with itself out.
    pub fn exclude_itself(&self, scores: &Tensor) -> Result<()> {
        let _ = self.diagonal(scores)?.f_fill_(NEVER)?;
        Ok(())
    }

    /// A view of the elements of `[R, N]` where an anchor meets what has its own number.
    pub fn diagonal(&self, scores: &Tensor) -> Result<Tensor> {
        Ok(scores.f_narrow(1, self.start, self.rows)?.f_diagonal(0, 0, 1)?)
    }
}

/// Labels as whole numbers of a floating kind: how many labels are less than each. They are below 2^24, as a batch with
/// more embeddings has too many pairs.
fn ranks(labels: &Tensor, kind: Kind) -> Result<Tensor> {
    let (sorted, _) = labels.f_sort(0, false)?;
    Ok(labels
        .f_contiguous()?
        .f_searchsorted::<Tensor>(&sorted, false, false, "left", None)?
        .f_to_kind(kind)?)
}

/// The soft-max of a matrix of `scores` along an axis, and minus the logarithms of the shares of the `own` scores, one for
/// each row or column, which is kept.
///
/// The logarithm of a sum follows from the largest share. So there is one exponential for each score, where a logarithmic
/// soft-max and its exponential are two.
pub(super) fn soft_max(scores: &Tensor, own: &Tensor, axis: i64) -> Result<(Tensor, Tensor)> {
    let largest = |values: &Tensor| values.f_amax([axis].as_slice(), true);
    let shares = scores.f_softmax(axis, None)?;
    let losses = largest(scores)?.f_sub(own)?.f_sub(&largest(&shares)?.f_log()?)?;
    Ok((shares, losses))
}

/// The losses that are above 0: those that the mean of the library's `AvgNonZeroReducer` is taken over.
pub(super) fn above_0(losses: &Tensor) -> Result<Tensor> {
    Ok(losses.f_gt(0.0)?)
}

/// `[R, N]` to `[R, 1]`.
pub(super) fn row_sum(values: &Tensor) -> Result<Tensor> {
    Ok(values.f_sum_dim_intlist([1i64].as_slice(), true, None)?)
}

/// A batch `[N, D]` of embeddings, each with a number at least.
pub(super) fn check_embeddings(argument: &'static str, embeddings: &Tensor) -> Result<()> {
    check::floating(argument, embeddings)?;
    let given = embeddings.size();
    match given[..] {
        [_, dimensions] if dimensions > 0 => Ok(()),
        _ => Err(Error::Shape { argument, given, expected: "[N, D] with D at least 1".into() }),
    }
}

/// Embeddings `[N, D]`, each with a label, `[N]`.
pub(super) fn check_labelled(embeddings: &Tensor, labels: &Tensor) -> Result<()> {
    check_embeddings("embeddings", embeddings)?;
    check::dense("labels", labels)?;
    let given = labels.f_kind()?;
    if !check::is_class_kind(given) {
        return Err(Error::Kind { argument: "labels", given, expected: "Int64 or Uint8, classes".into() });
    }
    check::same_device(("embeddings", embeddings), ("labels", labels))?;
    let batch = embeddings.size()[0];
    if labels.size() != [batch] {
        let expected = format!("[{batch}], a label for each embedding");
        return Err(Error::Shape { argument: "labels", given: labels.size(), expected });
    }
    Ok(())
}

/// Two sets `[N, D]` of embeddings, of which those of one number belong together.
pub(super) fn check_two(first: check::Named, second: check::Named) -> Result<()> {
    check_embeddings(first.0, first.1)?;
    check::partners(first, second)?;
    check::same_shape(first, second)
}

/// Of the slopes with respect to both sets.
type Slopes = Option<[Tensor; 2]>;

/// The sum of the losses of the products of all rows of `own` with all of `other`, and how many the mean is taken over.
/// With slopes, those with respect to `own` are always there, those to `other` are 0 unless `to_other`.
fn sum(
    loss: &dyn Anchors,
    [own, other]: [&Tensor; 2],
    labels: Option<&Tensor>,
    with_slopes: bool,
    to_other: bool,
) -> Result<(Tensor, Tensor, Slopes)> {
    keep_freed_blocks();
    let (count, batch) = (own.size()[0], other.size()[0]);
    let columns = other.f_transpose(0, 1)?;
    let mut slopes = match with_slopes {
        true => Some([own.f_empty_like()?, other.f_zeros_like()?]),
        false => None,
    };
    let (mut sums, mut counts) = (Vec::new(), Vec::new());
    for (start, rows) in pieces(count, rows_at_once(own.device(), batch)) {
        let place = Place { labels, start, rows, batch };
        let part = own.f_narrow(0, start, rows)?;
        let scores = part.f_mm(&columns)?;
        let losses = match &mut slopes {
            Some([of_own, of_other]) => {
                let (losses, slopes) = loss.losses_and_slopes(scores, &place)?;
                of_own.f_narrow(0, start, rows)?.f_copy_(&slopes.f_mm(other)?)?;
                if to_other {
                    let _ = of_other.f_addmm_(&slopes.f_transpose(0, 1)?, &part)?;
                }
                losses
            }
            None => loss.losses(scores, &place)?,
        };
        counts.push(loss.count(&losses, &place)?.f_to_kind(own.kind())?);
        sums.push(losses.f_sum(None)?);
    }
    let total = |parts: &[Tensor]| -> Result<Tensor> { Ok(Tensor::f_stack(parts, 0)?.f_sum(None)?) };
    Ok((total(&sums)?, total(&counts)?, slopes))
}

/// What the sum of the losses is multiplied with.
fn share(reduction: Reduction, count: &Tensor) -> Result<Tensor> {
    Ok(match reduction {
        // Without any, the sum is 0, and so is the mean.
        Reduction::Mean => count.f_clamp_min(1.0)?.f_reciprocal()?,
        _ => count.f_ones_like()?,
    })
}

/// The reduced loss of a batch of embeddings, which are divided by their length. Their products are multiplied with
/// `scale`.
pub(super) fn of_batch(
    loss: &dyn Anchors,
    embeddings: &Tensor,
    labels: Option<&Tensor>,
    scale: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    let kind = embeddings.kind();
    let wide = embeddings.f_to_kind(accumulation_kind(kind))?;
    let ranks = labels.map(|labels| ranks(labels, wide.kind())).transpose()?;
    let labels = ranks.as_ref();
    let batch = wide.size()[0];
    if batch == 0 {
        return nothing(&wide, reduction, kind);
    }
    if reduction == Reduction::None {
        let rows = Units::of(&wide)?.vectors;
        let scores = rows.f_mul_scalar(scale)?.f_mm(&rows.f_transpose(0, 1)?)?;
        return Ok(loss.losses(scores, &Place { labels, start: 0, rows: batch, batch })?.f_to_kind(kind)?);
    }
    let tracked = is_tracked(&wide)?;
    let (value, gradient) = no_grad(|| -> Result<(Tensor, Option<Tensor>)> {
        let units = Units::of(&wide)?;
        let own = units.vectors.f_mul_scalar(scale)?;
        let (sum, count, slopes) = sum(loss, [&own, &units.vectors], labels, tracked, true)?;
        let share = share(reduction, &count)?;
        let Some([own, mut other]) = slopes else { return Ok((sum.f_mul(&share)?, None)) };
        let slopes = other.f_add_(&own.f_mul_scalar(scale)?)?.f_mul_(&share)?;
        Ok((sum.f_mul(&share)?, Some(units.back(&slopes)?)))
    })?;
    let gradients: Vec<_> = gradient.iter().map(|gradient| (&wide, gradient)).collect();
    Ok(with_gradients(value, &gradients)?.f_to_kind(kind)?)
}

/// The same for two sets of embeddings: those of the first are the anchors.
pub(super) fn of_two_sets(
    loss: &dyn Anchors,
    [first, second]: [&Tensor; 2],
    scale: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    let kind = first.kind();
    let wide = [first, second].map(|set| set.f_to_kind(accumulation_kind(kind)));
    let [first, second] = wide;
    let (first, second) = (first?, second?);
    let batch = first.size()[0];
    if batch == 0 {
        return nothing(&first.f_add(&second)?, reduction, kind);
    }
    if reduction == Reduction::None {
        let scores = Units::of(&first)?.vectors.f_mul_scalar(scale)?;
        let scores = scores.f_mm(&Units::of(&second)?.vectors.f_transpose(0, 1)?)?;
        let place = Place { labels: None, start: 0, rows: batch, batch };
        return Ok(loss.losses(scores, &place)?.f_to_kind(kind)?);
    }
    let to_second = is_tracked(&second)?;
    let tracked = is_tracked(&first)? || to_second;
    let (value, gradients) = no_grad(|| -> Result<(Tensor, Slopes)> {
        let units = [Units::of(&first)?, Units::of(&second)?];
        let own = units[0].vectors.f_mul_scalar(scale)?;
        let (sum, count, slopes) = sum(loss, [&own, &units[1].vectors], None, tracked, to_second)?;
        let share = share(reduction, &count)?;
        let Some([mut own, mut other]) = slopes else { return Ok((sum.f_mul(&share)?, None)) };
        let own = own.f_mul_(&share.f_mul_scalar(scale)?)?;
        let other = other.f_mul_(&share)?;
        Ok((sum.f_mul(&share)?, Some([units[0].back(&own)?, units[1].back(&other)?])))
    })?;
    let mut parts = Vec::new();
    if let Some([of_first, of_second]) = &gradients {
        parts.extend([(&first, of_first), (&second, of_second)]);
    }
    Ok(with_gradients(value, &parts)?.f_to_kind(kind)?)
}

/// The loss of a batch without embeddings.
pub(super) fn nothing(embeddings: &Tensor, reduction: Reduction, kind: Kind) -> Result<Tensor> {
    let none = embeddings.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
    Ok(match reduction {
        Reduction::None => none.f_to_kind(kind)?,
        _ => none.f_sum(kind)?,
    })
}
