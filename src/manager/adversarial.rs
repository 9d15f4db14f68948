//! Losses of what discriminators give: tensors, lists of scales, lists of features.

use std::fmt;

use tch::Tensor;

use super::Inputs;
use crate::{FeatureMatchingLoss, GanLoss, Predictions, RelativisticLoss, Result};

/// A loss that has a side for the generator and one for the discriminator, for [`Term`](super::Term).
///
/// It comes [from](From) the loss itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // the types say it all
pub enum AdversarialLoss {
    Gan(GanLoss),
    Relativistic(RelativisticLoss),
}

impl From<GanLoss> for AdversarialLoss {
    fn from(loss: GanLoss) -> Self {
        AdversarialLoss::Gan(loss)
    }
}

impl From<RelativisticLoss> for AdversarialLoss {
    fn from(loss: RelativisticLoss) -> Self {
        AdversarialLoss::Relativistic(loss)
    }
}

/// How the value of such a loss comes about.
#[derive(Clone, Copy)]
pub(super) enum OfPredictions {
    Generator(AdversarialLoss),
    Discriminator(AdversarialLoss),
    Features(FeatureMatchingLoss),
}

use AdversarialLoss::{Gan, Relativistic};
use OfPredictions::{Discriminator, Features, Generator};

impl OfPredictions {
    /// The loss of the inputs; `None` if it takes other inputs.
    pub fn compute(&self, inputs: &Inputs) -> Option<Result<Tensor>> {
        Some(match (self, inputs) {
            (Generator(Gan(loss)), Inputs::One(fake)) => loss.try_generator(*fake),
            (Generator(Gan(loss)), Inputs::Predictions(fake)) => loss.try_generator(*fake),
            (Discriminator(Gan(loss)), Inputs::Two(real, fake)) => loss.try_discriminator(*real, *fake),
            (Discriminator(Gan(loss)), Inputs::TwoPredictions(real, fake)) => {
                loss.try_discriminator(*real, *fake)
            }
            (Generator(Relativistic(loss)), Inputs::Two(real, fake)) => loss.try_generator(*real, *fake),
            (Generator(Relativistic(loss)), Inputs::TwoPredictions(real, fake)) => {
                loss.try_generator(*real, *fake)
            }
            (Discriminator(Relativistic(loss)), Inputs::Two(real, fake)) => {
                loss.try_discriminator(*real, *fake)
            }
            (Discriminator(Relativistic(loss)), Inputs::TwoPredictions(real, fake)) => {
                loss.try_discriminator(*real, *fake)
            }
            (
                Features(loss),
                Inputs::TwoPredictions(Predictions::Features(fake), Predictions::Features(real)),
            ) => loss.try_forward(fake, real),
            _ => return None,
        })
    }

    /// Whether it takes these inputs.
    pub fn takes(&self, inputs: &Inputs) -> bool {
        use Predictions as P;
        matches!(
            (self, inputs),
            (Generator(Gan(_)), Inputs::One(_) | Inputs::Predictions(_))
                | (
                    Generator(Relativistic(_)) | Discriminator(Gan(_) | Relativistic(_)),
                    Inputs::Two(..) | Inputs::TwoPredictions(..)
                )
                | (Features(_), Inputs::TwoPredictions(P::Features(_), P::Features(_)))
        )
    }

    /// Whether the loss's options are in their ranges.
    pub fn check_options(&self) -> Result<()> {
        match self {
            Generator(Gan(loss)) | Discriminator(Gan(loss)) => loss.check_options(),
            Generator(Relativistic(loss)) | Discriminator(Relativistic(loss)) => loss.check_options(),
            Features(loss) => loss.check_options(),
        }
    }

    /// What it is computed from, for messages.
    pub fn in_words(&self) -> &'static str {
        match self {
            Generator(Gan(_)) => {
                "the generator's side of a GAN: pass `&fake`, the discriminator's outputs for the fake images, a tensor \
                 or a list"
            }
            Discriminator(Gan(_)) => {
                "the discriminator's side of a GAN: pass `(&real, &fake)`, the discriminator's outputs, tensors or lists"
            }
            Generator(Relativistic(_)) | Discriminator(Relativistic(_)) => {
                "a side of a relativistic GAN: pass `(&real, &fake)`, the discriminator's outputs, tensors or lists"
            }
            Features(_) => {
                "a loss of features: pass `(&fake, &real)`, each a list of scales, which are lists of tensors"
            }
        }
    }
}

impl fmt::Debug for OfPredictions {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Generator(Gan(loss)) => write!(formatter, "generator of {loss:?}"),
            Generator(Relativistic(loss)) => write!(formatter, "generator of {loss:?}"),
            Discriminator(Gan(loss)) => write!(formatter, "discriminator of {loss:?}"),
            Discriminator(Relativistic(loss)) => write!(formatter, "discriminator of {loss:?}"),
            Features(loss) => loss.fmt(formatter),
        }
    }
}
