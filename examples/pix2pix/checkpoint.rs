//! What a run needs to go on, in a file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use tch::nn::VarStore;
use tch::{no_grad, Device, Tensor};

use crate::adam::Adam;

/// A network with its optimiser.
#[derive(Debug)]
pub struct Learner {
    pub variables: VarStore,
    pub adam: Adam,
}

/// What changes during a run.
#[derive(Debug)]
pub struct State {
    pub generator: Learner,
    pub discriminator: Learner,
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
        for (prefix, Learner { variables, adam }) in self.learners() {
            let variables =
                variables.variables().into_iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor));
            tensors.extend(variables);
            tensors.extend(
                adam.state().into_iter().map(|(name, tensor)| (format!("{prefix}.adam.{name}"), tensor)),
            );
        }
        write(tensors, path)
    }

    /// Goes on from a file that [`save`](Self::save) wrote.
    pub fn restore(&mut self, path: &Path) -> Result<()> {
        let tensors: HashMap<String, Tensor> = Tensor::read_safetensors(path)?.into_iter().collect();
        let find = |name: &str| {
            let tensor = tensors.get(name).map(Tensor::shallow_clone);
            tensor.with_context(|| format!("{} has no tensor {name}", path.display()))
        };
        self.step = i64::try_from(&find("step")?)? as u64;
        self.best_l1 = f64::try_from(&find("best_l1")?)?;
        self.first_l1 = f64::try_from(&find("first_l1")?)?;
        for (prefix, learner) in
            [("generator", &mut self.generator), ("discriminator", &mut self.discriminator)]
        {
            for (name, mut variable) in learner.variables.variables() {
                let name = format!("{prefix}.{name}");
                let value = find(&name)?;
                no_grad(|| variable.f_copy_(&value)).with_context(|| name)?;
            }
            learner.adam.restore(|name| find(&format!("{prefix}.adam.{name}")))?;
        }
        Ok(())
    }

    fn learners(&self) -> [(&'static str, &Learner); 2] {
        [("generator", &self.generator), ("discriminator", &self.discriminator)]
    }

    /// Writes the generator alone, under the names that a `VarStore` loads.
    pub fn save_generator(&self, path: &Path) -> Result<()> {
        write(self.generator.variables.variables().into_iter().collect(), path)
    }
}

fn write(mut tensors: Vec<(String, Tensor)>, path: &Path) -> Result<()> {
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (_, tensor) in &mut tensors {
        *tensor = tensor.to_device(Device::Cpu).contiguous();
    }
    atomically(path, |partial| Ok(Tensor::write_safetensors(&tensors, partial)?))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Lets `write` write a file that appears under its name when it is whole.
pub fn atomically(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut partial = path.as_os_str().to_os_string();
    partial.push(".partial");
    let partial = Path::new(&partial);
    write(partial)?;
    File::open(partial)?.sync_all()?;
    Ok(fs::rename(partial, path)?)
}
