//! The training loop.

use std::io::{stderr, stdout, IsTerminal, Write};
use std::path::Path;

use anyhow::{ensure, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tch::nn::{ModuleT, VarStore};
use tch::{no_grad, Device, Tensor};
use tch_losses::manager::log::{LoggedRun, LossLog, RunInfo};
use tch_losses::manager::{LossManager, Objective, Term};
use tch_losses::visual::image::RgbImage;
use tch_losses::visual::{save_png, LossCurves, SheetWriter};
use tch_losses::{L1Loss, Loss};

use crate::adam::Adam;
use crate::checkpoint::{Learner, State};
use crate::data::{chance, Pairs};
use crate::networks::{PatchGan, UNet};
use crate::options::Settings;
use crate::run::Run;
use crate::{demo, pictures};

/// The losses that the loop computes by name; the rest of an objective compares images.
const ADVERSARIAL: [&str; 3] = ["G_GAN", "D_real", "D_fake"];
/// The tag of those that compare the generator's image with the true one.
const IMAGE: &str = "image";
const VALIDATION: &str = "VAL_L1";

/// So many steps lie between two looks at the losses, which make a GPU wait.
const SHOW_EVERY: u64 = 20;
/// So many rows has a sample strip.
const SAMPLES: usize = 8;

/// Trains until all epochs are done, from the latest checkpoint on if there is one.
pub fn train(run: &Run) -> Result<()> {
    let settings = &run.settings;
    let device = settings.device()?;
    // What cannot work is found before anything is written.
    let mut manager = manager(&run.objective, device)?;
    let (pairs, validation) = match &settings.data {
        Some(folder) => {
            let pairs = open_pairs(folder, settings)?;
            run.create()?;
            pairs
        }
        None => {
            run.create()?;
            demo::make(&run.demo_data(), settings.load_size, settings.seed.into())?;
            open_pairs(&run.demo_data(), settings)?
        }
    };
    let mut trainer = Trainer::new(settings, device);
    if run.latest().exists() {
        trainer.state.restore(&run.latest())?;
    } else {
        trainer.state.first_l1 = trainer.validate(&validation, settings)?;
    }
    let info = RunInfo {
        experiment: settings.name.clone(),
        device: if device.is_cuda() { "cuda" } else { "cpu" }.into(),
        dataroot: settings
            .data
            .as_ref()
            .map_or("the demo's photos".into(), |data| data.display().to_string()),
        dataset_length: pairs.len() as u64,
    };
    manager.log_to(LossLog::resume(run.log(), &info, trainer.state.step)?);
    let sheets = SheetWriter { folder: run.maps(), every: settings.maps_every, range: (-1.0, 1.0) };

    let augmentation = settings.augmentation();
    let (rates, epochs) = (settings.learning_rates()?, settings.epochs + settings.decay_epochs);
    let steps_per_epoch = augmentation.steps_per_epoch(&pairs);
    let steps = epochs * steps_per_epoch;
    eprintln!(
        "{}: {} pairs to learn from, {} to validate on; {epochs} epochs of {steps_per_epoch} steps on {}",
        settings.name,
        pairs.len(),
        validation.len(),
        info.device
    );
    let mut progress = Progress::new(steps, trainer.state.step);
    for batch in augmentation.batches(&pairs, trainer.state.step..steps) {
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
            let _ = manager.compute_loss_with(VALIDATION, || Ok(Tensor::from(l1)))?;
            progress.note(&format!("epoch {done} of {epochs}: validation L1 {l1:.4}"));
            save_png(&trainer.samples(&validation, settings)?, run.sample(done))?;
            if l1 < trainer.state.best_l1 {
                trainer.state.best_l1 = l1;
                trainer.state.save_generator(&run.best())?;
            }
            // Going on from a checkpoint, the log is taken to have all that came before.
            manager.flush()?;
            trainer.state.save(&run.latest())?;
        }
    }
    ensure!(trainer.state.step == steps, "the thread that loads the images has come to grief");
    progress.finish();
    summarise(run, &trainer.state, epochs)
}

/// Draws the curves, and prints what came of it all.
fn summarise(run: &Run, state: &State, epochs: u64) -> Result<()> {
    let log = LoggedRun::read(run.log())?;
    LossCurves { log_scale: true, ..LossCurves::new(&log) }.save(run.curves())?;
    let (first, best) = (state.first_l1, state.best_l1);
    let last = log.losses.get(VALIDATION).and_then(|curve| curve.values.last()).copied().unwrap_or(f64::NAN);
    let under = |l1: f64| format!("{:.1} % under it", 100.0 * (1.0 - l1 / first));
    let mut text = format!("validation L1\n  untrained   {first:.4}\n");
    text += &format!("  trained     {last:.4}, {}\n", under(last));
    text += &format!("  at its best {best:.4}, {}\n", under(best));
    text += &format!("samples       {}\n", run.sample(epochs).display());
    text += &format!("heat maps     {}\n", run.maps().display());
    text += &format!("curves        {}\n", run.curves().display());
    text += &format!("generator     {}\n", run.best().display());
    // That nobody may be reading there is no error.
    let _ = stdout().write_all(text.as_bytes());
    Ok(())
}

/// The pairs to learn from and those to validate on.
fn open_pairs(folder: &Path, settings: &Settings) -> Result<(Pairs, Pairs)> {
    let (train, val) = (folder.join("train"), folder.join("val"));
    let mut pairs = Pairs::open(if train.is_dir() { &train } else { folder }, settings.direction)?;
    let validation = if train.is_dir() && val.is_dir() {
        Pairs::open(&val, settings.direction)?
    } else {
        ensure!(pairs.len() > 1, "{} has one pair: there is none left to validate on", folder.display());
        pairs.split_off_tenth()
    };
    Ok((pairs, validation))
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
    manager.register(VALIDATION, Term::with().tags(["validation"]))?;
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
        let real_loss = manager.compute_loss_xy("D_real", &real, &real.ones_like())?;
        let fake_loss = manager.compute_loss_xy("D_fake", &fake, &fake.zeros_like())?;
        self.state.discriminator.adam.minimise(&((real_loss + fake_loss) * 0.5), learning_rate)?;

        let fake = self.discriminator.judge(input, &output);
        let mut loss = manager.compute_loss_xy("G_GAN", &fake, &fake.ones_like())?;
        if !manager.names(&[IMAGE]).is_empty() {
            loss += manager.compute_total_xy(&[IMAGE], &output, truth)?;
        }
        self.state.generator.adam.minimise(&loss, learning_rate)?;
        self.state.step += 1;
        Ok(output.detach())
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

/// A bar on a terminal, some lines elsewhere.
struct Progress {
    bar: ProgressBar,
    /// The step of the next line.
    next_line: u64,
}

impl Progress {
    fn new(steps: u64, done: u64) -> Progress {
        let bar = ProgressBar::new(steps).with_position(done);
        let style = "{elapsed_precise} {wide_bar} {pos}/{len} steps, {eta} left\n{wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        Progress { bar, next_line: done + 1 }
    }

    fn show(&mut self, step: u64, losses: &str) {
        self.bar.set_position(step);
        self.bar.set_message(losses.to_string());
        if !stderr().is_terminal() && step >= self.next_line {
            eprintln!("{losses}");
            self.next_line = step + self.bar.length().unwrap_or(0) / 20;
        }
    }

    /// A line that stays.
    fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
