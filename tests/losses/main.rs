//! The losses and the networks: against PyTorch, against contracts that hold for every loss, and by hand.

#[path = "../common/mod.rs"]
mod common;
mod support;

mod adversarial;
mod audio;
mod boxes;
mod chains;
mod classification;
mod contextual;
mod contracts;
mod contrast;
mod distribution;
mod dists;
mod documents;
mod edge;
mod embedding;
mod frequency;
mod labels;
mod lpips;
mod margin_softmax;
mod masks;
mod networks;
mod parity;
mod patch_nce;
mod penalty;
mod perceptual;
mod pixel;
mod presets;
mod properties;
mod recorded;
mod refusals;
mod regression;
mod segmentation;
mod self_supervised;
mod sequence;
mod similarity;
mod streaming;
mod structure;
mod transducer;
