//! The losses of a run.

use anyhow::{bail, ensure, Result};
use tch::nn::VarStore;
use tch::{no_grad, Tensor};
use tch_losses::manager::{GanSide, LossManager, LossSpec, Objective, Term, TermSpec};
use tch_losses::{GradientPenalty, R1Penalty};

use crate::shared::comparison;

/// The tag of losses that compare the generator's image with the true one.
pub const IMAGE: &str = "image";

/// What a discriminator of each scale gives for images: its features, of which the last are its outputs.
pub type Features = Vec<Vec<Tensor>>;

/// What a loss that is not of images is computed from.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// The outputs for fake images, and the label 1: `G_GAN`.
    Painted,
    /// The outputs for real images, and the label 1: `D_real`. It counts half.
    LabelledReal,
    /// The outputs for fake images, and the label 0: `D_fake`. It counts half.
    LabelledFake,
    /// The generator's side, of the outputs for fake images.
    Generator,
    /// The generator's side, of the outputs for real and for fake images.
    RelativisticGenerator,
    /// The features of fake and of real images.
    FeatureMatching,
    /// The discriminator's side.
    Discriminator,
    /// The outputs for real and for fake images, against averages of earlier ones.
    LeCam,
    /// The discriminator's slope.
    R1(R1Penalty),
    Slope(GradientPenalty),
}

impl Part {
    fn of(name: &str, loss: &LossSpec) -> Option<Part> {
        Some(match loss {
            LossSpec::GanLoss(spec) if spec.side == GanSide::Generator => Part::Generator,
            LossSpec::RelativisticLoss(spec) if spec.side == GanSide::Generator => {
                Part::RelativisticGenerator
            }
            LossSpec::GanLoss(_) | LossSpec::RelativisticLoss(_) => Part::Discriminator,
            LossSpec::FeatureMatchingLoss(_) => Part::FeatureMatching,
            LossSpec::LeCamLoss(_) => Part::LeCam,
            LossSpec::R1Penalty(penalty) => Part::R1(*penalty),
            LossSpec::GradientPenalty(penalty) => Part::Slope(*penalty),
            _ => match name {
                "G_GAN" => Part::Painted,
                "D_real" => Part::LabelledReal,
                "D_fake" => Part::LabelledFake,
                _ => return None,
            },
        })
    }

    fn is_penalty(&self) -> bool {
        matches!(self, Part::R1(_) | Part::Slope(_))
    }

    /// Whether it takes the outputs of one discriminator only.
    fn takes_one_scale(&self) -> bool {
        use Part::*;
        matches!(self, Painted | LabelledReal | LabelledFake | LeCam)
    }
}

/// The losses of a run that are not of images.
#[derive(Debug)]
pub struct Adversarial(Vec<(String, Part)>);

/// The manager of all losses, and the adversarial ones for so many discriminators. What losses remember goes to
/// `memory`.
pub fn build(objective: &Objective, scales: usize, memory: &VarStore) -> Result<(LossManager, Adversarial)> {
    let mut parts = Vec::new();
    for (name, TermSpec { loss, tags, .. }) in &objective.losses {
        match (Part::of(name, loss), tags.iter().any(|tag| tag == IMAGE)) {
            (Some(part), false) => parts.push((name.clone(), part)),
            (None, true) => {}
            (Some(_), true) => bail!("the objective's loss {name} is not of images, as the tag {IMAGE:?} says"),
            (None, false) => bail!(
                "the objective's loss {name}: what should it compare? Give it the tag {IMAGE:?} if that is the \
                 generator's image and the true one"
            ),
        }
    }
    let has = |wanted: fn(&Part) -> bool| parts.iter().any(|(_, part)| wanted(part));
    let sided = "or a GanLoss or RelativisticLoss with the option side =";
    ensure!(
        has(|part| matches!(part, Part::Painted | Part::Generator | Part::RelativisticGenerator)),
        "the objective lacks the loss G_GAN, {sided} \"generator\""
    );
    if !has(|part| matches!(part, Part::Discriminator)) {
        let both = [
            ("D_real", has(|part| matches!(part, Part::LabelledReal))),
            ("D_fake", has(|part| matches!(part, Part::LabelledFake))),
        ];
        for (name, there) in both {
            ensure!(there, "the objective lacks the loss {name}, {sided} \"discriminator\"");
        }
    }
    if let Some((name, _)) = parts.iter().find(|(_, part)| scales > 1 && part.takes_one_scale()) {
        bail!("--scales {scales}: the objective's loss {name} takes the outputs of one discriminator; a GanLoss or RelativisticLoss takes more");
    }
    let manager = manager(objective, &parts, memory)?;
    for name in manager.names(&[IMAGE]) {
        comparison::check(&manager, name, &objective.losses[name].loss)?;
    }
    Ok((manager, Adversarial(parts)))
}

