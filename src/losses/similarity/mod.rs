//! Losses on the similarity of hand-made features: gradients, phase, wavelets, saliency.

mod alike;
mod branchless;
mod dss;
mod filtered;
mod frequencies;
mod fsim;
mod gmsd;
mod gradient_deviation;
mod gradient_magnitude;
mod haar;
mod haar_psi;
mod lab;
mod map;
mod mdsi;
mod multi_scale_gmsd;
mod phase;
mod resize;
mod saliency;
mod sr_sim;
mod vsi;
mod weighted;
mod yiq;

pub use dss::DssLoss;
pub use fsim::FsimLoss;
pub use gmsd::GmsdLoss;
pub use haar_psi::HaarPsiLoss;
pub use mdsi::{MdsiCombination, MdsiLoss};
pub use multi_scale_gmsd::MultiScaleGmsdLoss;
pub use sr_sim::{SaliencyRange, SrSimLoss};
pub use vsi::VsiLoss;
