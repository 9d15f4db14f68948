//! [`RelativisticLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::predictions::real_and_fake;
use super::{GanMode, ListReduction, Predictions};
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, Result};

/// What a [`RelativisticLoss`] compares an output with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pairing {
    /// With the mean of the other side's outputs, over the whole tensor.
    #[default]
    Average,
    /// With the other side's output at the same place of the batch.
    Paired,
}

/// The relativistic loss of a GAN: whether real images look more real than fake ones.
///
/// ```text
/// x = r - mean(f),  y = f - mean(r)                            average
/// discriminator(r, f) = d * (real term of x + fake term of y)    d = discriminator_factor
/// generator(r, f)     = g * (fake term of x + real term of y)    g = generator_factor
///
/// discriminator(r, f) = d * real term of (r - f)               paired
/// generator(r, f)     = g * real term of (f - r)
/// ```
///
/// `r` and `f` are the discriminator's raw outputs for real and for fake images. [`GanMode`] has the terms, each a mean
/// over all elements. Unlike in [`GanLoss`](crate::GanLoss), the generator's loss needs the outputs for real images,
/// too. Of a discriminator with several scales, each scale is compared with itself, and [`scales`](Self::scales) makes
/// one number of them.
///
/// With [`detach`](Self::detach) the loss has the gradients of ESRGAN: for the discriminator, the means are constants;
/// for the generator, `real` is one. Without it, gradients flow through everything, as in the paper. The values are the
/// same.
///
/// A training step, in which the fake is detached for the discriminator:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::RelativisticLoss;
///
/// let [g_vs, d_vs] = [0, 1].map(|_| nn::VarStore::new(Device::Cpu));
/// let generator = nn::linear(g_vs.root(), 2, 3, Default::default());
/// let discriminator = nn::linear(d_vs.root(), 3, 1, Default::default());
/// let mut g_optimizer = nn::Adam::default().build(&g_vs, 1e-4)?;
/// let mut d_optimizer = nn::Adam::default().build(&d_vs, 1e-4)?;
/// let gan = RelativisticLoss::esrgan();
///
/// let [low, real] = [2, 3].map(|size| Tensor::rand([8, size], (Kind::Float, Device::Cpu)));
/// let fake = generator.forward(&low);
///
/// let g_loss = gan.generator(&discriminator.forward(&real), &discriminator.forward(&fake)) * 5e-3;
/// g_optimizer.backward_step(&g_loss);
///
/// let d_loss = gan.discriminator(&discriminator.forward(&real), &discriminator.forward(&fake.detach()));
/// d_optimizer.backward_step(&d_loss);
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// - **Shapes**: any. Lists of scales and of features are [`Predictions`]. `real` and `fake` have as many scales each;
///   paired, each scale has the same shape. The loss is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments, of any order, except for what `detach` makes a constant.
/// - **Defaults**: `pairing` average, `mode` vanilla, `real_label` 1, `fake_label` 0, `scales` mean, `detach` true, both
///   factors 0.5: those of ESRGAN.
/// - **Errors**: lists without tensors, or of different lengths; arguments of different kinds or devices; paired, of
///   different shapes; labels that are not finite, or outside of `[0, 1]` with `Vanilla`; factors that are not positive
///   and finite; the modes `Wgan`, which is relativistic by itself, and `Saturating`.
///
/// In an objective's file the option `side` is `"generator"` or `"discriminator"`. Both take two tensors or lists, in the
/// order `(real, fake)`; see [`RelativisticLossSpec`](crate::manager::RelativisticLossSpec).
///
/// Source: [`esrgan_model.py` of
/// BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/models/esrgan_model.py); A. Jolicoeur-Martineau,
/// *The relativistic discriminator* (2018); X. Wang et al., *ESRGAN* (2018); Y. Huang et al., *The GAN is dead; long
/// live the GAN!* (2024).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GanMode, RelativisticLoss};
///
/// let (real, fake) = (Tensor::from_slice(&[1.0, 3.0]), Tensor::from_slice(&[0.0, -2.0]));
/// let gan = RelativisticLoss::default().with_mode(GanMode::Lsgan).with_fake_label(-1.0);
/// // The means are 2 and -1: ((2 - 1)² + (4 - 1)²) / 2 and ((-2 + 1)² + (-4 + 1)²) / 2, and half of the sum.
/// assert_eq!(gan.discriminator(&real, &fake).double_value(&[]), 5.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelativisticLoss {
    /// What an output is compared with.
    pub pairing: Pairing,
    /// Which terms the differences have: `Vanilla`, `Lsgan`, `NonSaturating` or `Hinge`.
    pub mode: GanMode,
    /// The label of what should look more real, for the modes that have labels.
    pub real_label: f64,
    /// The label of what should look less real, for the modes that have labels.
    pub fake_label: f64,
    /// How the losses of several scales become one number.
    pub scales: ListReduction,
    /// Whether the discriminator's means, and `real` for the generator, are constants.
    pub detach: bool,
    /// What the discriminator's loss is multiplied by.
    pub discriminator_factor: f64,
    /// What the generator's loss is multiplied by.
    pub generator_factor: f64,
}

