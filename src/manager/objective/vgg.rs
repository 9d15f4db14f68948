//! The perceptual loss as data.

use std::fmt;
use std::path::PathBuf;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::Kind;

use super::make::{Make, Site};
use super::problem::nearest;
use crate::manager::function::Function;
use crate::{
    Architecture, Error, FeatureCriterion, InputNormalization, Result, Streaming, Tap, VggPerceptual,
};

/// The options of [`VggPerceptual`] as data.
///
/// In a file:
///
/// ```toml
/// [losses.G_VGG]
/// loss = "VggPerceptual"
///
/// [losses.G_VGG.options]
/// architecture = "vgg19"       # or vgg11, vgg13, vgg16, and each with _bn
/// weights = "pretrained"       # or "random", or the path of a file
/// # seed = 0                   # of random weights
/// kind = "bf16"                # f16, bf16, f32 or f64
/// taps = { relu2_2 = 1.0, relu3_3 = 0.5 }
/// criterion = "l1"             # or "mse"
/// normalization = "imagenet_from_signed"
/// streaming = 4                # images at a time, "auto" or "off"
/// ```
///
/// - **Defaults**: VGG19 with the pretrained weights in f32, and the loss's own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VggPerceptualSpec {
    /// The network; in a file its name in torchvision. So far, only `vgg19` has pretrained weights.
    pub architecture: Architecture,
    /// The weights of the network.
    pub weights: VggWeights,
    /// The seed of random weights; `None` is 0. Only [`VggWeights::Random`] has one.
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
    /// Its `normalization`.
    pub normalization: InputNormalization,
    /// Its `streaming`; in a file `"auto"`, `"off"` or the number of images at a time.
    #[serde(with = "streaming")]
    pub streaming: Streaming,
}

impl Default for VggPerceptualSpec {
    fn default() -> Self {
        VggPerceptualSpec {
            architecture: Architecture::VGG19,
            weights: VggWeights::default(),
            seed: None,
            kind: Kind::Float,
            taps: VggPerceptual::DEFAULT_TAPS.into(),
            criterion: FeatureCriterion::default(),
            normalization: InputNormalization::default(),
            streaming: Streaming::default(),
        }
    }
}

impl Make for VggPerceptualSpec {
    fn check(&self) -> Result<()> {
        if let (Some(seed), VggWeights::Pretrained | VggWeights::File(_)) = (self.seed, &self.weights) {
            let expected = "none: only `weights = \"random\"` has a seed".into();
            return Err(Error::Option { option: "seed", given: seed.to_string(), expected });
        }
        self.streaming.check()?;
        VggPerceptual::check_taps(&self.architecture, &self.taps)
    }

    fn make(&self, site: &mut Site) -> Result<Function> {
        let seed = self.seed.unwrap_or(0);
        let network = site.networks.get(&self.architecture, &self.weights, seed, self.kind, site.device)?;
        Ok(Function::Binary(Box::new(VggPerceptual {
            taps: self.taps.clone(),
            criterion: self.criterion,
            normalization: self.normalization,
            streaming: self.streaming,
            ..VggPerceptual::new(network)
        })))
    }
}

/// Where the weights of a network come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub enum VggWeights {
    /// [`Network::pretrained`](crate::Network::pretrained); in a file the word `pretrained`.
    #[default]
    Pretrained,
    /// Random, uniform with the variance of [`Network::new`](crate::Network::new)'s weights, from the seed in the
    /// options, and no biases; in a file the word `random`. The same seed gives the same network, whatever the device and
    /// [`tch::manual_seed`].
    Random,
    /// [`Network::from_file`](crate::Network::from_file); a relative path starts at the current directory. A file with
    /// one of the names above, or one like it, is written `./random`.
    File(PathBuf),
}

const WORDS: [&str; 2] = ["pretrained", "random"];
/// What torchvision has for `pretrained`.
const TORCHVISION: [(&str, &str); 4] = [
    ("DEFAULT", "pretrained"),
    ("IMAGENET1K_V1", "pretrained"),
    ("imagenet", "pretrained"),
    ("true", "pretrained"),
];

impl TryFrom<PathBuf> for VggWeights {
    type Error = String;

