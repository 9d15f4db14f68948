//! The training.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use tch::nn::{self, BatchNormConfig, Init, ModuleT, VarStore};
use tch::{no_grad, Device, Tensor};
use tch_losses::manager::{LossManager, Term};
use tch_losses::visual::image::RgbImage;
use tch_losses::visual::SheetWriter;
use tch_losses::{L1Loss, Loss};

use crate::data::Pairs;
use crate::demo;
use crate::discriminator::Discriminator;
use crate::objective::{self, Adversarial, IMAGE};
use crate::settings::Settings;
use crate::shared::chance::chance;
use crate::shared::checkpoint::Learner;
use crate::shared::course::{Course, Ended, Trainer, SAMPLES};
use crate::shared::networks::{instance_norm, Norm, UNet};
use crate::shared::pictures;
use crate::shared::run::Run;
use crate::state::State;
use crate::summary::summarise;

/// The mean L1 over the validation pairs, in the log.
pub const VALIDATION: &str = "VAL_L1";

/// The generator with the lowest L1.
pub fn best(run: &Run<Settings>) -> PathBuf {
    run.checkpoints().join("best.safetensors")
}

/// Where in the image the losses come from.
pub fn maps(run: &Run<Settings>) -> PathBuf {
    run.folder().join("maps")
}

/// Trains until all epochs are done, from the latest checkpoint on if there is one.
pub fn train(run: &Run<Settings>) -> Result<Ended> {
    let settings = &run.settings;
    let training = &settings.training;
    let device = training.device()?;
    // What cannot work is found before anything is written.
    let memory = VarStore::new(device);
    let (mut manager, adversarial) = objective::build(&run.objective, settings.scales as usize, &memory)?;
    manager.register(VALIDATION, Term::value().tags(["validation"]))?;
    let open = |folder| Pairs::open(folder, settings.strip.as_ref(), settings.direction);
    let [pairs, validation] = match &training.data {
        Some(folder) => open(folder)?,
        None => {
            run.create()?;
            demo::make(&run.demo_data(), training.load_size, training.seed.into())?;
            open(&run.demo_data())?
        }
    };
    let course = Course {
        run,
        training,
        data: format!("pairs to learn from: {}, to validate on: {}", pairs.len(), validation.len()),
        dataset_length: pairs.len() as u64,
        steps_per_epoch: pairs.steps_per_epoch(training),
    };
    let mut trainer = Pix2Pix::new(run, validation, adversarial, memory);
    let ended = course.follow(&mut trainer, manager, |step| pairs.training_batch(training, step))?;
    if let Ended::Finished = ended {
        summarise(run, trainer.state.first_l1)?;
    }
    Ok(ended)
}

struct Pix2Pix<'a> {
    run: &'a Run<Settings>,
    validation: Pairs,
    sheets: SheetWriter,
    generator: UNet,
    discriminator: Discriminator,
    adversarial: Adversarial,
    state: State,
}

impl Trainer for Pix2Pix<'_> {
    fn steps_done(&self) -> u64 {
        self.state.step
    }

    fn begin(&mut self) -> Result<()> {
        self.state.first_l1 = self.validate()?;
        Ok(())
    }

    /// The discriminator first.
    fn step(
        &mut self,
        manager: &mut LossManager,
        [input, truth]: [Tensor; 2],
        learning_rate: f64,
    ) -> Result<()> {
        // libtorch's generator of random numbers has no state to save: start it anew for each step.
        let seed = self.run.settings.training.seed.into();
        tch::manual_seed(chance(seed, "dropout", self.state.step).i64(..));
        let output = self.generator.forward_t(&input, true);

        let judge = |output: &Tensor| self.discriminator.judge(&input, output);
        let images = [&truth, &output.detach()];
        if let Some(loss) = self.adversarial.discriminator(manager, judge, images)? {
            self.state.discriminator.adam.minimise(&loss, learning_rate)?;
        }

        let mut loss = self.adversarial.generator(manager, judge, [&truth, &output])?;
        if !manager.names(&[IMAGE]).is_empty() {
            let total = manager.total(&[IMAGE], (&output, &truth))?;
            ensure!(
                total.size().is_empty(),
                "the losses tagged {IMAGE:?} come to a map, {:?}: give each of them the reduction mean or sum",
                total.size()
            );
            loss = Some(loss.map_or_else(|| total.shallow_clone(), |loss| loss + &total));
        }
        // Where no loss is due there is nothing to learn.
        if let Some(loss) = loss.filter(Tensor::requires_grad) {
            self.state.generator.adam.minimise(&loss, learning_rate)?;
        }
        self.state.step += 1;
        Ok(self.sheets.write(manager, &[IMAGE], self.state.step, &output.detach(), &truth)?)
    }

    fn review(&mut self, manager: &mut LossManager, line: &mut String) -> Result<RgbImage> {
        let l1 = self.validate()?;
        let _ = manager.compute(VALIDATION, Tensor::from(l1))?;
        write!(line, ": validation L1 {l1:.4}")?;
        if l1 < self.state.best_l1 {
            self.state.best_l1 = l1;
            self.state.generator.save_networks(&best(self.run))?;
        }
        self.samples()
    }

    fn save(&self, path: &Path) -> Result<()> {
        self.state.save(path)
    }

    fn restore(&mut self, path: &Path) -> Result<()> {
        self.state.restore(path)
    }
}

