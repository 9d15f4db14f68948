//! The objective of Real-ESRGAN.

use super::{discriminator, generator};
use crate::manager::objective::{LossSpec, Objective, PerceptualLossSpec};
use crate::{GanLoss, GanMode, L1Loss, PerceptualPreset};

/// The objective of Real-ESRGAN: super-resolution of photos with unknown flaws.
///
/// | name | loss | weight | tags | of |
/// |---|---|---|---|---|
/// | `G_L1` | `L1Loss` | 1 | G, image | fake, sharpened real |
/// | `G_VGG` | `PerceptualLoss`, preset `real_esrgan`, pretrained | 1 | G, image | fake, sharpened real |
/// | `G_GAN` | `GanLoss`, vanilla, generator | 0.1 | G | the discriminator's outputs for the fake |
/// | `D_GAN` | `GanLoss`, vanilla, discriminator | 1 | D | its outputs for the real, for the fake |
///
/// The losses with the tag `image` are a total; the others have different inputs, so each is computed by its name. The
/// discriminator is a U-Net, which has an output for each pixel. For it, the fake is detached, and the real is not
/// sharpened. The source sharpens by an unsharp mask. Images have values in `[0, 1]`.
///
/// Source: X. Wang et al., [*Real-ESRGAN: training real-world blind super-resolution with pure synthetic
/// data*](https://arxiv.org/abs/2107.10833) (2021);
/// [`train_realesrgan_x4plus.yml`](https://github.com/xinntao/Real-ESRGAN/blob/master/options/train_realesrgan_x4plus.yml).
///
/// ```
/// use tch_losses::manager::{real_esrgan, LossSpec};
/// use tch_losses::PerceptualPreset;
///
/// let objective = real_esrgan();
/// let LossSpec::PerceptualLoss(vgg) = &objective.losses["G_VGG"].loss else { panic!() };
/// assert_eq!((vgg.preset, vgg.taps.len()), (PerceptualPreset::RealEsrgan, 5));
/// ```
#[doc(alias = "RealESRGANModel")]
pub fn real_esrgan() -> Objective {
    let gan = GanLoss::basicsr(GanMode::Vanilla);
    let vgg = PerceptualLossSpec::preset(PerceptualPreset::RealEsrgan);
    Objective::default()
        .with("G_L1", LossSpec::L1Loss(L1Loss::default()), 1.0, &["G", "image"])
        .with("G_VGG", LossSpec::PerceptualLoss(vgg), 1.0, &["G", "image"])
        .with("G_GAN", generator(gan), 0.1, &["G"])
        .with("D_GAN", discriminator(gan), 1.0, &["D"])
}
