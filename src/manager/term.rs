//! What is registered with a manager: a loss with its weight and tags.

use super::adversarial::{AdversarialLoss, OfPredictions};
use super::function::Function;
use super::{LazyRegularization, Schedule};
use crate::base::check;
use crate::{FeatureMatchingLoss, Loss, Result, SequenceLoss, TernaryLoss, UnaryLoss};

/// A loss as a part of an objective: with its weight, the steps in which it is due, and its tags.
///
/// - **Defaults**: weight 1, due in every step, no tags.
///
/// A loss alone becomes a term with these defaults where one is expected:
///
/// ```
/// use tch_losses::manager::{LossManager, Ramp, Schedule, Term};
/// use tch_losses::{L1Loss, MseLoss, Sobel};
///
/// let ramp = Ramp { start_epoch: 1, end_epoch: 20, initial_value: 0.0, target_value: 10.0 };
/// let mut manager = LossManager::new();
/// manager.register("G_L1", Term::new(L1Loss::default()).weight(100.0).tags(["G", "image"]))?;
/// manager.register("G_SOBEL", Term::new(Sobel::default()).schedule(Schedule::linear(ramp)?).tags(["G", "image"]))?;
/// manager.register("MSE", MseLoss::default())?;
/// assert_eq!(manager.weights(&["image"]), [("G_L1", 100.0), ("G_SOBEL", 0.0)]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug)]
pub struct Term {
    pub(super) function: Function,
    pub(super) weight: Schedule,
    every: u64,
    pub(super) tags: Vec<String>,
}

impl Term {
    /// A loss of two tensors. A loss alone becomes such a term where one is expected.
    pub fn new(loss: impl Loss + Send + 'static) -> Term {
        Term::of(Function::Binary(Box::new(loss)))
    }

    /// A loss of one tensor.
    pub fn unary(loss: impl UnaryLoss + Send + 'static) -> Term {
        Term::of(Function::Unary(Box::new(loss)))
    }

