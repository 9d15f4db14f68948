//! Losses on the similarity of hand-made features: gradients, phase, wavelets, saliency.

mod filtered;
mod gmsd;
mod gradient_deviation;
mod gradient_magnitude;
mod haar;
mod haar_psi;
mod map;
mod mdsi;
mod multi_scale_gmsd;

pub use gmsd::GmsdLoss;
pub use haar_psi::HaarPsiLoss;
pub use mdsi::{MdsiCombination, MdsiLoss};
pub use multi_scale_gmsd::MultiScaleGmsdLoss;
