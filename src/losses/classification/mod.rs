//! Losses on classes, labels and margins between them.

mod adaptive;
mod asymmetric;
mod asymmetric_single_label;
mod bce;
mod bce_with_logits;
mod binary_cross_entropy;
pub(super) mod binary_entropy;
mod chunking;
pub(super) mod class_entropy;
mod cross_entropy;
mod distillation;
mod focal;
mod jsd_cross_entropy;
mod linear;
mod linear_config;
mod multi_label_margin;
mod multi_label_soft_margin;
mod multi_margin;
mod nll;
mod poly_binary_cross_entropy;
mod poly_cross_entropy;
pub(super) mod rows;
mod sigmoid_focal;
mod soft_margin;
mod soft_target;

pub use adaptive::{AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxOutput, AdaptiveLogSoftmaxWithLoss};
pub use asymmetric::AsymmetricLoss;
pub use asymmetric_single_label::AsymmetricSingleLabelLoss;
pub use bce::BceLoss;
pub use bce_with_logits::BceWithLogitsLoss;
pub use binary_cross_entropy::BinaryCrossEntropyLoss;
pub use chunking::Chunking;
pub use cross_entropy::CrossEntropyLoss;
pub use distillation::DistillationLoss;
pub use focal::{FocalLoss, FocalMean};
pub use jsd_cross_entropy::JsdCrossEntropyLoss;
pub use linear::LinearCrossEntropyLoss;
pub use linear_config::LinearCrossEntropyConfig;
pub use multi_label_margin::MultiLabelMarginLoss;
pub use multi_label_soft_margin::MultiLabelSoftMarginLoss;
pub use multi_margin::MultiMarginLoss;
pub use nll::NllLoss;
pub use poly_binary_cross_entropy::PolyBinaryCrossEntropyLoss;
pub use poly_cross_entropy::PolyCrossEntropyLoss;
pub use sigmoid_focal::{FocalModulation, SigmoidFocalLoss};
pub use soft_margin::SoftMarginLoss;
pub use soft_target::{MaskedSoftTargetCrossEntropyLoss, SoftTargetCrossEntropyLoss};

use tch::{nn, Kind, Tensor};

use crate::base::check;
use crate::base::weight::placed;
use crate::{Result, WeightTensor};

/// The kind of classes that libtorch takes for scores of any shape; Uint8 it takes for `[N, C]` only.
const CLASSES: Kind = Kind::Int64;

/// The weight of each element of `input`, on its device and of its kind.
fn element_weight(
    option: &'static str,
    weight: Option<&WeightTensor>,
    input: &Tensor,
) -> Result<Option<Tensor>> {
    let weight = placed(option, weight, input)?;
    if let Some(weight) = &weight {
        check::element_weight((option, weight), input)?;
    }
    Ok(weight)
}

/// The weight of each of so many classes, on the device and of the kind of `input`.
fn class_weight(weight: Option<&WeightTensor>, input: &Tensor, classes: i64) -> Result<Option<Tensor>> {
    let weight = placed("weight", weight, input)?;
    if let Some(weight) = &weight {
        check::class_weight(weight, classes)?;
    }
    Ok(weight)
}

/// Independent targets, moved towards 1/2 by a share.
fn smoothed(target: &Tensor, share: f64) -> Result<Tensor> {
    Ok(match share == 0.0 {
        true => target.shallow_clone(),
        false => target.f_mul_scalar(1.0 - share)?.f_add_scalar(share / 2.0)?,
    })
}

/// A linear layer that starts as PyTorch's does, within `1 / sqrt(input)`; tch's own is wider.
fn linear_layer(vs: &nn::Path, input: i64, output: i64, bias: bool) -> nn::Linear {
    let bound = 1.0 / (input as f64).sqrt();
    let config =
        nn::LinearConfig { ws_init: nn::Init::Uniform { lo: -bound, up: bound }, bs_init: None, bias };
    nn::linear(vs, input, output, config)
}
