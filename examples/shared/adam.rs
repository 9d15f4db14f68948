//! Adam, with a state that can be saved.

use anyhow::{Context, Result};
use tch::nn::VarStore;
use tch::{no_grad, Tensor};

/// PyTorch's `torch.optim.Adam` without weight decay. tch has it as well, but what it remembers cannot be
/// read, so that a run could not be resumed exactly.
///
/// D. Kingma, J. Ba, [*Adam: A Method for Stochastic Optimization*](https://arxiv.org/abs/1412.6980) (2015).
#[derive(Debug)]
pub struct Adam {
    beta1: f64,
    beta2: f64,
    eps: f64,
    steps: i64,
    /// In the order of their names.
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    /// Running means of the gradient and of its square.
    mean: Tensor,
    square: Tensor,
}

impl Adam {
    /// For all trainable variables of `store`.
    pub fn new(store: &VarStore, beta1: f64, beta2: f64) -> Adam {
        let trainable = store.variables().into_iter().filter(|(_, value)| value.requires_grad());
        let mut parameters: Vec<Parameter> = trainable
            .map(|(name, value)| Parameter {
                name,
                mean: value.zeros_like(),
                square: value.zeros_like(),
                value,
            })
            .collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        Adam { beta1, beta2, eps: 1e-8, steps: 0, parameters }
    }

    /// One step against the gradient of `loss`. Gradients of other networks are not computed, even if the
    /// loss depends on them.
    pub fn minimise(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let variables: Vec<&Tensor> = self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::f_run_backward(&[loss], &variables, false, false)?;
        self.steps += 1;
        let [correction1, correction2] =
            [self.beta1, self.beta2].map(|beta| 1.0 - beta.powf(self.steps as f64));
        let rate = learning_rate / correction1;
        no_grad(|| -> Result<()> {
            for (Parameter { value, mean, square, .. }, gradient) in self.parameters.iter_mut().zip(gradients)
            {
                // As in PyTorch, what the loss does not depend on stays as it is.
                if !gradient.defined() {
                    continue;
                }
                let _ = mean.f_lerp_(&gradient, 1.0 - self.beta1)?;
                let _ = square.f_mul_scalar_(self.beta2)?;
                let _ = square.f_addcmul_(&gradient, &(&gradient * (1.0 - self.beta2)))?;
                let deviation =
                    square.f_sqrt()?.f_divide_scalar_(correction2.sqrt())?.f_add_scalar_(self.eps)?;
                let _ = value.f_addcdiv_(&(&*mean * -rate), &deviation)?;
            }
            Ok(())
        })
    }

    /// What it remembers, by name.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of_each = self.parameters.iter().flat_map(|Parameter { name, mean, square, .. }| {
            [("mean", mean), ("square", square)]
                .map(|(kind, tensor)| (format!("{kind}.{name}"), tensor.shallow_clone()))
        });
        of_each.chain([("steps".into(), Tensor::from(self.steps))]).collect()
    }

    /// Goes on from a [`state`](Self::state), which `find` hands out by name.
    pub fn restore(&mut self, find: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        for Parameter { name, mean, square, .. } in &mut self.parameters {
            for (kind, tensor) in [("mean", mean), ("square", square)] {
                let key = format!("{kind}.{name}");
                tensor.f_copy_(&find(&key)?).with_context(|| key)?;
            }
        }
        self.steps = i64::try_from(&find("steps")?)?;
        Ok(())
    }
}
