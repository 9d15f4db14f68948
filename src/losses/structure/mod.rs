//! Losses on structure: means, variances and covariances in windows.

mod information;
mod information_weighted_ssim;
mod laplacian_pyramid;
mod vif;

pub use information_weighted_ssim::InformationWeightedSsimLoss;
pub use vif::VifLoss;
