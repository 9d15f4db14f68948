//! [`RmseLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::check;
use crate::base::image::sqrt;
use crate::base::precision::accumulation_kind;
use crate::{Loss, Result};

/// Root of the mean square error, in the unit of the values.
///
/// ```text
/// loss = sqrt(mean (input - target)²)
/// ```
///
/// The root is of all elements together, the batch included. [`MseLoss`](crate::MseLoss) has none.
///
/// - **Shapes**: any, equal. The loss is a scalar.
/// - **Values**: any. Equal arguments cost 0. The arguments can be exchanged. f16 and bf16 are computed in f32. The mean
///   of nothing is NaN.
/// - **Gradients**: to both arguments; 0 for equal ones, where the root of PyTorch has NaN. libtorch has derivatives of
///   any order.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// Source: `rmse_loss` of [dfdx](https://docs.rs/dfdx); `torch.sqrt` of
/// [`torch.nn.MSELoss`](https://pytorch.org/docs/stable/generated/torch.nn.MSELoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, RmseLoss};
///
/// let (input, target) = (Tensor::from_slice(&[7.0, 0.0]), Tensor::from_slice(&[0.0, 1.0]));
/// assert_eq!(RmseLoss::default().forward(&input, &target).double_value(&[]), 5.0);
/// assert_eq!(RmseLoss::default().forward(&input, &input).double_value(&[]), 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmseLoss {}

impl Loss for RmseLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::pair(input, target)?;
        let kind = accumulation_kind(input.kind());
        let square = input.f_to_kind(kind)?.f_mse_loss(&target.f_to_kind(kind)?, tch::Reduction::Mean)?;
        // A root of 0 comes out as a little more.
        let root = sqrt(&square)?.f_mul(&square.f_ne(0.0)?)?;
        Ok(root.f_to_kind(input.kind())?)
    }
}
