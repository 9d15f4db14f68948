//! The objective of pix2pixHD.

use super::{discriminator, generator};
use crate::manager::objective::{LossSpec, Objective, PerceptualLossSpec};
use crate::{FeatureMatchingLoss, GanLoss, PerceptualPreset};

/// The objective of pix2pixHD: a conditional GAN with discriminators at several scales, and the distances of their
/// features and of VGG19's.
///
/// | name | loss | weight | tags | of |
/// |---|---|---|---|---|
/// | `G_GAN` | `GanLoss`, lsgan, generator, sum of scales | 1 | G | the discriminators' features of the fake |
/// | `G_FEAT` | `FeatureMatchingLoss`, mean of layers, factor 4 | 10 | G | features of the fake, of the real |
/// | `G_VGG` | `PerceptualLoss`, preset `pix2pixhd`, pretrained | 10 | G, image | fake, real |
/// | `D_GAN` | `GanLoss`, lsgan, discriminator, sum of scales, factor 0.5 | 1 | D | features of the real, of the fake |
///
/// The features are a list of scales, which are lists of the layers' outputs; the last is the discriminator's own. See
/// [`Term::generator`](crate::manager::Term::generator) for an example. The discriminators see the condition beside the
/// image. For them, the fake is detached. Images have values in `[-1, 1]`.
///
/// Source: T.-C. Wang et al., [*High-resolution image synthesis and semantic manipulation with conditional
/// GANs*](https://arxiv.org/abs/1711.11585) (2018);
/// [`pix2pixHD_model.py`](https://github.com/NVIDIA/pix2pixHD/blob/master/models/pix2pixHD_model.py), whose `lambda_feat`
/// is the weight of `G_FEAT` and of `G_VGG`.
///
/// ```
/// use tch_losses::manager::{pix2pixhd, Schedule};
///
/// let mut objective = pix2pixhd();
/// assert_eq!(objective.losses["G_FEAT"].weight, Schedule::constant(10.0)?);
/// // Its option --no_vgg_loss.
/// objective.losses.shift_remove("G_VGG");
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "Pix2PixHDModel")]
pub fn pix2pixhd() -> Objective {
    let gan = GanLoss::pix2pixhd();
    let vgg = PerceptualLossSpec::preset(PerceptualPreset::Pix2PixHd);
    Objective::default()
        .with("G_GAN", generator(gan), 1.0, &["G"])
        .with("G_FEAT", LossSpec::FeatureMatchingLoss(FeatureMatchingLoss::pix2pixhd()), 10.0, &["G"])
        .with("G_VGG", LossSpec::PerceptualLoss(vgg), 10.0, &["G", "image"])
        .with("D_GAN", discriminator(gan), 1.0, &["D"])
}
