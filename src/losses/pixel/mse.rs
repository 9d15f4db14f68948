//! [`MseLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::map_of_elements;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Mean squared error.
///
/// ```text
/// loss = reduce((input - target)²)
/// ```
///
/// Large errors count more than in proportion. Compared with [`L1Loss`](crate::L1Loss), images are blurrier,
/// and gradients fade as the images agree.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to both arguments.
/// - **Map**: the mean of `(input - target)²` over the channels.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices. (PyTorch broadcasts with a warning and
///   promotes kinds. The first is nearly always a mistake, the second a hidden copy.)
///
/// Source: [`torch.nn.MSELoss`](https://pytorch.org/docs/stable/generated/torch.nn.MSELoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MseLoss};
///
/// let input = Tensor::from_slice(&[1.0, 2.0]);
/// let target = Tensor::from_slice(&[1.0, 4.0]);
/// assert_eq!(MseLoss::default().forward(&input, &target).double_value(&[]), 2.0);
/// ```
#[doc(alias = "MSELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MseLoss {
    /// How the squared differences are reduced.
    pub reduction: Reduction,
}

setters!(MseLoss { with_reduction(reduction: Reduction) });

impl Loss for MseLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        Ok(input.f_mse_loss(target, self.reduction.torch())?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || Ok(input.f_mse_loss(target, Reduction::None.torch())?))
    }
}
