//! The reader of the log.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::mem;
use std::path::Path;

use indexmap::IndexMap;

use super::course::{Course, Position, Progress};
use super::json::Point;
use super::line::{Line, Lines, Step};
use super::{LogError, RunInfo};
use crate::{Error, Result};

/// A run, as a [`LossLog`](super::LossLog) holds it.
///
/// ```
/// use tch_losses::manager::log::{LoggedRun, LossLog, RunInfo};
/// use tch_losses::manager::{LogSink, Record};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("loss_log.jsonl");
/// let mut log = LossLog::open(&path, &RunInfo { experiment: "edges".into(), ..Default::default() })?;
/// let record = Record {
///     name: "G_SOBEL".into(),
///     tags: ["G".to_owned()].into(),
///     epoch: 0,
///     step: 7,
///     value: 0.5,
///     weight: 10.0,
///     weighted: 5.0,
/// };
/// log.append(&[record])?;
///
/// // The log may still be open.
/// let run = LoggedRun::read(&path)?;
/// assert_eq!(run.run.experiment, "edges");
/// let sobel = &run.losses["G_SOBEL"];
/// assert_eq!((sobel.steps[0], sobel.weighted[0]), (7, 5.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoggedRun {
    /// The run, as it was last described.
    pub run: RunInfo,
    /// Each loss by its name, in the order in which they first appear.
    pub losses: IndexMap<String, LossCurve>,
    /// How many records are left out, because the run went back and repeated their steps.
    pub repeated: usize,
}

/// What is logged of one loss: columns of one length, in the order in which the values were computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossCurve {
    /// The loss's tags, as they were last.
    pub tags: Vec<String>,
    /// The step at which each value was computed.
    pub steps: Vec<u64>,
    /// The epoch of each.
    pub epochs: Vec<u64>,
    /// The loss itself, before its weight.
    pub values: Vec<f64>,
    /// The weight that was applied.
    pub weights: Vec<f64>,
    /// The two multiplied, as the training saw it.
    pub weighted: Vec<f64>,
}

impl LoggedRun {
    /// Reads the last run of a log; a log usually has one. It may be open for writing at the same time: a last
    /// line that is not finished is left out.
    ///
    /// # Errors
    /// - [`Error::Read`] where the file cannot be read;
    /// - [`LogError::Unusable`] where it is not a loss log, or is damaged elsewhere than at its end.
    pub fn read(path: impl AsRef<Path>) -> Result<LoggedRun> {
        let mut runs = LoggedRun::read_all(path)?;
        Ok(runs.pop().expect("there is at least one run"))
    }

    /// Reads all runs of a log, in the order in which they were written; there is at least one.
    ///
    /// Where a training that begins at its first step is written to a log that has one already, that is
    /// another run. Where it goes on from an earlier step, as from a checkpoint, it is the same run: what was
    /// recorded before counts up to that step, and what was recorded beyond it, before the interruption, is
    /// left out. [The module](super) tells the rule.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// ```
    /// use tch_losses::manager::log::{LoggedRun, LossLog, RunInfo};
    /// use tch_losses::manager::{LogSink, Record};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("loss_log.jsonl");
    /// let record = |step, value| Record {
    ///     name: "G_L1".into(),
    ///     tags: [].into(),
    ///     epoch: 0,
    ///     step,
    ///     value,
    ///     weight: 1.0,
    ///     weighted: value,
    /// };
    /// for value in [0.5, 0.25] {
    ///     // The same program twice.
    ///     let mut log = LossLog::open(&path, &RunInfo::default())?;
    ///     log.append(&[record(0, value), record(1, value)])?;
    /// }
    /// let runs = LoggedRun::read_all(&path)?;
    /// assert_eq!(runs.len(), 2);
    /// assert_eq!(runs[0].losses["G_L1"].values, [0.5, 0.5]);
    /// assert_eq!(runs[1], LoggedRun::read(&path)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_all(path: impl AsRef<Path>) -> Result<Vec<LoggedRun>> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|reason| Error::Read { path: path.into(), reason })?;
        let mut lines = Lines::new(path, &file)?;
        let Some(Line::Header(run)) = lines.next()? else {
            return Err(LogError::unusable(path, 1, "it is not finished").into());
        };
        let mut reading = Reading::new(run);
        while let Some(line) = lines.next()? {
            match line {
                Line::Header(info) => reading.described = Some(info),
                Line::Declaration { loss, tags } => {
                    reading.tags_of.insert(loss, (tags, true));
                }
                Line::Step(step) => reading.step(step).map_err(|undeclared| lines.undeclared(&undeclared))?,
            }
        }
        Ok(reading.finish())
    }

    /// Takes out what is replaced by records of the losses `names` at `place`.
    fn cut(&mut self, place: Position, names: &HashSet<&str>) {
        for (name, curve) in &mut self.losses {
            let again = names.contains(name.as_str());
            let replaced = |(epoch, step): &(&u64, &u64)| {
                Position { epoch: **epoch, step: **step }.is_replaced(place, again)
            };
            let count = curve.epochs.iter().zip(&curve.steps).rev().take_while(replaced).count();
            curve.truncate(curve.steps.len() - count);
            self.repeated += count;
        }
        self.losses.retain(|_, curve| !curve.steps.is_empty());
    }
}

impl LossCurve {
    fn push(&mut self, at: Position, point: &Point) {
        self.steps.push(at.step);
        self.epochs.push(at.epoch);
        self.values.push(point.value);
        self.weights.push(point.weight);
        self.weighted.push(point.weighted);
    }

    fn truncate(&mut self, length: usize) {
        self.steps.truncate(length);
        self.epochs.truncate(length);
        self.values.truncate(length);
        self.weights.truncate(length);
        self.weighted.truncate(length);
    }
}

/// What has been read of a log.
struct Reading {
    done: Vec<LoggedRun>,
    current: LoggedRun,
    progress: Progress,
    /// A description after the first one. It waits for a step, for it may be that of another run.
    described: Option<RunInfo>,
    /// By loss, and whether they wait for a record of it, which may have been cut off.
    tags_of: HashMap<String, (Vec<String>, bool)>,
}

impl Reading {
    fn new(run: RunInfo) -> Reading {
        Reading {
            done: Vec::new(),
            current: LoggedRun { run, ..Default::default() },
            progress: Progress::default(),
            described: None,
            tags_of: HashMap::new(),
        }
    }

    /// Takes in the losses of a step; the error is the name of one that was not declared.
    fn step(&mut self, step: Step) -> std::result::Result<(), String> {
        let described = self.described.take();
        let names = step.names();
        let course = self.progress.course(step.at, &names, described.is_some());
        self.progress.enter(course, step.at, &names);
        match course {
            Course::Onwards => {}
            Course::Back => self.current.cut(step.at, &names),
            Course::Anew => {
                let next = LoggedRun { run: self.current.run.clone(), ..Default::default() };
                self.done.push(mem::replace(&mut self.current, next));
            }
        }
        if let Some(run) = described {
            self.current.run = run;
        }
        for (name, point) in step.losses {
            let Some((tags, are_new)) = self.tags_of.get_mut(&name) else { return Err(name) };
            let curve = self.current.losses.entry(name).or_insert_with(|| {
                *are_new = true;
                LossCurve::default()
            });
            if mem::take(are_new) {
                curve.tags.clone_from(tags);
            }
            curve.push(step.at, &point);
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<LoggedRun> {
        if let Some(run) = self.described {
            self.current.run = run;
        }
        self.done.push(self.current);
        self.done
    }
}
