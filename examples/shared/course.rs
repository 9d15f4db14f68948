//! The course of a training: steps, epochs and checkpoints.

use std::env;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{sync_channel, Receiver};
use std::thread::{self, Scope};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::Serialize;
use tch::Tensor;
use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::LossManager;
use tch_losses::visual::image::RgbImage;
use tch_losses::visual::save_png;

use super::interrupt::Interrupt;
use super::progress::{say, Progress};
use super::run::Run;
use super::training::Training;

/// So many steps lie between two looks at the losses, which make a GPU wait.
const SHOW_EVERY: u64 = 20;
/// So many rows has a sample strip at most.
pub const SAMPLES: usize = 8;

/// How a training ended.
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; programs that are end with this exit code.
    Interrupted(u8),
}

/// What a training does in its steps and between them.
pub trait Trainer {
    /// How many steps have been made.
    fn steps_done(&self) -> u64;

    /// What comes before the first step. What cannot work is found here, before anything is written.
    fn begin(&mut self) -> Result<()>;

    /// One step of all networks.
    fn step(&mut self, manager: &mut LossManager, batch: [Tensor; 2], learning_rate: f64) -> Result<()>;

    /// Epochs are done after which there are samples, which this returns, and a checkpoint. What there is to say
    /// about them goes to `line`.
    fn review(&mut self, manager: &mut LossManager, line: &mut String) -> Result<RgbImage>;

    /// Writes the checkpoint from which `--resume` goes on.
    fn save(&self, path: &Path) -> Result<()>;

    /// Goes on from such a checkpoint.
    fn restore(&mut self, path: &Path) -> Result<()>;
}

/// A training from its beginning, or from its latest checkpoint, to its end.
pub struct Course<'a, S> {
    pub run: &'a Run<S>,
    pub training: &'a Training,
    /// The data, in words.
    pub data: String,
    pub dataset_length: u64,
    pub steps_per_epoch: u64,
}

impl<S: Serialize + DeserializeOwned> Course<'_, S> {
    /// Trains until all epochs are done. `batch` is a function of the step alone, counted from 0.
    pub fn follow(
        &self,
        trainer: &mut impl Trainer,
        mut manager: LossManager,
        batch: impl Fn(u64) -> Result<[Tensor; 2]> + Sync,
    ) -> Result<Ended> {
        let Course { run, training, steps_per_epoch, .. } = *self;
        let resumes = run.latest().exists();
        if resumes {
            trainer.restore(&run.latest()).context("cannot go on from the checkpoint")?;
        }
        let (device, rates, epochs) = (training.device()?, training.learning_rates()?, training.all_epochs());
        let steps = epochs * steps_per_epoch;
        let info = self.info(device.is_cuda());
        say(format_args!(
            "{}: {}; epochs: {epochs}, steps in each: {steps_per_epoch}; on {}",
            training.name, self.data, info.device
        ));
        let mut progress = Progress::new(steps, trainer.steps_done());
        let interrupt = Interrupt::listen(&progress)?;
        if resumes {
            progress.note(&match trainer.steps_done() {
                done if done == steps => format!("all {steps} steps are done already"),
                done => format!("going on after step {done} of {steps}"),
            });
        } else {
            trainer.begin()?;
            // The folder is made when a first batch could be read. To decode all pictures would take too long.
            drop(batch(trainer.steps_done())?);
        }
        run.create()?;
        manager.log_to(LossLog::resume(run.log(), &info, trainer.steps_done())?);

        let ended = thread::scope(|scope| -> Result<Ended> {
            for images in ahead(scope, &batch, trainer.steps_done()..steps) {
                if let Some(exit_code) = interrupt.came() {
                    save(trainer, &mut manager, run)?;
                    return Ok(Ended::Interrupted(exit_code));
                }
                // Epochs count from 0, and steps from 1: `step` is how many are done when this one is.
                let (epoch, step) = (trainer.steps_done() / steps_per_epoch, trainer.steps_done() + 1);
                manager.begin_step(epoch, step);
                let images = images?.map(|images| images.to_device(device));
                trainer.step(&mut manager, images, rates.value(epoch))?;

                let epoch_ends = step % steps_per_epoch == 0;
                if epoch_ends || step % SHOW_EVERY == 0 {
                    manager.flush()?;
                    progress.show(step, &manager.format_losses(&["G", "D"], 3)?);
                }
                let done = epoch + 1;
                if epoch_ends && (done % training.save_every == 0 || done == epochs) {
                    let mut line = format!("epoch {done} of {epochs}");
                    let samples = trainer.review(&mut manager, &mut line)?;
                    progress.note(&line);
                    save_png(&samples, run.sample(done))?;
                    save(trainer, &mut manager, run)?;
                }
            }
            Ok(Ended::Finished)
        })?;
        progress.finish();
        if let Ended::Interrupted(_) = ended {
            say(format_args!(
                "stopped after step {} of {steps}; its checkpoint is saved. To go on:\n  {} --resume {}",
                trainer.steps_done(),
                env::args().next().unwrap_or("the same program".into()),
                run.folder().display()
            ));
        }
        Ok(ended)
    }

    fn info(&self, cuda: bool) -> RunInfo {
        let data = self.training.data.as_ref();
        RunInfo {
            experiment: self.training.name.clone(),
            device: if cuda { "cuda" } else { "cpu" }.into(),
            dataroot: data.map_or("the demo's photos".into(), |data| data.display().to_string()),
            dataset_length: self.dataset_length,
        }
    }
}

/// The batches of `steps`, made in a thread of their own a few steps ahead.
fn ahead<'scope, B: Fn(u64) -> Result<[Tensor; 2]> + Sync>(
    scope: &'scope Scope<'scope, '_>,
    batch: &'scope B,
    mut steps: Range<u64>,
) -> Receiver<Result<[Tensor; 2]>> {
    let (sender, receiver) = sync_channel(4);
    scope.spawn(move || {
        // Of this thread: the cores are for the training.
        tch::set_num_threads(1);
        // Nobody listens any more when the training has ended early.
        steps.all(|step| sender.send(batch(step)).is_ok())
    });
    receiver
}

fn save<S: Serialize + DeserializeOwned>(
    trainer: &impl Trainer,
    manager: &mut LossManager,
    run: &Run<S>,
) -> Result<()> {
    // Going on from a checkpoint, the log is taken to have all that came before.
    manager.flush()?;
    trainer.save(&run.latest())
}
