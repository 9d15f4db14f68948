//! What is registered with a manager: a loss with its weight and tags.

use std::fmt;

use tch::Tensor;

use super::Schedule;
use crate::base::check;
use crate::{Loss, LossMap, Result};

/// A loss as a part of an objective: with its weight and its tags.
///
/// - **Defaults**: weight 1, no tags.
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
    pub(super) tags: Vec<String>,
}

/// A loss of three tensors.
type Xyz = Box<dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor> + Send>;

/// How the value comes about.
pub(super) enum Function {
    Xy(Box<dyn Loss>),
    Xyz(Xyz),
    With,
}

impl Function {
    /// What it is computed from and by which method, for messages.
    pub(super) fn in_words(&self) -> &'static str {
        match self {
            Function::Xy(_) => "a loss of two tensors: compute it with `compute_loss_xy`",
            Function::Xyz(_) => "a loss of three tensors: compute it with `compute_loss_xyz`",
            Function::With => "computed by the training loop: pass the closure to `compute_loss_with`",
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Function::Xy(loss) => loss.fmt(formatter),
            Function::Xyz(_) => formatter.write_str("closure of three tensors"),
            Function::With => formatter.write_str("closure at each computation"),
        }
    }
}

impl Term {
    /// A loss of two tensors, for [`compute_loss_xy`](super::LossManager::compute_loss_xy).
    pub fn new(loss: impl Loss + 'static) -> Term {
        Term::of(Function::Xy(Box::new(loss)))
    }

    /// A loss of three tensors, for [`compute_loss_xyz`](super::LossManager::compute_loss_xyz): those of this
    /// crate that take three, or one of your own.
    ///
    /// ```
    /// use tch::{Kind, Tensor};
    /// use tch_losses::manager::{LossManager, Term};
    ///
    /// let mut manager = LossManager::new();
    /// manager.register("MASKED", Term::xyz(|x, y, mask| Ok(((x - y) * mask).f_abs()?.f_mean(None)?)))?;
    /// let [x, y, mask] = [[1.0, 2.0], [3.0, 5.0], [1.0, 0.0]].map(|values| Tensor::from_slice(&values));
    /// assert_eq!(manager.compute_loss_xyz("MASKED", &x, &y, &mask)?.double_value(&[]), 1.0);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn xyz(loss: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor> + Send + 'static) -> Term {
        Term::of(Function::Xyz(Box::new(loss)))
    }

    /// A loss of anything else, which the training loop computes in a closure: for
    /// [`compute_loss_with`](super::LossManager::compute_loss_with).
    pub fn with() -> Term {
        Term::of(Function::With)
    }

    fn of(function: Function) -> Term {
        Term { function, weight: Schedule::fixed(1.0), tags: Vec::new() }
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

    /// Sets the tags, by which losses are computed, listed and summed up together.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Term {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The loss, if it has maps.
    pub(super) fn image_loss(&self) -> Option<&dyn LossMap> {
        match &self.function {
            Function::Xy(loss) => loss.as_loss_map(),
            Function::Xyz(_) | Function::With => None,
        }
    }

    pub(super) fn has_any(&self, tags: &[&str]) -> bool {
        tags.is_empty() || self.tags.iter().any(|own| tags.contains(&own.as_str()))
    }

    /// The weight in `epoch`.
    pub(super) fn weight_in(&self, epoch: u64) -> Result<f64> {
        let weight = self.weight.value(epoch);
        check::finite("weight", weight)?;
        Ok(weight)
    }
}

impl<L: Loss + 'static> From<L> for Term {
    fn from(loss: L) -> Term {
        Term::new(loss)
    }
}
