//! Losses on the features of a frozen network.

mod comparison;
mod engine;
mod scale;
mod streaming;
mod target;
mod vgg_perceptual;

pub use comparison::FeatureCriterion;
pub use streaming::Streaming;
pub use target::TargetFeatures;
pub use vgg_perceptual::VggPerceptual;
