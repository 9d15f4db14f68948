//! The checks of arguments that the losses share.

use tch::{Kind, Reduction, Tensor};

use crate::{Error, Result};

/// The kinds that [`is_floating`] accepts, in words.
pub(crate) const FLOATING: &str = "Half, BFloat16, Float or Double";

pub(crate) fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

pub(crate) fn is_integer(kind: Kind) -> bool {
    matches!(kind, Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64)
}

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
pub(crate) fn partners(
    (name, tensor): (&'static str, &Tensor),
    (argument, other): (&'static str, &Tensor),
) -> Result<()> {
    floating(argument, other)?;
    if other.kind() != tensor.kind() {
        let expected = format!("{:?}, the kind of `{name}`", tensor.kind());
        return Err(Error::Kind { argument, given: other.kind(), expected });
    }
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
    if target.size() != input.size() {
        return Err(Error::Shape {
            argument: "target",
            given: target.size(),
            expected: format!("{:?}, the shape of `input`", input.size()),
        });
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

pub(crate) fn reduction(reduction: Reduction) -> Result<()> {
    match reduction {
        Reduction::None | Reduction::Mean | Reduction::Sum => Ok(()),
        Reduction::Other(_) => Err(Error::Option {
            option: "reduction",
            given: format!("{reduction:?}"),
            expected: "None, Mean or Sum".into(),
        }),
    }
}

pub(crate) fn non_negative(option: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "a finite number, 0 or more".into() })
}
