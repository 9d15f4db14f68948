//! The losses of one or several runs as curves.

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
use line::{differ, smoothed};
use page::Page;
pub(super) use page::{document, picture, HIGHEST};
use panel::{Curve, Panel, Scale};
pub(super) use svg::{escaped, shortened, INK, LABEL, MARGIN, SMALL, SOFT_INK};

/// A picture of the losses of one or several runs over their steps.
///
/// Each loss is a smoothed line over a light line of every record. A legend has the last values, a title the
/// facts of the run.
///
/// - **Runs**: of one run, all losses are in one panel, or in a panel for each tag. Of several runs, there is a
///   panel for each loss, with a line for each run that has it.
/// - **Values**: the weighted losses, as the axis says. The training saw these, and the weights make them
///   comparable.
/// - **Smoothing**: the exponential moving average with a span of `n` records, as pandas'
///   `ewm(span=n, ignore_na=True).mean()`:
///
///   ```text
///   mean[t] = sum_i (1 - a)^i x[t - i] / sum_i (1 - a)^i,   i = 0 .. t,   a = 2 / (n + 1)
///   ```
///
///   It leaves out values that are not finite or beyond ±1e300.
/// - **Scale**: linear or logarithmic, see [`CurveScale`]. It covers all values. If a few outliers would squeeze the rest into less than half of the
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
/// use tch_losses::visual::{CurveScale, LossCurves};
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
/// let curves = LossCurves { scale: CurveScale::Logarithmic, ..LossCurves::new(&run) };
/// assert!(curves.render_svg()?.contains("G_L1"));
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("curves.png");
/// curves.save(path)?;
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LossCurves<'a> {
    /// The runs to draw, with their names in the legend.
    pub runs: Vec<(String, &'a LoggedRun)>,
    /// A panel for each tag of the only run, with the losses that have it. Otherwise, one panel for all losses.
    pub split_by_tag: bool,
    /// The vertical scale of the losses.
    pub scale: CurveScale,
    /// The span of the moving average in records. 1 means none; `None` means a fiftieth of the longest loss's
    /// records.
    pub smooth: Option<u64>,
    /// Adds panels with the weights that were applied.
    pub weights: bool,
}

/// How [`LossCurves`] lays out losses along the vertical axis.
///
/// ```
/// use tch_losses::visual::CurveScale;
///
/// assert_eq!(CurveScale::default(), CurveScale::Auto);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CurveScale {
    /// In each panel, logarithmic if the median of one curve is more than a hundred times that of another, and if
    /// no curve has more than a hundredth of zero or negative values. Otherwise linear.
    #[default]
    Auto,
    /// Evenly.
    Linear,
    /// By their logarithm. Zero and negative values are left out, and counted in a note.
    Logarithmic,
}

impl CurveScale {
    fn of(self, curves: &[&Curve]) -> Scale {
        match self {
            CurveScale::Auto if differ(curves.iter().map(|curve| curve.values)) => Scale::Logarithmic,
            CurveScale::Auto | CurveScale::Linear => Scale::Linear,
            CurveScale::Logarithmic => Scale::Logarithmic,
        }
    }
}

/// The panel of losses without a tag.
const UNTAGGED: &str = "no tag";

