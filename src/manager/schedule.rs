//! Weights that change over the epochs.

mod ramp;
mod words;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use ramp::Ramp;

use crate::base::check;
use crate::{Error, Result};

/// The weight of a loss as a function of the epoch.
///
/// ```text
/// t = clamp((epoch + 1 - start) / (end - start), 0, 1)
///
/// constant       value
/// linear         initial + t * (target - initial)
/// exponential    initial * (target / initial)^t              an end of 0 counts as 1e-9
/// cosine         target + (initial - target) * (1 + cos πt) / 2
/// step           initial * gamma^⌊epoch / step_size⌋
/// piecewise      the value of the last milestone that is reached
/// warm-up        min((epoch + 1) / epochs, 1) * the schedule that is warmed up
/// ```
///
/// [`value`](Self::value) takes an epoch counted from 0, as in training loops. The epochs in the options
/// count from 1. So a ramp with `start_epoch` 1 and `end_epoch` 11 has its initial value in the first epoch
/// (0) and its target value from the eleventh (10) on. Ramps are clamped to `[max(0, min(initial, target)),
/// max(initial, target)]`.
///
/// - **Values**: weights, finite. Only a step schedule with a `gamma` above 1 and a custom schedule can leave
///   the finite numbers. That is an error when a loss is computed.
/// - **Errors**: the constructors refuse values that are not finite, empty ranges, ramps with both ends
///   negative, and exponential ramps with a negative end. serde refuses the same when it reads a schedule.
///
/// Source: NectarGAN's `Schedule`, which counts and clamps like this, and has the linear, exponential and
/// custom schedules. Cosine: I. Loshchilov and F. Hutter, [*SGDR*](https://arxiv.org/abs/1608.03983) (2016).
/// Step, piecewise and warm-up: PyTorch's
/// [`StepLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html),
/// [`MultiStepLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html) and
/// [`LinearLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html).
///
/// ```
/// use tch_losses::manager::{Ramp, Schedule};
///
/// let ramp = Ramp { start_epoch: 0, end_epoch: 10, initial_value: 1.0, target_value: 0.0 };
/// let fade_out = Schedule::linear(ramp)?;
/// assert!((fade_out.value(0) - 0.9).abs() < 1e-12);
/// assert_eq!(fade_out.value(9), 0.0);
///
/// // 2.5, 5, 7.5, 10 in the first four epochs; half of it from the hundredth on.
/// let schedule = Schedule::piecewise(10.0, [(100, 5.0)])?.warm_up(4)?;
/// assert_eq!(schedule.value(0), 2.5);
/// assert_eq!(schedule.value(3), 10.0);
/// assert_eq!(schedule.value(99), 5.0);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Kind", into = "Kind")]
pub struct Schedule(Kind);

