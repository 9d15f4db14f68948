//! The losses of a run.

use anyhow::{bail, ensure, Context, Result};
use tch::{Device, Tensor};
use tch_losses::manager::{GanSide, Inputs, LossManager, LossSpec, Objective};

/// The adversarial losses of a direction.
#[derive(Clone, Copy, Debug)]
pub struct Adversarial {
    pub name: &'static str,
    /// Whether it takes the outputs for real images, too.
    takes_both: bool,
}

/// The names of what is computed for a direction: `A` is from A to B.
#[derive(Clone, Copy, Debug)]
pub struct Direction {
    pub generator: Adversarial,
    pub discriminator: Adversarial,
    /// The tag of losses that compare what came back with what was there.
    pub cycle: &'static str,
    /// The tag of losses that compare what the generator makes of its own target set with that.
    pub identity: &'static str,
}

/// A side's loss, of the outputs for real and for fake images.
impl Adversarial {
    fn find(objective: &Objective, name: &'static str, side: GanSide) -> Result<Adversarial> {
        let term =
            objective.losses.get(name).with_context(|| format!("the objective lacks the loss {name}"))?;
        let (given, takes_both) = match &term.loss {
            LossSpec::GanLoss(spec) => (Some(spec.side), side == GanSide::Discriminator),
            LossSpec::RelativisticLoss(spec) => (Some(spec.side), true),
            _ => (None, false),
        };
        if given != Some(side) {
            let side = match side {
                GanSide::Generator => "generator",
                GanSide::Discriminator => "discriminator",
            };
            bail!("the objective's loss {name} is no GanLoss or RelativisticLoss with the option side = {side:?}");
        }
        Ok(Adversarial { name, takes_both })
    }

    /// The weighted loss. `real` is asked for where the loss takes it.
    pub fn compute(
        &self,
        manager: &mut LossManager,
        real: impl FnOnce() -> Tensor,
        fake: &Tensor,
    ) -> Result<Tensor> {
        Ok(match self.takes_both {
            true => manager.compute(self.name, (&real(), fake))?,
            false => manager.compute(self.name, fake)?,
        })
    }
}

/// The manager, and both directions.
pub fn build(objective: &Objective, device: Device) -> Result<(LossManager, [Direction; 2])> {
    let manager = objective.build(device)?;
    let direction = |generator, discriminator, cycle, identity| -> Result<Direction> {
        Ok(Direction {
            generator: Adversarial::find(objective, generator, GanSide::Generator)?,
            discriminator: Adversarial::find(objective, discriminator, GanSide::Discriminator)?,
            cycle,
            identity,
        })
    };
    let directions = [
        direction("G_GAN_A", "D_A", "cycle_A", "identity_A")?,
        direction("G_GAN_B", "D_B", "cycle_B", "identity_B")?,
    ];
    let adversarial =
        directions.map(|direction| [direction.generator.name, direction.discriminator.name]).concat();
    let tags = directions.map(|direction| [direction.cycle, direction.identity]).concat();
    for name in manager.names(&[]) {
        let places = tags.iter().filter(|tag| manager.names(&[tag]).contains(&name)).count();
        let expected = usize::from(!adversarial.contains(&name));
        ensure!(
            places == expected,
            "the objective's loss {name}: what should it compare? {}",
            match expected {
                0 => format!("It cannot have any of the tags {}", tags.join(", ")),
                _ => format!("Give it one of the tags {}", tags.join(", ")),
            }
        );
    }
    Ok((manager, directions))
}

/// The sum of the losses with a tag, if there are any.
pub fn total<'a>(
    manager: &mut LossManager,
    tag: &str,
    inputs: impl Into<Inputs<'a>>,
) -> Result<Option<Tensor>> {
    if manager.names(&[tag]).is_empty() {
        return Ok(None);
    }
    let total = manager.total(&[tag], inputs)?;
    ensure!(
        total.size().is_empty(),
        "the losses tagged {tag:?} come to a map, {:?}: give each of them the reduction mean or sum",
        total.size()
    );
    Ok(Some(total))
}
