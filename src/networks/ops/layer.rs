//! A layer of a network with its parameters.

use std::fmt;

use tch::{Kind, Tensor};

use super::{in_order, BatchNorm, Convolution, Fire, Pool, Window};
use crate::networks::table::Operation;
use crate::Result;

pub(in crate::networks) enum Layer {
    Convolution(Convolution),
    BatchNorm(BatchNorm),
    Relu,
    Pool(Pool),
    Fire(Fire),
}

/// A parameter of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::networks) struct Parameter {
    /// The name of the convolution that has it, in a layer of several.
    pub submodule: Option<&'static str>,
    pub role: Role,
}

/// What a parameter is to its layer or submodule.
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

/// As in torchvision's state dict: `weight`, `squeeze.weight`.
impl fmt::Display for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.submodule {
            Some(submodule) => write!(formatter, "{submodule}.{}", self.role.name()),
            None => formatter.write_str(self.role.name()),
        }
    }
}

impl Layer {
    /// The layer with parameters of these names and shapes, asked for in torchvision's order.
    pub(in crate::networks) fn new(
        operation: Operation,
        mut parameter: impl FnMut(Parameter, &[i64]) -> Result<Tensor>,
    ) -> Result<Layer> {
        let mut convolution = |submodule, input, output, window: Window| -> Result<Convolution> {
            Ok(Convolution {
                weight: parameter(
                    Parameter { submodule, role: Role::Weight },
                    &[output, input, window.kernel, window.kernel],
                )?,
                bias: parameter(Parameter { submodule, role: Role::Bias }, &[output])?,
                window,
            })
        };
        Ok(match operation {
            Operation::Convolution { input, output, window } => {
                Layer::Convolution(convolution(None, input, output, window)?)
            }
            Operation::BatchNorm { channels } => {
                let mut of_channels = |role| parameter(Parameter { submodule: None, role }, &[channels]);
                Layer::BatchNorm(BatchNorm {
                    weight: of_channels(Role::Weight)?,
                    bias: of_channels(Role::Bias)?,
                    running_mean: of_channels(Role::RunningMean)?,
                    running_var: of_channels(Role::RunningVar)?,
                })
            }
            Operation::Relu => Layer::Relu,
            Operation::Pool(pool) => Layer::Pool(pool),
            Operation::Fire { input, squeezed, expanded } => {
                let (one, three) = (Window::new(1, 1, 0), Window::new(3, 1, 1));
                Layer::Fire(Fire {
                    squeeze: convolution(Some("squeeze"), input, squeezed, one)?,
                    expand1x1: convolution(Some("expand1x1"), squeezed, expanded, one)?,
                    expand3x3: convolution(Some("expand3x3"), squeezed, expanded, three)?,
                })
            }
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
            Layer::Pool(pool) => Layer::Pool(*pool),
            Layer::Fire(fire) => Layer::Fire(fire.map(|convolution| convolution.map(&change))?),
        })
    }
}