    /// A loss of three tensors.
    ///
    /// ```
    /// use tch::Tensor;
    /// use tch_losses::manager::{LossManager, Term};
    /// use tch_losses::TripletMarginLoss;
    ///
    /// let mut manager = LossManager::new();
    /// manager.register("TRIPLET", Term::ternary(TripletMarginLoss::default()).weight(2.0))?;
    /// let [anchor, positive, negative] = [[0.0, 0.0], [3.0, 4.0], [0.0, 9.0]].map(|x| Tensor::from_slice(&x));
    /// assert_eq!(manager.compute("TRIPLET", (&anchor, &positive, &negative))?.double_value(&[]), 0.0);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn ternary(loss: impl TernaryLoss + Send + 'static) -> Term {
        Term::of(Function::Ternary(Box::new(loss)))
    }

    /// A loss of sequences.
    pub fn sequence(loss: impl SequenceLoss + Send + 'static) -> Term {
        Term::of(Function::Sequence(Box::new(loss)))
    }

    /// The generator's side of an adversarial loss.
    ///
    /// Of a [`GanLoss`](crate::GanLoss) it is computed from the discriminator's outputs for the fake images: a tensor, or
    /// a list of scales or of features. Of a [`RelativisticLoss`](crate::RelativisticLoss) it is computed from two of these,
    /// in the order `(real, fake)`.
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    /// use tch_losses::manager::{LossManager, Term};
    /// use tch_losses::{FeatureMatchingLoss, GanLoss};
    ///
    /// let gan = GanLoss::pix2pixhd();
    /// let mut manager = LossManager::new();
    /// manager.register("G_GAN", Term::generator(gan).tags(["G"]))?;
    /// manager.register("G_FEAT", Term::features(FeatureMatchingLoss::pix2pixhd()).weight(10.0).tags(["G"]))?;
    /// manager.register("D_GAN", Term::discriminator(gan).tags(["D"]))?;
    ///
    /// // What a discriminator gives at each of two scales: a layer's output, and its own.
    /// let scale = |size: i64| {
    ///     let layer = |channels| Tensor::rand([4, channels, size, size], (Kind::Float, Device::Cpu));
    ///     vec![layer(64), layer(1)]
    /// };
    /// let (real, fake) = (vec![scale(30), scale(15)], vec![scale(30), scale(15)]);
    ///
    /// let discriminator = manager.compute("D_GAN", (&real, &fake))?;
    /// let generator = manager.compute("G_GAN", &fake)? + manager.compute("G_FEAT", (&fake, &real))?;
    /// assert_eq!(discriminator, gan.discriminator(&real, &fake));
    /// # assert_eq!(generator, gan.generator(&fake) + FeatureMatchingLoss::pix2pixhd().forward(&fake, &real) * 10.0);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn generator(loss: impl Into<AdversarialLoss>) -> Term {
        Term::of(Function::Predictions(OfPredictions::Generator(loss.into())))
    }

    /// The discriminator's side of an adversarial loss, which is computed from its outputs for the real and for the fake
    /// images, in the order `(real, fake)`: tensors, or with a [`GanLoss`](crate::GanLoss) lists as well.
    pub fn discriminator(loss: impl Into<AdversarialLoss>) -> Term {
        Term::of(Function::Predictions(OfPredictions::Discriminator(loss.into())))
    }

    /// A loss of a discriminator's features: lists of scales, which are lists of tensors, in the order `(fake, real)`.
    pub fn features(loss: FeatureMatchingLoss) -> Term {
        Term::of(Function::Predictions(OfPredictions::Features(loss)))
    }

    /// A value that the training loop computes itself, from whatever it likes.
    pub fn value() -> Term {
        Term::of(Function::Value)
    }

    pub(super) fn of(function: Function) -> Term {
        Term { function, weight: Schedule::fixed(1.0), every: 1, tags: Vec::new() }
    }

    /// Sets a weight that stays as it is; it must be finite.
    pub fn weight(mut self, weight: f64) -> Term {
        self.weight = Schedule::fixed(weight);
        self
    }

    /// Sets a weight that changes over the epochs, instead of one that stays.
    pub fn schedule(mut self, schedule: Schedule) -> Term {
        self.weight = schedule;
        self
    }

    /// Makes the loss due in every `steps`-th step only, where it counts `steps` times: [`LazyRegularization`]. There is
    /// one step at least.
    ///
    /// [`LossManager::is_due`](super::LossManager::is_due) says when that is. A [total](super::LossManager::total)
    /// leaves out what is not due.
    ///
    /// ```
    /// use tch::Tensor;
    /// use tch_losses::manager::{LossManager, Term};
    ///
    /// let mut manager = LossManager::new();
    /// manager.register("D_R1", Term::value().weight(5.0).every(16))?;
    /// for step in 0..33 {
    ///     manager.begin_step(0, step);
    ///     if manager.is_due("D_R1")? {
    ///         let penalty = Tensor::from(0.25); // expensive
    ///         assert_eq!(manager.compute("D_R1", penalty)?.double_value(&[]), 16.0 * 5.0 * 0.25);
    ///     }
    /// }
    /// assert_eq!(manager.history("D_R1")?.iter().map(|record| record.step).collect::<Vec<_>>(), [0, 16, 32]);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn every(mut self, steps: u64) -> Term {
        self.every = steps;
        self
    }

    /// Sets the tags, by which losses are computed, listed and summed up together.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Term {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The loss, if it is one of two tensors.
    pub(super) fn binary(&self) -> Option<&dyn Loss> {
        match &self.function {
            Function::Binary(loss) => Some(loss),
            _ => None,
        }
    }

    pub(super) fn has_any(&self, tags: &[&str]) -> bool {
        tags.is_empty() || self.tags.iter().any(|own| tags.contains(&own.as_str()))
    }

    /// In which steps the loss is due.
    pub(super) fn lazy(&self) -> Result<LazyRegularization> {
        LazyRegularization::every(self.every)
    }

    /// The weight in `epoch`, in every step.
    pub(super) fn weight_in(&self, epoch: u64) -> Result<f64> {
        let weight = self.weight.value(epoch);
        check::finite("weight", weight)?;
        Ok(weight)
    }
}

impl<L: Loss + Send + 'static> From<L> for Term {
    fn from(loss: L) -> Term {
        Term::new(loss)
    }
}
