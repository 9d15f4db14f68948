//! An objective as data: which losses, with which options, weights and tags.

mod lists;
mod pix2pix;
mod spec;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use indexmap::IndexMap;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tch::Device;

pub use lists::{
    BceSpec, BceWithLogitsSpec, CrossEntropySpec, MultiLabelSoftMarginSpec, MultiMarginSpec, NllSpec,
};
pub use pix2pix::{pix2pix, Lambdas, Subspec};
pub use spec::{LossSpec, VggPerceptualSpec, VggWeights};

use super::{LossManager, Schedule};
use crate::{file, Error, Result, Vgg19};

/// What a training run minimises, as data: for files, so that an experiment can be repeated.
///
/// A file is TOML or JSON, a table of losses by name:
///
/// ```toml
/// [losses.G_L1]
/// loss = "L1Loss"
/// weight = 100.0
/// tags = ["G", "image"]
///
/// [losses.G_SOBEL]
/// loss = "Sobel"
/// options = { eps = 1e-6 }
/// schedule = { linear = { start_epoch = 1, end_epoch = 20, initial_value = 0.0, target_value = 10.0 } }
/// tags = ["G", "image"]
///
/// [losses.G_VGG]
/// loss = "VggPerceptual"
/// options = { weights = "pretrained", taps = { relu2_2 = 1.0, relu3_3 = 0.5 }, normalization = "imagenet_from_signed" }
/// weight = 10.0
/// ```
///
/// `loss` and `options` are those of [`LossSpec`]. A loss has either a `weight` (1 if nothing is said) or a
/// `schedule`: `constant`, `linear`, `exponential`, `cosine`, `step`, `piecewise` or `warm_up`, each with the
/// fields that the constructor in [`Schedule`] has as arguments. What is not known is an error, and errors
/// say where they are: `objective.toml: losses.G_SOBEL.options.eps: ...`.
///
/// ```
/// use tch::Device;
/// use tch_losses::manager::Objective;
///
/// let objective = Objective::from_toml(
///     r#"
///     [losses.G_L1]
///     loss = "L1Loss"
///     weight = 100.0
///
///     [losses.G_SOBEL]
///     loss = "Sobel"
///     schedule = { warm_up = { epochs = 4, then = { constant = 10.0 } } }
///     "#,
/// )?;
/// let manager = objective.build(Device::Cpu)?;
/// assert_eq!(manager.weights(&[]), [("G_L1", 100.0), ("G_SOBEL", 2.5)]);
/// assert_eq!(Objective::from_json(&objective.to_json()?)?, objective);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Objective {
    /// The losses by name, in the order in which they are registered.
    pub losses: IndexMap<String, TermSpec>,
}

/// A loss in an [`Objective`]: the data of a [`Term`](super::Term).
#[derive(Debug, Clone, PartialEq)]
pub struct TermSpec {
    /// The loss and its options.
    pub loss: LossSpec,
    /// Its weight.
    pub weight: Schedule,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Objective {
    /// Reads an objective from a `.toml` or `.json` file.
    ///
    /// # Errors
    /// A file that cannot be read, that has another extension, or that is not an objective:
    /// [`Error::Objective`], with the path of the field.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Objective> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let text = fs::read_to_string(path).map_err(|reason| Error::Read { path: path.into(), reason })?;
        let objective = match format {
            Format::Toml => Objective::from_toml(&text),
            Format::Json => Objective::from_json(&text),
        };
        objective.map_err(|error| match error {
            Error::Objective { field, problem, .. } => {
                Error::Objective { origin: path.display().to_string(), field, problem }
            }
            other => other,
        })
    }

    /// Reads an objective from the text of a TOML file.
    ///
    /// # Errors
    /// A text that is not an objective: [`Error::Objective`], with the path of the field.
    pub fn from_toml(text: &str) -> Result<Objective> {
        let file = toml::Deserializer::parse(text).map_err(|error| in_toml(text, &error, ""))?;
        let file: File = serde_path_to_error::deserialize(file)
            .map_err(|error| in_toml(text, error.inner(), &error.path().to_string()))?;
        file.try_into()
    }

    /// Reads an objective from the text of a JSON file.
    ///
    /// # Errors
    /// A text that is not an objective: [`Error::Objective`], with the path of the field.
    pub fn from_json(text: &str) -> Result<Objective> {
        // As TOML's parser does: some editors put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut file = serde_json::Deserializer::from_str(text);
        let objective: File = serde_path_to_error::deserialize(&mut file)
            .map_err(|error| problem(&error.path().to_string(), error.inner()))?;
        file.end().map_err(|error| problem("", &error))?;
        objective.try_into()
    }

    /// The text of a TOML file that says the same.
    ///
    /// # Errors
    /// What data cannot say: a [custom schedule](Schedule::custom), a reduction that tch has no name for.
    /// What could not be read back: a weight that is not finite, options that make no sense.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&File::try_from(self)?).map_err(|error| problem("", &error))
    }

    /// The text of a JSON file that says the same.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(&File::try_from(self)?).map_err(|error| problem("", &error))
    }

    /// Writes the objective to a `.toml` or `.json` file, which is there as a whole or as it was.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml); a file that has another extension or cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = match Format::of(path)? {
            Format::Toml => self.to_toml()?,
            Format::Json => self.to_json()?,
        };
        file::write(path, |file| file.write_all(text.as_bytes()))
    }

    /// A manager with these losses, computing on `device`; where several of them need the same network, it is
    /// there once.
    ///
    /// # Errors
    /// Weights that cannot be had: see [`Vgg19::pretrained`] and [`Vgg19::from_file`]. A weight that is not
    /// finite.
    pub fn build(&self, device: Device) -> Result<LossManager> {
        let mut networks = Networks::default();
        let mut manager = LossManager::new();
        for (name, TermSpec { loss, weight, tags }) in &self.losses {
            let term = loss.build(device, &mut networks)?;
            manager.register(name, term.schedule(weight.clone()).tags(tags))?;
        }
        Ok(manager)
    }
}

