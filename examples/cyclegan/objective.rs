//! The losses of a run.

use anyhow::{ensure, Result};
use tch::{Device, Tensor};
use tch_losses::manager::{GanSide, LossManager, LossSpec, Objective, TermSpec};

use crate::shared::comparison;

/// The tags that say what a loss compares.
const CYCLE: &str = "cycle";
const IDENTITY: &str = "identity";

/// The losses of a direction: those whose names end in `_A` are of A to B.
#[derive(Debug)]
pub struct Direction {
    pub generator: Adversarial,
    pub discriminator: Adversarial,
    /// Of what came back and of what was there.
    pub cycle: Comparisons,
    /// Of what the generator makes of its own target set and of that.
    pub identity: Comparisons,
}

/// The adversarial losses of a side.
#[derive(Debug)]
pub struct Adversarial(Vec<(String, Takes)>);

/// Of which images a loss takes the outputs.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Fake,
    RealAndFake,
}

impl Adversarial {
    fn find(objective: &Objective, side: GanSide, suffix: &str) -> Result<Adversarial> {
        let place = |(name, term): (&String, &TermSpec)| {
            let (given, takes) = match &term.loss {
                LossSpec::GanLoss(spec) if spec.side == GanSide::Generator => (spec.side, Takes::Fake),
                LossSpec::GanLoss(spec) => (spec.side, Takes::RealAndFake),
                LossSpec::RelativisticLoss(spec) => (spec.side, Takes::RealAndFake),
                _ => return None,
            };
            (given == side && name.ends_with(suffix)).then(|| (name.clone(), takes))
        };
        let found: Vec<_> = objective.losses.iter().filter_map(place).collect();
        let side = match side {
            GanSide::Generator => "generator",
            GanSide::Discriminator => "discriminator",
        };
        ensure!(
            !found.is_empty(),
            "the objective lacks a GanLoss or RelativisticLoss with the option side = {side:?} and a name that ends in \
             {suffix}"
        );
        Ok(Adversarial(found))
    }

    /// The weighted losses that are due. `real` is asked for where a loss takes it.
    pub fn compute(
        &self,
        manager: &mut LossManager,
        real: impl Fn() -> Tensor,
        fake: &Tensor,
    ) -> Result<Vec<Tensor>> {
        let mut losses = Vec::new();
        for (name, takes) in &self.0 {
            if manager.is_due(name)? {
                losses.push(match takes {
                    Takes::Fake => manager.compute(name, fake)?,
                    Takes::RealAndFake => manager.compute(name, (&real(), fake))?,
                });
            }
        }
        Ok(losses)
    }
}

/// Losses of two images, by name.
#[derive(Debug)]
pub struct Comparisons(Vec<String>);

impl Comparisons {
    fn find(manager: &LossManager, tag: &str, suffix: &str) -> Comparisons {
        let names = manager.names(&[tag]).into_iter().filter(|name| name.ends_with(suffix));
        Comparisons(names.map(String::from).collect())
    }

    /// The weighted losses that are due, of what `image` makes. It is not called in vain.
    pub fn compute(
        &self,
        manager: &mut LossManager,
        target: &Tensor,
        image: impl Fn() -> Tensor,
    ) -> Result<Vec<Tensor>> {
        let mut losses = Vec::new();
        let mut made = None;
        for name in &self.0 {
            if manager.is_due(name)? {
                let loss = manager.compute(name, (&*made.get_or_insert_with(&image), target))?;
                let size = loss.size();
                ensure!(
                    size.is_empty(),
                    "{name} comes to a map, {size:?}: give it the reduction mean or sum"
                );
                losses.push(loss);
            }
        }
        Ok(losses)
    }
}

/// The manager, and both directions.
pub fn build(objective: &Objective, device: Device) -> Result<(LossManager, [Direction; 2])> {
    let manager = objective.build(device)?;
    let direction = |suffix: &str| -> Result<Direction> {
        Ok(Direction {
            generator: Adversarial::find(objective, GanSide::Generator, suffix)?,
            discriminator: Adversarial::find(objective, GanSide::Discriminator, suffix)?,
            cycle: Comparisons::find(&manager, CYCLE, suffix),
            identity: Comparisons::find(&manager, IDENTITY, suffix),
        })
    };
    let directions = [direction("_A")?, direction("_B")?];
    for name in manager.names(&[]) {
        let uses = directions.iter().flat_map(|Direction { generator, discriminator, cycle, identity }| {
            let adversarial = generator.0.iter().chain(&discriminator.0).map(|(name, _)| name);
            adversarial.chain(&cycle.0).chain(&identity.0)
        });
        let uses = uses.filter(|used| *used == name).count();
        ensure!(
            uses == 1,
            "the objective's loss {name} is computed in {uses} places: names of losses end in _A or _B, losses of images \
             have one of the tags {CYCLE:?} and {IDENTITY:?}, and the others are a GanLoss or RelativisticLoss"
        );
    }
    for name in manager.names(&[CYCLE, IDENTITY]) {
        comparison::check(&manager, name, &objective.losses[name].loss)?;
    }
    Ok((manager, directions))
}
