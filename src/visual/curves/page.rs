//! The page that the panels are on.

use std::collections::BTreeMap;
use std::sync::Arc;

use epaint_default_fonts::UBUNTU_LIGHT;
use image::RgbImage;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{fontdb, Options, Tree};

use super::area::Area;
use super::axis::Axis;
use super::panel::Panel;
use super::svg::{widest, words, EPOCHS_HEIGHT, INK, LABEL, MARGIN, SMALL, SOFT_INK};
use crate::manager::log::{LoggedRun, LossCurve, RunInfo};
use crate::visual::numbers::grouped;

/// What is drawn, before it is laid out.
pub(super) struct Page<'a> {
    pub(super) runs: Vec<&'a LoggedRun>,
    /// The span of the smoothed lines; 1 if there are none.
    pub(super) span: u64,
    pub(super) panels: Vec<Panel<'a>>,
}

const WIDTH: f64 = 1120.0;
const TITLE: f64 = 24.0;
const TITLE_HEIGHT: f64 = 24.0;
const LEGEND_GAP: f64 = 24.0;
const NOTE_HEIGHT: f64 = 19.0;
const MOST_NOTES: usize = 12;

/// The height of the plot area where there are one, two, three and more panels.
const HEIGHTS: [f64; 3] = [430.0, 300.0, 230.0];

