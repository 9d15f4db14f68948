//! The style of a perceptual loss as data: a table, or the word "none".

use std::fmt;
use std::result::Result;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::network::taps;
use crate::{FeatureCriterion, GramNormalization, Style, Tap};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Style", deny_unknown_fields)]
struct Table {
    #[serde(with = "taps")]
    taps: Vec<(Tap, f64)>,
    #[serde(default)]
    criterion: FeatureCriterion,
    #[serde(default)]
    gram: GramNormalization,
}

pub(super) fn serialize<S: Serializer>(style: &Option<Style>, serializer: S) -> Result<S::Ok, S::Error> {
    match style {
        Some(style) => Table::serialize(style, serializer),
        None => serializer.serialize_str("none"),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Style>, D::Error> {
    struct TableOrNone;
    impl<'de> Visitor<'de> for TableOrNone {
        type Value = Option<Style>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("\"none\" or a table { taps = .., criterion = .., gram = .. }")
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Option<Style>, E> {
            match word {
                "none" => Ok(None),
                _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Style>, A::Error> {
            Table::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(TableOrNone)
}
