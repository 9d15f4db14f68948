//! The objective of pix2pix.

use super::{LossSpec, Objective, PerceptualLossSpec, TermSpec};
use crate::manager::Schedule;
use crate::{BceWithLogitsLoss, L1Loss, Laplacian, MseLoss, Sobel};

/// Which losses a [`pix2pix`] objective has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subspec {
    /// `G_GAN`, `G_L1`, `D_real`, `D_fake`.
    #[default]
    Basic,
    /// Those and `G_VGG`.
    BasicVgg,
    /// `G_GAN`, `G_L1`, `G_L2`, `G_SOBEL`, `G_LAP`, `D_real`, `D_fake`.
    Extended,
    /// Those and `G_VGG`.
    ExtendedVgg,
}

/// The weights of the generator's losses in a [`pix2pix`] objective.
///
/// - **Defaults**: 1 for the GAN loss, 100 for L1, as in the paper; 0 for the others, to be set: useful are 1
///   to 15 for Sobel and Laplacian, 10 for VGG.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lambdas {
    /// Of `G_GAN`.
    pub gan: f64,
    /// Of `G_L1`.
    pub l1: f64,
    /// Of `G_L2`.
    pub l2: f64,
    /// Of `G_SOBEL`.
    pub sobel: f64,
    /// Of `G_LAP`.
    pub laplacian: f64,
    /// Of `G_VGG`.
    pub vgg: f64,
}

impl Default for Lambdas {
    fn default() -> Self {
        Lambdas { gan: 1.0, l1: 100.0, l2: 0.0, sobel: 0.0, laplacian: 0.0, vgg: 0.0 }
    }
}

/// The objective of pix2pix: a conditional GAN with losses on the images.
///
/// | name | loss | weight | tags | of |
/// |---|---|---|---|---|
/// | `G_GAN` | `BceWithLogitsLoss` | `gan` | G | the discriminator's output for the fake, ones |
/// | `G_L1` | `L1Loss` | `l1` | G, image | fake, real |
/// | `G_L2` | `MseLoss` | `l2` | G, image | fake, real |
/// | `G_SOBEL` | `Sobel` | `sobel` | G, image | fake, real |
/// | `G_LAP` | `Laplacian` | `laplacian` | G, image | fake, real |
/// | `G_VGG` | `PerceptualLoss`, pretrained | `vgg` | G, image | fake, real |
/// | `D_real` | `BceWithLogitsLoss` | 1 | D | the discriminator's output for the real, ones |
/// | `D_fake` | `BceWithLogitsLoss` | 1 | D | its output for the fake, zeros |
///
/// The generator's step minimises the sum of its losses, the discriminator's `(D_real + D_fake) * 0.5`.
///
/// Source: P. Isola et al., [*Image-to-image translation with conditional adversarial
/// networks*](https://arxiv.org/abs/1611.07004) (2017); NectarGAN's specification of it, which has the tags G
/// and D.
///
/// ```
/// use tch::Device;
/// use tch_losses::manager::{pix2pix, Lambdas, Subspec};
///
/// let lambdas = Lambdas { sobel: 10.0, laplacian: 10.0, ..Default::default() };
/// let manager = pix2pix(Subspec::Extended, &lambdas).build(Device::Cpu)?;
/// assert_eq!(manager.names(&["image"]), ["G_L1", "G_L2", "G_SOBEL", "G_LAP"]);
/// assert_eq!(manager.names(&["D"]), ["D_real", "D_fake"]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub fn pix2pix(subspec: Subspec, lambdas: &Lambdas) -> Objective {
    let bce = || LossSpec::BceWithLogitsLoss(BceWithLogitsLoss::default());
    let vgg = || LossSpec::PerceptualLoss(PerceptualLossSpec::default());
    let mut objective = Objective::default();
    let mut add = |name: &str, loss: LossSpec, weight: f64, tags: &[&str]| {
        let tags = tags.iter().map(|tag| tag.to_string()).collect();
        objective
            .losses
            .insert(name.into(), TermSpec { weight: Schedule::fixed(weight), tags, ..loss.into() });
    };
    add("G_GAN", bce(), lambdas.gan, &["G"]);
    add("G_L1", LossSpec::L1Loss(L1Loss::default()), lambdas.l1, &["G", "image"]);
    if matches!(subspec, Subspec::Extended | Subspec::ExtendedVgg) {
        add("G_L2", LossSpec::MseLoss(MseLoss::default()), lambdas.l2, &["G", "image"]);
        add("G_SOBEL", LossSpec::Sobel(Sobel::default()), lambdas.sobel, &["G", "image"]);
        add("G_LAP", LossSpec::Laplacian(Laplacian::default()), lambdas.laplacian, &["G", "image"]);
    }
    if matches!(subspec, Subspec::BasicVgg | Subspec::ExtendedVgg) {
        add("G_VGG", vgg(), lambdas.vgg, &["G", "image"]);
    }
    add("D_real", bce(), 1.0, &["D"]);
    add("D_fake", bce(), 1.0, &["D"]);
    objective
}
