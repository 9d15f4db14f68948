//! [`GanMode`].

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use crate::base::tensor::scalar;
use crate::{Error, Result};

/// What the discriminator and the generator of a GAN minimise.
///
/// With `r` the discriminator's outputs for real images, `f` those for fake ones, `sp(x) = log(1 + exp(x))`, `bce` the
/// binary cross entropy of logits, and the labels `a` (real), `b` (fake) and `c` (generator) of a
/// [`GanLoss`](crate::GanLoss); each term is a mean over all elements:
///
/// | mode | discriminator, real | discriminator, fake | generator | known as |
/// |---|---|---|---|---|
/// | `Vanilla` | `bce(r, a)` | `bce(f, b)` | `bce(f, c)` | `vanilla`, `original`, `gan` |
/// | `Lsgan` | `(r - a)²` | `(f - b)²` | `(f - c)²` | `lsgan`, `ls`, `least_square` |
/// | `Wgan` | `-r` | `f` | `-f` | `wgan`, `wgangp`, `w`, `wasserstein` |
/// | `NonSaturating` | `sp(-r)` | `sp(f)` | `sp(-f)` | `wgan_softplus`, `nonsaturating`, `logistic_ns` |
/// | `Hinge` | `max(0, 1 - r)` | `max(0, 1 + f)` | `-f` | `hinge` |
/// | `Saturating` | `sp(-r)` | `sp(f)` | `-sp(f)` | StyleGAN2's `G_logistic` |
///
/// Only `Vanilla` and `Lsgan` have labels. `NonSaturating` is `Vanilla` with the labels 1 and 0, computed by another
/// operation of libtorch. `Saturating` is the game of the first paper on GANs: it differs from `NonSaturating` in the
/// generator alone, whose gradient vanishes where the discriminator is sure.
///
/// The gradient of `Hinge` is 0 exactly at the kink. SPADE, imaginaire and MONAI write the hinge as a minimum, which has
/// half the slope there.
///
/// - **Default**: `Vanilla`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanMode {
    /// Binary cross entropy.
    #[default]
    Vanilla,
    /// Least squares.
    Lsgan,
    /// The critic of a Wasserstein GAN. It needs weight clipping or a gradient penalty beside the loss.
    Wgan,
    /// The logistic loss.
    NonSaturating,
    /// The hinge.
    Hinge,
    /// The logistic loss, with a generator that maximises the discriminator's.
    Saturating,
}

impl GanMode {
    /// The name in a file.
    pub(super) fn name(self) -> &'static str {
        match self {
            GanMode::Vanilla => "vanilla",
            GanMode::Lsgan => "lsgan",
            GanMode::Wgan => "wgan",
            GanMode::NonSaturating => "non_saturating",
            GanMode::Hinge => "hinge",
            GanMode::Saturating => "saturating",
        }
    }

    /// Whether a label is one that the mode can have.
    pub(super) fn check_label(self, option: &'static str, label: f64) -> Result<()> {
        let (fits, expected) = match self {
            // Outside of it, the cross entropy has no minimum.
            GanMode::Vanilla => ((0.0..=1.0).contains(&label), "a number in [0, 1] for the mode vanilla"),
            _ => (label.is_finite(), "a finite number"),
        };
        match fits {
            true => Ok(()),
            false => Err(Error::Option { option, given: label.to_string(), expected: expected.into() }),
        }
    }

    /// The mean cost of outputs that the discriminator should find real.
    pub(super) fn real(self, outputs: &Tensor, label: f64) -> Result<Tensor> {
        match self {
            GanMode::Vanilla | GanMode::Lsgan => self.to_label(outputs, label),
            GanMode::Wgan => Ok(outputs.f_mean(None)?.f_neg()?),
            GanMode::NonSaturating | GanMode::Saturating => {
                Ok(outputs.f_neg()?.f_softplus()?.f_mean(None)?)
            }
            GanMode::Hinge => Ok(outputs.f_rsub_scalar(1.0)?.f_relu()?.f_mean(None)?),
        }
    }

    /// The mean cost of outputs that the discriminator should find fake.
    pub(super) fn fake(self, outputs: &Tensor, label: f64) -> Result<Tensor> {
        match self {
            GanMode::Vanilla | GanMode::Lsgan => self.to_label(outputs, label),
            GanMode::Wgan => Ok(outputs.f_mean(None)?),
            GanMode::NonSaturating | GanMode::Saturating => Ok(outputs.f_softplus()?.f_mean(None)?),
            GanMode::Hinge => Ok(outputs.f_add_scalar(1.0)?.f_relu()?.f_mean(None)?),
        }
    }

    /// The mean cost of the generator's outputs.
    pub(super) fn generator(self, outputs: &Tensor, label: f64) -> Result<Tensor> {
        match self {
            GanMode::Hinge => GanMode::Wgan.real(outputs, label),
            GanMode::Saturating => Ok(self.fake(outputs, label)?.f_neg()?),
            _ => self.real(outputs, label),
        }
    }

    /// The distance to a label, of the modes that have labels.
    fn to_label(self, outputs: &Tensor, label: f64) -> Result<Tensor> {
        let labels = scalar(label, outputs)?.f_expand_as(outputs)?;
        Ok(match self {
            GanMode::Lsgan => outputs.f_mse_loss(&labels, Reduction::Mean)?,
            _ => {
                outputs.f_binary_cross_entropy_with_logits::<Tensor>(&labels, None, None, Reduction::Mean)?
            }
        })
    }
}
