//! The training.

use std::path::Path;

use anyhow::Result;
use tch::nn::{ModuleT, VarStore};
use tch::{no_grad, Device, Tensor};
use tch_losses::manager::LossManager;
use tch_losses::visual::image::RgbImage;

use crate::data::Sets;
use crate::demo;
use crate::objective::{self, Direction};
use crate::pool::Pool;
use crate::shared::chance::chance;
use crate::shared::checkpoint::{write, Learner, Saved};
use crate::shared::course::{Course, Ended, Trainer, SAMPLES};
use crate::shared::networks::{instance_norm, PatchGan, UNet};
use crate::shared::run::Run;
use crate::shared::training::Training;
use crate::shared::{curves, pictures};

/// Trains until all epochs are done, from the latest checkpoint on if there is one.
pub fn train(run: &Run<Training>) -> Result<Ended> {
    let training = &run.settings;
    let device = training.device()?;
    // What cannot work is found before anything is written.
    let (manager, directions) = objective::build(&run.objective, device)?;
    let (sets, test) = match &training.data {
        Some(folder) => Sets::open(folder)?,
        None => {
            run.create()?;
            demo::make(&run.demo_data(), training.load_size, training.seed.into())?;
            Sets::open(&run.demo_data())?
        }
    };
    let [a, b] = sets.sizes();
    let course = Course {
        run,
        training,
        data: format!("images of A: {a}, of B: {b}"),
        dataset_length: a.max(b) as u64,
        steps_per_epoch: sets.steps_per_epoch(training),
    };
    let samples = test.as_ref().unwrap_or(&sets);
    let mut trainer = CycleGan::new(run, samples, directions, device);
    let ended = course.follow(&mut trainer, manager, |step| sets.training_batch(training, step))?;
    if let Ended::Finished = ended {
        curves::draw(run)?;
        let (samples, curves) = (run.sample(training.all_epochs()), run.curves());
        let generators = run.checkpoints().join(GENERATORS);
        let files = [("samples", &*samples), ("curves", &curves), ("generators", &generators)];
        curves::print("real A | fake B | A again | real B | fake A | B again\n".into(), &files);
    }
    Ok(ended)
}

/// Both generators, as a `VarStore` loads them.
const GENERATORS: &str = "generators.safetensors";

struct CycleGan<'a> {
    run: &'a Run<Training>,
    samples: &'a Sets,
    directions: [Direction; 2],
    /// From A to B, and from B to A.
    generators: [UNet; 2],
    /// Of images of B, and of A.
    discriminators: [PatchGan; 2],
    /// Of images of B, and of A.
    pools: [Pool; 2],
    /// One optimiser for both generators, one for both discriminators.
    learners: [Learner; 2],
    step: u64,
}

const LEARNERS: [&str; 2] = ["generators", "discriminators"];
const POOLS: [&str; 2] = ["pool.A", "pool.B"];

impl Trainer for CycleGan<'_> {
    fn steps_done(&self) -> u64 {
        self.step
    }

    fn begin(&mut self) -> Result<()> {
        self.strip().map(drop)
    }

    /// The generators first.
    fn step(&mut self, manager: &mut LossManager, real: [Tensor; 2], learning_rate: f64) -> Result<()> {
        let fakes = self.learn_to_paint(manager, &real, learning_rate)?;
        self.learn_to_judge(manager, &real, &fakes, learning_rate)?;
        self.step += 1;
        Ok(())
    }

    fn review(&mut self, _: &mut LossManager, _: &mut String) -> Result<RgbImage> {
        self.learners[0].save_networks(&self.run.checkpoints().join(GENERATORS))?;
        self.strip()
    }

    fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = vec![("step".to_string(), Tensor::from(self.step as i64))];
        tensors.extend(LEARNERS.iter().zip(&self.learners).flat_map(|(name, learner)| learner.state(name)));
        tensors.extend(POOLS.iter().zip(&self.pools).flat_map(|(name, pool)| pool.state(name)));
        write(tensors, path)
    }

    fn restore(&mut self, path: &Path) -> Result<()> {
        let saved = Saved::read(path)?;
        self.step = i64::try_from(&saved.find("step")?)? as u64;
        for (name, learner) in LEARNERS.iter().zip(&mut self.learners) {
            learner.restore(name, &saved)?;
        }
        POOLS.iter().zip(&mut self.pools).try_for_each(|(name, pool)| pool.restore(name, &saved))
    }
}

