//! Schedules in words.

use std::fmt;

use super::{Kind, Piecewise, Ramp, Schedule, Step, WarmUp};

/// In words, with epochs counted from 1: `0 (epoch 1) to 10 (epoch 20), linear`.
impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            Kind::Constant(value) => write!(formatter, "{value}"),
            Kind::Linear(ramp) => write!(formatter, "{ramp}, linear"),
            Kind::Exponential(ramp) => write!(formatter, "{ramp}, exponential"),
            Kind::Cosine(ramp) => write!(formatter, "{ramp}, cosine"),
            Kind::Step(Step { initial_value, gamma, step_size }) => {
                write!(formatter, "{initial_value}, times {gamma} after every {step_size} epochs")
            }
            Kind::Piecewise(Piecewise { initial_value, milestones }) => {
                write!(formatter, "{initial_value}")?;
                milestones
                    .iter()
                    .try_for_each(|(epoch, value)| write!(formatter, ", {value} from epoch {epoch}"))
            }
            Kind::WarmUp(WarmUp { epochs, then }) => {
                write!(formatter, "{then}, warmed up in {epochs} epochs")
            }
            Kind::Custom(_) => formatter.write_str("by a closure"),
        }
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Ramp { start_epoch, end_epoch, initial_value, target_value } = self;
        write!(formatter, "{initial_value} (epoch {start_epoch}) to {target_value} (epoch {end_epoch})")
    }
}
