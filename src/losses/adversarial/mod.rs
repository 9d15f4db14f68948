//! Losses of generative adversarial networks, on what a discriminator gives.

mod activation;
mod adaptive_weight;
mod feature_matching;
mod gan;
mod gan_presets;
mod mode;
mod predictions;
mod relativistic;

pub use activation::GanActivation;
pub use adaptive_weight::AdaptiveWeight;
pub use feature_matching::FeatureMatchingLoss;
pub use gan::GanLoss;
pub use mode::GanMode;
pub use predictions::{ListReduction, Predictions};
pub use relativistic::{Pairing, RelativisticLoss};
