//! The contextual loss as data.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::make::{Make, Site};
use super::network::{check_seed, kind, streaming, taps, NetworkWeights};
use crate::manager::function::Function;
use crate::{Architecture, ContextualForm, ContextualLoss, DataRange, Result, Streaming, Tap};

/// The options of [`ContextualLoss`] as data.
///
/// In a file:
///
/// ```toml
/// [losses.G_CX]
/// loss = "ContextualLoss"
///
/// [losses.G_CX.options]
/// architecture = "vgg19"
/// weights = "pretrained"       # or "random", or the path of a file
/// # seed = 0                   # of random weights
/// kind = "bf16"                # f16, bf16, f32 or f64
/// taps = { relu3_2 = 1.0, relu4_2 = 1.0 }
/// band_width = 0.1
/// form = "original"            # or "pytorch"
/// data_range = "signed"        # or "unit", "bytes", two numbers
/// streaming = 4                # images at a time, "auto" or "off"
/// ```
///
/// - **Defaults**: VGG19 with the pretrained weights in f32, and the loss's own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextualLossSpec {
    /// The network; in a file its name in torchvision.
    pub architecture: Architecture,
    /// The weights of the network.
    pub weights: NetworkWeights,
    /// The seed of random weights; `None` is 0. Only [`NetworkWeights::Random`] has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// What the network computes in: [`Network::to_kind`](crate::Network::to_kind).
    #[serde(with = "kind")]
    pub kind: Kind,
    /// Its `taps`; in a file a table of weights by [`Tap`]: `{ relu3_4 = 1.0 }`.
    #[serde(with = "taps")]
    pub taps: Vec<(Tap, f64)>,
    /// Its `band_width`.
    pub band_width: f64,
    /// Its `form`.
    pub form: ContextualForm,
    /// Its `data_range`.
    pub data_range: DataRange,
    /// Its `streaming`; in a file `"auto"`, `"off"` or the number of images at a time.
    #[serde(with = "streaming")]
    pub streaming: Streaming,
}

impl Default for ContextualLossSpec {
    fn default() -> Self {
        ContextualLossSpec {
            architecture: Architecture::VGG19,
            weights: NetworkWeights::default(),
            seed: None,
            kind: Kind::Float,
            taps: ContextualLoss::DEFAULT_TAPS.into(),
            band_width: ContextualLoss::DEFAULT_BAND_WIDTH,
            form: ContextualForm::default(),
            data_range: DataRange::default(),
            streaming: Streaming::default(),
        }
    }
}

impl Make for ContextualLossSpec {
    fn check(&self) -> Result<()> {
        check_seed(self.seed, &self.weights)?;
        self.data_range.check()?;
        self.streaming.check()?;
        ContextualLoss::check(&self.architecture, &self.taps, self.band_width)
    }

    fn make(&self, site: &mut Site) -> Result<Function> {
        let seed = self.seed.unwrap_or(0);
        let network = site.networks.get(&self.architecture, &self.weights, seed, self.kind, site.device)?;
        Ok(Function::Binary(Box::new(ContextualLoss {
            taps: self.taps.clone(),
            band_width: self.band_width,
            form: self.form,
            data_range: self.data_range,
            streaming: self.streaming,
            ..ContextualLoss::new(network)
        })))
    }
}
