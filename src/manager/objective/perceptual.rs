//! The perceptual loss as data.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::make::{Make, Site};
use super::network::{check_seed, kind, streaming, taps, NetworkWeights};
use crate::manager::function::Function;
use crate::{
    Architecture, DataRange, FeatureCriterion, InputNormalization, PerceptualLoss, Result, Streaming, Tap,
};

/// The options of [`PerceptualLoss`] as data.
///
/// In a file:
///
/// ```toml
/// [losses.G_VGG]
/// loss = "PerceptualLoss"
///
/// [losses.G_VGG.options]
/// architecture = "vgg19"       # or vgg11, vgg13, vgg16, and each with _bn
/// weights = "pretrained"       # or "random", or the path of a file
/// # seed = 0                   # of random weights
/// kind = "bf16"                # f16, bf16, f32 or f64
/// taps = { relu2_2 = 1.0, relu3_3 = 0.5 }
/// criterion = "l1"             # or "mse"
/// data_range = "signed"        # or "unit", "bytes", two numbers
/// normalization = "imagenet"   # or "unit", "signed", "lpips", "caffe", "none"
/// streaming = 4                # images at a time, "auto" or "off"
/// ```
///
/// - **Defaults**: VGG19 with the pretrained weights in f32, and the loss's own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerceptualLossSpec {
    /// The network; in a file its name in torchvision.
    pub architecture: Architecture,
    /// The weights of the network.
    pub weights: NetworkWeights,
    /// The seed of random weights; `None` is 0. Only [`NetworkWeights::Random`] has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// What the network computes in: [`Network::to_kind`](crate::Network::to_kind). In a file `f16`, `bf16`, `f32` or
    /// `f64`, or as PyTorch calls them.
    #[serde(with = "kind")]
    pub kind: Kind,
    /// Its `taps`; in a file a table of weights by [`Tap`]: `{ relu1_2 = 1.0, conv5_4 = 0.5 }`.
    #[serde(with = "taps")]
    pub taps: Vec<(Tap, f64)>,
    /// Its `criterion`.
    pub criterion: FeatureCriterion,
    /// Its `data_range`.
    pub data_range: DataRange,
    /// Its `normalization`.
    pub normalization: InputNormalization,
    /// Its `streaming`; in a file `"auto"`, `"off"` or the number of images at a time.
    #[serde(with = "streaming")]
    pub streaming: Streaming,
}

impl Default for PerceptualLossSpec {
    fn default() -> Self {
        PerceptualLossSpec {
            architecture: Architecture::VGG19,
            weights: NetworkWeights::default(),
            seed: None,
            kind: Kind::Float,
            taps: PerceptualLoss::DEFAULT_TAPS.into(),
            criterion: FeatureCriterion::default(),
            data_range: DataRange::default(),
            normalization: InputNormalization::default(),
            streaming: Streaming::default(),
        }
    }
}

impl Make for PerceptualLossSpec {
    fn check(&self) -> Result<()> {
        check_seed(self.seed, &self.weights)?;
        self.data_range.check()?;
        self.streaming.check()?;
        PerceptualLoss::check_taps(&self.architecture, &self.taps)
    }

    fn make(&self, site: &mut Site) -> Result<Function> {
        let seed = self.seed.unwrap_or(0);
        let network = site.networks.get(&self.architecture, &self.weights, seed, self.kind, site.device)?;
        Ok(Function::Binary(Box::new(PerceptualLoss {
            taps: self.taps.clone(),
            criterion: self.criterion,
            data_range: self.data_range,
            normalization: self.normalization,
            streaming: self.streaming,
            ..PerceptualLoss::new(network)
        })))
    }
}
