//! Losses on the similarity of hand-made features: gradients, phase, wavelets, saliency.

mod dss;

pub use dss::DssLoss;
