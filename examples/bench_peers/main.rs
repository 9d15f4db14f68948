//! The Rust half of `scripts/bench_peers.py`, which says what is measured and how: does the work that it is
//! asked for, one request a line, and answers with one line of JSON.

mod discriminator;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use serde_json::json;
use tch::{no_grad, Cuda, Device, Kind, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{
    Architecture, BceWithLogitsLoss, L1Loss, Laplacian, Loss, MseLoss, Network, PerceptualLoss, Sobel,
    Streaming, TotalVariationLoss, UnaryLoss,
};

use discriminator::Discriminator;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    /// Makes the work ready for its first step.
    Setup(Setup),
    /// Takes the first step, and answers with the value and the gradient's norm.
    First,
    /// Takes steps, and answers with the seconds that one took.
    Steps,
    /// Answers with the most bytes that were resident since before the first step, beyond those that were then.
    Memory,
    /// Answers with when a step returns, as a share of the work that was queued on the device before it.
    Waits,
}

#[derive(Deserialize)]
struct Setup {
    work: String,
    /// What a network computes in.
    compute: Compute,
    /// A safetensors file with `fake`, `real` and `logits`.
    images: String,
    /// A safetensors file with a network, where the work needs one.
    weights: String,
    /// An objective in JSON with one loss: the work, if its name says nothing else.
    objective: String,
    device: String,
    /// How many seconds of steps a turn is.
    turn: f64,
    /// cuDNN tries its algorithms in the first steps.
    cudnn_benchmark: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Compute {
    F32,
    /// An environment variable lets the device round; the tensors are f32.
    Tf32,
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
    turn: f64,
    base: u64,
}

impl Work {
    fn new(setup: &Setup) -> Result<Work> {
        let device = match setup.device.as_str() {
            "cpu" => Device::Cpu,
            "cuda" => Device::Cuda(0),
            other => bail!("unknown device {other}"),
        };
        Cuda::cudnn_set_benchmark(setup.cudnn_benchmark);
        let step = match Discriminator::new(&setup.work, &setup.weights, &setup.images, device)? {
            Some(mut discriminator) => Box::new(move || discriminator.step()),
            None => Work::of_images(setup, device)?,
        };
        Ok(Work { step, device, turn: setup.turn, base: 0 })
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
                let manager = Objective::from_json(&setup.objective)?.build(device)?;
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

    /// The first step's value and gradient's norm.
    fn first(&mut self) -> Result<(f64, f64)> {
        // Makes the peak start anew; see proc(5).
        std::fs::write("/proc/self/clear_refs", "5")?;
        self.base = status("VmRSS")?;
        let (value, gradient) = (self.step)()?;
        Ok((value.double_value(&[]), no_grad(|| gradient.norm()).double_value(&[])))
    }

    /// The median of the seconds that steps take; see `bench_peers.py` for how many.
    fn steps(&mut self) -> Result<f64> {
        let start = Instant::now();
        let mut taken = Vec::new();
        while start.elapsed().as_secs_f64() < self.turn {
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

    /// When a step returns, as a share of the time that other work takes which is queued before it. A step that
    /// waits for the device returns when all of that is done.
    fn waits(&mut self) -> Result<f64> {
        let matrix = Tensor::rand([8192, 8192], (Kind::Float, self.device));
        let occupy =
            |times: usize| (0..times).fold(matrix.shallow_clone(), |product, _| matrix.matmul(&product));
        let busy = |work: &Work, times: usize| {
            work.synchronize();
            let start = Instant::now();
            let _product = occupy(times);
            work.synchronize();
            start.elapsed().as_secs_f64()
        };
        let _ = busy(self, 1);
        let times = (0.3 / busy(self, 1)).clamp(1.0, 300.0) as usize;
        let mut shares = Vec::new();
        // The host may be late now and then; whoever waits does so each time.
        for _ in 0..3 {
            let busy = busy(self, times);
            let start = Instant::now();
            let _product = occupy(times);
            let _ = (self.step)()?;
            shares.push(start.elapsed().as_secs_f64() / busy);
            self.synchronize();
        }
        Ok(shares.into_iter().fold(f64::INFINITY, f64::min))
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
                work = Some(Work::new(&setup)?);
                json!({})
            }
            (Request::First, Some(work)) => {
                let (value, norm) = work.first()?;
                json!({"value": value, "norm": norm})
            }
            (Request::Steps, Some(work)) => json!({"seconds": work.steps()?}),
            (Request::Memory, Some(work)) => json!({"bytes": status("VmHWM")?.saturating_sub(work.base)}),
            (Request::Waits, Some(work)) => json!({"share": work.waits()?}),
            (_, None) => bail!("there was no setup"),
        };
        println!("{answer}");
        io::stdout().flush()?;
    }
    Ok(())
}
