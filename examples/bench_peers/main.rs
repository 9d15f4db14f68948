//! The Rust half of `scripts/bench_peers.py`, which says what is measured and how: does the work that it is
//! asked for, one request a line, and answers with one line of JSON.

mod clock;
mod discriminator;
mod images;
mod numbers;

use std::io::{self, BufRead, Write};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use serde_json::{json, Value};
use tch::{no_grad, Cuda, Device, Kind, Tensor};

use clock::median;
use discriminator::Discriminator;
use numbers::OnNumbers;

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
    /// A safetensors file with `fake`, `real` and what else the work needs.
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

/// A loss and its gradient.
type Step = Box<dyn FnMut() -> Result<(Tensor, Tensor)>>;

/// One piece of work.
struct Work {
    step: Step,
    device: Device,
    turn: f64,
    base: u64,
    /// Counts calls in batches, for there are some that take microseconds.
    on_numbers: Option<Rc<OnNumbers>>,
}

impl Work {
    fn new(setup: &Setup) -> Result<Work> {
        let device = match setup.device.as_str() {
            "cpu" => Device::Cpu,
            "cuda" => Device::Cuda(0),
            other => bail!("unknown device {other}"),
        };
        Cuda::cudnn_set_benchmark(setup.cudnn_benchmark);
        let work = |step| Work { step, device, turn: setup.turn, base: 0, on_numbers: None };
        if setup.work.contains('/') {
            let on_numbers = Rc::new(OnNumbers::new(setup, device)?);
            let same = Rc::clone(&on_numbers);
            return Ok(Work { on_numbers: Some(on_numbers), ..work(Box::new(move || same.step())) });
        }
        Ok(work(match Discriminator::new(&setup.work, &setup.weights, &setup.images, device)? {
            Some(mut discriminator) => Box::new(move || discriminator.step()),
            None => images::step_of(setup, device)?,
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
    fn steps(&mut self) -> Result<Value> {
        if let Some(on_numbers) = &self.on_numbers {
            return on_numbers.seconds(self.turn);
        }
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
        Ok(json!({"seconds": median(taken)}))
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
            (Request::Steps, Some(work)) => work.steps()?,
            (Request::Memory, Some(work)) => json!({"bytes": status("VmHWM")?.saturating_sub(work.base)}),
            (Request::Waits, Some(work)) => json!({"share": work.waits()?}),
            (_, None) => bail!("there was no setup"),
        };
        println!("{answer}");
        io::stdout().flush()?;
    }
    Ok(())
}
