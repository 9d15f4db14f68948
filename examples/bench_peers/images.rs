//! Losses of two images, alone and together, and of two other tensors: `scripts/bench/originals.py`, `embeddings.py` and
//! `peers.py` have PyTorch's.

use std::collections::HashMap;

use anyhow::{Context, Result};
use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{
    Architecture, BceWithLogitsLoss, L1Loss, Laplacian, Loss, MseLoss, Network, PerceptualLoss, Sobel,
    Streaming, TotalVariationLoss, UnaryLoss,
};

use crate::{Compute, Setup, Step};

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// Forward, and backward to `fake`.
pub fn step_of(setup: &Setup, device: Device) -> Result<Step> {
    let tensors: HashMap<String, Tensor> = Tensor::read_safetensors(&setup.images)?.into_iter().collect();
    let tensor = |name: &str| -> Result<Tensor> {
        Ok(tensors.get(name).with_context(|| format!("no {name} in {}", setup.images))?.to_device(device))
    };
    let (fake, real) = (tensor("fake")?, tensor("real")?);
    let perceptual = || -> Result<PerceptualLoss> {
        let vgg = Network::from_file(&setup.weights, &Architecture::VGG19, device)?;
        Ok(PerceptualLoss::new(match setup.compute {
            Compute::F32 | Compute::Tf32 => vgg,
            Compute::Bf16 => vgg.to_kind(Kind::BFloat16)?,
            Compute::F16 => vgg.to_kind(Kind::Half)?,
        }))
    };
    let simple = |loss: Box<dyn Loss>| -> Forward {
        let real = real.shallow_clone();
        Box::new(move |fake| Ok(loss.try_forward(fake, &real)?))
    };
    let forward: Forward = match setup.work.as_str() {
        "sobel" => simple(Box::<Sobel>::default()),
        "laplacian" => simple(Box::<Laplacian>::default()),
        "vgg" => simple(Box::new(perceptual()?)),
        "vgg_graph" => simple(Box::new(PerceptualLoss { streaming: Streaming::Off, ..perceptual()? })),
        "vgg_cached" => {
            let vgg = perceptual()?;
            let features = vgg.target_features(&real)?;
            Box::new(move |fake| Ok(vgg.try_forward_features(fake, &features)?))
        }
        "objective" => {
            let (vgg, logits) = (perceptual()?, tensor("logits")?);
            let ones = logits.ones_like();
            Box::new(move |fake| {
                // A discriminator's part: something cheap that depends on the images.
                let logits = &logits + fake.mean(Kind::Float);
                Ok(BceWithLogitsLoss::default().try_forward(&logits, &ones)?
                    + L1Loss::default().try_forward(fake, &real)? * 100.0
                    + MseLoss::default().try_forward(fake, &real)?
                    + Sobel::default().try_forward(fake, &real)? * 10.0
                    + Laplacian::default().try_forward(fake, &real)? * 10.0
                    + vgg.try_forward(fake, &real)? * 10.0)
            })
        }
        "TotalVariationLoss" => Box::new(|fake| Ok(TotalVariationLoss::default().try_forward(fake)?)),
        _ => {
            // For those with parameters, which start with their defaults where the file has none.
            let vs = nn::VarStore::new(device);
            let manager = Objective::from_json(&setup.objective)?.build_in(&vs.root())?;
            for (name, mut variable) in vs.variables() {
                if let Some(given) = tensors.get(&name) {
                    no_grad(|| variable.copy_(given));
                }
            }
            Box::new(move |fake| {
                // Without the manager, which remembers values.
                let (_, loss) = manager.losses(&[]).remove(0);
                Ok(loss.try_forward(fake, &real)?)
            })
        }
    };
    Ok(Box::new(move || {
        // Each step starts from a leaf without a gradient.
        let fake = fake.detach().set_requires_grad(true);
        let loss = forward(&fake)?;
        loss.backward();
        Ok((loss.detach(), fake.grad()))
    }))
}
