//! An objective as data: losses with their options, weights and tags.

mod adversarial;
mod catalogue;
mod contextual;
mod dists;
mod error;
mod file;
mod lpips;
mod make;
mod network;
mod networks;
mod node;
mod perceptual;
mod presets;
mod problem;
mod read;
mod spec;
mod style;
mod summary;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use indexmap::IndexMap;
use tch::{nn, Device};

pub use adversarial::{GanLossSpec, GanSide, RelativisticLossSpec};
pub use catalogue::LossSpec;
pub use contextual::ContextualLossSpec;
pub use dists::DistsSpec;
pub use error::ObjectiveError;
pub use lpips::LpipsSpec;
pub use network::NetworkWeights;
pub use perceptual::PerceptualLossSpec;
pub use presets::{cyclegan, esrgan, pix2pix, pix2pixhd, real_esrgan, stylegan2, Lambdas, Subspec};

use super::{LazyRegularization, LossManager, Schedule, Term};
use crate::{Error, Result};
use file::File;
use make::Site;
use networks::Networks;
use node::Node;
use problem::Problem;

/// The losses of a training run as data: a file that you keep with the experiment, so that you can repeat it.
///
/// The file is TOML or JSON: a table of losses by name. [`guide::objectives`](crate::guide::objectives) has a longer one.
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
/// loss = "PerceptualLoss"
/// options = { weights = "pretrained", taps = { relu2_2 = 1.0, relu3_3 = 0.5 }, data_range = "signed", normalization = "imagenet" }
/// weight = 10.0
/// ```
///
/// - `loss` is the name of any loss in [`LossSpec`]. `options` are those of the loss; see [`LossSpec`] and, for
///   the losses on networks, [`PerceptualLossSpec`], [`LpipsSpec`], [`DistsSpec`] and [`ContextualLossSpec`].
/// - A loss has a `weight` (default: 1) or a `schedule`: `constant`, `linear`, `exponential`, `cosine`,
///   `step`, `piecewise` or `warm_up`. The fields of a schedule are the arguments of the constructor in
///   [`Schedule`].
/// - A loss with `every = 16` is due in every 16th step only, and counts 16 times there; see [`Term::every`].
/// - One value may stand for a list of one: `tags = "G"`, `pos_weight = 2.0`.
/// - Anything unknown is an error. It says where the problem is, what is accepted and what may be meant:
///
/// ```text
/// objective.toml: losses.G_SOBEL.options.epsilon: there is no such option, did you mean `eps`? There are `reduction`,
/// `eps` (line 8)
/// ```
///
/// Start from one that is published: [`pix2pix`], [`pix2pixhd`], [`cyclegan`], [`esrgan`], [`real_esrgan`],
/// [`stylegan2`];
/// `tch-losses objective show cyclegan > objective.toml` writes it to a file.
///
/// `tch-losses objective check FILE` prints a summary of a file, as [`Display`](std::fmt::Display) does:
///
/// ```text
/// G_L1     L1Loss          weight 100                                   tags G, image
/// G_SOBEL  Sobel           weight 0 (epoch 1) to 10 (epoch 20), linear  tags G, image
/// G_VGG    PerceptualLoss  weight 10                                    no tags
///          taps = { relu2_2 = 1.0, relu3_3 = 0.5 }
///          data_range = "signed"
///          normalization = "imagenet"
///
/// tag G      G_L1, G_SOBEL
/// tag image  G_L1, G_SOBEL
/// ```
///
/// ```
/// use tch::{nn, Device};
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
    /// The steps in which it is due: [`Term::every`](super::Term::every).
    pub every: LazyRegularization,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The loss with weight 1, due in every step, and no tags.
impl From<LossSpec> for TermSpec {
    fn from(loss: LossSpec) -> TermSpec {
        TermSpec { loss, weight: Schedule::fixed(1.0), every: Default::default(), tags: Vec::new() }
    }
}

