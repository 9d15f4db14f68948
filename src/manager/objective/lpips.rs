//! LPIPS as data.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::make::{Make, Site};
use super::network::{check_seed, kind, streaming, NetworkWeights};
use crate::manager::function::Function;
use crate::{Architecture, DataRange, Lpips, LpipsNorm, LpipsVersion, Reduction, Result, Streaming};

/// The options of [`Lpips`] as data.
///
/// In a file:
///
/// ```toml
/// [losses.G_LPIPS]
/// loss = "LPIPS"
///
/// [losses.G_LPIPS.options]
/// net = "vgg"                  # or "alex", "squeeze"
/// weights = "pretrained"       # or "random", or the path of a file
/// # seed = 0                   # of random weights
/// kind = "bf16"                # f16, bf16, f32 or f64
/// version = "0.1"              # or "0.0"
/// lpips = true                 # false: channels without weights
/// norm = "original"            # or "torchmetrics"
/// data_range = "signed"        # or "unit", "bytes", two numbers
/// reduction = "mean"           # or "sum", "none"
/// streaming = 4                # images at a time, "auto" or "off"
/// ```
///
/// - **Defaults**: AlexNet with the pretrained weights in f32, and the loss's own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LpipsSpec {
    /// The network; in a file `alex`, `vgg` or `squeeze`.
    #[serde(with = "net")]
    pub net: Architecture,
    /// The weights of the network. Those of the channels are part of this crate.
    pub weights: NetworkWeights,
    /// The seed of random weights; `None` is 0. Only [`NetworkWeights::Random`] has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// What the network computes in: [`Network::to_kind`](crate::Network::to_kind). In a file `f16`, `bf16`, `f32` or
    /// `f64`, or as PyTorch calls them.
    #[serde(with = "kind")]
    pub kind: Kind,
    /// Its `version`; in a file `"0.1"` or `"0.0"`.
    pub version: LpipsVersion,
    /// Its `lpips`.
    pub lpips: bool,
    /// Its `norm`.
    pub norm: LpipsNorm,
    /// Its `data_range`.
    pub data_range: DataRange,
    /// Its `reduction`.
    pub reduction: Reduction,
    /// Its `streaming`; in a file `"auto"`, `"off"` or the number of images at a time.
    #[serde(with = "streaming")]
    pub streaming: Streaming,
}

/// The networks by lpips's names. torchvision's are read, too.
mod net {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Architecture;

    const NETS: [(&str, Architecture); 3] = [
        ("alex", Architecture::ALEXNET),
        ("vgg", Architecture::VGG16),
        ("squeeze", Architecture::SQUEEZENET1_1),
    ];

    const NAMES: [&str; 3] = [NETS[0].0, NETS[1].0, NETS[2].0];

    pub fn serialize<S: Serializer>(net: &Architecture, serializer: S) -> Result<S::Ok, S::Error> {
        let name = NETS.iter().find(|(_, known)| known == net).map_or(net.name(), |(name, _)| name);
        serializer.serialize_str(name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Architecture, D::Error> {
        let given = String::deserialize(deserializer)?;
        let found = NETS.iter().find(|(name, net)| *name == given || net.name() == given);
        found.map(|(_, net)| *net).ok_or_else(|| D::Error::unknown_variant(&given, &NAMES))
    }
}

impl Default for LpipsSpec {
    fn default() -> Self {
        LpipsSpec {
            net: Architecture::ALEXNET,
            weights: NetworkWeights::default(),
            seed: None,
            kind: Kind::Float,
            version: LpipsVersion::default(),
            lpips: true,
            norm: LpipsNorm::default(),
            data_range: Lpips::DATA_RANGE,
            reduction: Reduction::default(),
            streaming: Streaming::default(),
        }
    }
}

impl Make for LpipsSpec {
    fn check(&self) -> Result<()> {
        check_seed(self.seed, &self.weights)?;
        Lpips::check(self.net, self.data_range, self.reduction, self.streaming)
    }

    fn make(&self, site: &mut Site) -> Result<Function> {
        let seed = self.seed.unwrap_or(0);
        let network = site.networks.get(&self.net, &self.weights, seed, self.kind, site.device)?;
        Ok(Function::Binary(Box::new(Lpips {
            network,
            version: self.version,
            lpips: self.lpips,
            norm: self.norm,
            data_range: self.data_range,
            reduction: self.reduction,
            streaming: self.streaming,
        })))
    }
}
