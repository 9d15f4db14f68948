//! What a run needs to go on, in a file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use tch::nn::VarStore;
use tch::{no_grad, Device, Tensor};

use super::adam::Adam;

/// Networks with their optimiser.
#[derive(Debug)]
pub struct Learner {
    pub variables: VarStore,
    pub adam: Adam,
}

impl Learner {
    /// For the networks of `variables`, with the momenta that image translation is trained with.
    pub fn new(variables: VarStore) -> Learner {
        Learner { adam: Adam::new(&variables, 0.5, 0.999), variables }
    }

    /// Everything that changes, by name.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let variables = self.variables.variables().into_iter();
        let adam = self.adam.state().into_iter().map(|(name, tensor)| (format!("adam.{name}"), tensor));
        variables.chain(adam).map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)).collect()
    }

    /// Goes on from a [`state`](Self::state).
    pub fn restore(&mut self, prefix: &str, saved: &Saved) -> Result<()> {
        saved.restore(prefix, &self.variables)?;
        self.adam.restore(|name| saved.find(&format!("{prefix}.adam.{name}")))
    }

    /// Writes the networks alone, under the names that a `VarStore` loads.
    pub fn save_networks(&self, path: &Path) -> Result<()> {
        write(self.variables.variables().into_iter().collect(), path)
    }
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct Saved {
    tensors: HashMap<String, Tensor>,
    name: String,
}

impl Saved {
    pub fn read(path: &Path) -> Result<Saved> {
        let tensors = Tensor::read_safetensors(path)?.into_iter().collect();
        Ok(Saved { tensors, name: path.display().to_string() })
    }

    /// Gives all variables of a store the values that are saved under a prefix.
    pub fn restore(&self, prefix: &str, store: &VarStore) -> Result<()> {
        for (name, mut variable) in store.variables() {
            let name = format!("{prefix}.{name}");
            let value = self.find(&name)?;
            no_grad(|| variable.f_copy_(&value)).with_context(|| name)?;
        }
        Ok(())
    }

    pub fn find(&self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors.get(name).map(Tensor::shallow_clone);
        tensor.with_context(|| format!("{} has no tensor {name}", self.name))
    }
}

/// Writes tensors to a safetensors file.
pub fn write(mut tensors: Vec<(String, Tensor)>, path: &Path) -> Result<()> {
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
    // Windows flushes only what is open for writing.
    File::options().write(true).open(partial)?.sync_all()?;
    Ok(fs::rename(partial, path)?)
}
