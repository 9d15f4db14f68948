//! [`GanLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::predictions::real_and_fake;
use super::{GanActivation, GanMode, ListReduction, Predictions};
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::Result;

/// The loss of a GAN: what the discriminator minimises, and what the generator does.
///
/// ```text
/// discriminator(r, f) = d * (scales(real term of r) + scales(fake term of f))     d = discriminator_factor
/// generator(f)        = g * scales(generator term of f)                           g = generator_factor
/// ```
///
/// `r` and `f` are the discriminator's raw outputs for real and for fake images; the mean is over all elements of a
/// tensor. [`GanMode`] has the terms. [`discriminator_real`](Self::discriminator_real) and
/// [`discriminator_fake`](Self::discriminator_fake) are the two summands, for steps with two backward passes.
///
/// A training step has two halves. The fake is detached for the discriminator, so that its loss does not reach the
/// generator. The generator's loss reaches the discriminator's parameters, too. Here, `backward_step` clears their
/// gradients before the next step:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{GanLoss, GanMode};
///
/// let [g_vs, d_vs] = [0, 1].map(|_| nn::VarStore::new(Device::Cpu));
/// let generator = nn::linear(g_vs.root(), 2, 3, Default::default());
/// let discriminator = nn::linear(d_vs.root(), 3, 1, Default::default());
/// let mut g_optimizer = nn::Adam::default().build(&g_vs, 2e-4)?;
/// let mut d_optimizer = nn::Adam::default().build(&d_vs, 2e-4)?;
/// let gan = GanLoss::default().with_mode(GanMode::Hinge);
///
/// let [noise, real] = [2, 3].map(|size| Tensor::rand([8, size], (Kind::Float, Device::Cpu)));
/// let fake = generator.forward(&noise);
///
/// let d_loss = gan.discriminator(&discriminator.forward(&real), &discriminator.forward(&fake.detach()));
/// d_optimizer.backward_step(&d_loss);
///
/// let g_loss = gan.generator(&discriminator.forward(&fake));
/// g_optimizer.backward_step(&g_loss);
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// - **Shapes**: any: one number for each image, or a map of patches. Lists of scales and of features are
///   [`Predictions`]. `real` and `fake` may be of different shapes, with as many scales each. The loss is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32. The mean of nothing is NaN. The loss may be negative with
///   `Wgan`, `Hinge` and `Saturating`. With a label strictly between 0 and 1, `Vanilla` has a minimum above 0.
/// - **Gradients**: to all arguments, of any order. Gradient penalties are not part of it.
/// - **Defaults**: `mode` vanilla, `real_label` 1, `fake_label` 0, `generator_label` none, `scales` mean, both factors
///   1, no `activation`, `hinged_generator` false.
/// - **Errors**: lists without tensors, or of different lengths; tensors of different kinds or devices; labels that are
///   not finite, or outside of `[0, 1]` with `Vanilla`; factors that are not positive and finite.
///
/// In a [`LossManager`](crate::manager::LossManager) each side is a [`Term`](crate::manager::Term): the
/// [generator's](crate::manager::Term::generator) of the predictions for the fake images, the
/// [discriminator's](crate::manager::Term::discriminator) of two, in the order `(real, fake)`. In an objective's file the
/// option `side` says which one it is; see [`GanLossSpec`](crate::manager::GanLossSpec).
///
/// The implementations that people train with differ in factors of one half and in what several scales add up to. Each
/// has its constructor:
///
/// | constructor | mode | discriminator | generator | scales |
/// |---|---|---|---|---|
/// | [`pix2pix`](Self::pix2pix) | vanilla | ½ (real + fake) | 1 | |
/// | [`cyclegan`](Self::cyclegan) | lsgan | ½ (real + fake) | 1 | |
/// | [`basicsr`](Self::basicsr) | any | real + fake | 1 | mean |
/// | [`pix2pixhd`](Self::pix2pixhd) | lsgan | ½ (real + fake) | 1 | sum |
/// | [`spade`](Self::spade) | hinge | real + fake | 1 | mean |
/// | [`stylegan2`](Self::stylegan2) | non-saturating | real + fake | 1 | |
/// | [`imaginaire`](Self::imaginaire) | any | real + fake, lsgan ½ | 1, lsgan ½ | mean |
/// | [`studiogan`](Self::studiogan) | any | real + fake, lsgan ½ | 1, lsgan ½ | |
/// | [`monai`](Self::monai) | vanilla, lsgan, hinge | real + fake | 1 | mean |
///
/// Source: [`GANLoss` of BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/gan_loss.py); I.
/// Goodfellow et al., *Generative adversarial nets* (2014); X. Mao et al., *Least squares generative adversarial
/// networks* (2017); M. Arjovsky et al., *Wasserstein GAN* (2017); J. H. Lim and J. C. Ye, *Geometric GAN* (2017).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GanLoss, GanMode};
///
/// let (real, fake) = (Tensor::from_slice(&[0.5, -1.0, 2.0]), Tensor::from_slice(&[-0.5, 1.0, -2.5]));
/// let gan = GanLoss::default().with_mode(GanMode::Lsgan);
/// // (0.25 + 4 + 1) / 3 and (0.25 + 1 + 6.25) / 3.
/// assert_eq!(gan.discriminator_real(&real).double_value(&[]), 1.75);
/// assert_eq!(gan.discriminator_fake(&fake).double_value(&[]), 2.5);
/// assert_eq!(gan.discriminator(&real, &fake).double_value(&[]), 4.25);
/// // Two scales, of which the mean counts: (2.25 + 0 + 12.25) / 3 and 0.
/// let scales = [fake, Tensor::from_slice(&[1.0])];
/// assert!((gan.generator(&scales).double_value(&[]) - 14.5 / 6.0).abs() < 1e-12);
/// ```
#[doc(alias = "GANLoss")]
#[doc(alias = "PatchAdversarialLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GanLoss {
    /// What both sides minimise.
    pub mode: GanMode,
    /// The discriminator's label of real images, for the modes that have labels. 0.9 is one-sided label smoothing.
    pub real_label: f64,
    /// The discriminator's label of fake images, for the modes that have labels.
    pub fake_label: f64,
    /// The label that the generator wants its images to have; `None` is `real_label`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_label: Option<f64>,
    /// How the losses of several scales become one number.
    pub scales: ListReduction,
    /// What each of the discriminator's two terms is multiplied by.
    pub discriminator_factor: f64,
    /// What the generator's loss is multiplied by.
    pub generator_factor: f64,
    /// What is done with the outputs first.
    pub activation: GanActivation,
    /// Whether the generator's loss of the mode `Hinge` is `max(0, 1 - f)` instead of `-f`.
    pub hinged_generator: bool,
}

