//! DISTS as data.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::make::{Make, Site};
use super::network::{check_seed, kind, streaming, NetworkWeights};
use crate::manager::function::Function;
use crate::{Architecture, DataRange, Dists, Reduction, Result, Streaming};

/// The options of [`Dists`] as data.
///
/// In a file:
///
/// ```toml
/// [losses.G_DISTS]
/// loss = "DISTS"
///
/// [losses.G_DISTS.options]
/// weights = "pretrained"       # or "random", or the path of a file
/// # seed = 0                   # of random weights
/// kind = "bf16"                # f16, bf16, f32 or f64
/// resize = true                # as piq does; and
/// normalize_weights = false    # this, too
/// data_range = "signed"        # or "unit", "bytes", two numbers
/// reduction = "sum"            # or "mean", "none"
/// streaming = 4                # images at a time, "auto" or "off"
/// ```
///
/// - **Defaults**: VGG16 with the pretrained weights in f32, and the loss's own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistsSpec {
    /// The weights of the network, a VGG16.
    pub weights: NetworkWeights,
    /// The seed of random weights; `None` is 0. Only [`NetworkWeights::Random`] has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// What the network computes in: [`Network::to_kind`](crate::Network::to_kind). In a file `f16`, `bf16`, `f32` or
    /// `f64`, or as PyTorch calls them.
    #[serde(with = "kind")]
    pub kind: Kind,
    /// Its `resize`.
    pub resize: bool,
    /// Its `normalize_weights`.
    pub normalize_weights: bool,
    /// Its `data_range`.
    pub data_range: DataRange,
    /// Its `reduction`.
    pub reduction: Reduction,
    /// Its `streaming`; in a file `"auto"`, `"off"` or the number of images at a time.
    #[serde(with = "streaming")]
    pub streaming: Streaming,
}

impl Default for DistsSpec {
    fn default() -> Self {
        DistsSpec {
            weights: NetworkWeights::default(),
            seed: None,
            kind: Kind::Float,
            resize: false,
            normalize_weights: true,
            data_range: DataRange::default(),
            reduction: Reduction::default(),
            streaming: Streaming::default(),
        }
    }
}

impl Make for DistsSpec {
    fn check(&self) -> Result<()> {
        check_seed(self.seed, &self.weights)?;
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        self.streaming.check()
    }

    fn make(&self, site: &mut Site) -> Result<Function> {
        let (architecture, seed) = (Architecture::VGG16, self.seed.unwrap_or(0));
        let network = site.networks.get(&architecture, &self.weights, seed, self.kind, site.device)?;
        Ok(Function::Binary(Box::new(Dists {
            resize: self.resize,
            normalize_weights: self.normalize_weights,
            data_range: self.data_range,
            reduction: self.reduction,
            streaming: self.streaming,
            ..Dists::new(network)
        })))
    }
}
