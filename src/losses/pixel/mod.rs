//! Losses on values, pixel by pixel.

mod cauchy;
mod charbonnier;
pub(super) mod elementwise;
mod geman_mcclure;
mod huber;
mod l1;
mod mse;
mod psnr;
mod smooth_l1;
mod total_variation;
mod weighted;
mod weighted_charbonnier;
mod weighted_l1;
mod weighted_mse;
mod welsch;
mod wing;

pub use cauchy::CauchyLoss;
pub use charbonnier::CharbonnierLoss;
pub use geman_mcclure::GemanMcclureLoss;
pub use huber::HuberLoss;
pub use l1::L1Loss;
pub use mse::MseLoss;
pub use psnr::PsnrLoss;
pub use smooth_l1::SmoothL1Loss;
pub use total_variation::{TotalVariationLoss, TotalVariationNorm, WeightedTotalVariationLoss};
pub use weighted_charbonnier::WeightedCharbonnierLoss;
pub use weighted_l1::WeightedL1Loss;
pub use weighted_mse::WeightedMseLoss;
pub use welsch::WelschLoss;
pub use wing::WingLoss;

use super::map_of_elements;
