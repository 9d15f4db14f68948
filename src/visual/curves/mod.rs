//! The losses of a run as curves.

mod area;
mod axis;
mod line;
mod page;
mod panel;
mod svg;

use std::io::Write;
use std::path::Path;

use image::RgbImage;
use indexmap::IndexMap;

use super::save_png;
use crate::base::atomic;
use crate::manager::log::{LoggedRun, LossCurve};
use crate::{Error, Result};
use line::smoothed;
use page::Page;
pub(super) use page::{document, picture};
use panel::{Curve, Panel, Scale};
pub(super) use svg::{escaped, shortened, INK, LABEL, MARGIN, SMALL, SOFT_INK};

/// A picture of the losses of a run over its steps.
///
/// Each loss is a smoothed line over a light line of every record. A legend has the last values, a title the
/// facts of the run.
///
/// - **Values**: the weighted losses, as the axis says. The training saw these, and the weights make them
///   comparable.
/// - **Smoothing**: the exponential moving average with a span of `n` records, as pandas'
///   `ewm(span=n).mean()`:
///
///   ```text
///   mean[t] = sum_i (1 - a)^i x[t - i] / sum_i (1 - a)^i,   i = 0 .. t,   a = 2 / (n + 1)
///   ```
///
///   It leaves out values that are not finite or beyond ±1e300.
/// - **Scale**: covers all values. If a few outliers would squeeze the rest into less than half of the
///   height, it covers 98 % of each loss's values, and draws the others at the edge.
/// - **Gaps**: values that are not finite or beyond ±1e300 are not drawn. A logarithmic scale also leaves out
///   zero and negative values. Notes give the number of these values.
/// - **Size**: each column of pixels shows the first, lowest, highest and last value, which look the same as
///   all of them. So the size of a picture does not grow with the length of the run.
/// - **Colours**: those of Okabe and Ito, which can be told apart with any colour vision. From the ninth loss
///   on, lines are dashed.
///
/// ```
/// use tch_losses::manager::log::{LoggedRun, LossCurve, RunInfo};
/// use tch_losses::visual::LossCurves;
///
/// let weighted: Vec<f64> = (0..500).map(|step| 100.0 / (1.0 + f64::from(step))).collect();
/// let curve = LossCurve {
///     tags: vec!["G".into()],
///     steps: (0..500).collect(),
///     epochs: vec![0; 500],
///     values: weighted.iter().map(|value| value / 100.0).collect(),
///     weights: vec![100.0; 500],
///     weighted,
/// };
/// let run = RunInfo { experiment: "pix2pix".into(), ..Default::default() };
/// let run = LoggedRun { run, losses: [("G_L1".into(), curve)].into(), ..Default::default() };
/// let curves = LossCurves { log_scale: true, ..LossCurves::new(&run) };
/// assert!(curves.render_svg()?.contains("G_L1"));
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("curves.png");
/// curves.save(path)?;
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LossCurves<'a> {
    /// The run to draw.
    pub run: &'a LoggedRun,
    /// A panel for each tag, with the losses that have it. Otherwise, one panel for all losses.
    pub split_by_tag: bool,
    /// A logarithmic scale for the losses.
    pub log_scale: bool,
    /// The span of the moving average in records. 1 means none; `None` means a fiftieth of the longest loss's
    /// records.
    pub smooth: Option<u64>,
    /// Adds a panel with the weights that were applied.
    pub weights: bool,
}

/// The panel of losses without a tag.
const UNTAGGED: &str = "no tag";

impl<'a> LossCurves<'a> {
    /// All losses in one panel, with a linear scale and the usual smoothing.
    pub fn new(run: &'a LoggedRun) -> LossCurves<'a> {
        LossCurves { run, split_by_tag: false, log_scale: false, smooth: None, weights: false }
    }

    /// Writes the picture to a PNG or SVG file, as its name ends. A file that exists is replaced, as a whole
    /// or not at all.
    ///
    /// # Errors
    /// Another ending, a file that cannot be written, and as [`render_svg`](LossCurves::render_svg).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("png") => save_png(&self.render()?, path),
            Some("svg") => {
                let svg = self.render_svg()?;
                atomic::write(path, |file| file.write_all(svg.as_bytes()))
            }
            _ => {
                let expected = "a name that ends in .png or .svg".into();
                Err(Error::Option { option: "path", given: path.display().to_string(), expected })
            }
        }
    }

    /// Draws the picture, about 2200 pixels wide.
    ///
    /// # Errors
    /// As [`render_svg`](LossCurves::render_svg).
    pub fn render(&self) -> Result<RgbImage> {
        Ok(page::picture(&self.render_svg()?, page::SCALE))
    }

    /// Draws the picture as an SVG document. Its text is text, in Ubuntu where that font is installed.
    ///
    /// # Errors
    /// A run without records; a `smooth` of 0.
    pub fn render_svg(&self) -> Result<String> {
        let longest = self.run.losses.values().map(|loss| loss.steps.len()).max().unwrap_or(0) as u64;
        if longest == 0 {
            let expected = "a run with at least one record".into();
            return Err(Error::Option { option: "run", given: "without records".into(), expected });
        }
        let span = self.smooth.unwrap_or((longest / 50).max(1));
        if span == 0 {
            let expected = "1 (no smoothing) or more".into();
            return Err(Error::Option { option: "smooth", given: "0".into(), expected });
        }
        let curves = |values: fn(&LossCurve) -> &[f64], span| {
            let losses = self.run.losses.iter().enumerate().filter(|(_, (_, loss))| !loss.steps.is_empty());
            let curve = move |(style, (name, loss)): (usize, (&'a String, &'a LossCurve))| Curve {
                name,
                style,
                steps: &loss.steps,
                values: values(loss),
                smoothed: (span > 1).then(|| smoothed(values(loss), span)),
            };
            losses.map(curve).collect::<Vec<Curve<'a>>>()
        };
        let losses = curves(|loss| &loss.weighted, span);
        let weights = if self.weights { curves(|loss| &loss.weights, 1) } else { Vec::new() };

        let is_weighted =
            self.run.losses.values().any(|loss| loss.weights.iter().any(|weight| *weight != 1.0));
        let panel = |title: Option<&'a str>, curves| Panel {
            title,
            quantity: if is_weighted { "weighted loss" } else { "loss" },
            scale: if self.log_scale { Scale::Logarithmic } else { Scale::Linear },
            curves,
        };
        let mut panels = Vec::new();
        if self.split_by_tag {
            let mut tags: IndexMap<&str, Vec<&Curve>> = IndexMap::new();
            for curve in &losses {
                let of_loss = &self.run.losses[curve.name].tags;
                for tag in of_loss {
                    tags.entry(tag).or_default().push(curve);
                }
                if of_loss.is_empty() {
                    tags.entry(UNTAGGED).or_default().push(curve);
                }
            }
            panels.extend(tags.into_iter().map(|(tag, curves)| panel(Some(tag), curves)));
        } else {
            panels.push(panel(None, losses.iter().collect()));
        }
        if self.weights {
            let title = Some("weights");
            let curves = weights.iter().collect();
            panels.push(Panel { title, quantity: "weight", scale: Scale::FromZero, curves });
        }
        Ok(Page { run: self.run, span, panels }.draw())
    }
}
