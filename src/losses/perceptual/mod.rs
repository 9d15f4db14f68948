//! Losses on the features of a frozen network.

mod comparison;
mod criterion;
mod engine;
mod perceptual_loss;
mod pieces;
mod preprocessing;
mod presets;
mod scale;
mod streaming;
mod style;
mod target;
mod unit_vectors;

pub use criterion::FeatureCriterion;
pub use perceptual_loss::PerceptualLoss;
pub use presets::PerceptualPreset;
pub use streaming::Streaming;
pub use style::{GramNormalization, Style};
pub use target::TargetFeatures;
