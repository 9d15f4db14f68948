//! Losses on distances, rankings and margins.
//!
//! Embeddings: [`HingeEmbeddingLoss`], [`CosineEmbeddingLoss`], [`TripletMarginLoss`] and
//! [`TripletMarginWithDistanceLoss`]. Scores: [`MarginRankingLoss`], [`SoftMarginLoss`], [`MultiMarginLoss`],
//! [`MultiLabelMarginLoss`] and [`MultiLabelSoftMarginLoss`].

mod classes;
mod pairs;
mod triplet;

pub use classes::{MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss};
pub use pairs::{CosineEmbeddingLoss, HingeEmbeddingLoss, MarginRankingLoss, SoftMarginLoss};
pub use triplet::{DistanceFunction, TripletMarginLoss, TripletMarginWithDistanceLoss};

use tch::{Kind, Tensor};

use crate::base::check;
use crate::{Error, Result};

/// A tensor with the name of the argument.
type Named<'a> = (&'static str, &'a Tensor);

fn same_device((name, tensor): Named, (argument, other): Named) -> Result<()> {
    if other.device() != tensor.device() {
        let expected = format!("{:?}, the device of `{name}`", tensor.device());
        return Err(Error::Device { argument, given: other.device(), expected });
    }
    Ok(())
}

/// Labels 1 and -1 for a tensor: of its kind or signed integers, on its device.
fn signs(of: Named, (argument, labels): Named) -> Result<()> {
    check::dense(argument, labels)?;
    let given = labels.f_kind()?;
    let signed = matches!(given, Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64);
    if given != of.1.kind() && !signed {
        let expected = format!("{:?}, the kind of `{}`, or a signed integer", of.1.kind(), of.0);
        return Err(Error::Kind { argument, given, expected });
    }
    same_device(of, (argument, labels))
}

/// Indices of classes for a tensor of scores: Int64, on its device.
fn class_indices(of: Named, (argument, indices): Named) -> Result<()> {
    check::dense(argument, indices)?;
    let given = indices.f_kind()?;
    if given != Kind::Int64 {
        return Err(Error::Kind { argument, given, expected: "Int64".into() });
    }
    same_device(of, (argument, indices))
}

/// The shape to which all broadcast.
fn broadcast(tensors: &[Named]) -> Result<Vec<i64>> {
    let mut common: Vec<i64> = Vec::new();
    for (index, (argument, tensor)) in tensors.iter().enumerate() {
        let given = tensor.size();
        let sizes = |shape: &[i64], dims: usize| [vec![1; dims - shape.len()], shape.to_vec()].concat();
        let dims = common.len().max(given.len());
        let mut joined = Vec::with_capacity(dims);
        for (a, b) in sizes(&common, dims).into_iter().zip(sizes(&given, dims)) {
            if a != b && a != 1 && b != 1 {
                let names: Vec<String> =
                    tensors[..index].iter().map(|(name, _)| format!("`{name}`")).collect();
                let expected =
                    format!("one that broadcasts with {common:?}, the shape of {}", names.join(" and "));
                return Err(Error::Shape { argument, given, expected });
            }
            joined.push(if a == 1 { b } else { a });
        }
        common = joined;
    }
    Ok(common)
}

fn same_dimensions(tensors: &[Named]) -> Result<()> {
    let (name, first) = tensors[0];
    for (argument, other) in &tensors[1..] {
        if other.dim() != first.dim() {
            let expected = format!("one of {} dimensions, as `{name}`", first.dim());
            return Err(Error::Shape { argument, given: other.size(), expected });
        }
    }
    Ok(())
}
