//! Losses on the features of a frozen network.

mod comparison;
mod contextual;
mod criterion;
mod dists;
mod engine;
mod lpips;
mod perceptual_loss;
mod pieces;
mod preprocessing;
mod presets;
mod scale;
mod streaming;
mod style;
mod target;
mod unit_vectors;

pub use contextual::{ContextualForm, ContextualLoss};
pub use criterion::FeatureCriterion;
pub use dists::Dists;
pub use lpips::{Lpips, LpipsNorm, LpipsVersion};
pub use perceptual_loss::PerceptualLoss;
pub use presets::PerceptualPreset;
pub use streaming::Streaming;
pub use style::{GramNormalization, Style};
pub use target::TargetFeatures;
