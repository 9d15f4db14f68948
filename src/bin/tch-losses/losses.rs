//! Which losses `compare` computes: the usual ones, some of the catalogue, or those of an objective.

use std::path::Path;

use anyhow::{anyhow, bail, Context, Result};
use tch::Device;
use tch_losses::manager::{LossManager, LossSpec, NetworkWeights, Objective, PerceptualLossSpec, TermSpec};
use tch_losses::{printable, DataRange, Loss, Reduction};

use crate::note;
use crate::pair::Reach;

/// The tag of an objective's losses that compare images.
const IMAGE: &str = "image";

/// Short names of what is computed unless something else is asked for, and the names in headlines.
const USUAL: [(&str, &str, &str); 4] = [
    ("l1", "L1Loss", "L1"),
    ("mse", "MseLoss", "MSE"),
    ("sobel", "Sobel", "Sobel"),
    ("laplacian", "Laplacian", "Laplacian"),
];
const VGG: (&str, &str) = ("vgg", "VGG19 perceptual");

/// The word for all losses of two images that need no network, and the families that have them.
const ALL: &str = "all";
const FAMILIES: [&str; 5] = ["pixel", "edge", "structure", "similarity", "frequency"];
/// The family of the losses of two images that need a network.
const PERCEPTUAL: &str = "perceptual";
/// The loss of these families whose second tensor is no image but a weight for each pixel.
const WITH_WEIGHTS: &str = "WeightedTotalVariationLoss";

/// The losses that were chosen.
pub struct Chosen {
    objective: Objective,
    manager: LossManager,
    /// Whether they have weights of their own.
    pub weighted: bool,
    /// Whether nobody asked for any of them by name, so that one that refuses the images is left out.
    pub optional: bool,
}

/// A loss with its name in the output and its headline on the sheet.
pub struct Entry<'a> {
    pub key: &'a str,
    /// The type of the loss, as `L1Loss`, and its family.
    pub name: &'static str,
    pub family: &'static str,
    pub headline: &'a str,
    pub loss: &'a dyn Loss,
    pub weight: f64,
    pub reach: Reach,
}

impl Chosen {
    /// The usual losses, and with weights the perceptual one.
    pub fn usual(vgg: Option<&Path>, device: Device) -> Result<Chosen> {
        let mut objective = Objective::default();
        for (key, name, _) in USUAL {
            objective.losses.insert(key.into(), LossSpec::named(name)?.into());
        }
        if let Some(vgg) = vgg {
            objective.losses.insert(VGG.0.into(), perceptual(vgg).into());
        }
        Chosen::of(objective, false, None, device).context("--vgg")
    }

    /// Losses by name: short names, those of the catalogue, or the word `all`. The images have values in `range`.
    pub fn by_name(names: &[String], vgg: Option<&Path>, range: DataRange, device: Device) -> Result<Chosen> {
        let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
        if names.iter().any(|name| name.is_empty()) {
            bail!(
                "--losses has a name of no letters: give names with commas between them, such as l1,SSIMLoss"
            );
        }
        let optional = names.contains(&ALL);
        if optional && names.len() > 1 {
            bail!("--losses {ALL} stands alone");
        }
        let is_vgg = |name: &str| name == VGG.0 || name == "PerceptualLoss";
        if vgg.is_some() && !optional && !names.iter().any(|name| is_vgg(name)) {
            bail!(
                "--vgg is for the loss `{}`, which --losses does not name: add it, or leave --vgg out",
                VGG.0
            );
        }
        let all = optional.then(|| every_name(vgg, device)).transpose()?;
        let mut objective = Objective::default();
        let all: Option<Vec<&str>> = all.as_ref().map(|all| all.iter().map(String::as_str).collect());
        for given in all.unwrap_or(names) {
            let usual = USUAL.iter().find(|(key, name, _)| given == *key || given == *name);
            let (key, spec) = match (usual, vgg) {
                (Some((key, name, _)), _) => (*key, LossSpec::named(name)?),
                (None, Some(vgg)) if is_vgg(given) => (VGG.0, perceptual(vgg)),
                (None, None) if given == VGG.0 => bail!("--losses vgg needs weights: name them with --vgg"),
                (None, _) => (given, LossSpec::named(given).context("--losses")?),
            };
            refuse_unless_of_images(key, &spec)?;
            if objective.losses.contains_key(key) {
                bail!("--losses names `{}` twice", printable(key));
            }
            objective.losses.insert(key.into(), spec.into());
        }
        let mut chosen = Chosen::of(objective, false, Some(range), device)?;
        chosen.optional = optional;
        Ok(chosen)
    }

