//! The writer of the log.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::append::Appender;
use super::course::{Course, Position, Progress};
use super::json::{Declaration, Header, Point};
use super::line::{Line, Lines, FORMAT};
use super::{LogError, RunInfo};
use crate::manager::{LogSink, Record};
use crate::{Error, Result};

/// The tags of each loss, as last declared.
type Tags = HashMap<Arc<str>, Arc<[String]>>;

/// Writes a log of losses as JSON lines. [The module](super) describes the format.
///
/// - **Cost**: each [`append`](LogSink::append) is one write. Its cost does not depend on the length of the
///   log. Memory is that of the largest append.
/// - **Crashes**: records survive the end of the process, however sudden, once `append` has returned `Ok`.
///   (After a loss of power, the operating system's rules hold.) A torn last line is cut off when the log is
///   opened again.
/// - **Locking**: an open log is locked, so that two processes cannot mix their lines.
///   [`LoggedRun`](super::LoggedRun) can read it all the same, except on Windows, where locks also forbid
///   reading.
///
/// ```
/// use tch_losses::manager::log::{LossLog, LoggedRun, RunInfo};
/// use tch_losses::manager::{LogSink, Record};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("loss_log.jsonl");
/// let run = RunInfo { experiment: "pix2pix".into(), device: "cpu".into(), ..Default::default() };
/// // A manager does this; the log does not mind where its records come from.
/// let record = |step, value| Record {
///     name: "G_L1".into(),
///     tags: ["G".to_owned()].into(),
///     epoch: 0,
///     step,
///     value,
///     weight: 100.0,
///     weighted: 100.0 * value,
/// };
/// let mut log = LossLog::open(&path, &run)?;
/// log.append(&[record(0, 0.75), record(1, 0.5)])?;
/// assert_eq!(
///     std::fs::read_to_string(&path)?,
///     r#"{"tch_losses_log":1,"experiment":"pix2pix","device":"cpu","dataroot":"","dataset_length":0}
/// {"loss":"G_L1","tags":["G"]}
/// {"step":0,"epoch":0,"losses":{"G_L1":{"value":0.75,"weight":100.0,"weighted":75.0}}}
/// {"step":1,"epoch":0,"losses":{"G_L1":{"value":0.5,"weight":100.0,"weighted":50.0}}}
/// "#
/// );
///
/// // The training stops, and goes on from the checkpoint of step 0.
/// drop(log);
/// let mut log = LossLog::resume(&path, &run, 0)?;
/// log.append(&[record(1, 0.25)])?;
/// assert_eq!(LoggedRun::read(&path)?.losses["G_L1"].weighted, [75.0, 25.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LossLog {
    file: Appender,
    _lock: Lock,
    tags: Tags,
    /// The text of the next write, kept to spare the allocation.
    text: Vec<u8>,
    /// Until the first records come: how far the run in the log had come when it was opened, and the
    /// description to write again where these are not beyond.
    reopened: Option<(Progress, RunInfo)>,
}

impl LossLog {
    /// Opens the log at `path` to append to it. Creates the log and its folder if they do not exist.
    ///
    /// The log is read once, in little memory. A torn last line is cut off. If `run` differs from the
    /// description in the log (another device, say), the new description is added.
    ///
    /// Records at the first step begin another run in the same log;
    /// [`LoggedRun::read_all`](super::LoggedRun::read_all) shows the runs apart. Records at a later step that
    /// the log has already continue the run from there. When the training continues from a checkpoint,
    /// [`resume`](LossLog::resume) also cuts off what came after the checkpoint.
    ///
    /// # Errors
    /// - [`LogError::Locked`] if the log is open already, here or in another process;
    /// - [`LogError::Unusable`] if the file is not a loss log, is damaged elsewhere than at its end, or
    ///   belongs to another experiment; it stays as it is;
    /// - [`Error::Read`] and [`Error::Write`] if the file cannot be read or written.
    pub fn open(path: impl AsRef<Path>, run: &RunInfo) -> Result<LossLog> {
        LossLog::open_until(path.as_ref(), run, u64::MAX)
    }

    /// [`open`](LossLog::open)s the log for a run that continues from its checkpoint of `step`, the last step
    /// that the checkpoint contains.
    ///
    /// The last run in the log is cut off before the first record of a later step. If the losses so far had
    /// been flushed when the checkpoint was written, and the losses repeat exactly, the log becomes byte by
    /// byte the log of an uninterrupted run.
    ///
    /// # Errors
    /// As [`open`](LossLog::open).
    pub fn resume(path: impl AsRef<Path>, run: &RunInfo, step: u64) -> Result<LossLog> {
        LossLog::open_until(path.as_ref(), run, step)
    }

    fn open_until(path: &Path, run: &RunInfo, last_step: u64) -> Result<LossLog> {
        let (file, lock) = open_locked(path)?;
        let kept = Kept::of(path, &file, last_step)?;
        let mut text = Vec::new();
        let mut reopened = None;
        match kept.run {
            Some(logged) if logged.experiment != run.experiment => {
                let problem = format!(
                    "the experiment is {:?}, not {:?}: choose another file, or this experiment's name",
                    logged.experiment, run.experiment
                );
                return Err(LogError::unusable(path, 1, problem).into());
            }
            Some(logged) if logged == *run => reopened = Some((kept.progress, logged)),
            _ => write_header(&mut text, run),
        }
        let mut file = Appender::new(path.into(), file, kept.end)?;
        file.append(&text)?;
        Ok(LossLog { file, _lock: lock, tags: kept.tags, text, reopened })
    }
}

