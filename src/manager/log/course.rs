//! Whether a training goes on, goes back to repeat some steps, or starts anew.

use std::collections::HashMap;

/// Where in a training a loss was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub epoch: u64,
    pub step: u64,
}

impl Position {
    /// Whether this one is `other`, or comes after it. Steps may be counted within the epoch, and a loss that
    /// is computed once per epoch need not have the last step's number.
    pub fn reaches(self, other: Position) -> bool {
        self.step >= other.step && self.epoch >= other.epoch
    }

    fn is_beyond(self, other: Position) -> bool {
        self.step > other.step && self.epoch >= other.epoch
    }
}

/// How the next records relate to the run that they come after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Onwards,
    /// The run goes on from an earlier place, as from a checkpoint: what it had recorded from there on does
    /// not count.
    Back,
    /// Nothing comes before this place: it is another run.
    Anew,
}

/// Where the current run has begun and how far it has come, for each loss.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(HashMap<String, (Position, Position)>);

impl Progress {
    /// What records at `here` mean. `reopened` says that the log was opened again to write them.
    ///
    /// A loss that comes a second time at an earlier place tells it. Where the log was opened again, any loss
    /// that is as far already does, for the new run need not have the same losses.
    pub fn course<'a>(
        &self,
        here: Position,
        mut names: impl Iterator<Item = &'a str>,
        reopened: bool,
    ) -> Course {
        let repeats = match reopened {
            true => self.reaches(here),
            false => names.any(|name| self.0.get(name).is_some_and(|(_, last)| last.is_beyond(here))),
        };
        match repeats {
            false => Course::Onwards,
            true if self.0.values().all(|(first, _)| first.reaches(here)) => Course::Anew,
            true => Course::Back,
        }
    }

    /// Whether the run has come as far as `here`, or further.
    pub fn reaches(&self, here: Position) -> bool {
        self.0.values().any(|(_, last)| last.reaches(here))
    }

    /// Takes note of records at `here`.
    pub fn enter<'a>(&mut self, course: Course, here: Position, names: impl Iterator<Item = &'a str>) {
        if course != Course::Onwards {
            self.0.retain(|_, (first, last)| {
                if last.reaches(here) {
                    *last = here;
                }
                !first.reaches(here)
            });
        }
        for name in names {
            match self.0.get_mut(name) {
                Some((_, last)) => *last = here,
                None => {
                    self.0.insert(name.into(), (here, here));
                }
            }
        }
    }
}
