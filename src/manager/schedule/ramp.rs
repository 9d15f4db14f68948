//! The range of epochs over which a weight changes.

use serde::{Deserialize, Serialize};

use crate::base::check;
use crate::{Error, Result};

/// A range of epochs, counted from 1, and the weights at its ends: for [`Schedule::linear`](super::Schedule::linear),
/// [`Schedule::exponential`](super::Schedule::exponential) and [`Schedule::cosine`](super::Schedule::cosine).
///
/// ```
/// use tch_losses::manager::{Ramp, Schedule};
///
/// // The perceptual loss enters during the epochs 11 to 20.
/// let ramp = Ramp { start_epoch: 10, end_epoch: 20, initial_value: 0.0, target_value: 10.0 };
/// let schedule = Schedule::cosine(ramp)?;
/// assert_eq!((schedule.value(9), schedule.value(14), schedule.value(19)), (0.0, 5.0, 10.0));
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The last epoch with the initial value, counted from 1; 0 means that the first epoch is already one
    /// step on.
    pub start_epoch: u64,
    /// The first epoch with the target value, counted from 1.
    pub end_epoch: u64,
    /// The weight until the start.
    pub initial_value: f64,
    /// The weight from the end on.
    pub target_value: f64,
}

impl Ramp {
    /// The part of the range that lies behind, 0 to 1.
    pub(super) fn passed(&self, epoch: u64) -> f64 {
        let [start, end] = [self.start_epoch, self.end_epoch].map(|epoch| epoch as f64 - 1.0);
        ((epoch as f64 - start) / (end - start)).clamp(0.0, 1.0)
    }

    pub(super) fn clamp(&self, value: f64) -> f64 {
        let (low, high) =
            (self.initial_value.min(self.target_value), self.initial_value.max(self.target_value));
        value.clamp(low.max(0.0), high)
    }

    pub(super) fn check(&self) -> Result<()> {
        check::finite("initial_value", self.initial_value)?;
        check::finite("target_value", self.target_value)?;
        // Or the way between them is not.
        if !(self.target_value - self.initial_value).is_finite() {
            return Err(Error::Option {
                option: "target_value",
                given: format!("{:e}", self.target_value),
                expected: format!("a value less far from `initial_value`, {:e}", self.initial_value),
            });
        }
        if self.end_epoch <= self.start_epoch {
            return Err(Error::Option {
                option: "end_epoch",
                given: self.end_epoch.to_string(),
                expected: format!("an epoch after `start_epoch`, {}", self.start_epoch),
            });
        }
        // The result is clamped to what is not negative: nothing would be left.
        if self.initial_value.max(self.target_value) < 0.0 {
            return Err(Error::Option {
                option: "target_value",
                given: self.target_value.to_string(),
                expected: format!("0 or more, as `initial_value` is {}", self.initial_value),
            });
        }
        Ok(())
    }
}
