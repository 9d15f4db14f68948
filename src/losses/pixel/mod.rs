//! Losses on values, pixel by pixel.

mod charbonnier;
mod huber;
mod l1;
mod mse;
mod smooth_l1;

pub use charbonnier::CharbonnierLoss;
pub use huber::HuberLoss;
pub use l1::L1Loss;
pub use mse::MseLoss;
pub use smooth_l1::SmoothL1Loss;

use super::map_of_elements;