impl Default for GanLoss {
    fn default() -> Self {
        GanLoss {
            mode: GanMode::Vanilla,
            real_label: 1.0,
            fake_label: 0.0,
            generator_label: None,
            scales: ListReduction::Mean,
            discriminator_factor: 1.0,
            generator_factor: 1.0,
            activation: GanActivation::None,
            hinged_generator: false,
        }
    }
}

setters!(GanLoss {
    with_mode(mode: GanMode), with_real_label(real_label: f64), with_fake_label(fake_label: f64),
    with_scales(scales: ListReduction), with_discriminator_factor(discriminator_factor: f64),
    with_generator_factor(generator_factor: f64), with_activation(activation: GanActivation),
    with_hinged_generator(hinged_generator: bool);
    with_generator_label(generator_label: f64)
});

impl GanLoss {
    /// Checks whether each option is in its range. Every side does so as well.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    pub fn check_options(&self) -> Result<()> {
        self.mode.check_label("real_label", self.real_label)?;
        self.mode.check_label("fake_label", self.fake_label)?;
        if let Some(label) = self.generator_label {
            self.mode.check_label("generator_label", label)?;
        }
        check::positive("discriminator_factor", self.discriminator_factor)?;
        check::positive("generator_factor", self.generator_factor)
    }

    /// What the discriminator minimises: [`discriminator_real`](Self::discriminator_real) and
    /// [`discriminator_fake`](Self::discriminator_fake) together.
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
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    pub fn try_discriminator<'a>(
        &self,
        real: impl Into<Predictions<'a>>,
        fake: impl Into<Predictions<'a>>,
    ) -> Result<Tensor> {
        self.check_options()?;
        let (real, fake) = real_and_fake(real.into(), fake.into())?;
        Ok(self.real(&real)?.f_add(&self.fake(&fake)?)?.f_to_kind(real[0].kind())?)
    }

    /// What the discriminator minimises of the outputs for real images.
    ///
    /// # Panics
    /// Where [`try_discriminator_real`](Self::try_discriminator_real) returns an error, with the error's message.
    #[track_caller]
    pub fn discriminator_real<'a>(&self, real: impl Into<Predictions<'a>>) -> Tensor {
        or_panic(self.try_discriminator_real(real))
    }

    /// As [`discriminator_real`](Self::discriminator_real), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    pub fn try_discriminator_real<'a>(&self, real: impl Into<Predictions<'a>>) -> Result<Tensor> {
        self.check_options()?;
        let real = real.into().outputs("real")?;
        Ok(self.real(&real)?.f_to_kind(real[0].kind())?)
    }

    /// What the discriminator minimises of the outputs for fake images.
    ///
    /// # Panics
    /// Where [`try_discriminator_fake`](Self::try_discriminator_fake) returns an error, with the error's message.
    #[track_caller]
    pub fn discriminator_fake<'a>(&self, fake: impl Into<Predictions<'a>>) -> Tensor {
        or_panic(self.try_discriminator_fake(fake))
    }

    /// As [`discriminator_fake`](Self::discriminator_fake), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    pub fn try_discriminator_fake<'a>(&self, fake: impl Into<Predictions<'a>>) -> Result<Tensor> {
        self.check_options()?;
        let fake = fake.into().outputs("fake")?;
        Ok(self.fake(&fake)?.f_to_kind(fake[0].kind())?)
    }

    /// What the generator minimises, of the discriminator's outputs for its images.
    ///
    /// # Panics
    /// Where [`try_generator`](Self::try_generator) returns an error, with the error's message.
    #[track_caller]
    pub fn generator<'a>(&self, fake: impl Into<Predictions<'a>>) -> Tensor {
        or_panic(self.try_generator(fake))
    }

    /// As [`generator`](Self::generator), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    pub fn try_generator<'a>(&self, fake: impl Into<Predictions<'a>>) -> Result<Tensor> {
        self.check_options()?;
        let fake = fake.into().outputs("fake")?;
        let label = self.generator_label.unwrap_or(self.real_label);
        let loss = self.reduced(&fake, self.generator_factor, |outputs| match self.hinged_generator {
            true if self.mode == GanMode::Hinge => self.mode.real(outputs, label),
            _ => self.mode.generator(outputs, label),
        })?;
        Ok(loss.f_to_kind(fake[0].kind())?)
    }

    fn real(&self, outputs: &[&Tensor]) -> Result<Tensor> {
        self.reduced(outputs, self.discriminator_factor, |outputs| self.mode.real(outputs, self.real_label))
    }

    fn fake(&self, outputs: &[&Tensor]) -> Result<Tensor> {
        self.reduced(outputs, self.discriminator_factor, |outputs| self.mode.fake(outputs, self.fake_label))
    }

    /// The terms of all scales as one number, times the factor, in [`accumulation_kind`].
    fn reduced(
        &self,
        scales: &[&Tensor],
        factor: f64,
        term: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let of_scale = |outputs: &Tensor| {
            let outputs = outputs.f_to_kind(accumulation_kind(outputs.kind()))?;
            term(&self.activation.apply(&outputs)?)
        };
        let mut total = of_scale(scales[0])?;
        for outputs in &scales[1..] {
            total = total.f_add(&of_scale(outputs)?)?;
        }
        match factor * self.scales.share(scales.len()) {
            1.0 => Ok(total),
            factor => Ok(total.f_mul_scalar(factor)?),
        }
    }
}
