//! Losses on structure: means, variances and covariances in windows.

mod formula;
mod information;
mod information_weighted_ssim;
mod laplacian_pyramid;
mod ms_ssim_l1;
mod multi_scale_ssim;
mod options;
mod pooling;
mod ssim;
mod vif;

pub use information_weighted_ssim::InformationWeightedSsimLoss;
pub use ms_ssim_l1::{MaskLayout, MsSsimL1Loss};
pub use multi_scale_ssim::{MultiScaleSsimLoss, SsimNormalize};
pub use options::{SsimPadding, SsimWindow};
pub use pooling::ScalePooling;
pub use ssim::{SsimForm, SsimLoss};
pub use vif::VifLoss;
