//! [`PsnrLoss`].

use std::f64::consts::LN_10;

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::elementwise::difference;
use crate::base::image::color;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{DataRange, Loss, Reduction, Result};

/// The negative of the peak signal-to-noise ratio, in decibels: squared error on a logarithmic scale.
///
/// ```text
/// mse_n = mean((input_n - target_n)²)                          of images in [0, 1]
/// loss  = loss_weight * reduce(10 * log10(mse_n + 1e-8))       over the images
/// ```
///
/// Halving an image's error is worth 6 dB, whether it is large or small. [`psnr`](Self::psnr) gives the ratio itself,
/// to report it.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1; with `to_y` three channels. The loss is a
///   scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: in `data_range`, not checked. **The loss may be negative**: it is -80 for equal images, and 0 for
///   black against white. The arguments can be exchanged. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments; 0 where the images are equal.
/// - **Map**: none, as the logarithm of an image's error is no sum over its pixels.
/// - **Defaults**: `data_range` unit, `to_y` false, `loss_weight` 1, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; images of other than three channels with
///   `to_y`; a `data_range` that is none; a `loss_weight` that is not positive and finite.
///
/// The values are those of NAFNet and HINet; the reductions none and sum and the `data_range` are additions. piq's
/// `psnr` is [`psnr`](Self::psnr). kornia's `psnr_loss` has the mean error of the whole batch in one logarithm,
/// without the 1e-8: equal images cost minus infinity.
///
/// Source: [`PSNRLoss` of NAFNet](https://github.com/megvii-research/NAFNet/blob/main/basicsr/models/losses/losses.py).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{DataRange, Loss, PsnrLoss};
///
/// let real = Tensor::zeros([2, 3, 8, 8], (Kind::Double, Device::Cpu));
/// let fake = &real + 25.5;
/// let loss = PsnrLoss::default().with_data_range(DataRange::Bytes);
/// // A tenth of the range is an error of 0.01, or 20 dB.
/// assert!((loss.forward(&fake, &real) + 20.0).abs().double_value(&[]) < 1e-5);
/// assert!((loss.psnr(&fake, &real)? - 20.0).abs().double_value(&[]) < 1e-5);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "PSNRLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PsnrLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// Whether to compare the luma Y of RGB images, as it is in video (BT.601, from 16 to 235).
    #[doc(alias = "toY")]
    pub to_y: bool,
    /// A factor of the loss.
    pub loss_weight: f64,
    /// How the losses of the images are reduced.
    pub reduction: Reduction,
}

impl Default for PsnrLoss {
    fn default() -> Self {
        PsnrLoss { data_range: DataRange::Unit, to_y: false, loss_weight: 1.0, reduction: Reduction::Mean }
    }
}

setters!(PsnrLoss {
    with_data_range(data_range: DataRange),
    with_to_y(to_y: bool),
    with_loss_weight(loss_weight: f64),
    with_reduction(reduction: Reduction)
});

/// What keeps the logarithm of equal images finite.
const EPS: f64 = 1e-8;

/// The luma of values from 0 to 1, with the numbers of f32 that the reference has in any precision. Luma starts at
/// 16 / 255, which is nothing to differences.
const STUDIO_Y: color::Row = [65.481f32 as f64 / 255.0, 128.553f32 as f64 / 255.0, 24.966f32 as f64 / 255.0];

impl PsnrLoss {
    /// The peak signal-to-noise ratio in decibels, reduced as the loss: its negative, whatever the `loss_weight`. It
    /// has no gradient.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn psnr(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        no_grad(|| Ok(self.with_loss_weight(1.0).try_forward(input, target)?.f_neg()?))
    }

    /// The decibels of each image's error, `[N]`, in f32 at least.
    fn decibels(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut difference = difference(input, target)?.f_mul_scalar(self.data_range.slope())?;
        if self.to_y {
            difference = color::channel(&difference, STUDIO_Y)?;
        }
        let errors = difference.f_square()?.f_mean_dim([1i64, 2, 3].as_slice(), false, difference.kind())?;
        Ok(errors.f_add_scalar(EPS)?.f_log()?.f_mul_scalar(10.0 / LN_10)?)
    }
}

impl Loss for PsnrLoss {
    fn check_options(&self) -> Result<()> {
        self.data_range.check()?;
        self.reduction.check_without_batch_mean()?;
        check::positive("loss_weight", self.loss_weight)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        if self.to_y {
            check::channels(input, &[3])?;
        }
        let decibels = self.decibels(input, target)?;
        Ok(reduce(&decibels, self.reduction, decibels.kind())?
            .f_mul_scalar(self.loss_weight)?
            .f_to_kind(input.kind())?)
    }
}
