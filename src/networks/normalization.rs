//! [`InputNormalization`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::accumulation_kind;
use crate::Result;

/// ImageNet's mean and deviation per channel, of images in `[0, 1]`.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

/// What happens to the images before the network sees them.
///
/// torchvision trained its networks on images in `[0, 1]`, normalised by ImageNet's mean and deviation per
/// channel: `(x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]`. Not every trainer of a perceptual loss
/// does the same. The loss values depend on it, so choose what your reference has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputNormalization {
    /// Nothing: images go in as they are.
    #[default]
    None,
    /// For images in `[0, 1]`: ImageNet's mean and deviation.
    #[serde(rename = "imagenet_from_unit")]
    ImageNetFromUnit,
    /// For images in `[-1, 1]`: to `[0, 1]` by `(x + 1) / 2`, then ImageNet's mean and deviation.
    #[serde(rename = "imagenet_from_signed")]
    ImageNetFromSigned,
}

impl InputNormalization {
    /// The images as the network is to see them. Images of reduced precision are normalised in f32.
    pub(crate) fn apply(self, images: &Tensor) -> Result<Tensor> {
        if self == InputNormalization::None {
            return Ok(images.shallow_clone());
        }
        let images = images.f_to_kind(accumulation_kind(images.kind()))?;
        let unit = match self {
            InputNormalization::ImageNetFromSigned => images.f_add_scalar(1.0)?.f_div_scalar(2.0)?,
            InputNormalization::None | InputNormalization::ImageNetFromUnit => images.shallow_clone(),
        };
        // Made on the device: a copy from the host would wait for all that is queued there.
        let per_channel = |values: [f64; 3]| -> Result<Tensor> {
            let options = (images.kind(), images.device());
            let values = values.map(|value| Tensor::f_full([1i64, 1, 1].as_slice(), value, options));
            let values = values.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(Tensor::f_stack(&values, 1)?)
        };
        Ok(unit.f_sub(&per_channel(MEAN)?)?.f_div(&per_channel(DEVIATION)?)?)
    }
}
