//! The perceptual loss as data.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::make::{Make, Site};
use super::network::{check_seed, kind, streaming, taps, NetworkWeights};
use super::style;
use crate::manager::function::Function;
use crate::networks::Pooling;
use crate::{
    Architecture, DataRange, Error, FeatureCriterion, InputNormalization, PerceptualLoss, PerceptualPreset,
    Result, Streaming, Style, Tap,
};

/// The options of [`PerceptualLoss`] as data.
///
/// In a file, usually `options = { preset = "real_esrgan", data_range = "signed" }`. All options:
///
/// ```toml
/// [losses.G_VGG]
/// loss = "PerceptualLoss"
///
/// [losses.G_VGG.options]
/// preset = "real_esrgan"       # the defaults of the options below
/// architecture = "vgg19"       # or vgg11, vgg13, vgg16, and each with _bn; alexnet, squeezenet1_1
/// pooling = "max"              # or "average", "l2"
/// weights = "pretrained"       # or "random", or the path of a file
/// # seed = 0                   # of random weights
/// kind = "bf16"                # f16, bf16, f32 or f64
/// taps = { relu2_2 = 1.0, relu3_3 = 0.5 }
/// criterion = "l1"             # or "mse", "frobenius", "charbonnier"
/// normalize_features = false
/// style = { taps = { relu2_2 = 1.0 }, criterion = "mse", gram = "elements" } # or "none"
/// data_range = "signed"        # or "unit", "bytes", two numbers
/// normalization = "imagenet"   # or "unit", "signed", "lpips", "caffe", "none"
/// streaming = 4                # images at a time, "auto" or "off"
/// ```
///
/// - **Defaults**: those of the [preset](PerceptualPreset), with pretrained weights in f32. Without a preset, the
///   loss's own defaults on VGG19, which are the preset `nectargan`.
/// - **Presets**: any other option overrides the preset's. `preset = "gatys"` needs `weights`: the path of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Given")]
pub struct PerceptualLossSpec {
    /// The preset that the other options come from. Setting it alone changes none of them: use
    /// [`PerceptualLossSpec::preset`].
    pub preset: PerceptualPreset,
    /// The network; in a file its name in torchvision.
    pub architecture: Architecture,
    /// How the network makes maps of features smaller: [`Network::with_pooling`](crate::Network::with_pooling).
    pub pooling: Pooling,
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
    /// Its `normalize_features`.
    pub normalize_features: bool,
    /// Its `style`; in a file `"none"` or a table, of which `taps` have to be there.
    #[serde(with = "style")]
    pub style: Option<Style>,
    /// Its `data_range`.
    pub data_range: DataRange,
    /// Its `normalization`.
    pub normalization: InputNormalization,
    /// Its `streaming`; in a file `"auto"`, `"off"` or the number of images at a time.
    #[serde(with = "streaming")]
    pub streaming: Streaming,
}

impl PerceptualLossSpec {
    /// With the options of a preset, on the source's network with pretrained weights.
    pub fn preset(preset: PerceptualPreset) -> PerceptualLossSpec {
        let options = preset.options();
        PerceptualLossSpec {
            preset,
            architecture: preset.architecture(),
            pooling: Pooling::default(),
            weights: NetworkWeights::default(),
            seed: None,
            kind: Kind::Float,
            taps: options.taps,
            criterion: options.criterion,
            normalize_features: false,
            style: options.style,
            data_range: options.data_range,
            normalization: options.normalization,
            streaming: Streaming::default(),
        }
    }
}

impl Default for PerceptualLossSpec {
    fn default() -> Self {
        PerceptualLossSpec::preset(PerceptualPreset::default())
    }
}

/// The options that a file gives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    preset: Option<PerceptualPreset>,
    architecture: Option<Architecture>,
    pooling: Option<Pooling>,
    weights: Option<NetworkWeights>,
    seed: Option<i64>,
    kind: Option<GivenKind>,
    taps: Option<GivenTaps>,
    criterion: Option<FeatureCriterion>,
    normalize_features: Option<bool>,
    style: Option<GivenStyle>,
    data_range: Option<DataRange>,
    normalization: Option<InputNormalization>,
    streaming: Option<GivenStreaming>,
}

#[derive(Deserialize)]
struct GivenKind(#[serde(with = "kind")] Kind);

#[derive(Deserialize)]
struct GivenTaps(#[serde(with = "taps")] Vec<(Tap, f64)>);

#[derive(Deserialize)]
struct GivenStyle(#[serde(with = "style")] Option<Style>);

#[derive(Deserialize)]
struct GivenStreaming(#[serde(with = "streaming")] Streaming);

impl From<Given> for PerceptualLossSpec {
    fn from(given: Given) -> PerceptualLossSpec {
        let preset = PerceptualLossSpec::preset(given.preset.unwrap_or_default());
        PerceptualLossSpec {
            preset: preset.preset,
            architecture: given.architecture.unwrap_or(preset.architecture),
            pooling: given.pooling.unwrap_or(preset.pooling),
            weights: given.weights.unwrap_or(preset.weights),
            seed: given.seed,
            kind: given.kind.map_or(preset.kind, |kind| kind.0),
            taps: given.taps.map_or(preset.taps, |taps| taps.0),
            criterion: given.criterion.unwrap_or(preset.criterion),
            normalize_features: given.normalize_features.unwrap_or(preset.normalize_features),
            style: given.style.map_or(preset.style, |style| style.0),
            data_range: given.data_range.unwrap_or(preset.data_range),
            normalization: given.normalization.unwrap_or(preset.normalization),
            streaming: given.streaming.map_or(preset.streaming, |streaming| streaming.0),
        }
    }
}

impl Make for PerceptualLossSpec {
    fn check(&self) -> Result<()> {
        check_seed(self.seed, &self.weights)?;
        if self.weights == NetworkWeights::Pretrained {
            // Another normalisation says that another network is meant.
            if self.preset.is_of_caffe() && self.normalization == InputNormalization::Caffe {
                return Err(Error::Option {
                    option: "weights",
                    given: "pretrained".into(),
                    expected: "the path of a file: the VGG19 of gatys was trained with Caffe".into(),
                });
            }
        }
        self.data_range.check()?;
        self.streaming.check()?;
        PerceptualLoss::check_taps(&self.architecture, &self.taps, self.style.as_ref())
    }

    /// The preset is an option, and the others are told where they are not the preset's.
    fn defaults(&self) -> Self {
        let preset = PerceptualPreset::default();
        PerceptualLossSpec { preset, ..PerceptualLossSpec::preset(self.preset) }
    }

    fn make(&self, site: &mut Site) -> Result<Function> {
        let seed = self.seed.unwrap_or(0);
        let network = site.networks.get(&self.architecture, &self.weights, seed, self.kind, site.device)?;
        Ok(Function::Binary(Box::new(PerceptualLoss {
            network: network.with_pooling(self.pooling),
            taps: self.taps.clone(),
            criterion: self.criterion,
            normalize_features: self.normalize_features,
            style: self.style.clone(),
            data_range: self.data_range,
            normalization: self.normalization,
            streaming: self.streaming,
        })))
    }
}