impl Default for RelativisticLoss {
    fn default() -> Self {
        RelativisticLoss {
            pairing: Pairing::Average,
            mode: GanMode::Vanilla,
            real_label: 1.0,
            fake_label: 0.0,
            scales: ListReduction::Mean,
            detach: true,
            discriminator_factor: 0.5,
            generator_factor: 0.5,
        }
    }
}

setters!(RelativisticLoss {
    with_pairing(pairing: Pairing), with_mode(mode: GanMode), with_real_label(real_label: f64),
    with_fake_label(fake_label: f64), with_scales(scales: ListReduction), with_detach(detach: bool),
    with_discriminator_factor(discriminator_factor: f64), with_generator_factor(generator_factor: f64)
});

impl RelativisticLoss {
    /// ESRGAN of BasicSR: the defaults. The generator's weight, 5e-3 there, is not in it.
    pub fn esrgan() -> Self {
        RelativisticLoss::default()
    }

    /// [R3GAN](https://github.com/brownvc/R3GAN): `Paired`, `NonSaturating`, without factors and without constants. Its
    /// R1 and R2 penalties are not part of it.
    pub fn r3gan() -> Self {
        RelativisticLoss {
            pairing: Pairing::Paired,
            mode: GanMode::NonSaturating,
            detach: false,
            discriminator_factor: 1.0,
            generator_factor: 1.0,
            ..RelativisticLoss::default()
        }
    }

    /// Checks whether each option is in its range. Both sides do so as well.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check_options(&self) -> Result<()> {
        if matches!(self.mode, GanMode::Wgan | GanMode::Saturating) {
            let expected = "vanilla, lsgan, non_saturating or hinge".into();
            return Err(Error::Option { option: "mode", given: self.mode.name().into(), expected });
        }
        self.mode.check_label("real_label", self.real_label)?;
        self.mode.check_label("fake_label", self.fake_label)?;
        check::positive("discriminator_factor", self.discriminator_factor)?;
        check::positive("generator_factor", self.generator_factor)
    }

    /// What the discriminator minimises.
    ///
    /// # Panics
    /// Where [`try_discriminator`](Self::try_discriminator) returns an error, with the error's message.
    #[track_caller]
    pub fn discriminator<'a>(
        &self,
        real: impl Into<Predictions<'a>>,
        fake: impl Into<Predictions<'a>>,
    ) -> Tensor {
        or_panic(self.try_discriminator(real, fake))
    }

    /// As [`discriminator`](Self::discriminator), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`] that names it.
    pub fn try_discriminator<'a>(
        &self,
        real: impl Into<Predictions<'a>>,
        fake: impl Into<Predictions<'a>>,
    ) -> Result<Tensor> {
        self.reduced(real.into(), fake.into(), self.discriminator_factor, |real, fake| {
            self.compared(real, fake, self.detach)
        })
    }

    /// What the generator minimises.
    ///
    /// # Panics
    /// Where [`try_generator`](Self::try_generator) returns an error, with the error's message.
    #[track_caller]
    pub fn generator<'a>(
        &self,
        real: impl Into<Predictions<'a>>,
        fake: impl Into<Predictions<'a>>,
    ) -> Tensor {
        or_panic(self.try_generator(real, fake))
    }

    /// As [`generator`](Self::generator), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`] that names it.
    pub fn try_generator<'a>(
        &self,
        real: impl Into<Predictions<'a>>,
        fake: impl Into<Predictions<'a>>,
    ) -> Result<Tensor> {
        self.reduced(real.into(), fake.into(), self.generator_factor, |real, fake| {
            // The same game with exchanged roles.
            match self.detach {
                true => self.compared(fake, &real.f_detach()?, false),
                false => self.compared(fake, real, false),
            }
        })
    }

    /// The costs of all scales as one number, times the factor. They are computed in [`accumulation_kind`].
    fn reduced(
        &self,
        real: Predictions,
        fake: Predictions,
        factor: f64,
        cost: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.check_options()?;
        let (real, fake) = real_and_fake(real, fake)?;
        let kind = real[0].kind();
        let wide = |outputs: &Tensor| outputs.f_to_kind(accumulation_kind(kind));
        let mut costs = Vec::new();
        for (real, fake) in real.iter().zip(&fake) {
            if self.pairing == Pairing::Paired {
                check::same_shape(("real", real), ("fake", fake))?;
            }
            costs.push(cost(&wide(real)?, &wide(fake)?)?);
        }
        let total = match &costs[..] {
            [only] => only.shallow_clone(),
            _ => Tensor::f_stack(&costs, 0)?.f_sum(None)?,
        };
        Ok(total.f_mul_scalar(factor * self.scales.share(costs.len()))?.f_to_kind(kind)?)
    }

    /// The cost of what should look more real than the other.
    fn compared(&self, more: &Tensor, less: &Tensor, constant_means: bool) -> Result<Tensor> {
        if self.pairing == Pairing::Paired {
            return self.mode.real(&more.f_sub(less)?, self.real_label);
        }
        let mean = |outputs: &Tensor| match constant_means {
            true => outputs.f_detach()?.f_mean(None),
            false => outputs.f_mean(None),
        };
        let more_than_less = more.f_sub(&mean(less)?)?;
        let less_than_more = less.f_sub(&mean(more)?)?;
        let real = self.mode.real(&more_than_less, self.real_label)?;
        Ok(real.f_add(&self.mode.fake(&less_than_more, self.fake_label)?)?)
    }
}