/// Penalties are values for the manager: they need the discriminator itself.
fn manager(objective: &Objective, parts: &[(String, Part)], memory: &VarStore) -> Result<LossManager> {
    let mut others = objective.clone();
    let mut penalties = Vec::new();
    for (name, _) in parts.iter().filter(|(_, part)| part.is_penalty()) {
        penalties.extend(others.losses.shift_remove_entry(name));
    }
    let mut manager = others.build_in(&memory.root())?;
    for (name, TermSpec { weight, every, tags, .. }) in penalties {
        manager.register(&name, Term::value().schedule(weight).every(every.steps()).tags(tags))?;
    }
    Ok(manager)
}

impl Adversarial {
    /// Whether there is a penalty, which needs outputs that depend on one image each.
    pub fn has_penalty(&self) -> bool {
        self.0.iter().any(|(_, part)| part.is_penalty())
    }

    /// What the discriminators minimise in this step: none where nothing is due.
    pub fn discriminator(
        &self,
        manager: &mut LossManager,
        judge: impl Fn(&Tensor) -> Features,
        [truth, output]: [&Tensor; 2],
    ) -> Result<Option<Tensor>> {
        let (real, fake) = (judge(truth), judge(output));
        let sum =
            |images: &Tensor| judge(images).iter().map(|scale| outputs(scale).sum(None)).sum::<Tensor>();
        let mut losses = Vec::new();
        for (name, part) in &self.0 {
            if !manager.is_due(name)? {
                continue;
            }
            let (first, second) = (outputs(&real[0]), outputs(&fake[0]));
            losses.push(match part {
                Part::LabelledReal => manager.compute(name, (first, &first.ones_like()))? * 0.5,
                Part::LabelledFake => manager.compute(name, (second, &second.zeros_like()))? * 0.5,
                Part::Discriminator => manager.compute(name, (&real, &fake))?,
                Part::LeCam => manager.compute(name, (first, second))?,
                Part::R1(penalty) => manager.compute(name, penalty.try_penalty(sum, truth)?)?,
                Part::Slope(penalty) => manager.compute(name, penalty.try_penalty(sum, truth, output)?)?,
                Part::Painted | Part::Generator | Part::RelativisticGenerator | Part::FeatureMatching => {
                    continue
                }
            });
        }
        Ok(total(&losses))
    }

    /// What the generator minimises in this step, beside the losses of images: none where nothing is due.
    pub fn generator(
        &self,
        manager: &mut LossManager,
        judge: impl Fn(&Tensor) -> Features,
        [truth, output]: [&Tensor; 2],
    ) -> Result<Option<Tensor>> {
        let fake = judge(output);
        let needs_real = |part: &Part| matches!(part, Part::FeatureMatching | Part::RelativisticGenerator);
        let real = match self.0.iter().any(|(_, part)| needs_real(part)) {
            true => no_grad(|| judge(truth)),
            false => Features::new(),
        };
        let mut losses = Vec::new();
        for (name, part) in &self.0 {
            if !manager.is_due(name)? {
                continue;
            }
            let first = outputs(&fake[0]);
            losses.push(match part {
                Part::Painted => manager.compute(name, (first, &first.ones_like()))?,
                Part::Generator => manager.compute(name, &fake)?,
                Part::RelativisticGenerator => manager.compute(name, (&real, &fake))?,
                Part::FeatureMatching => manager.compute(name, (&fake, &real))?,
                _ => continue,
            });
        }
        Ok(total(&losses))
    }
}

fn outputs(scale: &[Tensor]) -> &Tensor {
    scale.last().expect("a discriminator has layers")
}

fn total(losses: &[Tensor]) -> Option<Tensor> {
    losses.iter().map(Tensor::shallow_clone).reduce(|sum, loss| sum + loss)
}