impl Objective {
    /// Reads an objective from a `.toml` or `.json` file.
    ///
    /// # Errors
    /// A file that cannot be read, that has another extension, or that is not an objective:
    /// [`ObjectiveError`], with the path of the field and the line.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Objective> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let text = fs::read_to_string(path).map_err(|reason| Error::Read { path: path.into(), reason })?;
        let tree = match format {
            Format::Toml => Node::from_toml(&text),
            Format::Json => Node::from_json(&text),
        };
        read(tree, &path.display().to_string())
    }

    /// Reads an objective from the text of a TOML file.
    ///
    /// # Errors
    /// A text that is not an objective: [`ObjectiveError`], with the path of the field and the line.
    pub fn from_toml(text: &str) -> Result<Objective> {
        read(Node::from_toml(text), ORIGIN)
    }

    /// Reads an objective from the text of a JSON file.
    ///
    /// # Errors
    /// A text that is not an objective: [`ObjectiveError`], with the path of the field and the line.
    pub fn from_json(text: &str) -> Result<Objective> {
        read(Node::from_json(text), ORIGIN)
    }

    /// The text of a TOML file for this objective.
    ///
    /// # Errors
    /// - A function, which a file cannot hold: a [custom schedule](Schedule::custom), a [custom
    ///   distance](crate::Distance::custom).
    /// - What [`from_toml`](Self::from_toml) would refuse: a weight that is not finite, options out of their
    ///   range.
    pub fn to_toml(&self) -> Result<String> {
        let written = toml::to_string(&self.file()?);
        Ok(written.map_err(|error| Problem::new(error.to_string()).into_error(ORIGIN))?)
    }

    /// The text of a JSON file for this objective.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub fn to_json(&self) -> Result<String> {
        let written = serde_json::to_string_pretty(&self.file()?);
        Ok(written.map_err(|error| Problem::new(error.to_string()).into_error(ORIGIN))?)
    }

    /// Writes the objective to a `.toml` or `.json` file. If that fails, an existing file stays as it was.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml); a file that has another extension or cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = match Format::of(path)? {
            Format::Toml => self.to_toml()?,
            Format::Json => self.to_json()?,
        };
        crate::base::atomic::write(path, |file| file.write_all(text.as_bytes()))
    }

    fn file(&self) -> std::result::Result<File, ObjectiveError> {
        File::new(self).map_err(|problem| problem.into_error(ORIGIN))
    }

    /// A manager with these losses, which compute on `device`. Losses that need the same network share it.
    ///
    /// # Errors
    /// - Weights that cannot be had: see [`Network::pretrained`](crate::Network::pretrained) and
    ///   [`Network::from_file`](crate::Network::from_file).
    /// - A weight that is not finite.
    /// - A loss with parameters or a state, which needs [`build_in`](Self::build_in).
    pub fn build(&self, device: Device) -> Result<LossManager> {
        self.manager(device, None)
    }

    /// As [`build`](Self::build), also for losses with parameters or a state. These are in a variable store, each
    /// under the name of the loss: `D_CLASS.linear.weight`. The losses compute on the store's device.
    ///
    /// ```
    /// use tch::{nn, Device};
    /// use tch_losses::manager::Objective;
    ///
    /// let objective = Objective::from_toml(
    ///     r#"
    ///     [losses.WORDS]
    ///     loss = "LinearCrossEntropyLoss"
    ///     options = { in_features = 16, num_classes = 1000, chunking = "auto" }
    ///     "#,
    /// )?;
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let manager = objective.build_in(&vs.root())?;
    /// assert_eq!(vs.variables()["WORDS.linear.weight"].size(), [1000, 16]);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`build`](Self::build). Losses with parameters are no error.
    ///
    /// # Panics
    /// When memory runs out or the store's kind is not floating, as tch's own layers do.
    pub fn build_in(&self, vs: &nn::Path) -> Result<LossManager> {
        self.manager(vs.device(), Some(vs))
    }

    fn manager(&self, device: Device, vs: Option<&nn::Path>) -> Result<LossManager> {
        let mut site = Site { device, networks: Networks::default(), parameters: None };
        let mut manager = LossManager::new();
        let mut places = HashSet::new();
        for (name, TermSpec { loss, weight, every, tags }) in &self.losses {
            if loss.has_parameters() && vs.is_none() {
                let text = format!(
                    "`{}` has parameters or a state: use `Objective::build_in`, which takes a variable store",
                    loss.name()
                );
                let problem = Problem::new(text).within("loss").within(name).within("losses");
                return Err(problem.into_error(ORIGIN).into());
            }
            // A dot would be one of the store's own; names of losses may have some.
            let place = name.replace('.', "_");
            if loss.has_parameters() && !places.insert(place.clone()) {
                let text =
                    format!("another loss has its parameters under `{place}`, too: choose another name");
                return Err(Problem::new(text).within(name).within("losses").into_error(ORIGIN).into());
            }
            site.parameters = vs.map(|vs| vs / place);
            let term = Term::of(loss.make(&mut site)?);
            manager.register(name, term.schedule(weight.clone()).every(every.steps()).tags(tags))?;
        }
        Ok(manager)
    }
}

/// What errors call a text that has no file.
const ORIGIN: &str = "objective";

/// The objective that a text from `origin` holds.
fn read(text: std::result::Result<Node, Problem>, origin: &str) -> Result<Objective> {
    let objective = text.and_then(|text| file::objective(&text));
    Ok(objective.map_err(|problem| problem.into_error(origin))?)
}

enum Format {
    Toml,
    Json,
}

impl Format {
    fn of(path: &Path) -> std::result::Result<Format, ObjectiveError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Ok(Format::Toml),
            Some("json") => Ok(Format::Json),
            _ => {
                let problem = Problem::new("the name of an objective's file ends in .toml or .json");
                Err(problem.into_error(path.display().to_string()))
            }
        }
    }
}
