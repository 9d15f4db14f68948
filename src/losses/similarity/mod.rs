//! Losses on the similarity of hand-made features: gradients, phase, wavelets, saliency.

mod frequencies;
mod fsim;
mod gradient_magnitude;
mod lab;
mod phase;
mod resize;
mod saliency;
mod sr_sim;
mod vsi;
mod weighted;
mod yiq;

pub use fsim::FsimLoss;
pub use sr_sim::{SaliencyRange, SrSimLoss};
pub use vsi::VsiLoss;
