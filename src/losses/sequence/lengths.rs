//! Lengths of sequences, and their labels.

use tch::{Kind, Tensor};

use crate::{Error, Result};

/// One length for each of some sequences, in a range of which words say what its end counts. The sequences are those of
/// `inputs`.
pub(super) fn check_lengths(
    (argument, lengths): (&'static str, &[i64]),
    (inputs, sequences): (&str, i64),
    (least, most, what): (i64, i64, &str),
) -> Result<()> {
    if lengths.len() as i64 != sequences {
        let expected = format!("{sequences}, one for each sequence of `{inputs}`");
        return Err(Error::Value { argument, given: format!("{} lengths", lengths.len()), expected });
    }
    for (sequence, length) in lengths.iter().enumerate() {
        if !(least..=most).contains(length) {
            let given = format!("{length} for sequence {sequence}");
            return Err(Error::Value { argument, given, expected: format!("{least} to {most}, the {what}") });
        }
    }
    Ok(())
}

/// Every label is a class: libtorch would read whatever lies where another one points. Each sequence has its labels in
/// the flattened `targets` from its start on.
pub(super) fn check_labels(
    targets: &Tensor,
    starts: &[i64],
    lengths: &[i64],
    (inputs, classes): (&str, i64),
) -> Result<()> {
    let labels = Vec::<i64>::try_from(targets.f_to_kind(Kind::Int64)?.f_reshape([-1i64])?)?;
    for (sequence, (start, length)) in starts.iter().zip(lengths).enumerate() {
        for label in &labels[*start as usize..(start + length) as usize] {
            if !(0..classes).contains(label) {
                let given = format!("{label} in sequence {sequence}");
                let expected = format!("0 to {}, a class of `{inputs}`", classes - 1);
                return Err(Error::Value { argument: "targets", given, expected });
            }
        }
    }
    Ok(())
}