/// How each kind is written in a file: `{ linear = { start_epoch = 1, .. } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Constant(f64),
    Linear(Ramp),
    Exponential(Ramp),
    Cosine(Ramp),
    Step(Step),
    Piecewise(Piecewise),
    WarmUp(WarmUp),
    #[serde(skip)]
    Custom(Custom),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    initial_value: f64,
    gamma: f64,
    step_size: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Piecewise {
    initial_value: f64,
    milestones: Vec<(u64, f64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmUp {
    epochs: u64,
    then: Box<Schedule>,
}

#[derive(Clone)]
struct Custom(Arc<dyn Fn(u64) -> f64 + Send + Sync>);

impl fmt::Debug for Custom {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("closure")
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Schedule {
    /// The same weight in every epoch.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn constant(value: f64) -> Result<Schedule> {
        Kind::Constant(value).try_into()
    }

    /// From the initial to the target value in equal steps.
    ///
    /// # Errors
    /// An empty range of epochs; values that are not finite, or both negative.
    pub fn linear(ramp: Ramp) -> Result<Schedule> {
        Kind::Linear(ramp).try_into()
    }

    /// From the initial to the target value by equal factors. An end of 0 counts as 1e-9.
    ///
    /// # Errors
    /// An empty range of epochs; values that are negative or not finite.
    pub fn exponential(ramp: Ramp) -> Result<Schedule> {
        Kind::Exponential(ramp).try_into()
    }

    /// From the initial to the target value along half a cosine: slow, fast, slow.
    ///
    /// # Errors
    /// An empty range of epochs; values that are not finite, or both negative.
    pub fn cosine(ramp: Ramp) -> Result<Schedule> {
        Kind::Cosine(ramp).try_into()
    }

    /// `initial_value`, multiplied by `gamma` after every `step_size` epochs, as in PyTorch's `StepLR`.
    ///
    /// # Errors
    /// A value that is not finite, a negative `gamma`, a `step_size` of 0.
    #[doc(alias = "StepLR")]
    pub fn step(initial_value: f64, gamma: f64, step_size: u64) -> Result<Schedule> {
        Kind::Step(Step { initial_value, gamma, step_size }).try_into()
    }

    /// `initial_value` until the first milestone. From the epoch of each milestone (counted from 1) on, the
    /// milestone's value.
    ///
    /// # Errors
    /// A value that is not finite, milestones that are not in ascending order, an epoch of 0.
    #[doc(alias = "MultiStepLR")]
    pub fn piecewise(
        initial_value: f64,
        milestones: impl IntoIterator<Item = (u64, f64)>,
    ) -> Result<Schedule> {
        let milestones = milestones.into_iter().collect();
        Kind::Piecewise(Piecewise { initial_value, milestones }).try_into()
    }

    /// The same schedule, reached in `epochs` equal steps. The first epoch has the 1 / `epochs` part of its
    /// weight; epoch number `epochs` and every later one have all of it.
    ///
    /// # Errors
    /// No epochs.
    #[doc(alias = "LinearLR")]
    pub fn warm_up(self, epochs: u64) -> Result<Schedule> {
        Kind::WarmUp(WarmUp { epochs, then: Box::new(self) }).try_into()
    }

    /// The weight that `value` returns for an epoch, counted from 0.
    ///
    /// A custom schedule cannot be written to a file. A weight that is not finite is an error when a loss is
    /// computed with it.
    pub fn custom(value: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Schedule {
        Schedule(Kind::Custom(Custom(Arc::new(value))))
    }

    /// The weight in `epoch`, counted from 0.
    pub fn value(&self, epoch: u64) -> f64 {
        match &self.0 {
            Kind::Constant(value) => *value,
            Kind::Linear(ramp) => {
                ramp.clamp(ramp.initial_value + ramp.passed(epoch) * (ramp.target_value - ramp.initial_value))
            }
            Kind::Exponential(ramp) => {
                let [initial, target] =
                    [ramp.initial_value, ramp.target_value].map(|end| if end == 0.0 { 1e-9 } else { end });
                ramp.clamp(initial * (target / initial).powf(ramp.passed(epoch)))
            }
            Kind::Cosine(ramp) => {
                let left = (1.0 + (std::f64::consts::PI * ramp.passed(epoch)).cos()) / 2.0;
                ramp.clamp(ramp.target_value + (ramp.initial_value - ramp.target_value) * left)
            }
            Kind::Step(Step { initial_value, gamma, step_size }) => {
                initial_value * gamma.powf((epoch / step_size) as f64)
            }
            Kind::Piecewise(Piecewise { initial_value, milestones }) => {
                let reached = milestones.partition_point(|(start, _)| start - 1 <= epoch);
                reached.checked_sub(1).map_or(*initial_value, |last| milestones[last].1)
            }
            Kind::WarmUp(WarmUp { epochs, then }) => {
                ((epoch as f64 + 1.0) / *epochs as f64).min(1.0) * then.value(epoch)
            }
            Kind::Custom(Custom(value)) => value(epoch),
        }
    }

    /// A constant that is checked later.
    pub(super) fn fixed(value: f64) -> Schedule {
        Schedule(Kind::Constant(value))
    }

    /// The value, if it is the same in every epoch.
    pub(super) fn as_constant(&self) -> Option<f64> {
        match self.0 {
            Kind::Constant(value) => Some(value),
            _ => None,
        }
    }
}

/// Every schedule comes through here, whether a constructor or a file makes it.
impl TryFrom<Kind> for Schedule {
    type Error = Error;

    fn try_from(kind: Kind) -> Result<Schedule> {
        match &kind {
            Kind::Constant(value) => check::finite("constant", *value)?,
            Kind::Linear(ramp) | Kind::Cosine(ramp) => ramp.check()?,
            Kind::Exponential(ramp) => {
                ramp.check()?;
                check::non_negative("initial_value", ramp.initial_value)?;
                check::non_negative("target_value", ramp.target_value)?;
            }
            Kind::Step(Step { initial_value, gamma, step_size }) => {
                check::finite("initial_value", *initial_value)?;
                check::non_negative("gamma", *gamma)?;
                at_least_one("step_size", *step_size)?;
            }
            Kind::Piecewise(Piecewise { initial_value, milestones }) => {
                check::finite("initial_value", *initial_value)?;
                for (_, value) in milestones {
                    check::finite("milestones", *value)?;
                }
                let epochs: Vec<u64> = milestones.iter().map(|(epoch, _)| *epoch).collect();
                if epochs.contains(&0) || !epochs.is_sorted_by(|a, b| a < b) {
                    return Err(Error::Option {
                        option: "milestones",
                        given: format!("for the epochs {epochs:?}"),
                        expected: "ascending epochs, the first being 1".into(),
                    });
                }
            }
            Kind::WarmUp(WarmUp { epochs, .. }) => at_least_one("epochs", *epochs)?,
            Kind::Custom(_) => {}
        }
        Ok(Schedule(kind))
    }
}

impl From<Schedule> for Kind {
    fn from(schedule: Schedule) -> Kind {
        schedule.0
    }
}

fn at_least_one(option: &'static str, value: u64) -> Result<()> {
    if value >= 1 {
        return Ok(());
    }
    Err(Error::Option { option, given: value.to_string(), expected: "1 or more".into() })
}