impl Page<'_> {
    pub(super) fn draw(&self) -> String {
        let steps = || self.panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| curve.steps);
        let last_step = steps().max().copied().unwrap_or(0);
        let first_step = steps().min().copied().unwrap_or(0);
        let step_axis = Axis::of_steps((first_step as f64, last_step as f64));
        let epochs = self.epochs();
        let last_epoch = self.losses().flat_map(|loss| &loss.epochs).max().copied().unwrap_or(0);

        let room = WIDTH - 2.0 * MARGIN;
        let title = self.common(|run| &run.experiment).filter(|title| !title.is_empty());
        let title = title.map_or("Loss curves", |title| title);
        let mut svg = String::new();
        let mut y = MARGIN + 20.0;
        svg +=
            &format!(r#"<g fill="{INK}" font-size="{TITLE}">{}</g>"#, words(title, TITLE, room, MARGIN, y));
        let mut facts = Vec::new();
        if self.runs.len() > 1 {
            facts.push(format!("{} runs", self.runs.len()));
        }
        facts.push(match last_epoch {
            0 => format!("up to step {}", grouped(last_step)),
            _ => format!("up to step {}, epoch {}", grouped(last_step), grouped(last_epoch)),
        });
        facts.extend(self.common(|run| &run.device).filter(|device| !device.is_empty()).cloned());
        let root = self.common(|run| &run.dataroot).map_or("", |root| root);
        match (root, self.common(|run| &run.dataset_length).copied().unwrap_or(0)) {
            ("", 0) => {}
            ("", length) => facts.push(format!("{} samples", grouped(length))),
            (root, 0) => facts.push(root.into()),
            (root, length) => facts.push(format!("{root}, {} samples", grouped(length))),
        }
        y += 24.0;
        let facts = words(&facts.join("  ·  "), LABEL, room, MARGIN, y);
        svg += &format!(r#"<g fill="{SOFT_INK}" font-size="{LABEL}">{facts}</g>"#);

        let axes: Vec<Axis> = self.panels.iter().map(Panel::axis).collect();
        let left =
            MARGIN + LABEL + 8.0 + widest(axes.iter().flat_map(Axis::ticks).map(|(_, label)| label)) + 8.0;
        let legend_width = self.panels.iter().map(Panel::legend_width).fold(0.0, f64::max);
        let legend = (WIDTH - MARGIN - legend_width, WIDTH - MARGIN);
        let width = legend.0 - LEGEND_GAP - left;
        let height = HEIGHTS[self.panels.len().clamp(1, HEIGHTS.len()) - 1];
        let mut notes = Vec::new();
        for (number, (panel, values)) in self.panels.iter().zip(&axes).enumerate() {
            let epochs = epochs.as_ref().filter(|epochs| number == 0 && epochs.len() > 1);
            y += 18.0 + if panel.title.is_some() { TITLE_HEIGHT } else { 0.0 };
            y += if epochs.is_some() { EPOCHS_HEIGHT } else { 0.0 };
            let height = height.max(panel.legend_height());
            let steps = &step_axis;
            let area = Area { panel, values, steps, epochs, left, top: y, width, height, legend };
            svg += &area.draw(number + 1 == self.panels.len());
            y = area.bottom() + 22.0;
            for note in area.notes() {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        y += 52.0;
        if self.span > 1 {
            let span = grouped(self.span);
            notes.insert(
                0,
                format!(
                    "Bold: exponential moving average with a span of {span} records. Light: every record."
                ),
            );
        }
        if self.losses().any(|loss| !loss.steps.is_sorted()) {
            let note = "Steps begin anew in later epochs, and the epochs lie on top of each other: count steps over the \
                        whole run.";
            notes.push(note.into());
        }
        if notes.len() > MOST_NOTES {
            let more = notes.len() - MOST_NOTES;
            notes.truncate(MOST_NOTES);
            notes.push(format!("{more} more such notes are left out."));
        }
        svg += &format!(r#"<g class="notes" fill="{SOFT_INK}" font-size="{SMALL}">"#);
        for note in &notes {
            svg += &words(note, SMALL, room, MARGIN, y);
            y += NOTE_HEIGHT;
        }
        svg += "</g>";
        // Where there is no note, `y` is below the steps all the same.
        let height = (y - NOTE_HEIGHT + MARGIN).ceil();
        document(WIDTH, height, &svg)
    }

    fn losses(&self) -> impl Iterator<Item = &LossCurve> {
        self.runs.iter().flat_map(|run| run.losses.values())
    }

    /// A fact that is the same of all runs.
    fn common<T: PartialEq>(&self, fact: impl Fn(&RunInfo) -> &T) -> Option<&T> {
        let (first, others) = self.runs.split_first()?;
        let first = fact(&first.run);
        others.iter().all(|run| fact(&run.run) == first).then_some(first)
    }

    /// The first step of each epoch, if all runs agree about those that they have in common.
    fn epochs(&self) -> Option<BTreeMap<u64, u64>> {
        let mut all = BTreeMap::new();
        for run in &self.runs {
            for (epoch, start) in epochs(run) {
                if *all.entry(epoch).or_insert(start) != start {
                    return None;
                }
            }
        }
        Some(all)
    }
}

/// The first step of each epoch.
fn epochs(run: &LoggedRun) -> BTreeMap<u64, u64> {
    let mut starts = BTreeMap::new();
    for loss in run.losses.values() {
        let mut before = None;
        for (step, epoch) in loss.steps.iter().zip(&loss.epochs) {
            if before.replace(*epoch) != Some(*epoch) {
                let start = starts.entry(*epoch).or_insert(*step);
                *start = *step.min(start);
            }
        }
    }
    starts
}

/// A document on white of what is drawn, in our type.
pub(in crate::visual) fn document(width: f64, height: f64, content: &str) -> String {
    // The families by name are those that look most like it.
    const FAMILIES: &str = "Ubuntu, 'Noto Sans', 'Helvetica Neue', Helvetica, Arial, sans-serif";
    let size = format!(r#"width="{width}" height="{height}""#);
    let font = format!(r#"font-family="{FAMILIES}" font-weight="300""#);
    let view = format!(r#"viewBox="0 0 {width} {height}""#);
    let head = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" {size} {view} {font}>"#);
    format!("{head}<rect {size} fill=\"white\"/>{content}</svg>\n")
}

/// Two pixels for each of the document's units: letters and lines need them.
pub(super) const SCALE: f32 = 2.0;
/// Pages that would be higher are drawn smaller.
pub(in crate::visual) const HIGHEST: f32 = 16384.0;

/// What a [`document`] looks like with so many pixels for each of its units.
pub(in crate::visual) fn picture(svg: &str, scale: f32) -> RgbImage {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(UBUNTU_LIGHT.to_vec());
    let options = Options { fontdb: Arc::new(fonts), font_family: "Ubuntu".into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).expect("the document is ours");
    let scale = scale.min(HIGHEST / tree.size().height());
    let side = |length: f32| ((length * scale).round() as u32).max(1);
    let (width, height) = (side(tree.size().width()), side(tree.size().height()));
    let mut pixels = Pixmap::new(width, height).expect("some ten thousand pixels a side at most");
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let bytes = pixels.data().chunks(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    RgbImage::from_raw(width, height, bytes).expect("three bytes per pixel")
}
