//! The losses on structure.

mod ssim;
mod vif;
