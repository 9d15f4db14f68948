//! Ordered classes as answers to "is it more than this one?".

use tch::{Kind, Tensor};

use crate::base::check;
use crate::{Error, Result};

/// Logits `[N, K - 1]` of K classes.
pub(super) fn check_input(input: &Tensor) -> Result<()> {
    check::floating("input", input)?;
    if input.dim() != 2 || input.size()[1] == 0 {
        let expected = "[N, K - 1], one less than there are classes, of which there are two at least".into();
        return Err(Error::Shape { argument: "input", given: input.size(), expected });
    }
    Ok(())
}

/// A class for each row.
pub(super) fn check_classes(input: &Tensor, target: &Tensor) -> Result<()> {
    check::dense("target", target)?;
    let given = target.f_kind()?;
    if !check::is_class_kind(given) {
        return Err(Error::Kind { argument: "target", given, expected: "Int64 or Uint8, classes".into() });
    }
    check::same_device(("input", input), ("target", target))?;
    let rows = input.size()[0];
    if target.size() != [rows] {
        let expected = format!("[{rows}], a class for each row of `input`");
        return Err(Error::Shape { argument: "target", given: target.size(), expected });
    }
    Ok(())
}

/// Which of the classes 0, 1, ... each class is above, `[N, K - 1]`.
pub(super) fn levels(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let thresholds = Tensor::f_arange(input.size()[1], (Kind::Int64, input.device()))?;
    Ok(target.f_to_kind(Kind::Int64)?.f_unsqueeze(1)?.f_gt_tensor(&thresholds)?)
}
