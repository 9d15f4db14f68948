//! [`LovaszSoftmaxLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::lovasz::extension;
use super::mode::{Places, Truth};
use super::SegmentationMode;
use crate::base::setters;
use crate::{Error, Loss, Result};

/// Lovász softmax: a surrogate of the mean Jaccard index over the classes, for logits.
///
/// ```text
/// p      = softmax(input) over the classes
/// e      = |t - p_c|                          of class c, sorted from the largest down; t = 1 where the target is c
/// J_i    = Jaccard loss of class c if the first i places are wrong
/// loss   = mean over the classes that there are of  Σ_i e_i * (J_i - J_(i-1))
/// ```
///
/// The places of the whole batch are sorted together, or those of each image with `per_image`; the loss is the mean
/// over the images then. [`LovaszHingeLoss`](crate::LovaszHingeLoss) is for a foreground.
///
/// - **Shapes**: `input` `[N, C, ...]`; `target` `[N, ...]`, a class for each place. The loss is a scalar.
/// - **Values**: `input` any logits. Classes are Int64 or Uint8, in `[0, C)` or the `ignore_index`. Others belong to
///   no class. If all places are ignored, or there are none, the loss and its gradient are 0. f16 and bf16 are
///   computed in f32.
/// - **Gradients**: to `input`. Where errors are equal, those of labels that are 1 come first.
/// - **Defaults**: `per_image` false, no `ignore_index`.
/// - **Errors**: shapes, kinds or devices other than these.
///
/// Source: `LovaszLoss` of [segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html) with the
/// mode multiclass; M. Berman et al., [*The Lovász-Softmax loss*](https://arxiv.org/abs/1705.08790) (2018).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, LovaszSoftmaxLoss};
///
/// let logits = Tensor::zeros([1, 2, 1, 2], (Kind::Float, Device::Cpu));
/// let classes = Tensor::from_slice(&[0i64, 1]).view([1, 1, 2]);
/// // All errors are a half, and all places together are wrong entirely.
/// assert_eq!(LovaszSoftmaxLoss::default().forward(&logits, &classes).double_value(&[]), 0.5);
/// ```
#[doc(alias = "LovaszLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LovaszSoftmaxLoss {
    /// Whether each image is sorted for itself.
    pub per_image: bool,
    /// The class of the places that do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
}

setters!(LovaszSoftmaxLoss { with_per_image(per_image: bool); with_ignore_index(ignore_index: i64) });

impl Loss for LovaszSoftmaxLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let places = Places::new(SegmentationMode::Multiclass, self.ignore_index, input, target)?;
        if !matches!(places.truth, Truth::Classes(_)) {
            let expected = "Int64 or Uint8, classes".into();
            return Err(Error::Kind { argument: "target", given: target.kind(), expected });
        }
        let probabilities = places.input.f_softmax(1, None)?;
        if probabilities.numel() == 0 {
            return Ok(probabilities.f_sum(input.kind())?);
        }
        let mut labels = places.labels()?;
        let mut errors = labels.f_sub(&probabilities)?.f_abs()?;
        if let Some(counted) = &places.counted {
            // An error of 0 costs nothing, wherever it is in the order.
            labels = labels.f_mul(counted)?;
            errors = errors.f_mul(counted)?;
        }
        if !self.per_image {
            // The places of all images in a row.
            let joined = |tensor: Tensor| tensor.f_transpose(0, 1)?.f_flatten(1, 2)?.f_unsqueeze(0);
            labels = joined(labels)?;
            errors = joined(errors)?;
        }
        let present = labels.f_amax([2i64].as_slice(), false)?;
        let over_classes = |tensor: &Tensor| tensor.f_sum_dim_intlist([1i64].as_slice(), false, None);
        let losses = over_classes(&extension(&errors, &labels)?.f_mul(&present)?)?;
        let means = losses.f_div(&over_classes(&present)?.f_clamp_min(1.0)?)?;
        Ok(means.f_mean(None)?.f_to_kind(input.kind())?)
    }
}
