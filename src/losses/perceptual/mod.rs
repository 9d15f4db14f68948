//! Losses on the features of a frozen network: [`VggPerceptual`].

mod vgg;

pub use vgg::{FeatureCriterion, InputNormalization, Streaming, TargetFeatures, VggPerceptual};
