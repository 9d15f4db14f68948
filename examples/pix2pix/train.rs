//! The training loop.

use std::env;
use std::thread;

use anyhow::{ensure, Context, Result};
use tch::nn::{ModuleT, VarStore};
use tch::{no_grad, Device, Tensor};
use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LossManager, Objective, Term};
use tch_losses::visual::image::RgbImage;
use tch_losses::visual::{save_png, SheetWriter};
use tch_losses::{L1Loss, Loss};

use crate::adam::Adam;
use crate::checkpoint::{Learner, State};
use crate::data::{chance, Pairs};
use crate::interrupt::Interrupt;
use crate::networks::{PatchGan, UNet};
use crate::progress::{say, Progress};
use crate::run::Run;
use crate::settings::Settings;
use crate::summary::summarise;
use crate::{demo, pictures};

/// The losses that the loop computes by name; the rest of an objective compares images.
const ADVERSARIAL: [&str; 3] = ["G_GAN", "D_real", "D_fake"];
/// The tag of those that compare the generator's image with the true one.
const IMAGE: &str = "image";
/// The mean L1 over the validation pairs, in the log.
pub const VALIDATION: &str = "VAL_L1";

/// So many steps lie between two looks at the losses, which make a GPU wait.
const SHOW_EVERY: u64 = 20;
/// So many rows has a sample strip.
const SAMPLES: usize = 8;

/// How a training ended.
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; programs that are end with this exit code.
    Interrupted(u8),
}

/// Trains until all epochs are done, from the latest checkpoint on if there is one.
pub fn train(run: &Run) -> Result<Ended> {
    let settings = &run.settings;
    let device = settings.device()?;
    // What cannot work is found before anything is written.
    let mut manager = manager(&run.objective, device)?;
    let open = |folder| Pairs::open(folder, settings.strip.as_ref(), settings.direction);
    let [pairs, validation] = match &settings.data {
        Some(folder) => open(folder)?,
        None => {
            run.create()?;
            demo::make(&run.demo_data(), settings.load_size, settings.seed.into())?;
            open(&run.demo_data())?
        }
    };
    let mut trainer = Trainer::new(settings, device);
    let resumes = run.latest().exists();
    if resumes {
        trainer.state.restore(&run.latest()).context("cannot go on from the checkpoint")?;
    }

    let augmentation = settings.augmentation();
    let (rates, epochs) = (settings.learning_rates()?, settings.epochs + settings.decay_epochs);
    let steps_per_epoch = augmentation.steps_per_epoch(&pairs);
    let steps = epochs * steps_per_epoch;
    let info = RunInfo {
        experiment: settings.name.clone(),
        device: if device.is_cuda() { "cuda" } else { "cpu" }.into(),
        dataroot: settings
            .data
            .as_ref()
            .map_or("the demo's photos".into(), |data| data.display().to_string()),
        dataset_length: pairs.len() as u64,
    };
    say(format_args!(
        "{}: pairs to learn from: {}, to validate on: {}; epochs: {epochs}, steps in each: {steps_per_epoch}; on {}",
        settings.name,
        pairs.len(),
        validation.len(),
        info.device
    ));
    let mut progress = Progress::new(steps, trainer.state.step);
    let interrupt = Interrupt::listen(&progress)?;
    if resumes {
        progress.note(&match trainer.state.step {
            done if done == steps => format!("all {steps} steps are done already"),
            done => format!("going on after step {done} of {steps}"),
        });
    } else {
        trainer.state.first_l1 = trainer.validate(&validation, settings)?;
        // The folder is made when these and a first batch could be read. To decode all pictures would take too long.
        drop(augmentation.batch(&pairs, trainer.state.step)?);
    }
    run.create()?;
    manager.log_to(LossLog::resume(run.log(), &info, trainer.state.step)?);
    let sheets = SheetWriter { folder: run.maps(), every: settings.maps_every, range: (-1.0, 1.0) };

    let ended = thread::scope(|scope| -> Result<Ended> {
        for batch in augmentation.batches(scope, &pairs, trainer.state.step..steps) {
            if let Some(exit_code) = interrupt.came() {
                trainer.save(&mut manager, run)?;
                return Ok(Ended::Interrupted(exit_code));
            }
            let [input, truth] = batch?.map(|images| images.to_device(device));
            // Epochs count from 0, and steps from 1: `step` is how many are done when this one is.
            let (epoch, step) = (trainer.state.step / steps_per_epoch, trainer.state.step + 1);
            manager.begin_step(epoch, step);
            let output = trainer.step(&mut manager, &input, &truth, rates.value(epoch), settings.seed)?;
            sheets.write(&manager, &[IMAGE], step, &output, &truth)?;

            let epoch_ends = step % steps_per_epoch == 0;
            if epoch_ends || step % SHOW_EVERY == 0 {
                manager.flush()?;
                progress.show(step, &manager.format_losses(&["G", "D"], 3)?);
            }
            let done = epoch + 1;
            if epoch_ends && (done % settings.save_every == 0 || done == epochs) {
                let l1 = trainer.validate(&validation, settings)?;
                let _ = manager.compute(VALIDATION, Tensor::from(l1))?;
                progress.note(&format!("epoch {done} of {epochs}: validation L1 {l1:.4}"));
                save_png(&trainer.samples(&validation, settings)?, run.sample(done))?;
                if l1 < trainer.state.best_l1 {
                    trainer.state.best_l1 = l1;
                    trainer.state.save_generator(&run.best())?;
                }
                trainer.save(&mut manager, run)?;
            }
        }
        Ok(Ended::Finished)
    })?;
    progress.finish();
    match ended {
        Ended::Finished => summarise(run, trainer.state.first_l1)?,
        Ended::Interrupted(_) => say(format_args!(
            "stopped after step {} of {steps}; its checkpoint is saved. To go on:\n  {} --resume {}",
            trainer.state.step,
            env::args().next().unwrap_or("pix2pix".into()),
            run.folder().display()
        )),
    }
    Ok(ended)
}

