//! The objective of StyleGAN2.

use super::{discriminator, generator};
use crate::manager::objective::{LossSpec, Objective};
use crate::manager::LazyRegularization;
use crate::{GanLoss, PathLengthConfig, R1Penalty};

const PATH_LENGTH: LazyRegularization = LazyRegularization::fixed(4);
const R1: LazyRegularization = LazyRegularization::fixed(16);

/// The objective of StyleGAN2: the logistic loss with lazy R1 and lazy path lengths.
///
/// | name | loss | weight | every | tags | of |
/// |---|---|---|---|---|---|
/// | `G_GAN` | `GanLoss`, non-saturating, generator | 1 | 1 | G | the discriminator's outputs for the fake |
/// | `G_PATH` | `PathLengthPenalty` | 2 | 4 | G | [`jacobian`](crate::PathLengthPenalty::jacobian) of images by latent codes |
/// | `D_GAN` | `GanLoss`, non-saturating, discriminator | 1 | 1 | D | the outputs for the real, for the fake |
/// | `D_R1` | `R1Penalty` | 5 | 16 | D | [`input_gradient`](crate::input_gradient) at the real |
///
/// The losses have different inputs, so each is computed by its name. For the discriminator, the fake is detached. The
/// weight of R1 is `r1_gamma / 2`, of which the published values are from
/// 0.01 (CIFAR-10) to 10 (the configuration `stylegan2`, which this is). Path lengths are those of half of the batch. In
/// the source, each penalty has an optimiser's step of its own, and Adam has the
/// [rate and the betas](LazyRegularization::learning_rate) for that: those of 16 for the discriminator, of 4 for the
/// generator.
///
/// `G_PATH` has a moving average, so a variable store is needed:
/// [`Objective::build_in`](crate::manager::Objective::build_in). It is saved with the store.
///
/// Source: T. Karras et al., [*Analyzing and improving the image quality of
/// StyleGAN*](https://arxiv.org/abs/1912.04958) (2020);
/// [`train.py` of StyleGAN2-ADA](https://github.com/NVlabs/stylegan2-ada-pytorch/blob/main/train.py).
///
/// ```
/// use tch::nn::{self, Module};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::input_gradient;
/// use tch_losses::manager::stylegan2;
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// # let hidden = nn::linear(vs.root() / "hidden", 3, 8, Default::default());
/// # let last = nn::linear(vs.root() / "last", 8, 1, Default::default());
/// # let discriminator = |x: &Tensor| last.forward(&hidden.forward(x).tanh());
/// # let [real, fake] = [0, 1].map(|_| Tensor::rand([4, 3], (Kind::Float, Device::Cpu)));
/// let mut manager = stylegan2().build_in(&(vs.root() / "losses"))?;
/// for step in 0..17 {
///     manager.begin_step(0, step);
///     let mut loss = manager.compute("D_GAN", (&discriminator(&real), &discriminator(&fake)))?;
///     if manager.is_due("D_R1")? {
///         loss += manager.compute("D_R1", &input_gradient(discriminator, &real)?)?;
///     }
///     loss.backward();
/// }
/// assert_eq!(manager.history("D_R1")?.len(), 2);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "StyleGAN2Loss")]
pub fn stylegan2() -> Objective {
    let gan = GanLoss::stylegan2();
    let path_length = LossSpec::PathLengthPenalty(PathLengthConfig::default());
    let mut objective = Objective::default()
        .with("G_GAN", generator(gan), 1.0, &["G"])
        .with("G_PATH", path_length, 2.0, &["G"])
        .with("D_GAN", discriminator(gan), 1.0, &["D"])
        .with("D_R1", LossSpec::R1Penalty(R1Penalty::default()), 5.0, &["D"]);
    objective.losses["G_PATH"].every = PATH_LENGTH;
    objective.losses["D_R1"].every = R1;
    objective
}