    fn try_from(path: PathBuf) -> std::result::Result<VggWeights, String> {
        let text = path.to_str().unwrap_or_default();
        match text {
            "pretrained" => Ok(VggWeights::Pretrained),
            "random" => Ok(VggWeights::Random),
            "" => Err("given the text \"\", expected `pretrained`, `random` or the path of a file".into()),
            // The name of a file has an ending, nearly always.
            _ => match nearest(text, &WORDS, &TORCHVISION) {
                Some(near) => Err(format!(
                    "given the text {text:?}, did you mean `{near}`? A file of that name is written \"./{text}\""
                )),
                None => Ok(VggWeights::File(path)),
            },
        }
    }
}

impl From<VggWeights> for PathBuf {
    fn from(weights: VggWeights) -> PathBuf {
        match weights {
            VggWeights::Pretrained => "pretrained".into(),
            VggWeights::Random => "random".into(),
            VggWeights::File(path) => path,
        }
    }
}

/// A kind by its short name; PyTorch's names are read, too.
mod kind {
    use super::*;

    const NAMES: [(&str, Kind); 12] = [
        ("f16", Kind::Half),
        ("bf16", Kind::BFloat16),
        ("f32", Kind::Float),
        ("f64", Kind::Double),
        ("float16", Kind::Half),
        ("half", Kind::Half),
        ("fp16", Kind::Half),
        ("bfloat16", Kind::BFloat16),
        ("float32", Kind::Float),
        ("float", Kind::Float),
        ("float64", Kind::Double),
        ("double", Kind::Double),
    ];

    pub fn serialize<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
        match NAMES.iter().find(|(_, named)| named == kind) {
            Some((name, _)) => serializer.serialize_str(name),
            None => Err(S::Error::custom(format!("{kind:?} is no kind that a network computes in"))),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let given = String::deserialize(deserializer)?;
        // As PyTorch prints them.
        let name = given.strip_prefix("torch.").unwrap_or(&given);
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let unknown =
            || D::Error::custom(format!("given the text {given:?}, expected f16, bf16, f32 or f64"));
        found.ok_or_else(unknown)
    }

    use std::result::Result;
}

/// A word or a number.
mod streaming {
    use super::*;

    pub fn serialize<S: Serializer>(streaming: &Streaming, serializer: S) -> Result<S::Ok, S::Error> {
        match streaming {
            Streaming::Auto => serializer.serialize_str("auto"),
            Streaming::Off => serializer.serialize_str("off"),
            Streaming::Images(count) => serializer.serialize_u64(*count as u64),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Streaming, D::Error> {
        struct WordOrNumber;
        impl Visitor<'_> for WordOrNumber {
            type Value = Streaming;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("\"auto\", \"off\" or the number of images at a time")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Streaming, E> {
                match word {
                    "auto" => Ok(Streaming::Auto),
                    "off" => Ok(Streaming::Off),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Streaming, E> {
                let unexpected = || E::invalid_value(serde::de::Unexpected::Unsigned(count), &self);
                usize::try_from(count).map(Streaming::Images).map_err(|_| unexpected())
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Streaming, E> {
                let unexpected = || E::invalid_value(serde::de::Unexpected::Signed(count), &self);
                usize::try_from(count).map(Streaming::Images).map_err(|_| unexpected())
            }
        }
        deserializer.deserialize_any(WordOrNumber)
    }

    use std::result::Result;
}

/// Taps as a table, in the order given.
mod taps {
    use super::*;

    pub fn serialize<S: Serializer>(taps: &[(Tap, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(taps.len()))?;
        for (index, (tap, weight)) in taps.iter().enumerate() {
            if taps[..index].iter().any(|(other, _)| other == tap) {
                return Err(S::Error::custom(format!("the tap {tap} is there twice")));
            }
            map.serialize_entry(tap, weight)?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Tap, f64)>, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Vec<(Tap, f64)>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a table of weights by tap, such as { relu1_2 = 1.0 }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut taps = Vec::new();
                while let Some(tap) = map.next_entry()? {
                    taps.push(tap);
                }
                Ok(taps)
            }
        }
        deserializer.deserialize_map(Table)
    }

    use std::result::Result;
}