/// The networks that were loaded, by where from.
#[derive(Default)]
struct Networks(HashMap<VggWeights, Vgg19>);

impl Networks {
    fn get(&mut self, weights: &VggWeights, device: Device) -> Result<Vgg19> {
        if let Some(vgg) = self.0.get(weights) {
            return Ok(vgg.clone());
        }
        let vgg = match weights {
            VggWeights::Pretrained => Vgg19::pretrained(device)?,
            VggWeights::File(path) => Vgg19::from_file(path, device)?,
        };
        self.0.insert(weights.clone(), vgg.clone());
        Ok(vgg)
    }
}

enum Format {
    Toml,
    Json,
}

impl Format {
    fn of(path: &Path) -> Result<Format> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Ok(Format::Toml),
            Some("json") => Ok(Format::Json),
            _ => Err(Error::Objective {
                origin: path.display().to_string(),
                field: String::new(),
                problem: "the name of an objective's file ends in .toml or .json".into(),
            }),
        }
    }
}

/// What a file looks like.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with the table `losses`")]
struct File {
    losses: Table,
}

struct Table(IndexMap<String, Row>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that describes a loss")]
struct Row {
    loss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<Schedule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Value>,
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A map that refuses what TOML refuses, and JSON leaves to the reader: a name that comes twice.
impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Table, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Table;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a table of losses by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Table, A::Error> {
                let mut rows = IndexMap::new();
                while let Some((name, row)) = map.next_entry::<String, Row>()? {
                    if rows.contains_key(&name) {
                        return Err(A::Error::custom(format!("two losses are named `{name}`")));
                    }
                    rows.insert(name, row);
                }
                Ok(Table(rows))
            }
        }
        deserializer.deserialize_map(Rows)
    }
}

impl TryFrom<File> for Objective {
    type Error = Error;

    fn try_from(file: File) -> Result<Objective> {
        let term = |(name, row): (String, Row)| {
            let at = |field: &str, text: &str| problem(&join(&format!("losses.{name}"), field), &text);
            let weight = match (row.weight, row.schedule) {
                (Some(_), Some(_)) => return Err(at("schedule", "there is a `weight`, too: choose one")),
                (None, Some(schedule)) => schedule,
                (Some(weight), None) if !weight.is_finite() => return Err(at("weight", "it is not finite")),
                (weight, None) => Schedule::fixed(weight.unwrap_or(1.0)),
            };
            let options = row.options.unwrap_or_else(|| Value::Object(Default::default()));
            let loss = LossSpec::from_parts(&row.loss, options).map_err(|p| at(&p.path, &p.problem))?;
            Ok((name, TermSpec { loss, weight, tags: row.tags }))
        };
        Ok(Objective { losses: file.losses.0.into_iter().map(term).collect::<Result<_>>()? })
    }
}

impl TryFrom<&Objective> for File {
    type Error = Error;

    fn try_from(objective: &Objective) -> Result<File> {
        let row = |(name, term): (&String, &TermSpec)| {
            let at =
                |field: &str, text: &dyn fmt::Display| problem(&join(&format!("losses.{name}"), field), text);
            let options = term.loss.options().map_err(|error| at("options", &error))?;
            // JSON has no NaN: `null` would be read as something else.
            term.loss.check().map_err(|p| at(&p.path, &p.problem))?;
            let weight = term.weight.as_constant();
            if weight.is_some_and(|weight| !weight.is_finite()) {
                return Err(at("weight", &"it is not finite"));
            }
            let schedule = if weight.is_none() { Some(term.weight.clone()) } else { None };
            let row = Row {
                loss: term.loss.name().into(),
                weight,
                schedule,
                tags: term.tags.clone(),
                options: Some(options),
            };
            Ok((name.clone(), row))
        };
        Ok(File { losses: Table(objective.losses.iter().map(row).collect::<Result<_>>()?) })
    }
}

/// `field` in `parent`, as a path: `losses.G_L1` and `options.eps` make `losses.G_L1.options.eps`.
fn join(parent: &str, field: &str) -> String {
    match field {
        "" | "." => parent.into(),
        _ => format!("{parent}.{field}"),
    }
}

fn problem(field: &str, problem: &dyn fmt::Display) -> Error {
    let field = if field == "." { String::new() } else { field.into() };
    Error::Objective { origin: "objective".into(), field, problem: problem.to_string() }
}

/// With the number of the line, which is all of the place that the TOML error's message leaves out.
fn in_toml(text: &str, error: &toml::de::Error, field: &str) -> Error {
    let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
    match line {
        Some(line) => problem(field, &format!("{} (line {line})", error.message())),
        None => problem(field, &error.message()),
    }
}
