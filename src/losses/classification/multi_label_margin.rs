//! [`MultiLabelMarginLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// Multi-label hinge loss: ranks the scores of all true classes above those of all others by 1.
///
/// ```text
/// l    = Σ Σ max(0, 1 - x[y] + x[i]) / C      over the true classes y, and over the classes i that are none
/// loss = reduce(l)
/// ```
///
/// `target` lists the true classes of a sample. A list that is not full ends with -1: `[3, 0, -1, 1]` is the
/// classes 3 and 0. [`MultiLabelSoftMarginLoss`](crate::MultiLabelSoftMarginLoss) takes ones and zeros, and
/// looks at each class by itself.
///
/// - **Shapes**: `input` and `target` `[N, C]` or `[C]`. The loss is a scalar. With [`Reduction::None`] it is
///   `[N]`, or a scalar without a batch.
/// - **Values**: `target` from -1 to C - 1. libtorch checks it; on CUDA a device assertion fails. Entries
///   after the first -1 do not count. A term of NaN counts as 0, as in PyTorch. Without samples the mean is
///   NaN and the sum 0. (PyTorch returns whatever its memory held.)
/// - **Gradients**: to `input`, 0 on the kink.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: other or different shapes; a `target` that is not Int64 or on another device.
///
/// Source:
/// [`torch.nn.MultiLabelMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MultiLabelMarginLoss};
///
/// let scores = Tensor::from_slice2(&[[0.1, 0.2, 0.4, 0.8]]);
/// let target = Tensor::from_slice2(&[[3i64, 0, -1, 1]]);
/// // ((1 - (0.1 - 0.2)) + (1 - (0.1 - 0.4)) + (1 - (0.8 - 0.2)) + (1 - (0.8 - 0.4))) / 4
/// let loss = MultiLabelMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 0.85).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiLabelMarginLoss {
    /// How the samples are reduced.
    pub reduction: Reduction,
}

setters!(MultiLabelMarginLoss { with_reduction(reduction: Reduction) });

impl Loss for MultiLabelMarginLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let (samples, _) = check::samples_and_classes(input)?;
        check::class_indices(("input", input), ("target", target))?;
        if target.size() != input.size() {
            let expected = format!("{:?}, the shape of `input`", input.size());
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        if samples == 0 {
            // libtorch leaves the loss of no samples as the memory was.
            let none = input.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
            return reduce(&none, self.reduction, input.kind());
        }
        // libtorch has no kernel for reduced precision on the CPU.
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?;
        Ok(scores.f_multilabel_margin_loss(target, self.reduction.torch())?.f_to_kind(input.kind())?)
    }
}
