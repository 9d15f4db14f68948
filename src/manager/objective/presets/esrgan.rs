//! The objective of ESRGAN.

use crate::manager::objective::{GanSide, LossSpec, Objective, PerceptualLossSpec, RelativisticLossSpec};
use crate::{L1Loss, PerceptualPreset, RelativisticLoss};

/// The objective of ESRGAN: super-resolution with a relativistic GAN.
///
/// | name | loss | weight | tags | of |
/// |---|---|---|---|---|
/// | `G_L1` | `L1Loss` | 0.01 | G, image | fake, real |
/// | `G_VGG` | `PerceptualLoss`, preset `esrgan`, pretrained | 1 | G, image | fake, real |
/// | `G_GAN` | `RelativisticLoss`, average, generator | 0.005 | G | the discriminator's outputs for the real, for the fake |
/// | `D_GAN` | `RelativisticLoss`, average, discriminator | 1 | D | the same |
///
/// The losses with the tag `image` are a total, `total(&["image"], (&fake, &real))`; the others have different inputs, so
/// each is computed by its name. For the discriminator, the fake is detached. The generator has been trained with `L1Loss` alone before. Images have
/// values in `[0, 1]`.
///
/// Source: X. Wang et al., [*ESRGAN: enhanced super-resolution generative adversarial
/// networks*](https://arxiv.org/abs/1809.00219) (2018);
/// [`train_ESRGAN_x4.yml`](https://github.com/XPixelGroup/BasicSR/blob/master/options/train/ESRGAN/train_ESRGAN_x4.yml) of
/// BasicSR, whose names are `pixel_opt`, `perceptual_opt` and `gan_opt`.
///
/// ```
/// use tch_losses::manager::{esrgan, Schedule};
///
/// let objective = esrgan();
/// assert!(objective.losses.keys().eq(["G_L1", "G_VGG", "G_GAN", "D_GAN"]));
/// assert_eq!(objective.losses["G_GAN"].weight, Schedule::constant(5e-3)?);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "ESRGANModel")]
pub fn esrgan() -> Objective {
    let gan = |side| LossSpec::RelativisticLoss(RelativisticLossSpec::new(side, RelativisticLoss::esrgan()));
    let vgg = PerceptualLossSpec::preset(PerceptualPreset::Esrgan);
    Objective::default()
        .with("G_L1", LossSpec::L1Loss(L1Loss::default()), 1e-2, &["G", "image"])
        .with("G_VGG", LossSpec::PerceptualLoss(vgg), 1.0, &["G", "image"])
        .with("G_GAN", gan(GanSide::Generator), 5e-3, &["G"])
        .with("D_GAN", gan(GanSide::Discriminator), 1.0, &["D"])
}
