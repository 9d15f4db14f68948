//! The lines of a log as JSON.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::RunInfo;

/// What the run is: the first line, and again where a run goes on elsewhere or another one begins.
#[derive(Serialize)]
pub(super) struct Header<'a> {
    pub tch_losses_log: u32,
    #[serde(flatten)]
    pub run: &'a RunInfo,
}

/// Stands before the first record of a loss, and again where its tags change.
#[derive(Serialize)]
pub(super) struct Declaration<'a> {
    pub loss: &'a str,
    pub tags: &'a [String],
}

/// A line as it is read, whichever of the three it is: other programs write the keys in another order, and
/// with spaces.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Fields {
    pub tch_losses_log: Option<u64>,
    pub experiment: Option<String>,
    pub device: Option<String>,
    pub dataroot: Option<String>,
    pub dataset_length: Option<u64>,
    pub loss: Option<String>,
    pub tags: Option<Vec<String>>,
    pub step: Option<u64>,
    pub epoch: Option<u64>,
    #[serde(default, deserialize_with = "points")]
    pub losses: Option<IndexMap<String, Point>>,
}

/// What a step's line holds of one loss.
#[derive(Serialize, Deserialize)]
#[serde(expecting = "an object with `value`, `weight` and `weighted`")]
pub(super) struct Point {
    #[serde(with = "number")]
    pub value: f64,
    #[serde(with = "number")]
    pub weight: f64,
    #[serde(with = "number")]
    pub weighted: f64,
}

/// Whether it can be a number of a [`Point`].
pub(super) fn is_number(json: &str) -> bool {
    number::deserialize(&mut serde_json::Deserializer::from_str(json)).is_ok()
}

/// Numbers as JSON has them, and those that it lacks as strings.
mod number {
    use super::{fmt, Deserializer, Visitor};
    use serde::de::Error;
    use serde::Serializer;

    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match number {
            number if number.is_finite() => serializer.serialize_f64(*number),
            number => serializer.serialize_str(super::not_finite(*number)),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        deserializer.deserialize_any(Number)
    }

    struct Number;

    impl Visitor<'_> for Number {
        type Value = f64;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
            Ok(number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
            Ok(number as f64)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
            Ok(number as f64)
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<f64, E> {
            let found = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
                .into_iter()
                .find(|number| super::not_finite(*number) == name);
            found.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(name), &self))
        }
    }
}

/// The name of a number that is not finite, which is JavaScript's and that of Python's `json`.
pub(super) fn not_finite(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

/// A map in which no name comes twice: the default for maps takes the last and says nothing.
fn points<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IndexMap<String, Point>>, D::Error> {
    struct Points;

    impl<'de> Visitor<'de> for Points {
        type Value = IndexMap<String, Point>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a map of losses")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut points = IndexMap::new();
            while let Some((name, point)) = map.next_entry::<String, Point>()? {
                if points.contains_key(&name) {
                    return Err(serde::de::Error::custom(format_args!("{name:?} comes twice")));
                }
                points.insert(name, point);
            }
            Ok(points)
        }
    }

    deserializer.deserialize_map(Points).map(Some)
}
