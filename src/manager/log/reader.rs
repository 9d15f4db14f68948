//! The reader of the log.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use indexmap::IndexMap;

use super::json::Declaration;
use super::line::{Line, Lines};
use super::RunInfo;
use crate::{Error, Result};

/// All that a [`LossLog`](super::LossLog) holds.
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
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRun {
    /// The run, as it was last described.
    pub run: RunInfo,
    /// Each loss by its name, in the order in which they first appear.
    pub losses: IndexMap<String, LossCurve>,
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
    /// Reads a log. It may be open for writing at the same time: a last line that is not finished is left
    /// out.
    ///
    /// # Errors
    /// - [`Error::Read`] where the file cannot be read;
    /// - [`Error::Log`] where it is not a loss log, or is damaged elsewhere than at its end.
    pub fn read(path: impl AsRef<Path>) -> Result<LoggedRun> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|reason| Error::Read { path: path.into(), reason })?;
        let mut lines = Lines::new(path, &file)?;
        let mut run = None;
        let mut losses: IndexMap<String, LossCurve> = IndexMap::new();
        // Until the record comes that they are for, which may have been cut off.
        let mut tags_of = HashMap::new();
        while let Some(line) = lines.next()? {
            match line {
                Line::Header(info) => run = Some(info),
                Line::Declaration(Declaration { loss, tags }) => {
                    tags_of.insert(loss.into_owned(), tags.into_owned());
                }
                Line::Step(step) => {
                    for (name, point) in step.losses {
                        if let Some(tags) = tags_of.remove(&name) {
                            losses.entry(name.clone()).or_default().tags = tags;
                        }
                        let Some(curve) = losses.get_mut(&name) else { return Err(lines.undeclared(&name)) };
                        curve.steps.push(step.step);
                        curve.epochs.push(step.epoch);
                        curve.values.push(point.value);
                        curve.weights.push(point.weight);
                        curve.weighted.push(point.weighted);
                    }
                }
            }
        }
        let Some(run) = run else {
            return Err(Error::Log { path: path.into(), line: 1, problem: "it is not finished".into() });
        };
        Ok(LoggedRun { run, losses })
    }
}
