//! The objective of pix2pix.

use crate::manager::objective::{LossSpec, Objective, PerceptualLossSpec};
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
    let mut objective = Objective::default().with("G_GAN", bce(), lambdas.gan, &["G"]).with(
        "G_L1",
        LossSpec::L1Loss(L1Loss::default()),
        lambdas.l1,
        &["G", "image"],
    );
    if matches!(subspec, Subspec::Extended | Subspec::ExtendedVgg) {
        let laplacian = LossSpec::Laplacian(Laplacian::default());
        objective = objective
            .with("G_L2", LossSpec::MseLoss(MseLoss::default()), lambdas.l2, &["G", "image"])
            .with("G_SOBEL", LossSpec::Sobel(Sobel::default()), lambdas.sobel, &["G", "image"])
            .with("G_LAP", laplacian, lambdas.laplacian, &["G", "image"]);
    }
    if matches!(subspec, Subspec::BasicVgg | Subspec::ExtendedVgg) {
        let vgg = LossSpec::PerceptualLoss(PerceptualLossSpec::default());
        objective = objective.with("G_VGG", vgg, lambdas.vgg, &["G", "image"]);
    }
    objective.with("D_real", bce(), 1.0, &["D"]).with("D_fake", bce(), 1.0, &["D"])
}
