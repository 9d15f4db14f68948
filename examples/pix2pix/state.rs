//! What changes during a run.

use std::path::Path;

use anyhow::Result;
use tch::nn::VarStore;
use tch::Tensor;

use crate::shared::checkpoint::{write, Learner, Saved};

/// What changes during a run.
#[derive(Debug)]
pub struct State {
    pub generator: Learner,
    pub discriminator: Learner,
    /// What losses remember from step to step.
    pub memory: VarStore,
    /// How many steps have been made.
    pub step: u64,
    /// The lowest L1 on the validation pairs so far.
    pub best_l1: f64,
    /// The L1 of the untrained generator.
    pub first_l1: f64,
}

impl State {
    /// Writes everything to a safetensors file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = vec![
            ("step".to_string(), Tensor::from(self.step as i64)),
            ("best_l1".into(), Tensor::from(self.best_l1)),
            ("first_l1".into(), Tensor::from(self.first_l1)),
        ];
        tensors.extend(self.generator.state("generator"));
        tensors.extend(self.discriminator.state("discriminator"));
        let memory = self.memory.variables().into_iter();
        tensors.extend(memory.map(|(name, tensor)| (format!("losses.{name}"), tensor)));
        write(tensors, path)
    }

    /// Goes on from a file that [`save`](Self::save) wrote.
    pub fn restore(&mut self, path: &Path) -> Result<()> {
        let saved = Saved::read(path)?;
        self.step = i64::try_from(&saved.find("step")?)? as u64;
        self.best_l1 = f64::try_from(&saved.find("best_l1")?)?;
        self.first_l1 = f64::try_from(&saved.find("first_l1")?)?;
        saved.restore("losses", &self.memory)?;
        self.generator.restore("generator", &saved)?;
        self.discriminator.restore("discriminator", &saved)
    }
}
