//! Losses on classes.

use tch::nn;

mod adaptive;
mod bce;
mod chunking;
mod cross_entropy;
mod linear;

pub use adaptive::{AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxOutput, AdaptiveLogSoftmaxWithLoss};
pub use bce::{BceLoss, BceWithLogitsLoss};
pub use chunking::Chunking;
pub use cross_entropy::{CrossEntropyLoss, NllLoss};
pub use linear::{LinearCrossEntropyConfig, LinearCrossEntropyLoss};

/// A linear layer that starts as PyTorch's does, within `1 / sqrt(input)`; tch's own is wider.
fn linear_layer(vs: &nn::Path, input: i64, output: i64, bias: bool) -> nn::Linear {
    let bound = 1.0 / (input as f64).sqrt();
    let config =
        nn::LinearConfig { ws_init: nn::Init::Uniform { lo: -bound, up: bound }, bs_init: None, bias };
    nn::linear(vs, input, output, config)
}