    /// The losses of an objective's file, or of a published one, that compare images: those with the tag `image`, or all
    /// if none has it. Their options say which values their images have; `range` is that of the images given.
    pub fn of_file(path: &Path, range: DataRange, device: Device) -> Result<Chosen> {
        let published = path.to_str().filter(|_| path.extension().is_none() && !path.exists());
        let mut objective = match published {
            Some(name) => Objective::named(name)?,
            None => Objective::from_file(path)?,
        };
        if objective.losses.is_empty() {
            bail!("{}: there are no losses", path.display());
        }
        let all = objective.losses.len();
        if objective.losses.values().any(|term| term.tags.iter().any(|tag| tag == IMAGE)) {
            objective.losses.retain(|_, term| term.tags.iter().any(|tag| tag == IMAGE));
            if objective.losses.len() < all {
                note(format_args!("computed are the losses with the tag `{IMAGE}`"));
            }
        } else {
            // With the tag, whoever wrote the file knows better: cross entropies may compare images.
            for (name, term) in &objective.losses {
                refuse_unless_of_images(name, &term.loss)
                    .map_err(|error| untagged(error, &objective, published))?;
            }
        }
        for (name, term) in &objective.losses {
            if let Some(expected) = term.loss.data_range().filter(|expected| *expected != range) {
                note(format_args!(
                    "`{}` expects values in the range {expected}, and gets {range}: see --range",
                    printable(name)
                ));
            }
        }
        Chosen::of(objective, true, None, device)
    }

    /// If there is a `range`, it takes the place of that in the options.
    fn of(objective: Objective, weighted: bool, range: Option<DataRange>, device: Device) -> Result<Chosen> {
        if let Some((name, _)) = objective.losses.iter().find(|(_, term)| term.loss.has_parameters()) {
            bail!("`{}` does not compare two images: it has parameters of its own", printable(name));
        }
        let objective = match range {
            Some(range) => in_range(objective, range)?,
            None => objective,
        };
        let manager = objective.build(device)?;
        let chosen = Chosen { objective, manager, weighted, optional: false };
        if let Some(name) = chosen.manager.names(&[]).iter().find(|name| chosen.loss(name).is_none()) {
            bail!("`{}` does not compare two images: it takes other tensors", printable(name));
        }
        Ok(chosen)
    }

    fn loss(&self, name: &str) -> Option<&dyn Loss> {
        self.manager.losses(&[]).into_iter().find(|(own, _)| *own == name).map(|(_, loss)| loss)
    }

    pub fn entries(&self) -> Vec<Entry<'_>> {
        let losses = self.manager.losses(&[]).into_iter();
        let weights = self.manager.weights(&[]);
        let entry = |((key, loss), (_, weight))| {
            let usual = USUAL.iter().map(|(key, _, headline)| (*key, *headline)).chain([VGG]);
            let headline =
                usual.into_iter().find(|(own, _)| *own == key).map_or(key, |(_, headline)| headline);
            let spec = &self.objective.losses[key].loss;
            let (name, family) = (spec.name(), spec.family());
            Entry { key, name, family, headline, loss, weight, reach: reach(spec) }
        };
        losses.zip(weights).map(entry).collect()
    }
}

