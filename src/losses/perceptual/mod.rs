//! Losses on the features of a frozen network.

mod comparison;
mod contextual;
mod criterion;
mod engine;
mod perceptual_loss;
mod pieces;
mod preprocessing;
mod scale;
mod streaming;
mod target;

pub use contextual::{ContextualForm, ContextualLoss};
pub use criterion::FeatureCriterion;
pub use perceptual_loss::PerceptualLoss;
pub use streaming::Streaming;
pub use target::TargetFeatures;