impl<'a> LossCurves<'a> {
    /// All losses of a run in one panel, with the usual scale and smoothing.
    pub fn new(run: &'a LoggedRun) -> LossCurves<'a> {
        LossCurves::of_runs([(run.run.experiment.clone(), run)])
    }

    /// Several runs, each with its name in the legend: a panel for each loss, with the usual scale and smoothing.
    ///
    /// ```
    /// use tch_losses::manager::log::{LoggedRun, LossCurve};
    /// use tch_losses::visual::LossCurves;
    ///
    /// let run = |last: f64| {
    ///     let (values, steps) = (vec![1.0, last], vec![0, 1]);
    ///     let (epochs, weights, weighted) = (vec![0, 0], vec![1.0, 1.0], values.clone());
    ///     let curve = LossCurve { tags: Vec::new(), steps, epochs, values, weights, weighted };
    ///     LoggedRun { losses: [("G_L1".into(), curve)].into(), ..Default::default() }
    /// };
    /// let (slow, fast) = (run(0.9), run(0.4));
    /// let svg = LossCurves::of_runs([("lr 1e-4", &slow), ("lr 2e-4", &fast)]).render_svg()?;
    /// assert!(svg.contains("lr 1e-4") && svg.contains("lr 2e-4") && svg.contains("2 runs"));
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn of_runs<N: Into<String>>(runs: impl IntoIterator<Item = (N, &'a LoggedRun)>) -> LossCurves<'a> {
        let runs = runs.into_iter().map(|(name, run)| (name.into(), run)).collect();
        LossCurves { runs, split_by_tag: false, scale: CurveScale::Auto, smooth: None, weights: false }
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
    /// No run, or none with records; several runs with `split_by_tag`; a `smooth` of 0.
    pub fn render_svg(&self) -> Result<String> {
        let losses = self.runs.iter().flat_map(|(_, run)| run.losses.values());
        let longest = losses.clone().map(|loss| loss.steps.len()).max().unwrap_or(0) as u64;
        let fault = |option, given: &str, expected: &str| {
            Err(Error::Option { option, given: given.into(), expected: expected.into() })
        };
        if longest == 0 {
            return fault("runs", "without records", "a run with at least one record");
        }
        if self.split_by_tag && self.runs.len() > 1 {
            return fault("split_by_tag", "true", "false for several runs, which have a panel for each loss");
        }
        let span = self.smooth.unwrap_or((longest / 50).max(1));
        if span == 0 {
            return fault("smooth", "0", "1 (no smoothing) or more");
        }
        let is_weighted = losses.clone().any(|loss| loss.weights.iter().any(|weight| *weight != 1.0));
        let quantity = if is_weighted { "weighted loss" } else { "loss" };
        let losses = self.curves(|loss| &loss.weighted, span);
        let weights = if self.weights { self.curves(|loss| &loss.weights, 1) } else { Vec::new() };
        let mut panels = Vec::new();
        for (title, curves) in if self.split_by_tag { by_tag(&losses) } else { self.groups(&losses) } {
            let scale = self.scale.of(&curves);
            panels.push(Panel { title, quantity, scale, curves });
        }
        for (title, curves) in self.groups(&weights) {
            let title = title.or(Some("weights"));
            panels.push(Panel { title, quantity: "weight", scale: Scale::FromZero, curves });
        }
        Ok(Page { runs: self.runs.iter().map(|(_, run)| *run).collect(), span, panels }.draw())
    }

    /// A curve for each loss of each run.
    fn curves(&self, values: fn(&LossCurve) -> &[f64], span: u64) -> Vec<Curve<'_>> {
        let is_only = self.runs.len() == 1;
        let mut curves = Vec::new();
        for (number, (run_name, run)) in self.runs.iter().enumerate() {
            for (place, (loss_name, loss)) in run.losses.iter().enumerate() {
                let (name, full_name, style) = match is_only {
                    true => (loss_name, loss_name.clone(), place),
                    false => (run_name, format!("{loss_name}, {run_name}"), number),
                };
                let smoothed = (span > 1).then(|| smoothed(values(loss), span));
                let (tags, steps, values) = (&loss.tags, &loss.steps, values(loss));
                if !steps.is_empty() {
                    curves.push(Curve {
                        loss: loss_name,
                        tags,
                        name,
                        full_name,
                        style,
                        steps,
                        values,
                        smoothed,
                    });
                }
            }
        }
        curves
    }

    /// The curves of each panel: all of the only run, or those of a loss, by its name.
    fn groups<'c>(&self, curves: &'c [Curve<'c>]) -> Vec<Group<'c>> {
        if self.runs.len() == 1 && !curves.is_empty() {
            return vec![(None, curves.iter().collect())];
        }
        let mut losses: IndexMap<&str, Vec<&Curve>> = IndexMap::new();
        for curve in curves {
            losses.entry(curve.loss).or_default().push(curve);
        }
        losses.into_iter().map(|(loss, curves)| (Some(loss), curves)).collect()
    }
}

/// The title of a panel, and its curves.
type Group<'c> = (Option<&'c str>, Vec<&'c Curve<'c>>);

fn by_tag<'c>(curves: &'c [Curve<'c>]) -> Vec<Group<'c>> {
    let mut tags: IndexMap<&str, Vec<&Curve>> = IndexMap::new();
    for curve in curves {
        for tag in curve.tags {
            tags.entry(tag).or_default().push(curve);
        }
        if curve.tags.is_empty() {
            tags.entry(UNTAGGED).or_default().push(curve);
        }
    }
    tags.into_iter().map(|(tag, curves)| (Some(tag), curves)).collect()
}
