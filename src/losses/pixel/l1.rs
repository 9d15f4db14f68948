//! [`L1Loss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::map_of_elements;
use crate::base::{chain, check, setters};
use crate::{Loss, Reduction, Result};

/// Mean absolute error.
///
/// ```text
/// loss = reduce(|input - target|)
/// ```
///
/// All errors count in proportion. Compared with [`MseLoss`](crate::MseLoss), images are sharper and outliers
/// weigh less.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The gradient at equal values is 0. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to both arguments.
/// - **Map**: the mean of `|input - target|` over the channels.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices. (PyTorch broadcasts with a warning and
///   promotes kinds. The first is nearly always a mistake, the second a hidden copy.)
///
/// Source: [`torch.nn.L1Loss`](https://pytorch.org/docs/stable/generated/torch.nn.L1Loss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{L1Loss, Loss};
///
/// let input = Tensor::from_slice(&[1.0, 2.0, 3.0]);
/// let target = Tensor::from_slice(&[1.0, 4.0, 7.0]);
/// assert_eq!(L1Loss::default().forward(&input, &target).double_value(&[]), 2.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1Loss {
    /// How the differences are reduced.
    pub reduction: Reduction,
}

setters!(L1Loss { with_reduction(reduction: Reduction) });

impl Loss for L1Loss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        chain::of_numbers([input, target], self.reduction, |[input, target], reduction| {
            Ok(input.f_l1_loss(target, reduction.torch())?)
        })
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || Ok(input.f_l1_loss(target, Reduction::None.torch())?))
    }
}
