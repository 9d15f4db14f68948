//! A layer of a network with its parameters.

use tch::{Kind, Tensor};

use super::{in_order, BatchNorm, Convolution, Window};
use crate::networks::table::Operation;
use crate::Result;

pub(in crate::networks) enum Layer {
    Convolution(Convolution),
    BatchNorm(BatchNorm),
    Relu,
    Pool(Window),
}

/// What a parameter is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::networks) enum Role {
    Weight,
    Bias,
    RunningMean,
    RunningVar,
}

impl Role {
    /// PyTorch's name.
    pub(in crate::networks) fn name(self) -> &'static str {
        match self {
            Role::Weight => "weight",
            Role::Bias => "bias",
            Role::RunningMean => "running_mean",
            Role::RunningVar => "running_var",
        }
    }
}

impl Layer {
    /// The layer with parameters of these roles and shapes, asked for in torchvision's order.
    pub(in crate::networks) fn new(
        operation: Operation,
        mut parameter: impl FnMut(Role, &[i64]) -> Result<Tensor>,
    ) -> Result<Layer> {
        Ok(match operation {
            Operation::Convolution { input, output, window } => Layer::Convolution(Convolution {
                weight: parameter(Role::Weight, &[output, input, window.kernel, window.kernel])?,
                bias: parameter(Role::Bias, &[output])?,
                window,
            }),
            Operation::BatchNorm { channels } => Layer::BatchNorm(BatchNorm {
                weight: parameter(Role::Weight, &[channels])?,
                bias: parameter(Role::Bias, &[channels])?,
                running_mean: parameter(Role::RunningMean, &[channels])?,
                running_var: parameter(Role::RunningVar, &[channels])?,
            }),
            Operation::Relu => Layer::Relu,
            Operation::Pool(window) => Layer::Pool(window),
        })
    }

    /// A layer that shares the parameters.
    pub(in crate::networks) fn shared(&self) -> Layer {
        self.map(|tensor| Ok(tensor.shallow_clone())).expect("sharing cannot fail")
    }

    /// The same layer in another kind, its weight in the order that suits it.
    pub(in crate::networks) fn to_kind(&self, kind: Kind) -> Result<Layer> {
        self.map(|tensor| {
            let tensor = tensor.f_to_kind(kind)?;
            match tensor.dim() {
                4 => in_order(&tensor, tensor.device(), kind),
                _ => Ok(tensor),
            }
        })
    }

    fn map(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Layer> {
        Ok(match self {
            Layer::Convolution(convolution) => Layer::Convolution(convolution.map(change)?),
            Layer::BatchNorm(norm) => Layer::BatchNorm(norm.map(change)?),
            Layer::Relu => Layer::Relu,
            Layer::Pool(window) => Layer::Pool(*window),
        })
    }
}
