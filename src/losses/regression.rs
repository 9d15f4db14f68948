//! Losses on values: [`L1Loss`], [`MseLoss`], [`SmoothL1Loss`] and [`HuberLoss`].

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use crate::base::check;
use crate::base::reduction::channel_mean;
use crate::{Loss, LossMap, Result};

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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1Loss {
    /// How the differences are reduced.
    #[serde(with = "crate::base::reduction::name")]
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

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MseLoss {
    /// How the squared differences are reduced.
    #[serde(with = "crate::base::reduction::name")]
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

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
    }
}

impl LossMap for MseLoss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        Ok(channel_mean(&input.f_mse_loss(target, Reduction::None)?)?.f_to_kind(input.kind())?)
    }
}

/// Squared error for small differences, absolute error for large ones.
///
/// ```text
/// d    = |input - target|
/// l    = d² / (2 * beta)    where d < beta
///        d - beta / 2       elsewhere
/// loss = reduce(l)
/// ```
///
/// [`L1Loss`] without the kink at 0: smooth where the difference is small, and outliers count in proportion
/// only. As `beta` goes to 0 it becomes [`L1Loss`], and is that at 0. [`HuberLoss`] is `beta` times this one:
/// there, the small differences keep their scale as the threshold moves, here the large ones do.
///
/// - **Shapes**: any, equal; the loss is a scalar, or of that shape with [`Reduction::None`].
/// - **Values**: any. The mean of nothing is NaN, as in PyTorch.
/// - **Defaults**: `beta` 1, `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device; a `beta` that is negative or not finite.
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
    /// The difference from which on it is absolute.
    pub beta: f64,
    /// How the elements are reduced.
    #[serde(with = "crate::base::reduction::name")]
    pub reduction: Reduction,
}

impl Default for SmoothL1Loss {
    fn default() -> Self {
        SmoothL1Loss { beta: 1.0, reduction: Reduction::Mean }
    }
}

impl SmoothL1Loss {
    fn check_options(&self) -> Result<()> {
        check::reduction(self.reduction)?;
        check::non_negative("beta", self.beta)
    }

    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        // libtorch's own gradient at equal values is not 0 without a quadratic part.
        Ok(match self.beta == 0.0 {
            true => input.f_l1_loss(target, reduction)?,
            false => input.f_smooth_l1_loss(target, reduction, self.beta)?,
        })
    }
}

impl Loss for SmoothL1Loss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        self.reduced(input, target, self.reduction)
    }

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
    }
}

impl LossMap for SmoothL1Loss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let elements = self.reduced(input, target, Reduction::None)?;
        Ok(channel_mean(&elements)?.f_to_kind(input.kind())?)
    }
}

/// Squared error for small differences, absolute error in proportion to the threshold for large ones.
///
/// ```text
/// d    = |input - target|
/// l    = d² / 2                    where d <= delta
///        delta * (d - delta / 2)   elsewhere
/// loss = reduce(l)
/// ```
///
/// Half of [`MseLoss`] with the gradient clipped at `delta`: robust against outliers. It is `delta` times
/// [`SmoothL1Loss`] with a `beta` of `delta`, and equals it at 1.
///
/// - **Shapes**: any, equal; the loss is a scalar, or of that shape with [`Reduction::None`].
/// - **Values**: any. The mean of nothing is NaN, as in PyTorch.
/// - **Defaults**: `delta` 1, `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device; a `delta` that is not positive and finite.
///
/// Source: [`torch.nn.HuberLoss`](https://pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html);
/// P. J. Huber, *Robust estimation of a location parameter* (1964).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{HuberLoss, Loss, SmoothL1Loss};
///
/// let input = Tensor::from_slice(&[0.5, 3.0]);
/// let target = Tensor::from_slice(&[0.0, 0.0]);
/// let huber = HuberLoss { delta: 2.0, ..Default::default() }.forward(&input, &target);
/// let smooth = SmoothL1Loss { beta: 2.0, ..Default::default() }.forward(&input, &target);
/// assert_eq!(huber, smooth * 2.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HuberLoss {
    /// The difference from which on it is absolute.
    pub delta: f64,
    /// How the elements are reduced.
    #[serde(with = "crate::base::reduction::name")]
    pub reduction: Reduction,
}

impl Default for HuberLoss {
    fn default() -> Self {
        HuberLoss { delta: 1.0, reduction: Reduction::Mean }
    }
}

impl HuberLoss {
    fn check_options(&self) -> Result<()> {
        check::reduction(self.reduction)?;
        check::positive("delta", self.delta)
    }
}

impl Loss for HuberLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        Ok(input.f_huber_loss(target, self.reduction, self.delta)?)
    }

    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        Some(self)
    }
}

impl LossMap for HuberLoss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let elements = input.f_huber_loss(target, Reduction::None, self.delta)?;
        Ok(channel_mean(&elements)?.f_to_kind(input.kind())?)
    }
}
