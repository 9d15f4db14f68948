//! The Rust half of `scripts/check_trained.py`: the value and the gradient of each loss of an objective, for each pair of
//! images in a file.

use std::collections::HashMap;

use anyhow::{bail, Result};
use tch::{Device, Tensor};
use tch_losses::manager::Objective;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [objective, images, results] = &arguments[..] else {
        bail!("usage: trained OBJECTIVE.toml IMAGES.safetensors RESULTS.safetensors");
    };
    let manager = Objective::from_file(objective)?.build(Device::Cpu)?;
    let images: HashMap<String, Tensor> = Tensor::read_safetensors(images)?.into_iter().collect();
    let mut found = Vec::new();
    for (name, loss) in manager.losses(&[]) {
        for pair in 0..images.len() / 2 {
            let input = images[&format!("input.{pair}")].copy().set_requires_grad(true);
            let value = loss.try_forward(&input, &images[&format!("target.{pair}")])?;
            value.backward();
            found.push((format!("{name}.{pair}.value"), value.detach()));
            found.push((format!("{name}.{pair}.gradient"), input.grad()));
        }
    }
    Tensor::write_safetensors(&found, results)?;
    Ok(())
}
