//! [`SmoothL1Loss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::map_of_elements;
use crate::base::{check, setters};
use crate::{L1Loss, Loss, Reduction, Result};

/// Squared error for small differences, absolute error for large ones.
///
/// ```text
/// d    = |input - target|
/// l    = d² / (2 * beta)    where d < beta
///        d - beta / 2       elsewhere
/// loss = reduce(l)
/// ```
///
/// It is [`L1Loss`](crate::L1Loss) without the kink at 0: smooth for small differences, while outliers count
/// in proportion only. With a `beta` of 0 it is [`L1Loss`](crate::L1Loss). [`HuberLoss`](crate::HuberLoss) is
/// `beta` times this loss. There, small differences keep their scale when the threshold moves; here, large
/// ones do.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to both arguments.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `beta` 1, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; a `beta` that is negative or not finite.
///
/// Source: [`torch.nn.SmoothL1Loss`](https://pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html);
/// R. Girshick, [*Fast R-CNN*](https://arxiv.org/abs/1504.08083) (2015).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SmoothL1Loss};
///
/// let input = Tensor::from_slice(&[0.5, 3.0]);
/// let target = Tensor::from_slice(&[0.0, 0.0]);
/// // 0.5² / 2 and 3 - 1/2, of which the mean.
/// assert_eq!(SmoothL1Loss::default().forward(&input, &target).double_value(&[]), (0.125 + 2.5) / 2.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothL1Loss {
    /// The difference from which on the error is absolute.
    pub beta: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for SmoothL1Loss {
    fn default() -> Self {
        SmoothL1Loss { beta: 1.0, reduction: Reduction::Mean }
    }
}

impl SmoothL1Loss {
    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        // libtorch's own gradient at equal values is not 0 without a quadratic part.
        match self.beta == 0.0 {
            true => L1Loss { reduction }.try_forward(input, target),
            false => Ok(input.f_smooth_l1_loss(target, reduction.torch(), self.beta)?),
        }
    }
}

setters!(SmoothL1Loss { with_beta(beta: f64), with_reduction(reduction: Reduction) });

impl Loss for SmoothL1Loss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("beta", self.beta)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        self.reduced(input, target, self.reduction)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.reduced(input, target, Reduction::None))
    }
}
