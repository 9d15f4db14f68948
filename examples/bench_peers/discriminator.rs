//! A discriminator's whole step with a gradient penalty: `peer_discriminator.py` has PyTorch's.

use std::collections::HashMap;

use anyhow::{Context, Result};
use tch::nn::{Adam, Optimizer, OptimizerConfig, VarStore};
use tch::{Device, Tensor};
use tch_losses::{GanLoss, GanMode, GradientPenalty, R1Penalty};

/// The stride of each convolution.
const STRIDES: [i64; 5] = [2, 2, 2, 1, 1];

#[derive(Clone, Copy)]
enum Penalty {
    R1,
    WganGp,
}

pub struct Discriminator {
    penalty: Penalty,
    layers: Layers,
    /// Of the layers, in their order.
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    real: Tensor,
    fake: Tensor,
    share: Tensor,
}

struct Layers(Vec<[Tensor; 2]>);

impl Layers {
    /// One output for each patch.
    fn judge(&self, images: &Tensor) -> Tensor {
        let last = self.0.len() - 1;
        let mut x = images.shallow_clone();
        for (index, [weight, bias]) in self.0.iter().enumerate() {
            x = x.conv2d(weight, Some(bias), [STRIDES[index]; 2], [1, 1], [1, 1], 1);
            if index > 0 && index < last {
                x = x.instance_norm(None::<&Tensor>, None, None, None, true, 0.1, 1e-5, false);
            }
            if index < last {
                x = x.leaky_relu();
            }
        }
        x
    }
}

impl Discriminator {
    /// `None` for other work.
    pub fn new(work: &str, weights: &str, images: &str, device: Device) -> Result<Option<Discriminator>> {
        let penalty = match work {
            "discriminator with R1" => Penalty::R1,
            "discriminator with WGAN-GP" => Penalty::WganGp,
            _ => return Ok(None),
        };
        let read = |path: &str| -> Result<HashMap<String, Tensor>> {
            Ok(Tensor::read_safetensors(path)?.into_iter().collect())
        };
        let (weights, images) = (read(weights)?, read(images)?);
        let find = |tensors: &HashMap<String, Tensor>, name: &str| -> Result<Tensor> {
            Ok(tensors.get(name).with_context(|| format!("no {name}"))?.to_device(device))
        };
        let vs = VarStore::new(device);
        let variable = |index: usize, name: &str| -> Result<Tensor> {
            let path = vs.root() / index;
            Ok(path.var_copy(name, &find(&weights, &format!("{index}.{name}"))?))
        };
        let layers =
            (0..STRIDES.len()).map(|index| Ok([variable(index, "weight")?, variable(index, "bias")?]));
        let layers = Layers(layers.collect::<Result<_>>()?);
        let parameters = layers.0.iter().flatten().map(Tensor::shallow_clone).collect();
        let adam = Adam { beta1: 0.5, beta2: 0.999, ..Adam::default() };
        Ok(Some(Discriminator {
            penalty,
            layers,
            parameters,
            optimizer: adam.build(&vs, 2e-4)?,
            real: find(&images, "real")?,
            fake: find(&images, "fake")?,
            share: find(&images, "share")?,
        }))
    }

    /// The loss, and the gradients of all parameters.
    pub fn step(&mut self) -> Result<(Tensor, Tensor)> {
        let Discriminator { layers, real, fake, share, .. } = self;
        let loss = match self.penalty {
            Penalty::R1 => {
                // The outputs for the real images are those whose gradient is punished.
                let mut outputs = Tensor::new();
                let judge = |real: &Tensor| {
                    outputs = layers.judge(real);
                    outputs.shallow_clone()
                };
                let penalty = R1Penalty::default().try_penalty(judge, real)? * 5.0;
                let gan = GanLoss::default().with_mode(GanMode::NonSaturating);
                gan.try_discriminator(&outputs, &layers.judge(fake))? + penalty
            }
            Penalty::WganGp => {
                let gan = GanLoss::default().with_mode(GanMode::Wgan);
                let penalty = GradientPenalty::cyclegan();
                gan.try_discriminator(&layers.judge(real), &layers.judge(fake))?
                    + penalty.try_penalty_with(|mixed| layers.judge(mixed), real, fake, Some(share), None)?
            }
        };
        self.optimizer.backward_step(&loss);
        let gradients: Vec<Tensor> =
            self.parameters.iter().map(|parameter| parameter.grad().flatten(0, -1)).collect();
        Ok((loss.detach(), Tensor::cat(&gradients, 0)))
    }
}
