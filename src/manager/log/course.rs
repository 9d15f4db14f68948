//! Whether a training goes on, goes back to repeat some steps, or starts anew.

use std::collections::{HashMap, HashSet};

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

    /// Whether a record here is no longer part of a run that goes on from `place`. `again` says that its loss is
    /// among those that come there; another one may have been computed there before the interruption.
    pub fn is_replaced(self, place: Position, again: bool) -> bool {
        self.reaches(place) && (again || self.step > place.step)
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
    /// What records of the losses `names` at `here` mean. `reopened` says that the log was opened again to write
    /// them.
    ///
    /// A loss that comes a second time at an earlier place tells it. Where the log was opened again, a loss that
    /// was further already does, for the new run need not have the same losses.
    pub fn course(&self, here: Position, names: &HashSet<&str>, reopened: bool) -> Course {
        let repeats = self.0.iter().any(|(name, (_, last))| {
            let again = names.contains(name.as_str());
            (again || reopened) && last.is_replaced(here, again && reopened)
        });
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

    /// Takes note of records of the losses `names` at `here`.
    pub fn enter(&mut self, course: Course, here: Position, names: &HashSet<&str>) {
        match course {
            Course::Onwards => {}
            Course::Anew => self.0.clear(),
            Course::Back => self.0.retain(|name, (first, last)| {
                let again = names.contains(name.as_str());
                if last.is_replaced(here, again) {
                    *last = here;
                }
                !first.is_replaced(here, again)
            }),
        }
        for name in names {
            match self.0.get_mut(*name) {
                Some((_, last)) => *last = here,
                None => {
                    self.0.insert((*name).into(), (here, here));
                }
            }
        }
    }
}
