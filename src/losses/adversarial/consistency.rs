//! [`ConsistencyRegularization`].

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::predictions::count;
use super::Predictions;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Error, Result};

/// Consistency regularisation: a discriminator's outputs do not change with an augmentation, nor with a small step of the
/// latent code.
///
/// ```text
/// real(o, o')       = real_factor * mse(o, o')           o = D(x),     o' = D(T(x))
/// fake(o, o')       = fake_factor * mse(o, o')           o = D(G(z)),  o' = D(T(G(z)))
/// latent(o, o')     = latent_factor * mse(o, o')         o = D(G(z)),  o' = D(G(z'))
/// generator(y, y')  = -generator_factor * mse(y, y')     y = G(z),     y' = G(z')
/// perturbed(z)      = z + radius * noise                 z'
/// ```
///
/// | | the discriminator's loss has | the generator's loss has |
/// |---|---|---|
/// | CR | `real` | |
/// | bCR | `real` and `fake` | |
/// | zCR | `latent` | `generator`: other codes make other images |
/// | ICR | all three | `generator` |
///
/// `mse` is the mean over all elements of a tensor, and over the scales where a discriminator has several. Gradients flow
/// to both arguments: neither is a constant. In the discriminator's step, the fake images are detached before the
/// discriminator sees them.
///
/// ```
/// use tch::nn::{self, Module};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{ConsistencyRegularization, GanLoss, GanMode};
///
/// let [g_vs, d_vs] = [0, 1].map(|_| nn::VarStore::new(Device::Cpu));
/// let g = nn::linear(g_vs.root(), 4, 8, Default::default());
/// let d = nn::linear(d_vs.root(), 8, 1, Default::default());
/// let augmented = |images: &Tensor| images.flip([1]);
/// let (gan, consistency) = (GanLoss::basicsr(GanMode::Hinge), ConsistencyRegularization::default());
///
/// let z = Tensor::randn([2, 4], (Kind::Float, Device::Cpu));
/// let real = Tensor::rand([2, 8], (Kind::Float, Device::Cpu));
/// let (fake, moved) = (g.forward(&z), g.forward(&consistency.perturbed(&z)?));
///
/// // Balanced consistency, bCR, and zCR's term.
/// let [of_real, of_fake] = [&real, &fake.detach()].map(|images| d.forward(images));
/// let d_loss = gan.discriminator(&of_real, &of_fake)
///     + consistency.real(&of_real, &d.forward(&augmented(&real)))?
///     + consistency.fake(&of_fake, &d.forward(&augmented(&fake.detach())))?
///     + consistency.latent(&of_fake, &d.forward(&moved.detach()))?;
/// let g_loss = gan.generator(&d.forward(&fake)) + consistency.generator(&fake, &moved)?;
/// assert!(d_loss.double_value(&[]) > 0.0 && g_loss.requires_grad());
/// # Ok::<(), tch_losses::Error>(())
/// ```
///
/// - **Shapes**: any, equal in pairs. The terms are scalars.
/// - **Values**: any. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to all arguments, of any order.
/// - **Defaults**: `real_factor` and `fake_factor` 10, `latent_factor` 20, `generator_factor` 0.5, `radius` 0.05.
/// - **Errors**: lists of different lengths or without a scale; tensors of different shapes, kinds or devices; factors
///   that are not positive and finite.
///
/// In an objective's file, [`MseLoss`](crate::MseLoss) with the weight 10 is CR, of the two outputs of one tensor each.
///
/// Source: [`worker.py` of
/// StudioGAN](https://github.com/POSTECH-CVLab/PyTorch-StudioGAN/blob/master/src/worker.py); H. Zhang et al., *Consistency
/// regularization for generative adversarial networks* (2020); Z. Zhao et al., *Improved consistency regularization for
/// GANs* (2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsistencyRegularization {
    /// The factor of [`real`](Self::real).
    pub real_factor: f64,
    /// The factor of [`fake`](Self::fake).
    pub fake_factor: f64,
    /// The factor of [`latent`](Self::latent).
    pub latent_factor: f64,
    /// The factor of [`generator`](Self::generator), whose term is negative.
    pub generator_factor: f64,
    /// The standard deviation of the noise of [`perturbed`](Self::perturbed).
    pub radius: f64,
}