impl<'a> CycleGan<'a> {
    fn new(
        run: &'a Run<Training>,
        samples: &'a Sets,
        directions: [Direction; 2],
        device: Device,
    ) -> CycleGan<'a> {
        let Training { width, depth, crop_size, seed, .. } = run.settings;
        tch::manual_seed(seed.into());
        let [painters, judges] = [(); 2].map(|()| VarStore::new(device));
        let generators =
            ["A", "B"].map(|name| UNet::new(&(painters.root() / name), width, depth, instance_norm, 0));
        let discriminators =
            ["A", "B"].map(|name| PatchGan::new(&(judges.root() / name), 3, width, instance_norm));
        CycleGan {
            run,
            samples,
            directions,
            generators,
            discriminators,
            pools: [(); 2].map(|()| Pool::new(crop_size, device)),
            learners: [painters, judges].map(Learner::new),
            step: 0,
        }
    }

    /// One step of both generators. Returns their images, of B and of A.
    fn learn_to_paint(
        &mut self,
        manager: &mut LossManager,
        real: &[Tensor; 2],
        learning_rate: f64,
    ) -> Result<[Tensor; 2]> {
        let fakes = [0, 1].map(|way| self.paint(way, &real[way]));
        let mut losses = Vec::new();
        for way in [0, 1] {
            let (back, direction) = (1 - way, &self.directions[way]);
            let fake = self.judge(way, &fakes[way]);
            losses.extend(direction.generator.compute(manager, || self.judge(way, &real[back]), &fake)?);
            let again = || self.paint(back, &fakes[way]);
            losses.extend(direction.cycle.compute(manager, &real[way], again)?);
            let same = || self.paint(way, &real[back]);
            losses.extend(direction.identity.compute(manager, &real[back], same)?);
        }
        minimise(&mut self.learners[0], losses, learning_rate)?;
        Ok(fakes.map(|fake| fake.detach()))
    }

    /// One step of both discriminators.
    fn learn_to_judge(
        &mut self,
        manager: &mut LossManager,
        real: &[Tensor; 2],
        fakes: &[Tensor; 2],
        learning_rate: f64,
    ) -> Result<()> {
        let mut losses = Vec::new();
        for way in [0, 1] {
            let mut chance = chance(self.run.settings.seed.into(), POOLS[way], self.step);
            let fake = self.pools[way].swap(&fakes[way], &mut chance);
            let (real, fake) = (self.judge(way, &real[1 - way]), self.judge(way, &fake));
            losses.extend(self.directions[way].discriminator.compute(
                manager,
                || real.shallow_clone(),
                &fake,
            )?);
        }
        minimise(&mut self.learners[1], losses, learning_rate)
    }

    /// The U-Net paints what changes, which an untrained one hardly does: form and detail need not be learnt.
    fn paint(&self, way: usize, image: &Tensor) -> Tensor {
        (image + self.generators[way].forward_t(image, true) * 2.0).clamp(-1.0, 1.0)
    }

    /// One output for each patch.
    fn judge(&self, way: usize, image: &Tensor) -> Tensor {
        self.discriminators[way].features(image).pop().expect("a discriminator has layers")
    }

    /// Rows of real A | fake B | A again | real B | fake A | B again.
    fn strip(&self) -> Result<RgbImage> {
        let device = self.learners[0].variables.device();
        let real = self.samples.samples(SAMPLES, self.run.settings.crop_size)?;
        let columns = no_grad(|| {
            [0, 1].map(|way| {
                let image = real[way].to_device(device);
                let fake = self.paint(way, &image);
                let again = self.paint(1 - way, &fake);
                [image, fake, again].map(|images| images.to_device(Device::Cpu))
            })
        });
        Ok(pictures::strip(&columns.iter().flatten().collect::<Vec<&Tensor>>()))
    }
}

/// Where no loss is due there is nothing to learn.
fn minimise(learner: &mut Learner, losses: Vec<Tensor>, learning_rate: f64) -> Result<()> {
    match losses.into_iter().reduce(|sum, loss| sum + loss) {
        Some(loss) => learner.adam.minimise(&loss, learning_rate),
        None => Ok(()),
    }
}
