//! [`LovaszHingeLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::lovasz::extension;
use super::mode::{Places, Truth};
use super::SegmentationMode;
use crate::base::setters;
use crate::{Loss, Result};

/// Lovász hinge: a convex surrogate of the Jaccard index of a foreground, for logits.
///
/// ```text
/// e    = 1 - input * (2 * target - 1)         the errors, sorted from the largest down
/// J_i  = Jaccard loss if the first i places are wrong
/// loss = Σ_i relu(e_i) * (J_i - J_(i-1))
/// ```
///
/// The places of the whole batch are sorted together, or those of each image with `per_image`; the loss is the mean
/// over the images then. [`LovaszSoftmaxLoss`](crate::LovaszSoftmaxLoss) is for several classes.
///
/// - **Shapes**: `input` any, `[N, ...]`; `target` equal, or without an axis 1 of size 1. The loss is a scalar.
/// - **Values**: `input` any logits. `target` holds labels 0 and 1, as Int64, Uint8 or in `input`'s kind, and the
///   `ignore_index`. Without a positive label, the largest error is the loss. If all places are ignored, or there are
///   none, the loss and its gradient are 0. f16 and bf16 are computed in f32.
/// - **Gradients**: to `input`. Where errors are equal, those of labels that are 1 come first. Second derivatives are
///   zero, as the loss is linear in pieces.
/// - **Defaults**: `per_image` false, no `ignore_index`.
/// - **Errors**: shapes, kinds or devices other than these.
///
/// Source: `LovaszLoss` of [segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html) with the
/// mode binary or multilabel; M. Berman et al., [*The Lovász-Softmax loss*](https://arxiv.org/abs/1705.08790) (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, LovaszHingeLoss};
///
/// let lovasz = LovaszHingeLoss::default();
/// let labels = Tensor::from_slice(&[1i64, 0, 0]).view([1, 3]);
/// // Right by a margin of 1, or more.
/// let right = Tensor::from_slice(&[1f32, -1.0, -2.0]).view([1, 3]);
/// assert_eq!(lovasz.forward(&right, &labels).double_value(&[]), 0.0);
/// // The foreground is missed: all of the index, times the error.
/// let wrong = Tensor::from_slice(&[-1f32, -1.0, -2.0]).view([1, 3]);
/// assert_eq!(lovasz.forward(&wrong, &labels).double_value(&[]), 2.0);
/// ```
#[doc(alias = "LovaszLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LovaszHingeLoss {
    /// Whether each image is sorted for itself.
    pub per_image: bool,
    /// The label of the places that do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
}

setters!(LovaszHingeLoss { with_per_image(per_image: bool); with_ignore_index(ignore_index: i64) });

impl Loss for LovaszHingeLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let places = Places::new(SegmentationMode::Binary, self.ignore_index, input, target)?;
        let Truth::Values(labels) = &places.truth else { unreachable!("labels of a foreground are values") };
        let labels = labels.f_detach()?;
        let signs = labels.f_mul_scalar(2.0)?.f_add_scalar(-1.0)?;
        let mut errors = places.input.f_mul(&signs)?.f_neg()?.f_add_scalar(1.0)?;
        if let Some(counted) = &places.counted {
            // An error of 0 costs nothing, wherever it is in the order.
            errors = errors.f_mul(counted)?;
        }
        if errors.numel() == 0 {
            return Ok(errors.f_sum(input.kind())?);
        }
        let losses = match self.per_image {
            true => extension(&errors, &labels)?,
            false => extension(&errors.f_flatten(0, -1)?, &labels.f_flatten(0, -1)?)?,
        };
        Ok(losses.f_mean(None)?.f_to_kind(input.kind())?)
    }
}
