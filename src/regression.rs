//! Losses on values: [`L1Loss`] and [`MseLoss`].

use tch::{Reduction, Tensor};

use crate::reduce::channel_mean;
use crate::{check, Loss, LossMap, Result};

/// Mean absolute error.
///
/// ```text
/// loss = reduce(|input - target|)
/// ```
///
/// All errors count in proportion: sharper images and less weight on outliers than [`MseLoss`].
///
/// - **Shapes**: any, equal; the loss is a scalar, or of that shape with [`Reduction::None`].
/// - **Values**: any; the gradient at equal values is 0. The mean of nothing is NaN, as in PyTorch.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device. (PyTorch broadcasts with a warning and
///   promotes kinds; the first is nearly always a mistake, the second a hidden copy.)
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct L1Loss {
    /// How the differences are reduced.
    pub reduction: Reduction,
}

impl Default for L1Loss {
    fn default() -> Self {
        L1Loss { reduction: Reduction::Mean }
    }
}

impl Loss for L1Loss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::pair(input, target)?;
        Ok(input.f_l1_loss(target, self.reduction)?)
    }
}

impl LossMap for L1Loss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        Ok(channel_mean(&input.f_l1_loss(target, Reduction::None)?)?.f_to_kind(input.kind())?)
    }
}

/// Mean squared error.
///
/// ```text
/// loss = reduce((input - target)²)
/// ```
///
/// Large errors count more than in proportion: blurrier images than [`L1Loss`], and gradients that fade as
/// the images agree.
///
/// - **Shapes**: any, equal; the loss is a scalar, or of that shape with [`Reduction::None`].
/// - **Values**: any. The mean of nothing is NaN, as in PyTorch.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device. (PyTorch broadcasts with a warning and
///   promotes kinds; the first is nearly always a mistake, the second a hidden copy.)
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MseLoss {
    /// How the squared differences are reduced.
    pub reduction: Reduction,
}

impl Default for MseLoss {
    fn default() -> Self {
        MseLoss { reduction: Reduction::Mean }
    }
}

impl Loss for MseLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::pair(input, target)?;
        Ok(input.f_mse_loss(target, self.reduction)?)
    }
}

impl LossMap for MseLoss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        Ok(channel_mean(&input.f_mse_loss(target, Reduction::None)?)?.f_to_kind(input.kind())?)
    }
}