/// The run's losses.
fn manager(objective: &Objective, device: Device) -> Result<LossManager> {
    let mut manager = objective.build(device)?;
    let images = manager.names(&[IMAGE]);
    for name in ADVERSARIAL {
        ensure!(manager.names(&[]).contains(&name), "the objective lacks the loss {name}");
    }
    for name in manager.names(&[]) {
        ensure!(
            ADVERSARIAL.contains(&name) || images.contains(&name),
            "the objective's loss {name}: what should it compare? Give it the tag {IMAGE:?} if that is the \
             generator's image and the true one"
        );
    }
    manager.register(VALIDATION, Term::value().tags(["validation"]))?;
    Ok(manager)
}

struct Trainer {
    generator: UNet,
    discriminator: PatchGan,
    state: State,
}

impl Trainer {
    fn new(settings: &Settings, device: Device) -> Trainer {
        tch::manual_seed(settings.seed.into());
        let [generator_variables, discriminator_variables] = [(); 2].map(|()| VarStore::new(device));
        let generator = UNet::new(&generator_variables.root(), settings.width, settings.depth);
        let discriminator = PatchGan::new(&discriminator_variables.root(), settings.width);
        let [generator_learner, discriminator_learner] = [generator_variables, discriminator_variables]
            .map(|variables| Learner { adam: Adam::new(&variables, 0.5, 0.999), variables });
        let state = State {
            generator: generator_learner,
            discriminator: discriminator_learner,
            step: 0,
            best_l1: f64::INFINITY,
            first_l1: f64::NAN,
        };
        Trainer { generator, discriminator, state }
    }

    /// One step of both networks, the discriminator first. Returns the generator's images.
    fn step(
        &mut self,
        manager: &mut LossManager,
        input: &Tensor,
        truth: &Tensor,
        learning_rate: f64,
        seed: u32,
    ) -> Result<Tensor> {
        // libtorch's generator of random numbers has no state to save: start it anew for each step.
        tch::manual_seed(chance(seed.into(), "dropout", self.state.step).i64(..));
        let output = self.generator.forward_t(input, true);

        let real = self.discriminator.judge(input, truth);
        let fake = self.discriminator.judge(input, &output.detach());
        let real_loss = manager.compute("D_real", (&real, &real.ones_like()))?;
        let fake_loss = manager.compute("D_fake", (&fake, &fake.zeros_like()))?;
        self.state.discriminator.adam.minimise(&((real_loss + fake_loss) * 0.5), learning_rate)?;

        let fake = self.discriminator.judge(input, &output);
        let mut loss = manager.compute("G_GAN", (&fake, &fake.ones_like()))?;
        if !manager.names(&[IMAGE]).is_empty() {
            let total = manager.total(&[IMAGE], (&output, truth))?;
            ensure!(
                total.size().is_empty(),
                "the losses tagged {IMAGE:?} come to a map, {:?}: give each of them the reduction mean or sum",
                total.size()
            );
            loss += total;
        }
        self.state.generator.adam.minimise(&loss, learning_rate)?;
        self.state.step += 1;
        Ok(output.detach())
    }

    /// Writes the checkpoint from which `--resume` goes on.
    fn save(&self, manager: &mut LossManager, run: &Run) -> Result<()> {
        // Going on from a checkpoint, the log is taken to have all that came before.
        manager.flush()?;
        self.state.save(&run.latest())
    }

    /// What the generator makes of an input, without dropout and with the statistics gathered in training.
    fn paint(&self, input: &Tensor) -> Tensor {
        let input = input.to_device(self.state.generator.variables.device());
        no_grad(|| self.generator.forward_t(&input, false)).to_device(Device::Cpu)
    }

    /// The mean L1 over the validation pairs.
    fn validate(&self, pairs: &Pairs, settings: &Settings) -> Result<f64> {
        let indices: Vec<usize> = (0..pairs.len()).collect();
        let mut sum = 0.0;
        for chunk in indices.chunks(settings.batch_size as usize) {
            let [input, truth] = pairs.batch(chunk.iter().copied(), settings.crop_size)?;
            let l1 = L1Loss::default().try_forward(&self.paint(&input), &truth)?;
            sum += l1.double_value(&[]) * chunk.len() as f64;
        }
        Ok(sum / pairs.len() as f64)
    }

    /// Rows of input | output | truth, from all over the validation pairs.
    fn samples(&self, pairs: &Pairs, settings: &Settings) -> Result<RgbImage> {
        let rows = SAMPLES.min(pairs.len());
        let indices = (0..rows).map(|row| row * pairs.len() / rows);
        let [input, truth] = pairs.batch(indices, settings.crop_size)?;
        Ok(pictures::strip(&[&input, &self.paint(&input), &truth]))
    }
}
