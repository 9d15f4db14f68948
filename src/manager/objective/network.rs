//! What the options of losses on networks share.

use std::fmt;
use std::path::PathBuf;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::Kind;

use super::problem::nearest;
use crate::{Error, Result, Streaming, Tap};

/// Only random weights have a seed.
pub(super) fn check_seed(seed: Option<i64>, weights: &NetworkWeights) -> Result<()> {
    match (seed, weights) {
        (Some(seed), NetworkWeights::Pretrained | NetworkWeights::File(_)) => {
            let expected = "none: only `weights = \"random\"` has a seed".into();
            Err(Error::Option { option: "seed", given: seed.to_string(), expected })
        }
        _ => Ok(()),
    }
}

/// Where the weights of a network come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub enum NetworkWeights {
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

impl TryFrom<PathBuf> for NetworkWeights {
    type Error = String;

    fn try_from(path: PathBuf) -> std::result::Result<NetworkWeights, String> {
        let text = path.to_str().unwrap_or_default();
        match text {
            "pretrained" => Ok(NetworkWeights::Pretrained),
            "random" => Ok(NetworkWeights::Random),
            "" => Err("given the text \"\", expected `pretrained`, `random` or the path of a file".into()),
            // The name of a file has an ending, nearly always.
            _ => match nearest(text, &WORDS, &TORCHVISION) {
                Some(near) => Err(format!(
                    "given the text {text:?}, did you mean `{near}`? A file of that name is written \"./{text}\""
                )),
                None => Ok(NetworkWeights::File(path)),
            },
        }
    }
}

impl From<NetworkWeights> for PathBuf {
    fn from(weights: NetworkWeights) -> PathBuf {
        match weights {
            NetworkWeights::Pretrained => "pretrained".into(),
            NetworkWeights::Random => "random".into(),
            NetworkWeights::File(path) => path,
        }
    }
}

/// A kind by its short name; PyTorch's names are read, too.
pub(super) mod kind {
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
pub(super) mod streaming {
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
pub(super) mod taps {
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