impl<'a> Pix2Pix<'a> {
    fn new(
        run: &'a Run<Settings>,
        validation: Pairs,
        adversarial: Adversarial,
        memory: VarStore,
    ) -> Pix2Pix<'a> {
        let Settings { training, scales, maps_every, .. } = &run.settings;
        let (width, depth) = (training.width, training.depth);
        tch::manual_seed(training.seed.into());
        let [generator_variables, discriminator_variables] = [(); 2].map(|()| VarStore::new(memory.device()));
        // Of eight layers, as the original has, the first three of the way up; of fewer, those that wide.
        let dropouts = (depth - 5).clamp(0, 3);
        let generator = UNet::new(&generator_variables.root(), width, depth, batch_norm, dropouts);
        // The slope of a batch norm's outputs is one of all images.
        let norm: Norm = if adversarial.has_penalty() { instance_norm } else { batch_norm };
        let discriminator = Discriminator::new(&discriminator_variables.root(), *scales, width, norm);
        let state = State {
            generator: Learner::new(generator_variables),
            discriminator: Learner::new(discriminator_variables),
            memory,
            step: 0,
            best_l1: f64::INFINITY,
            first_l1: f64::NAN,
        };
        let sheets = SheetWriter { folder: maps(run), every: *maps_every, range: (-1.0, 1.0) };
        Pix2Pix { run, validation, sheets, generator, discriminator, adversarial, state }
    }

    /// What the generator makes of an input, without dropout and with the statistics gathered in training.
    fn paint(&self, input: &Tensor) -> Tensor {
        let input = input.to_device(self.state.generator.variables.device());
        no_grad(|| self.generator.forward_t(&input, false)).to_device(Device::Cpu)
    }

    /// The mean L1 over the validation pairs.
    fn validate(&self) -> Result<f64> {
        let (training, pairs) = (&self.run.settings.training, &self.validation);
        let indices: Vec<usize> = (0..pairs.len()).collect();
        let mut sum = 0.0;
        for chunk in indices.chunks(training.batch_size as usize) {
            let [input, truth] = pairs.batch(chunk.iter().copied(), training.crop_size)?;
            let l1 = L1Loss::default().try_forward(&self.paint(&input), &truth)?;
            sum += l1.double_value(&[]) * chunk.len() as f64;
        }
        Ok(sum / pairs.len() as f64)
    }

    /// Rows of input | output | truth, from all over the validation pairs.
    fn samples(&self) -> Result<RgbImage> {
        let pairs = &self.validation;
        let rows = SAMPLES.min(pairs.len());
        let indices = (0..rows).map(|row| row * pairs.len() / rows);
        let [input, truth] = pairs.batch(indices, self.run.settings.training.crop_size)?;
        Ok(pictures::strip(&[&input, &self.paint(&input), &truth]))
    }
}

fn batch_norm(path: nn::Path, channels: i64) -> Box<dyn ModuleT> {
    let ws_init = Init::Randn { mean: 1.0, stdev: 0.02 };
    Box::new(nn::batch_norm2d(path, channels, BatchNormConfig { ws_init, ..Default::default() }))
}
