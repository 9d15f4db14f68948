//! The layers of a network, one by one: their names, sizes and parameters.

use super::ops::{Pool, Pooling, Window};
use super::{Place, Tap};
use crate::{Error, Result};

/// A part of an architecture: one or more layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// So many convolutions of one size, each with its ReLU: `conv3_1`, `relu3_1`, `conv3_2`, ...
    Convolutions { count: usize, channels: i64, window: Window },
    /// A convolution with its ReLU: `conv3`, `relu3`.
    Convolution { channels: i64, window: Window },
    /// SqueezeNet's module, whose output has twice the `expanded` channels: `fire3`.
    Fire { squeezed: i64, expanded: i64 },
    /// A max pooling. It has the number of the part before it: `pool3`.
    Pool(Window),
}

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Convolution { input: i64, output: i64, window: Window },
    BatchNorm { channels: i64 },
    Relu,
    Pool(Pool),
    Fire { input: i64, squeezed: i64, expanded: i64 },
}

/// A layer. Its index is that in torchvision's `features`.
#[derive(Debug)]
pub(super) struct Layer {
    /// `relu3_1`, in the manner of the literature.
    pub name: String,
    pub operation: Operation,
    /// The channels of its output.
    pub channels: i64,
    /// How many pixels of the image lie between neighbouring values of its output.
    stride: i64,
    /// The smallest height and width of an image that give it an output.
    least: i64,
}

/// A network, layer by layer.
#[derive(Debug)]
pub(super) struct Table {
    /// The name of the network.
    name: &'static str,
    pub layers: Vec<Layer>,
}

impl Table {
    /// With a batch norm after each convolution if asked for, and poolings of a kind.
    pub(super) fn new(name: &'static str, parts: &[Part], batch_norm: bool, pooling: Pooling) -> Table {
        let mut table = Table { name, layers: Vec::new() };
        let (mut number, mut channels) = (0, 3);
        for part in parts {
            match *part {
                Part::Convolutions { count, channels: output, window } => {
                    number += 1;
                    for place in 1..=count {
                        let number = format!("{number}_{place}");
                        table.add_convolution(&number, channels, output, window, batch_norm);
                        channels = output;
                    }
                }
                Part::Convolution { channels: output, window } => {
                    number += 1;
                    table.add_convolution(&number.to_string(), channels, output, window, batch_norm);
                    channels = output;
                }
                Part::Fire { squeezed, expanded } => {
                    number += 1;
                    let operation = Operation::Fire { input: channels, squeezed, expanded };
                    channels = 2 * expanded;
                    table.add(format!("fire{number}"), operation, channels);
                }
                Part::Pool(window) => {
                    let pool = Operation::Pool(Pool::new(pooling, window));
                    table.add(format!("pool{number}"), pool, channels);
                }
            }
        }
        table
    }

    /// A convolution with what follows it.
    fn add_convolution(&mut self, number: &str, input: i64, output: i64, window: Window, batch_norm: bool) {
        let convolution = Operation::Convolution { input, output, window };
        self.add(format!("conv{number}"), convolution, output);
        if batch_norm {
            self.add(format!("bn{number}"), Operation::BatchNorm { channels: output }, output);
        }
        self.add(format!("relu{number}"), Operation::Relu, output);
    }

    fn add(&mut self, name: String, operation: Operation, channels: i64) {
        let windows = self.layers.iter().map(|layer| layer.operation).chain([operation]);
        let windows: Vec<Window> = windows.filter_map(Operation::window).collect();
        let stride = windows.iter().map(|window| window.stride).product();
        // What a single output needs, from the layer itself back to the image.
        let least = windows.iter().rev().fold(1, |least, window| window.input_for(least));
        self.layers.push(Layer { name, operation, channels, stride, least });
    }

    /// The layer that a tap names.
    pub(super) fn place(&self, tap: &Tap) -> Result<Place> {
        let name = tap.as_str();
        let named = |(index, layer): &(usize, &Layer)| {
            layer.name == name || name.strip_prefix("features.") == Some(index.to_string().as_str())
        };
        match self.layers.iter().enumerate().find(named) {
            Some((index, layer)) => {
                let &Layer { channels, stride, least, .. } = layer;
                Ok(Place { index, channels, stride, least })
            }
            None => Err(Error::Option {
                option: "taps",
                given: format!("{name:?}"),
                expected: format!("a layer of {}: {}", self.name, self.names()),
            }),
        }
    }

    /// Height or width of the output of a layer, for that of an image that is large enough.
    pub(super) fn output(&self, index: usize, side: i64) -> i64 {
        let windows = self.layers[..=index].iter().filter_map(|layer| layer.operation.window());
        windows.fold(side, |side, window| window.output(side))
    }

    /// What names there are: `conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to pool5 or features.0 to
    /// features.36`. Of a few, each: there are gaps in the numbers of poolings.
    fn names(&self) -> String {
        let mut kinds = Vec::new();
        for role in ["conv", "bn", "relu", "fire", "pool"] {
            let names = self.layers.iter().map(|layer| layer.name.as_str());
            let names: Vec<&str> = names.filter(|name| name.starts_with(role)).collect();
            match names[..] {
                [] => {}
                [first, _, _, _, .., last] => kinds.push(format!("{first} to {last}")),
                _ => kinds.push(names.join(", ")),
            }
        }
        format!("{} or features.0 to features.{}", kinds.join(", "), self.layers.len() - 1)
    }
}

impl Operation {
    /// The window that it moves over its input, if it does.
    fn window(self) -> Option<Window> {
        match self {
            Operation::Convolution { window, .. } => Some(window),
            Operation::Pool(pool) => Some(pool.window()),
            // The convolutions within a fire module keep height and width.
            Operation::BatchNorm { .. } | Operation::Relu | Operation::Fire { .. } => None,
        }
    }
}
