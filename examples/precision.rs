//! The Rust half of `scripts/measure_precision.py`, which says what is measured and how: how far
//! [`PerceptualLoss`] in reduced precision is from f64, for libtorch's graph in f32 and for the streamed ways.

use std::path::Path;

use anyhow::{bail, Context, Result};
use tch::{vision::image, Device, Kind, Tensor};
use tch_losses::{Architecture, FeatureCriterion, Loss, Network, PerceptualLoss, Streaming, Tap};

const SIDE: i64 = 256;

/// The ways to compute the loss that are measured, by name.
const WAYS: [(&str, Kind, Streaming); 4] = [
    ("f32, libtorch's graph", Kind::Float, Streaming::Off),
    ("f32, streamed", Kind::Float, Streaming::Auto),
    ("f16, streamed", Kind::Half, Streaming::Auto),
    ("bf16, streamed", Kind::BFloat16, Streaming::Auto),
];

/// How far a result is from the one in f64.
struct Errors {
    /// The difference of the values, relative to the value.
    value: f64,
    /// The norm of the difference of the gradients, relative to the gradient's.
    gradient: f64,
    cosine: f64,
    /// How much longer the gradient is, relative.
    length: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, pictures, taps, kinds, seeds] = &arguments[..] else {
        bail!("usage: precision WEIGHTS.safetensors|random PHOTOS|noise shallow|deep f32|all SEEDS");
    };
    let ways: Vec<_> =
        WAYS.into_iter().filter(|(_, kind, _)| kinds == "all" || *kind == Kind::Float).collect();
    let taps: &[Tap] = match taps.as_str() {
        "shallow" => &[Tap::RELU1_2, Tap::RELU2_2, Tap::RELU3_3],
        "deep" => &[Tap::RELU2_2, Tap::RELU3_3, Tap::RELU4_3, Tap::RELU5_3],
        other => bail!("`{other}` is neither shallow nor deep"),
    };
    let seeds: i64 = seeds.parse().context("the number of seeds")?;
    let trained = match network.as_str() {
        "random" => None,
        file => Some(Network::from_file(file, &Architecture::VGG19, Device::Cpu)?),
    };
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        let mut found: Vec<Vec<Errors>> = ways.iter().map(|_| Vec::new()).collect();
        for seed in 0..seeds {
            tch::manual_seed(seed);
            let vgg = match &trained {
                Some(vgg) => vgg.clone(),
                None => Network::new(&tch::nn::VarStore::new(Device::Cpu).root(), &Architecture::VGG19),
            };
            let (input, target) = pair(pictures, seed)?;
            let step = |kind, streaming| -> Result<(Tensor, Tensor)> {
                let kind_of_images = if kind == Kind::Double { kind } else { Kind::Float };
                let input = input.to_kind(kind_of_images).copy().set_requires_grad(true);
                let loss = PerceptualLoss {
                    taps: taps.iter().map(|tap| (tap.clone(), 1.0)).collect(),
                    criterion,
                    streaming,
                    ..PerceptualLoss::new(vgg.to_kind(kind)?)
                };
                let value = loss.try_forward(&input, &target.to_kind(kind_of_images))?;
                value.backward();
                Ok((value.detach().to_kind(Kind::Double), input.grad().to_kind(Kind::Double)))
            };
            let truth = step(Kind::Double, Streaming::Auto)?;
            for (errors, (_, kind, streaming)) in found.iter_mut().zip(&ways) {
                errors.push(errors_of(&step(*kind, *streaming)?, &truth));
            }
        }
        println!("{criterion:?}, {seeds} seeds: median, 90th percentile, largest");
        for (errors, (name, ..)) in found.iter().zip(&ways) {
            let of = |part: fn(&Errors) -> f64| quantiles(errors.iter().map(part).collect());
            println!(
                "  {name:22} value {}  gradient {}  1 - cosine {}  length {}",
                of(|errors| errors.value),
                of(|errors| errors.gradient),
                of(|errors| 1.0 - errors.cosine),
                of(|errors| errors.length.abs()),
            );
        }
    }
    Ok(())
}

fn errors_of((value, gradient): &(Tensor, Tensor), (true_value, true_gradient): &(Tensor, Tensor)) -> Errors {
    let number = |tensor: Tensor| tensor.double_value(&[]);
    let (length, true_length) = (number(gradient.norm()), number(true_gradient.norm()));
    Errors {
        value: number((value - true_value).abs() / true_value.abs()),
        gradient: number((gradient - true_gradient).norm()) / true_length,
        cosine: number((gradient * true_gradient).sum(None)) / (length * true_length),
        length: length / true_length - 1.0,
    }
}

fn quantiles(mut errors: Vec<f64>) -> String {
    errors.sort_by(f64::total_cmp);
    let at = |share: f64| errors[((errors.len() - 1) as f64 * share).round() as usize];
    format!("{:.1e} {:.1e} {:.1e}", at(0.5), at(0.9), at(1.0))
}

/// An input and its target in `[-1, 1]`: noise, or a part of a photo and a blurred, noisy copy of it.
fn pair(pictures: &str, seed: i64) -> Result<(Tensor, Tensor)> {
    let options = (Kind::Double, Device::Cpu);
    if pictures == "noise" {
        let noise = || Tensor::rand([1, 3, SIDE, SIDE], options) * 2.0 - 1.0;
        return Ok((noise(), noise()));
    }
    let mut photos: Vec<_> = std::fs::read_dir(Path::new(pictures))?.collect::<std::io::Result<_>>()?;
    photos.retain(|entry| matches!(entry.path().extension(), Some(kind) if kind == "png" || kind == "jpg"));
    photos.sort_by_key(std::fs::DirEntry::file_name);
    let photo = image::load(photos[seed as usize % photos.len()].path())?.to_kind(Kind::Double) / 127.5 - 1.0;
    let start = |dimension: usize| {
        let free = (photo.size()[dimension] - SIDE + 1).max(1);
        Tensor::randint(free, [0i64; 0], (Kind::Int64, Device::Cpu)).int64_value(&[])
    };
    let target = photo.narrow(1, start(1), SIDE).narrow(2, start(2), SIDE).unsqueeze(0);
    let blurred = target.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None);
    Ok(((blurred + Tensor::randn(target.size(), options) * 0.05).clamp(-1.0, 1.0), target))
}