impl Default for ConsistencyRegularization {
    fn default() -> Self {
        ConsistencyRegularization {
            real_factor: 10.0,
            fake_factor: 10.0,
            latent_factor: 20.0,
            generator_factor: 0.5,
            radius: 0.05,
        }
    }
}

setters!(ConsistencyRegularization {
    with_real_factor(real_factor: f64), with_fake_factor(fake_factor: f64),
    with_latent_factor(latent_factor: f64), with_generator_factor(generator_factor: f64),
    with_radius(radius: f64)
});

impl ConsistencyRegularization {
    /// Checks whether each option is in its range. The terms do so as well.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check_options(&self) -> Result<()> {
        check::positive("real_factor", self.real_factor)?;
        check::positive("fake_factor", self.fake_factor)?;
        check::positive("latent_factor", self.latent_factor)?;
        check::positive("generator_factor", self.generator_factor)?;
        check::positive("radius", self.radius)
    }

    /// The term of the discriminator's outputs for real images, as they are and augmented.
    ///
    /// # Errors
    /// An argument or an option that the term does not accept gives the [`Error`] that names it.
    pub fn real<'a>(
        &self,
        outputs: impl Into<Predictions<'a>>,
        augmented: impl Into<Predictions<'a>>,
    ) -> Result<Tensor> {
        self.term(("outputs", outputs.into()), ("augmented", augmented.into()), self.real_factor)
    }

    /// The term of the discriminator's outputs for fake images, as they are and augmented.
    ///
    /// # Errors
    /// As [`real`](Self::real).
    pub fn fake<'a>(
        &self,
        outputs: impl Into<Predictions<'a>>,
        augmented: impl Into<Predictions<'a>>,
    ) -> Result<Tensor> {
        self.term(("outputs", outputs.into()), ("augmented", augmented.into()), self.fake_factor)
    }

    /// The term of the discriminator's outputs for fake images of latent codes and of perturbed codes.
    ///
    /// # Errors
    /// As [`real`](Self::real).
    pub fn latent<'a>(
        &self,
        outputs: impl Into<Predictions<'a>>,
        perturbed: impl Into<Predictions<'a>>,
    ) -> Result<Tensor> {
        self.term(("outputs", outputs.into()), ("perturbed", perturbed.into()), self.latent_factor)
    }

    /// The generator's term, of its images of latent codes and of perturbed codes. It is negative.
    ///
    /// # Errors
    /// As [`real`](Self::real).
    pub fn generator(&self, images: &Tensor, perturbed: &Tensor) -> Result<Tensor> {
        self.term(("images", images.into()), ("perturbed", perturbed.into()), -self.generator_factor)
    }

    /// The latent codes with normal noise of libtorch's generator.
    ///
    /// # Errors
    /// As [`real`](Self::real).
    pub fn perturbed(&self, latents: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("latents", latents)?;
        let noise = latents.f_detach()?.f_randn_like()?;
        Ok(latents.f_add(&noise.f_mul_scalar(self.radius)?)?)
    }

    fn term(
        &self,
        (name, outputs): (&'static str, Predictions),
        (argument, others): (&'static str, Predictions),
        factor: f64,
    ) -> Result<Tensor> {
        self.check_options()?;
        let (outputs, others) = (outputs.outputs(name)?, others.outputs(argument)?);
        if others.len() != outputs.len() {
            let expected = format!("{}, as many as `{name}`", outputs.len());
            return Err(Error::Value { argument, given: count(others.len(), "scale"), expected });
        }
        let kind = accumulation_kind(outputs[0].kind());
        let mut total: Option<Tensor> = None;
        for (own, other) in outputs.iter().zip(&others) {
            check::partners((name, own), (argument, other))?;
            check::same_shape((name, own), (argument, other))?;
            let distance = own.f_to_kind(kind)?.f_mse_loss(&other.f_to_kind(kind)?, Reduction::Mean)?;
            total = Some(match total {
                Some(total) => total.f_add(&distance)?,
                None => distance,
            });
        }
        let share = factor / outputs.len() as f64;
        let total = total.expect("there is one scale at least").f_mul_scalar(share)?;
        Ok(total.f_to_kind(outputs[0].kind())?)
    }
}