/// An error for a loss that may take two tensors, which are no images.
fn refuse_unless_of_images(name: &str, loss: &LossSpec) -> Result<()> {
    let (name, family) = (printable(name), loss.family());
    if loss.name() == WITH_WEIGHTS {
        bail!("`{name}` does not compare two images: its second tensor is a weight for each pixel");
    }
    if !FAMILIES.contains(&family) && family != PERCEPTUAL {
        bail!(
            "`{name}` does not compare two images: its family is {family}, those of images are {}, {PERCEPTUAL}",
            FAMILIES.join(", ")
        );
    }
    Ok(())
}

/// The error of a loss that does not compare images, in an objective where no loss is said to.
fn untagged(error: anyhow::Error, objective: &Objective, published: Option<&str>) -> anyhow::Error {
    let of_images = |(_, term): &(&String, &TermSpec)| refuse_unless_of_images("", &term.loss).is_ok();
    let able = objective.losses.iter().filter(of_images);
    let able: Vec<String> = able.map(|(name, _)| format!("`{}`", printable(name))).collect();
    if able.is_empty() {
        return anyhow!("{error}. No loss of this objective does, so there is nothing to compare");
    }
    let file = match published {
        Some(name) => format!("In a file, which `tch-losses objective show {name}` prints, give"),
        None => "Give".into(),
    };
    anyhow!(
        "{error}. {file} the tag `{IMAGE}` to the losses that compare a generated image with the real one; those that can \
         are {}",
        able.join(", ")
    )
}

/// The short or long names of all losses of two images.
fn every_name(vgg: Option<&Path>, device: Device) -> Result<Vec<String>> {
    let mut objective = Objective::default();
    for name in LossSpec::NAMES {
        let spec = LossSpec::named(name)?;
        if FAMILIES.contains(&spec.family()) {
            objective.losses.insert(name.to_string(), spec.into());
        }
    }
    let manager = objective.build(device)?;
    // Some take one tensor or three, and one has weights in the place of the other image.
    let of_images = manager.losses(&[]).into_iter().filter(|(name, _)| *name != WITH_WEIGHTS);
    let mut names: Vec<String> = of_images.map(|(name, _)| name.to_owned()).collect();
    names.extend(vgg.map(|_| VGG.0.to_owned()));
    Ok(names)
}

/// The objective with the range of the images' values in all losses that have such an option.
fn in_range(objective: Objective, range: DataRange) -> Result<Objective> {
    let mut file: serde_json::Value = serde_json::from_str(&objective.to_json()?)?;
    for (name, term) in &objective.losses {
        if term.loss.data_range().is_some() {
            file["losses"][name]["options"]["data_range"] = serde_json::to_value(range)?;
        }
    }
    Ok(Objective::from_json(&file.to_string())?)
}

fn perceptual(weights: &Path) -> LossSpec {
    let weights = match weights.to_str() {
        Some("pretrained") => NetworkWeights::Pretrained,
        _ => NetworkWeights::File(weights.into()),
    };
    LossSpec::PerceptualLoss(PerceptualLossSpec { weights, ..Default::default() })
}

/// How much of a picture a row of the loss's map depends on; all of it for losses of which that is not known here. The
/// mean of the map is the loss with the reduction mean alone.
fn reach(loss: &LossSpec) -> Reach {
    let (reduction, rows) = match loss {
        LossSpec::L1Loss(loss) => (loss.reduction, 0),
        LossSpec::MseLoss(loss) => (loss.reduction, 0),
        LossSpec::SmoothL1Loss(loss) => (loss.reduction, 0),
        LossSpec::HuberLoss(loss) => (loss.reduction, 0),
        LossSpec::CharbonnierLoss(loss) => (loss.reduction, 0),
        LossSpec::Sobel(loss) => (loss.reduction, 1),
        LossSpec::Laplacian(loss) => (loss.reduction, 1),
        _ => return Reach::All,
    };
    match reduction {
        Reduction::Mean => Reach::Rows(rows),
        _ => Reach::All,
    }
}
