//! Kinds, devices and shapes of tensors.

use tch::Tensor;

use crate::base::precision::{is_floating, FLOATING};
use crate::{Error, Result};

/// A tensor with the name of the argument.
pub(crate) type Named<'a> = (&'static str, &'a Tensor);

/// A tensor with values, each at a place of its own in memory.
pub(crate) fn dense(argument: &'static str, tensor: &Tensor) -> Result<()> {
    if !tensor.defined() {
        return Err(Error::Undefined { argument });
    }
    if tensor.is_sparse() || tensor.is_mkldnn() {
        return Err(Error::Layout { argument });
    }
    Ok(())
}

pub(crate) fn floating(argument: &'static str, tensor: &Tensor) -> Result<()> {
    dense(argument, tensor)?;
    let given = tensor.f_kind()?;
    if !is_floating(given) {
        return Err(Error::Kind { argument, given, expected: FLOATING.into() });
    }
    Ok(())
}

/// Two floating tensors of one kind on one device.
pub(crate) fn partners((name, tensor): Named, (argument, other): Named) -> Result<()> {
    floating(argument, other)?;
    if other.kind() != tensor.kind() {
        let expected = format!("{:?}, the kind of `{name}`", tensor.kind());
        return Err(Error::Kind { argument, given: other.kind(), expected });
    }
    same_device((name, tensor), (argument, other))
}

pub(crate) fn same_device((name, tensor): Named, (argument, other): Named) -> Result<()> {
    if other.device() != tensor.device() {
        let expected = format!("{:?}, the device of `{name}`", tensor.device());
        return Err(Error::Device { argument, given: other.device(), expected });
    }
    Ok(())
}

/// `input` and `target` of a loss: floating, of one shape and kind, on one device.
pub(crate) fn pair(input: &Tensor, target: &Tensor) -> Result<()> {
    floating("input", input)?;
    partners(("input", input), ("target", target))?;
    same_shape(("input", input), ("target", target))
}

pub(crate) fn same_shape((name, tensor): Named, (argument, other): Named) -> Result<()> {
    if other.size() != tensor.size() {
        let expected = format!("{:?}, the shape of `{name}`", tensor.size());
        return Err(Error::Shape { argument, given: other.size(), expected });
    }
    Ok(())
}

/// An image batch `[N, C, H, W]` with nothing empty.
pub(crate) fn image(argument: &'static str, tensor: &Tensor) -> Result<()> {
    floating(argument, tensor)?;
    let given = tensor.size();
    if given.len() != 4 || given.contains(&0) {
        let expected = "[N, C, H, W] with every size at least 1".into();
        return Err(Error::Shape { argument, given, expected });
    }
    Ok(())
}

/// `input` and `target` of an image loss.
pub(crate) fn image_pair(input: &Tensor, target: &Tensor) -> Result<()> {
    image("input", input)?;
    pair(input, target)
}

/// Images of so many channels.
pub(crate) fn channels(input: &Tensor, accepted: &[i64]) -> Result<()> {
    let given = input.size();
    if accepted.contains(&given[1]) {
        return Ok(());
    }
    let counts: Vec<String> = accepted.iter().map(i64::to_string).collect();
    let plural = if accepted == [1] { "channel" } else { "channels" };
    let expected = format!("[N, C, H, W] with {} {plural}", counts.join(" or "));
    Err(Error::Shape { argument: "input", given, expected })
}

/// Images of which both sides have at least so many pixels. `remedy` says which options ask for fewer.
pub(crate) fn least_size(input: &Tensor, least: i64, remedy: &str) -> Result<()> {
    let given = input.size();
    if given[2].min(given[3]) >= least {
        return Ok(());
    }
    let separator = if remedy.is_empty() { "" } else { "; " };
    let expected = format!("[N, C, H, W] with H and W at least {least}{separator}{remedy}");
    Err(Error::Shape { argument: "input", given, expected })
}

/// A weight of each element: a shape that broadcasts to that of `input`.
pub(crate) fn element_weight((argument, weight): Named, input: &Tensor) -> Result<()> {
    let (given, shape) = (weight.size(), input.size());
    let mut aligned = given.iter().rev().zip(shape.iter().rev());
    if given.len() > shape.len() || !aligned.all(|(own, of_input)| own == of_input || *own == 1) {
        let expected = format!("a shape that broadcasts to {shape:?}, the shape of `input`");
        return Err(Error::Shape { argument, given, expected });
    }
    Ok(())
}

/// The shape to which all broadcast.
pub(crate) fn broadcast(tensors: &[Named]) -> Result<Vec<i64>> {
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

pub(crate) fn same_dimensions(tensors: &[Named]) -> Result<()> {
    let (name, first) = tensors[0];
    for (argument, other) in &tensors[1..] {
        if other.dim() != first.dim() {
            let expected = format!("one of {} dimensions, as `{name}`", first.dim());
            return Err(Error::Shape { argument, given: other.size(), expected });
        }
    }
    Ok(())
}
