//! [`InputNormalization`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{DataRange, Result};

/// ImageNet's mean and deviation per channel, of images in `[0, 1]`.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

/// Shift and scale of images in `[-1, 1]` in the package lpips. They are f32 there, whatever the kind of the images.
const LPIPS_SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const LPIPS_SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// What Caffe's VGGs subtract from images in `[0, 1]`: blue, green and red.
const CAFFE_MEAN: [f64; 3] = [0.40760392, 0.45795686, 0.48501961];

/// What happens to the images before the network sees them.
///
/// torchvision trained its networks on images in `[0, 1]`, normalised by ImageNet's mean and deviation per channel.
/// Not every trainer of a perceptual loss does the same. The loss values depend on it, so choose what your reference
/// has.
///
/// Each form except [`None`](Self::None) first brings the images to `[0, 1]` or `[-1, 1]`, from the loss's
/// [`data_range`](DataRange).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputNormalization {
    /// Nothing: images go in as they are, whatever the data range.
    #[default]
    None,
    /// Images go in as values from 0 to 1: BasicSR's `range_norm` without `use_input_norm`.
    Unit,
    /// Images go in as values from -1 to 1.
    Signed,
    /// `(x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]`: ImageNet's mean and deviation, as for torchvision's
    /// networks.
    ImageNet,
    /// `(x - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]` of images from -1 to 1: what [`Lpips`](crate::Lpips)
    /// does. It is [`ImageNet`](Self::ImageNet) up to rounding.
    Lpips,
    /// `255 (x - [0.40760392, 0.45795686, 0.48501961])` with the channels blue, green, red: for networks that were
    /// trained with Caffe, such as L. Gatys's.
    Caffe,
}

impl InputNormalization {
    /// The images `[N, 3, H, W]` as the network is to see them. Images of reduced precision are normalised in f32.
    pub(crate) fn apply(self, images: &Tensor, data_range: DataRange) -> Result<Tensor> {
        // Made on the device: a copy from the host would wait for all that is queued there.
        let per_channel = |values: [f64; 3], like: &Tensor| -> Result<Tensor> {
            let options = (like.kind(), like.device());
            let values = values.map(|value| Tensor::f_full([1i64, 1, 1].as_slice(), value, options));
            let values = values.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(Tensor::f_stack(&values, 1)?)
        };
        Ok(match self {
            InputNormalization::None => images.shallow_clone(),
            InputNormalization::Unit => data_range.to_unit(images)?,
            InputNormalization::ImageNet => {
                let unit = data_range.to_unit(images)?;
                unit.f_sub(&per_channel(MEAN, &unit)?)?.f_div(&per_channel(DEVIATION, &unit)?)?
            }
            InputNormalization::Signed => data_range.to_signed(images)?,
            InputNormalization::Lpips => {
                let signed = data_range.to_signed(images)?;
                let [shift, scale] =
                    [LPIPS_SHIFT, LPIPS_SCALE].map(|values| per_channel(values.map(f64::from), &signed));
                signed.f_sub(&shift?)?.f_div(&scale?)?
            }
            InputNormalization::Caffe => {
                let reversed = data_range.to_unit(images)?.f_flip([1i64].as_slice())?;
                reversed.f_sub(&per_channel(CAFFE_MEAN, &reversed)?)?.f_mul_scalar(255.0)?
            }
        })
    }
}
