//! [`GanActivation`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Result;

/// The slope of [`GanActivation::LeakyRelu`] for negative numbers.
const SLOPE: f64 = 0.05;

/// What a [`GanLoss`](crate::GanLoss) does with the discriminator's outputs before it compares them.
///
/// - **Default**: nothing. MONAI has the others, see [`GanLoss::monai`](crate::GanLoss::monai).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanActivation {
    /// Nothing.
    #[default]
    None,
    /// `x` where it is positive, `0.05 x` elsewhere.
    LeakyRelu,
    /// The hyperbolic tangent.
    Tanh,
}

impl GanActivation {
    pub(super) fn apply(self, outputs: &Tensor) -> Result<Tensor> {
        Ok(match self {
            GanActivation::None => outputs.shallow_clone(),
            // tch's own leaky ReLU has a slope of 0.01. Its backward multiplies a gradient by 1 or by any slope; here,
            // the outputs themselves.
            GanActivation::LeakyRelu => outputs.f_detach()?.f_leaky_relu_backward(outputs, SLOPE, false)?,
            GanActivation::Tanh => outputs.f_tanh()?,
        })
    }
}
