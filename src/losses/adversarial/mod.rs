//! Losses of generative adversarial networks, on what a discriminator gives.

mod activation;
mod adaptive_weight;
mod consistency;
mod feature_matching;
mod gan;
mod gan_presets;
mod lecam;
mod mode;
mod predictions;
mod relativistic;

pub use activation::GanActivation;
pub use adaptive_weight::AdaptiveWeight;
pub use consistency::ConsistencyRegularization;
pub use feature_matching::FeatureMatchingLoss;
pub use gan::GanLoss;
pub use lecam::{LeCamConfig, LeCamLoss};
pub use mode::GanMode;
pub use predictions::{ListReduction, Predictions};
pub use relativistic::{Pairing, RelativisticLoss};
