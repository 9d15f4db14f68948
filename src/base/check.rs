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

/// On the device of `input`.
pub(crate) fn same_device(argument: &'static str, tensor: &Tensor, input: &Tensor) -> Result<()> {
    if tensor.device() != input.device() {
        let expected = format!("{:?}, the device of `input`", input.device());
        return Err(Error::Device { argument, given: tensor.device(), expected });
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

/// The weight of each element, broadcast to the shape of `input`, of any real kind.
pub(crate) fn element_weight(argument: &'static str, weight: Option<&Tensor>, input: &Tensor) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    dense(argument, weight)?;
    let given = weight.f_kind()?;
    if !is_floating(given) && !is_integer(given) {
        return Err(Error::Kind { argument, given, expected: format!("{FLOATING} or an integer") });
    }
    same_device(argument, weight, input)?;
    let (given, shape) = (weight.size(), input.size());
    let mut aligned = given.iter().rev().zip(shape.iter().rev());
    if given.len() > shape.len() || !aligned.all(|(own, of_input)| own == of_input || *own == 1) {
        let expected = format!("a shape that broadcasts to {shape:?}, the shape of `input`");
        return Err(Error::Shape { argument, given, expected });
    }
    Ok(())
}

/// The number of classes of scores `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`.
pub(crate) fn classes(input: &Tensor) -> Result<i64> {
    floating("input", input)?;
    let given = input.size();
    match given.get(1).or(given.first()) {
        Some(&classes) if classes > 0 => Ok(classes),
        _ => {
            let expected = "[C], [N, C] or [N, C, d1, ..., dK] with at least one class".into();
            Err(Error::Shape { argument: "input", given, expected })
        }
    }
}

/// The kinds that [`class_targets`] accepts.
pub(crate) fn is_class_kind(kind: Kind) -> bool {
    matches!(kind, Kind::Int64 | Kind::Uint8)
}

/// A class for each place of scores `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`. Which classes they are is not
/// looked at: on CUDA that would wait for the device.
pub(crate) fn class_targets(scores: &[i64], input: &Tensor, target: &Tensor) -> Result<()> {
    dense("target", target)?;
    let given = target.f_kind()?;
    if !is_class_kind(given) {
        return Err(Error::Kind { argument: "target", given, expected: "Int64 or Uint8, classes".into() });
    }
    same_device("target", target, input)?;
    let mut shape = scores.to_vec();
    shape.remove(usize::from(shape.len() > 1));
    if target.size() != shape {
        let expected = format!("{shape:?}, a class for each place of the scores {scores:?}");
        return Err(Error::Shape { argument: "target", given: target.size(), expected });
    }
    Ok(())
}

/// The weight of each class, of the kind and on the device of `partner`.
pub(crate) fn class_weight(
    weight: Option<&Tensor>,
    partner: (&'static str, &Tensor),
    classes: i64,
) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    partners(partner, ("weight", weight))?;
    if weight.size() != [classes] {
        let expected = format!("[{classes}], a weight for each class");
        return Err(Error::Shape { argument: "weight", given: weight.size(), expected });
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

pub(crate) fn finite(option: &'static str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "a finite number".into() })
}

pub(crate) fn non_negative(option: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "a finite number, 0 or more".into() })
}

pub(crate) fn positive(option: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "a finite number greater than 0".into() })
}

/// A part of a whole.
pub(crate) fn fraction(option: &'static str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "a number in [0, 1]".into() })
}

pub(crate) fn at_least_1(option: &'static str, value: i64) -> Result<()> {
    if value >= 1 {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "a number of at least 1".into() })
}
