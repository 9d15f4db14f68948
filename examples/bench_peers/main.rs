//! The Rust half of `scripts/bench_peers.py`, which says what is measured and how: does the work that it is
//! asked for, one request a line, and answers with one line of JSON.

mod discriminator;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use serde_json::json;
use tch::{nn, no_grad, Cuda, Device, Kind, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{
    Architecture, BceWithLogitsLoss, L1Loss, Laplacian, Loss, MseLoss, Network, PerceptualLoss, Sobel,
    Streaming, TotalVariationLoss, UnaryLoss,
};

use discriminator::Discriminator;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    /// Answers with the value and the gradient's norm.
    Setup(Setup),
    /// Takes steps, and answers with the seconds that one took.
    Steps,
    /// Answers with the most bytes that were resident since `Setup`, beyond those that were before the first
    /// step.
    Memory,
}

#[derive(Deserialize)]
struct Setup {
    work: String,
    /// What a network computes in.
    compute: Compute,
    /// A safetensors file with `fake`, `real` and `logits`. The arguments of losses of embeddings are the first two.
    images: String,
    /// A safetensors file with VGG19, where the work needs one.
    weights: String,
    /// An objective in JSON with one loss: the work, if its name says nothing else.
    objective: String,
    device: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Compute {
    F32,
    Bf16,
    F16,
}

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// A loss and its gradient.
type Step = Box<dyn FnMut() -> Result<(Tensor, Tensor)>>;

/// One piece of work.
struct Work {
    step: Step,
    device: Device,
    base: u64,
}

impl Work {
    fn new(setup: &Setup) -> Result<Work> {
        let device = match setup.device.as_str() {
            "cpu" => Device::Cpu,
            "cuda" => Device::Cuda(0),
            other => bail!("unknown device {other}"),
        };
        // Convolutions are tuned to their sizes in the first steps, as PyTorch's half asks for, too.
        Cuda::cudnn_set_benchmark(true);
        let step = match Discriminator::new(&setup.work, &setup.weights, &setup.images, device)? {
            Some(mut discriminator) => Box::new(move || discriminator.step()),
            None => Work::of_images(setup, device)?,
        };
        Ok(Work { step, device, base: 0 })
    }

    /// Forward, and backward to `fake`.
    fn of_images(setup: &Setup, device: Device) -> Result<Step> {
        let tensors: HashMap<String, Tensor> = Tensor::read_safetensors(&setup.images)?.into_iter().collect();
        let tensor = |name: &str| -> Result<Tensor> {
            Ok(tensors.get(name).with_context(|| format!("no {name} in {}", setup.images))?.to_device(device))
        };
        let (fake, real, logits) = (tensor("fake")?, tensor("real")?, tensor("logits")?);
        let perceptual = || -> Result<PerceptualLoss> {
            let vgg = Network::from_file(&setup.weights, &Architecture::VGG19, device)?;
            Ok(PerceptualLoss::new(match setup.compute {
                Compute::F32 => vgg,
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
                let vgg = perceptual()?;
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
                // For those with parameters, which start with their defaults.
                let vs = nn::VarStore::new(device);
                let manager = Objective::from_json(&setup.objective)?.build_in(&vs.root())?;
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

    /// The median of the seconds that steps take; see `bench_peers.py` for how many.
    fn steps(&mut self) -> Result<f64> {
        let start = Instant::now();
        let mut taken = Vec::new();
        while start.elapsed().as_secs_f64() < 1.0 {
            self.synchronize();
            let start = Instant::now();
            let _ = (self.step)()?;
            self.synchronize();
            taken.push(start.elapsed().as_secs_f64());
        }
        if taken.len() > 1 {
            taken.remove(0);
        }
        taken.sort_by(f64::total_cmp);
        Ok(taken[taken.len() / 2])
    }

    fn synchronize(&self) {
        if let Device::Cuda(index) = self.device {
            Cuda::synchronize(index as i64);
        }
    }
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).context("no such line")?;
    let kilobytes = line.split_whitespace().nth(1).context("no number")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

fn main() -> Result<()> {
    let mut work: Option<Work> = None;
    for line in io::stdin().lock().lines() {
        let answer = match (serde_json::from_str(&line?)?, &mut work) {
            (Request::Setup(setup), _) => {
                let mut new = Work::new(&setup)?;
                // Makes the peak start anew; see proc(5).
                std::fs::write("/proc/self/clear_refs", "5")?;
                new.base = status("VmRSS")?;
                let (value, gradient) = (new.step)()?;
                let norm = no_grad(|| gradient.norm());
                let answer = json!({"value": value.double_value(&[]), "norm": norm.double_value(&[])});
                work = Some(new);
                answer
            }
            (Request::Steps, Some(work)) => json!({"seconds": work.steps()?}),
            (Request::Memory, Some(work)) => json!({"bytes": status("VmHWM")?.saturating_sub(work.base)}),
            (_, None) => bail!("there was no setup"),
        };
        println!("{answer}");
        io::stdout().flush()?;
    }
    Ok(())
}
