//! [`SoftCrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::losses::classification::class_entropy::{ClassEntropy, Known};
use crate::losses::classification::rows::reduced;
use crate::{Loss, Reduction, Result};

/// Cross entropy of logits with smoothed labels, as segmentation-models-pytorch has it: ignored places count in the
/// mean.
///
/// ```text
/// p    = softmax(input) over the classes
/// l    = -(1 - s) * log p[target] - s / C * Σ_c log p[c]      0 where target is ignore_index; s = smooth_factor
/// loss = reduce(l)
/// ```
///
/// The mean is over all places. [`CrossEntropyLoss`](crate::CrossEntropyLoss), PyTorch's, has the mean over those
/// that are not ignored, and weights.
///
/// - **Shapes**: `input` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`; `target` in `input`'s shape without the axis `C`.
///   The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are Int64 or Uint8, in `[0, C)` or the `ignore_index`; a wrong one is
///   [`Error::Torch`](crate::Error::Torch) on the CPU and a failed device-side assertion on CUDA. If all places are
///   ignored, the loss is 0. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to `input`. If the loss is reduced, forward computes them, and second derivatives come out as zero.
///   For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `ignore_index` -100, `smooth_factor` 0, `reduction` mean. The original has no default for
///   `smooth_factor` that works.
/// - **Errors**: shapes, kinds or devices other than these; a `smooth_factor` outside `[0, 1]`.
///
/// Source: [`SoftCrossEntropyLoss` of
/// segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, SoftCrossEntropyLoss};
///
/// let logits = Tensor::zeros([2, 4], (Kind::Double, Device::Cpu));
/// let classes = Tensor::from_slice(&[3i64, 255]);
/// // log 4, and nothing.
/// let loss = SoftCrossEntropyLoss::default().with_ignore_index(255).forward(&logits, &classes);
/// assert!((loss.double_value(&[]) - 4f64.ln() / 2.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftCrossEntropyLoss {
    /// The class of the places that do not count.
    pub ignore_index: i64,
    /// The share of the target that is spread evenly over all classes, in `[0, 1]`.
    pub smooth_factor: f64,
    /// How the places are reduced.
    pub reduction: Reduction,
}

impl Default for SoftCrossEntropyLoss {
    fn default() -> Self {
        SoftCrossEntropyLoss { ignore_index: -100, smooth_factor: 0.0, reduction: Reduction::Mean }
    }
}

setters!(SoftCrossEntropyLoss {
    with_ignore_index(ignore_index: i64), with_smooth_factor(smooth_factor: f64), with_reduction(reduction: Reduction)
});

impl Loss for SoftCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::fraction("smooth_factor", self.smooth_factor)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::classes(input)?;
        check::class_targets(&input.size(), input, target)?;
        let (kind, target) = (accumulation_kind(input.kind()), target.f_to_kind(Kind::Int64)?);
        let Known { classes, counted } = Known::of(&target, self.ignore_index, kind)?;
        let entropy = ClassEntropy { smoothing: self.smooth_factor, epsilon: 0.0 };
        reduced(&entropy, input, &[&classes, &counted], self.reduction)
    }
}
