//! The layers of a network, one by one: their names, sizes and parameters.

use super::ops::Window;
use super::{Place, Tap};
use crate::{Error, Result};

/// A row of an architecture: convolutions of one size, each with its ReLU, and the pooling after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub convolutions: usize,
    /// The output channels of each.
    pub channels: i64,
    pub window: Window,
    pub pooling: Window,
}

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Convolution { input: i64, output: i64, window: Window },
    BatchNorm { channels: i64 },
    Relu,
    Pool(Window),
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
    pub(super) fn new(name: &'static str, blocks: &[Block], batch_norm: bool) -> Table {
        let mut table = Table { name, layers: Vec::new() };
        let mut input = 3;
        for (block, row) in (1..).zip(blocks) {
            let output = row.channels;
            for place in 1..=row.convolutions {
                let operation = Operation::Convolution { input, output, window: row.window };
                table.add(format!("conv{block}_{place}"), operation, output);
                if batch_norm {
                    table.add(
                        format!("bn{block}_{place}"),
                        Operation::BatchNorm { channels: output },
                        output,
                    );
                }
                table.add(format!("relu{block}_{place}"), Operation::Relu, output);
                input = output;
            }
            table.add(format!("pool{block}"), Operation::Pool(row.pooling), output);
        }
        table
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
    /// features.36`.
    fn names(&self) -> String {
        let mut ranges = Vec::new();
        for role in ["conv", "bn", "relu", "pool"] {
            let mut names = self.layers.iter().map(|layer| &layer.name).filter(|name| name.starts_with(role));
            if let (Some(first), Some(last)) = (names.next(), names.next_back()) {
                ranges.push(format!("{first} to {last}"));
            }
        }
        format!("{} or features.0 to features.{}", ranges.join(", "), self.layers.len() - 1)
    }
}

impl Operation {
    /// The window that it moves over its input, if it does.
    fn window(self) -> Option<Window> {
        match self {
            Operation::Convolution { window, .. } | Operation::Pool(window) => Some(window),
            Operation::BatchNorm { .. } | Operation::Relu => None,
        }
    }
}
