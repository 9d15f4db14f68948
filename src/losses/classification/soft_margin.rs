//! [`SoftMarginLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::{chain, check, setters};
use crate::{Error, Loss, Reduction, Result};

/// Logistic loss of scores with labels 1 and -1.
///
/// ```text
/// l    = log(1 + exp(-y * x))      x = input, y = target
/// loss = reduce(l)
/// ```
///
/// [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) with the label `(1 + y) / 2` gives the same number, and is
/// finite for any score. Prefer it where you can have labels 0 and 1.
///
/// - **Shapes**: `input` any; `target` of that shape, or broadcast to it, as in PyTorch. The loss is a
///   scalar, or has the shape of `input` with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked. If a score is so wrong that `exp` overflows (`-y * x` past 88
///   in f32, 709 in f64), the loss is infinite and the gradient NaN, as in PyTorch. The mean of nothing is
///   NaN.
/// - **Gradients**: to `input`. libtorch has no gradient for `target` and refuses a `target` that requires
///   one.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: a `target` that does not broadcast to `input`, is on another device, or is neither of the
///   kind of `input` nor a signed integer.
///
/// Source:
/// [`torch.nn.SoftMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SoftMarginLoss};
///
/// // Undecided: log 2, whatever the label.
/// let (scores, target) = (Tensor::from_slice(&[0.0, 0.0]), Tensor::from_slice(&[1i64, -1]));
/// let loss = SoftMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftMarginLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(SoftMarginLoss { with_reduction(reduction: Reduction) });

impl Loss for SoftMarginLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input", input)?;
        check::signs(("input", input), ("target", target))?;
        if !check::broadcast(&[("input", input), ("target", target)])
            .is_ok_and(|common| common == input.size())
        {
            let expected = format!("one that broadcasts to {:?}, the shape of `input`", input.size());
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        chain::of_numbers([input, target], self.reduction, |[input, target], reduction| {
            Ok(input.f_soft_margin_loss(target, reduction.torch())?)
        })
    }
}
