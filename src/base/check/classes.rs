//! Scores of classes, and labels for them.

use tch::{Kind, Tensor};

use super::{dense, floating, same_device, Named};
use crate::{Error, Result};

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

/// `N` and `C` of scores `[N, C]`; those without a batch, `[C]` or of one class only, are one sample.
pub(crate) fn samples_and_classes(input: &Tensor) -> Result<(i64, i64)> {
    floating("input", input)?;
    match input.size()[..] {
        [] => Ok((1, 1)),
        [classes] if classes > 0 => Ok((1, classes)),
        [samples, classes] if classes > 0 => Ok((samples, classes)),
        _ => Err(Error::Shape {
            argument: "input",
            given: input.size(),
            expected: "[N, C] or [C] with C at least 1".into(),
        }),
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
    same_device(("input", input), ("target", target))?;
    let mut shape = scores.to_vec();
    shape.remove(usize::from(shape.len() > 1));
    if target.size() != shape {
        let expected = format!("{shape:?}, a class for each place of the scores {scores:?}");
        return Err(Error::Shape { argument: "target", given: target.size(), expected });
    }
    Ok(())
}

/// A weight for each class.
pub(crate) fn class_weight(weight: &Tensor, classes: i64) -> Result<()> {
    if weight.size() != [classes] {
        let expected = format!("[{classes}], a weight for each class");
        return Err(Error::Shape { argument: "weight", given: weight.size(), expected });
    }
    Ok(())
}

/// Labels 1 and -1 for a tensor: of its kind or signed integers, on its device.
pub(crate) fn signs(of: Named, (argument, labels): Named) -> Result<()> {
    dense(argument, labels)?;
    let given = labels.f_kind()?;
    let signed = matches!(given, Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64);
    if given != of.1.kind() && !signed {
        let expected = format!("{:?}, the kind of `{}`, or a signed integer", of.1.kind(), of.0);
        return Err(Error::Kind { argument, given, expected });
    }
    same_device(of, (argument, labels))
}

/// Indices of classes for a tensor of scores: Int64, on its device.
pub(crate) fn class_indices(of: Named, (argument, indices): Named) -> Result<()> {
    dense(argument, indices)?;
    let given = indices.f_kind()?;
    if given != Kind::Int64 {
        return Err(Error::Kind { argument, given, expected: "Int64".into() });
    }
    same_device(of, (argument, indices))
}
