//! Soft-max over the cosines between embeddings and classes, with a margin for the true class: what
//! [`ArcFaceLoss`](crate::ArcFaceLoss) and [`CosFaceLoss`](crate::CosFaceLoss) share.

use tch::nn::Init;
use tch::{nn, Tensor};

use super::anchors::soft_max;
use super::units::Units;
use crate::base::check;
use crate::base::gradient::{is_tracked, with_each_gradient};
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::{Error, Reduction, Result};

/// Makes the cosine of the true class smaller.
pub(super) trait Margin {
    /// The smaller cosines, in libtorch's graph.
    fn reduced(&self, cosine: &Tensor) -> Result<Tensor>;
}

/// The sizes of the weight are at least 1, and memory can hold it.
pub(super) fn check_sizes(num_classes: i64, embedding_size: i64) -> Result<()> {
    check::at_least_1("num_classes", num_classes)?;
    check::at_least_1("embedding_size", embedding_size)?;
    match num_classes.checked_mul(embedding_size) {
        Some(_) => Ok(()),
        None => Err(Error::Option {
            option: "num_classes",
            given: num_classes.to_string(),
            expected: "fewer classes".into(),
        }),
    }
}

/// The weight `[embedding_size, num_classes]`, under the name and with the first values of pytorch-metric-learning.
pub(super) fn weight(vs: &nn::Path, num_classes: i64, embedding_size: i64) -> Result<Tensor> {
    Ok(vs.f_var("W", &[embedding_size, num_classes], Init::Randn { mean: 0.0, stdev: 1.0 })?)
}

pub(super) fn check_embeddings(weight: &Tensor, embeddings: &Tensor) -> Result<()> {
    check::partners(("W", weight), ("embeddings", embeddings))?;
    let (given, size) = (embeddings.size(), weight.size()[0]);
    if given.len() != 2 || given[1] != size {
        return Err(Error::Shape { argument: "embeddings", given, expected: format!("[N, {size}]") });
    }
    Ok(())
}

fn check_labels(embeddings: &Tensor, labels: &Tensor) -> Result<()> {
    check::class_indices(("embeddings", embeddings), ("labels", labels))?;
    let rows = embeddings.size()[0];
    if labels.size() != [rows] {
        let expected = format!("[{rows}], a class for each embedding");
        return Err(Error::Shape { argument: "labels", given: labels.size(), expected });
    }
    Ok(())
}

/// The cosines `[N, C]`, computed in the kind that losses are computed in.
pub(super) fn cosines(weight: &Tensor, embeddings: &Tensor) -> Result<Tensor> {
    let kind = accumulation_kind(embeddings.kind());
    let unit = |tensor: &Tensor, axis| -> Result<Tensor> {
        Ok(Units::along(&tensor.f_to_kind(kind)?, axis)?.vectors)
    };
    Ok(unit(embeddings, 1)?.f_mm(&unit(weight, 0)?)?)
}

/// The cross entropy of `scale` times the cosines, of which those of the true classes are reduced by the margin.
pub(super) fn loss(
    margin: &dyn Margin,
    scale: f64,
    reduction: Reduction,
    weight: &Tensor,
    (embeddings, labels): (&Tensor, &Tensor),
) -> Result<Tensor> {
    check_embeddings(weight, embeddings)?;
    check_labels(embeddings, labels)?;
    let rows = embeddings.size()[0];
    let wanted = [is_tracked(embeddings)?, is_tracked(weight)?];
    if wanted == [false, false] || rows == 0 || reduction == Reduction::None {
        let cosines = cosines(weight, embeddings)?;
        let places = labels.f_unsqueeze(1)?;
        let reduced = margin.reduced(&cosines.f_gather(1, &places, false)?)?;
        let logits = cosines.f_scatter(1, &places, &reduced)?.f_mul_scalar(scale)?;
        let loss = logits.f_cross_entropy_loss::<Tensor>(labels, None, reduction.torch(), -100, 0.0)?;
        return Ok(loss.f_to_kind(embeddings.kind())?);
    }
    let factor = if reduction == Reduction::Mean { 1.0 / rows as f64 } else { 1.0 };
    let kind = accumulation_kind(embeddings.kind());
    let (wide, wide_weight) = (embeddings.f_to_kind(kind)?, weight.f_to_kind(kind)?);
    let constants = (&wide.f_detach()?, &wide_weight.f_detach()?);
    let (sum, gradients) = with_gradients(margin, scale, constants, labels, wanted)?;
    let tensors = [&wide, &wide_weight].into_iter().zip(&gradients);
    let parts: Vec<_> = tensors.filter_map(|(tensor, gradient)| Some((tensor, gradient.as_ref()?))).collect();
    Ok(with_each_gradient(&sum.f_mul_scalar(factor)?, &parts, factor)?.f_to_kind(embeddings.kind())?)
}

/// The sum of the losses, and its gradients with respect to the embeddings and to the weight, where they are wanted.
/// There are two tensors `[N, C]` at a time.
fn with_gradients(
    margin: &dyn Margin,
    scale: f64,
    (embeddings, weight): (&Tensor, &Tensor),
    labels: &Tensor,
    [of_embeddings, of_weight]: [bool; 2],
) -> Result<(Tensor, [Option<Tensor>; 2])> {
    keep_freed_blocks();
    let (rows, classes) = (Units::of(embeddings)?, Units::along(weight, 0)?);
    let scaled = rows.vectors.f_mul_scalar(scale)?;
    let mut logits = scaled.f_mm(&classes.vectors)?;
    let places = labels.f_unsqueeze(1)?;
    let own = logits.f_gather(1, &places, false)?.f_div_scalar(scale)?.f_set_requires_grad(true)?;
    let reduced = margin.reduced(&own)?;
    let slope = Tensor::f_run_backward(&[&reduced], &[&own], false, false)?.remove(0);
    let _ = logits.f_scatter_(1, &places, &reduced.f_detach()?.f_mul_scalar(scale)?)?;
    // The slopes of the logits: the probabilities, 1 less for the true class.
    let (mut slopes, losses) = soft_max(&logits, &logits.f_gather(1, &places, false)?, 1)?;
    drop(logits);
    let sum = losses.f_sum(None)?;
    let true_class = slopes.f_gather(1, &places, false)?.f_sub_scalar(1.0)?.f_mul(&slope)?;
    let _ = slopes.f_scatter_(1, &places, &true_class)?;
    let mut gradients = [None, None];
    if of_embeddings {
        gradients[0] = Some(rows.back(&slopes.f_mm(&classes.vectors.f_tr()?)?.f_mul_scalar(scale)?)?);
    }
    if of_weight {
        gradients[1] = Some(classes.back(&scaled.f_tr()?.f_mm(&slopes)?)?);
    }
    Ok((sum, gradients))
}

/// The logits of a classifier without a margin, as at the time of use.
pub(super) fn logits(scale: f64, weight: &Tensor, embeddings: &Tensor) -> Result<Tensor> {
    check_embeddings(weight, embeddings)?;
    Ok(cosines(weight, embeddings)?.f_mul_scalar(scale)?.f_to_kind(embeddings.kind())?)
}
