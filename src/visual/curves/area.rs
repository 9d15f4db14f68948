//! A panel in its place on the page, as it is drawn.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::line::{drawable, thinned, Polyline, LARGEST};
use super::panel::{Curve, Panel, GAP, LONGEST_NAME, ROW, SWATCH};
use super::svg::{escaped, shortened, EPOCHS_HEIGHT, INK, LABEL, MARGIN, SMALL, SOFT_INK};
use crate::visual::numbers::{grouped, number, ticks};

/// A panel in its place on the page.
pub(super) struct Area<'a> {
    pub(super) panel: &'a Panel<'a>,
    pub(super) values: &'a Axis,
    pub(super) steps: &'a Axis,
    /// The first steps of the epochs, if they are to be shown.
    pub(super) epochs: Option<&'a BTreeMap<u64, u64>>,
    /// Where the curves are drawn.
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Left and right end of the legend.
    pub(super) legend: (f64, f64),
}

const GRID: &str = "#e4e4e4";
const FINE_GRID: &str = "#f3f3f3";
const FRAME: &str = "#b0b0b0";

impl Area<'_> {
    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn x(&self, step: f64) -> f64 {
        self.left + self.steps.position(step) * self.width
    }

    /// Values beyond the scale are at its edge.
    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.values.position(value).clamp(0.0, 1.0) * self.height
    }

    /// The panel as a group; the last one says what the steps are.
    pub(super) fn draw(&self, is_last: bool) -> String {
        let Area { panel, left, top, width, height, .. } = self;
        let (right, bottom) = (self.right(), self.bottom());
        let mut svg = String::from(r#"<g class="panel">"#);
        if let Some(title) = panel.title {
            let title = escaped(&shortened(title, 17.0, *width));
            let baseline = top - 10.0 - self.epochs.map_or(0.0, |_| EPOCHS_HEIGHT);
            svg += &format!(
                r#"<text class="title" x="{left:.1}" y="{baseline:.1}" fill="{INK}" font-size="17">{title}</text>"#
            );
        }
        if let Some(epochs) = self.epochs {
            svg += &self.epoch_ticks(epochs);
        }
        svg += &self.grid();
        let middle = top + height / 2.0;
        let x = MARGIN + 10.0;
        let scale = if panel.is_logarithmic() { ", log scale" } else { "" };
        svg += &format!(r#"<text class="quantity" transform="translate({x:.1} {middle:.1}) rotate(-90)""#);
        svg += &format!(
            r#" text-anchor="middle" fill="{SOFT_INK}" font-size="{LABEL}">{}{scale}</text>"#,
            panel.quantity
        );
        if is_last {
            let (x, y) = (left + width / 2.0, bottom + 42.0);
            svg += &format!(
                r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" fill="{SOFT_INK}" font-size="{LABEL}">step</text>"#
            );
        }
        svg += r#"<g fill="none" stroke-linejoin="round" stroke-linecap="round">"#;
        let smooth = |curve: &Curve| curve.smoothed.is_some();
        for curve in panel.curves.iter().filter(|curve| smooth(curve)) {
            // Many on top of each other would hide the lines that matter.
            let opacity = if panel.curves.len() > 3 { "0.17" } else { "0.28" };
            let style = format!(r#" stroke-width="1" opacity="{opacity}""#);
            svg += &self.line(curve, curve.values, "raw", &style);
        }
        for curve in &panel.curves {
            let style = if smooth(curve) { "2.4" } else { "1.4" };
            let style = format!(r#" stroke-width="{style}"{}"#, curve.dashes());
            svg += &self.line(curve, curve.main(), "main", &style);
        }
        svg += "</g>";
        svg += &format!(
            r#"<path class="frame" d="M{left:.1} {top:.1}V{bottom:.1}H{right:.1}" fill="none" stroke="{FRAME}"/>"#
        );
        svg + &self.legend() + "</g>"
    }

    fn grid(&self) -> String {
        let Area { left, top, width, height, .. } = self;
        let (right, bottom) = (self.right(), self.bottom());
        let mut svg = format!(
            r#"<rect class="plot" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" fill="none"/>"#
        );
        let (mut lines, mut fine_lines, mut labels) = (String::new(), String::new(), String::new());
        for tick in self.values.minor_ticks() {
            fine_lines += &format!("M{left:.1} {:.1}H{right:.1}", self.y(tick));
        }
        for (tick, label) in self.values.ticks() {
            let y = self.y(tick);
            lines += &format!("M{left:.1} {y:.1}H{right:.1}");
            let (x, y) = (left - 8.0, y + 4.5);
            labels += &format!(r#"<text class="y" x="{x:.1}" y="{y:.1}" text-anchor="end">{label}</text>"#);
        }
        for (tick, label) in self.steps.ticks() {
            let x = self.x(tick);
            lines += &format!("M{x:.1} {top:.1}V{bottom:.1}");
            let y = bottom + 19.0;
            labels +=
                &format!(r#"<text class="x" x="{x:.1}" y="{y:.1}" text-anchor="middle">{label}</text>"#);
        }
        svg +=
            &format!(r#"<path d="{fine_lines}" stroke="{FINE_GRID}"/><path d="{lines}" stroke="{GRID}"/>"#);
        svg + &format!(r#"<g fill="{SOFT_INK}" font-size="{SMALL}">{labels}</g>"#)
    }

    /// One curve: its lines as a path, and points without neighbours as dots.
    fn line(&self, curve: &Curve, values: &[f64], class: &str, style: &str) -> String {
        let logarithmic = self.panel.is_logarithmic();
        let points = curve.steps.iter().zip(values).map(|(step, value)| {
            drawable(*value, logarithmic).then(|| (self.x(*step as f64), self.y(*value)))
        });
        let (mut path, mut dots) = (String::new(), String::new());
        for line in thinned(points) {
            match &line[..] {
                [(x, y)] => dots += &format!(r#"<circle cx="{x:.2}" cy="{y:.2}" r="3"/>"#),
                _ => path += &path_data(&line),
            }
        }
        let (colour, name) = (curve.colour(), escaped(&curve.full_name));
        let mut svg = format!(r#"<g class="{class}" stroke="{colour}"{style}><title>{name}</title>"#);
        if !path.is_empty() {
            svg += &format!(r#"<path d="{path}"/>"#);
        }
        if !dots.is_empty() {
            svg += &format!(r#"<g fill="{colour}" stroke="none">{dots}</g>"#);
        }
        svg + "</g>"
    }

    fn legend(&self) -> String {
        let (left, right) = self.legend;
        let mut y = self.top + 12.0;
        let header = self.panel.legend_header();
        let mut svg = format!(r#"<g class="legend" fill="{INK}" font-size="{LABEL}">"#);
        svg += &format!(
            r#"<text x="{right:.1}" y="{y:.1}" text-anchor="end" fill="{SOFT_INK}" font-size="{SMALL}">{header}</text>"#
        );
        for (curve, name, value) in self.panel.legend() {
            y += ROW;
            let (colour, dashes) = (curve.colour(), curve.dashes());
            let (swatch_y, swatch_right, name_left) = (y - 4.5, left + SWATCH, left + SWATCH + GAP);
            svg += &format!(
                r#"<path d="M{left:.1} {swatch_y:.1}H{swatch_right:.1}" stroke="{colour}" stroke-width="3"{dashes}/>"#
            );
            let full = escaped(curve.name);
            let name = escaped(&name);
            svg += &format!(r#"<text x="{name_left:.1}" y="{y:.1}">{name}<title>{full}</title></text>"#);
            svg += &format!(r#"<text x="{right:.1}" y="{y:.1}" text-anchor="end">{value}</text>"#);
        }
        svg + "</g>"
    }

    /// The epochs above the curves.
    fn epoch_ticks(&self, starts: &BTreeMap<u64, u64>) -> String {
        let (Some(first), Some(last)) = (starts.first_key_value(), starts.last_key_value()) else {
            return String::new();
        };
        let y = self.top - 11.0;
        let mut svg = format!(r#"<text x="{:.1}" y="{y:.1}">epoch</text>"#, self.legend.0);
        for epoch in ticks((*first.0 as f64, *last.0 as f64)) {
            let Some(step) = starts.get(&(epoch as u64)).filter(|_| epoch.fract() == 0.0) else { continue };
            let (x, tick_top) = (self.x(*step as f64), self.top - 6.0);
            svg += &format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{epoch}</text>"#);
            svg += &format!(r#"<path d="M{x:.1} {tick_top:.1}v6" stroke="{FRAME}"/>"#);
        }
        format!(r#"<g class="epochs" fill="{SOFT_INK}" font-size="{SMALL}">{svg}</g>"#)
    }

    /// What the panel does not show, or not in its place.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for curve in &self.panel.curves {
            let count = |predicate: &dyn Fn(f64) -> bool| {
                curve.values.iter().filter(|value| predicate(**value)).count() as u64
            };
            let shown = |value: f64| drawable(value, self.panel.is_logarithmic());
            let largest = curve.values.iter().copied().filter(|value| shown(*value)).reduce(f64::max);
            let least = curve.values.iter().copied().filter(|value| shown(*value)).reduce(f64::min);
            let end = |value: Option<f64>| number(value.unwrap_or(f64::NAN), 3);
            let cases = [
                (count(&|value| !value.is_finite()), "not finite and not drawn".to_owned()),
                (
                    count(&|value| value.is_finite() && !drawable(value, false)),
                    format!("beyond ±{LARGEST:e} and not drawn"),
                ),
                (
                    count(&|value| drawable(value, false) && !shown(value)),
                    "zero or negative and not drawn on the log scale".into(),
                ),
                (
                    count(&|value| shown(value) && self.values.is_above(value)),
                    format!("above the scale, up to {}", end(largest)),
                ),
                (
                    count(&|value| shown(value) && self.values.is_below(value)),
                    format!("below the scale, down to {}", end(least)),
                ),
            ];
            let all = grouped(curve.values.len() as u64);
            let (name, quantity) =
                (shortened(&curve.full_name, SMALL, 2.0 * LONGEST_NAME), self.panel.quantity);
            for (count, what) in cases.into_iter().filter(|(count, _)| *count > 0) {
                notes.push(format!("{name}, {quantity}: {} of {all} values are {what}.", grouped(count)));
            }
        }
        notes
    }
}

/// A polyline as the `d` of a path.
fn path_data(line: &Polyline) -> String {
    let mut data = String::new();
    for (number, (x, y)) in line.iter().enumerate() {
        let command = ["M", "L", " "][number.min(2)];
        // Tenths of a pixel, without a zero at the end.
        let round = |length: f64| (10.0 * length).round() / 10.0;
        data += &format!("{command}{} {}", round(*x), round(*y));
    }
    data
}