impl LogSink for LossLog {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        let Some(Record { epoch, step, .. }) = records.first() else { return Ok(()) };
        self.text.clear();
        if let Some((progress, run)) = &self.reopened {
            // Tells the reader that the program was started again, whatever losses it now has.
            if progress.reaches(Position { epoch: *epoch, step: *step }) {
                write_header(&mut self.text, run);
            }
        }
        let mut declared = Tags::new();
        let mut rest = records;
        while let Some(first) = rest.first() {
            // One line for what comes together, as long as no name comes twice.
            let mut names = HashSet::new();
            let length = rest.iter().take_while(|record| {
                (record.step, record.epoch) == (first.step, first.epoch) && names.insert(&record.name)
            });
            let (step, later) = rest.split_at(length.count());
            for Record { name, tags, .. } in step {
                if declared.get(name).or_else(|| self.tags.get(name)) != Some(tags) {
                    write_line(&mut self.text, &Declaration { loss: name, tags });
                    declared.insert(name.clone(), tags.clone());
                }
            }
            write_step(&mut self.text, first, step);
            rest = later;
        }
        self.file.append(&self.text)?;
        // Not before: what could not be written is declared again when it comes again.
        self.tags.extend(declared);
        self.reopened = None;
        Ok(())
    }
}

/// The part of a log that stays.
#[derive(Clone, Default)]
struct Kept {
    run: Option<RunInfo>,
    tags: Tags,
    /// Of the last run.
    progress: Progress,
    end: u64,
}

impl Kept {
    /// What there is up to the last line that has a step, which is to be no later than `last_step` of the last
    /// run.
    fn of(path: &Path, file: &File, last_step: u64) -> Result<Kept> {
        let mut lines = Lines::new(path, file)?;
        let mut all = Kept::default();
        // These wait for a step: what stands at the end of the log is written again when it is needed.
        let mut run = None;
        let mut tags = Tags::new();
        // What was there before the first step of the run that is too late, and the damage after it.
        let mut cut: Option<(Kept, Option<LogError>)> = None;
        loop {
            let line = match (lines.next(), &mut cut) {
                (Ok(Some(line)), _) => line,
                (Ok(None), _) => break,
                // No hindrance where it is cut off.
                (Err(Error::Log(error)), Some((_, damage))) => {
                    damage.get_or_insert(error);
                    continue;
                }
                (Err(error), _) => return Err(error),
            };
            match line {
                Line::Header(info) if lines.count == 1 => {
                    all.run = Some(info);
                    all.end = lines.end;
                }
                Line::Header(info) => run = Some(info),
                Line::Declaration { loss, tags: given } => {
                    tags.insert(loss.into(), given.into());
                }
                Line::Step(step) => {
                    let names = step.names();
                    let course = all.progress.course(step.at, &names, run.is_some());
                    let keeps_all_before = match course {
                        Course::Onwards => false,
                        Course::Back => step.at.step <= last_step,
                        Course::Anew => true,
                    };
                    if keeps_all_before {
                        if let Some((_, Some(damage))) = cut.take() {
                            return Err(damage.into());
                        }
                    }
                    if step.at.step > last_step && cut.is_none() {
                        cut = Some((all.clone(), None));
                    }
                    all.progress.enter(course, step.at, &names);
                    all.run = run.take().or(all.run);
                    all.tags.extend(tags.drain());
                    all.end = lines.end;
                    if let Some(name) = names.into_iter().find(|name| !all.tags.contains_key(*name)) {
                        let error = lines.undeclared(name);
                        match &mut cut {
                            Some((_, damage)) => damage.get_or_insert(error),
                            None => return Err(error.into()),
                        };
                    }
                }
            }
        }
        Ok(cut.map_or(all, |(kept, _)| kept))
    }
}

/// The lock of a log, given back when it is dropped. It would live on with a copy of the file's handle, such
/// as every process that is started has for a moment.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Without this, the end of the last copy gives it back.
        let _ = self.0.unlock();
    }
}

fn open_locked(path: &Path) -> Result<(File, Lock)> {
    let open = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok((file.try_clone()?, file))
    };
    let (file, lock) = open().map_err(|reason| Error::Write { path: path.into(), reason })?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { path: path.into() }.into()),
        // Some file systems of clusters have no locks. A log without is better than none.
        Err(TryLockError::Error(reason)) if reason.kind() != io::ErrorKind::Unsupported => {
            Err(Error::Write { path: path.into(), reason })
        }
        _ => Ok((file, Lock(lock))),
    }
}

fn write_json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("memory takes everything, and the keys are strings");
}

fn write_header(text: &mut Vec<u8>, run: &RunInfo) {
    write_line(text, &Header { tch_losses_log: FORMAT, run });
}

fn write_line(text: &mut Vec<u8>, value: &impl Serialize) {
    write_json(text, value);
    text.push(b'\n');
}

/// By hand, for the map's entries come from where they are.
fn write_step(text: &mut Vec<u8>, Record { step, epoch, .. }: &Record, losses: &[Record]) {
    text.extend_from_slice(format!(r#"{{"step":{step},"epoch":{epoch},"losses":{{"#).as_bytes());
    for (index, Record { name, value, weight, weighted, .. }) in losses.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_json(text, name.as_ref());
        text.push(b':');
        write_json(text, &Point { value: *value, weight: *weight, weighted: *weighted });
    }
    text.extend_from_slice(b"}}\n");
}
