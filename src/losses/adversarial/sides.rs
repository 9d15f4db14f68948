//! [`GeneratorSide`] and [`DiscriminatorSide`].

use tch::Tensor;

use super::{GanLoss, RelativisticLoss};
use crate::{Loss, Result, UnaryLoss};

/// The generator's side of an adversarial loss as a loss of tensors, for a
/// [`LossManager`](crate::manager::LossManager).
///
/// Of a [`GanLoss`] it is a [`UnaryLoss`], of the outputs for the fake images. Of a [`RelativisticLoss`] it is a
/// [`Loss`] of two tensors, in the order `(real, fake)`. See [`DiscriminatorSide`] for an example.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneratorSide<L>(pub L);

/// The discriminator's side of an adversarial loss as a [`Loss`] of two tensors, in the order `(real, fake)`.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::manager::{LossManager, Term};
/// use tch_losses::{DiscriminatorSide, GanLoss, GanMode, GeneratorSide};
///
/// let gan = GanLoss::basicsr(GanMode::Hinge);
/// let mut manager = LossManager::new();
/// manager.register("G_GAN", Term::unary(GeneratorSide(gan)).tags(["G"]))?;
/// manager.register("D_GAN", Term::new(DiscriminatorSide(gan)).tags(["D"]))?;
///
/// let [real, fake] = [0, 1].map(|_| Tensor::rand([4, 1, 30, 30], (Kind::Float, Device::Cpu)));
/// let discriminator = manager.compute("D_GAN", (&real, &fake))?;
/// let generator = manager.compute("G_GAN", &fake)?;
/// assert_eq!(generator, gan.generator(&fake));
/// assert_eq!(discriminator, gan.discriminator(&real, &fake));
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscriminatorSide<L>(pub L);

impl UnaryLoss for GeneratorSide<GanLoss> {
    fn check_options(&self) -> Result<()> {
        self.0.check_options()
    }

    fn try_forward(&self, fake: &Tensor) -> Result<Tensor> {
        self.0.try_generator(fake)
    }
}

impl Loss for DiscriminatorSide<GanLoss> {
    fn check_options(&self) -> Result<()> {
        self.0.check_options()
    }

    fn try_forward(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
        self.0.try_discriminator(real, fake)
    }
}

impl Loss for GeneratorSide<RelativisticLoss> {
    fn check_options(&self) -> Result<()> {
        self.0.check_options()
    }

    fn try_forward(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
        self.0.try_generator(real, fake)
    }
}

impl Loss for DiscriminatorSide<RelativisticLoss> {
    fn check_options(&self) -> Result<()> {
        self.0.check_options()
    }

    fn try_forward(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
        self.0.try_discriminator(real, fake)
    }
}
