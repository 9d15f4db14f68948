//! Curves that share their axes, with a legend.

use super::axis::Axis;
use super::line::Extent;
use super::svg::{shortened, widest, LABEL};
use crate::visual::numbers::number;
use crate::visual::text;

/// One line of a panel.
pub(super) struct Curve<'a> {
    pub(super) loss: &'a str,
    pub(super) tags: &'a [String],
    /// In the legend.
    pub(super) name: &'a str,
    /// In notes, which are of all panels.
    pub(super) full_name: String,
    /// Its place among the losses of the only run, or that of its run, for its colour.
    pub(super) style: usize,
    pub(super) steps: &'a [u64],
    pub(super) values: &'a [f64],
    /// NaN where the value is not finite.
    pub(super) smoothed: Option<Vec<f64>>,
}

/// Blue, vermillion, bluish green, orange, reddish purple, sky blue, black and grey: the colours of Okabe and
/// Ito without yellow, which is too light for lines on white.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#000000", "#999999"];
const DASHES: [&str; 4] = ["", "7 4", "2 3.5", "10 3.5 2 3.5"];

impl Curve<'_> {
    pub(super) fn colour(&self) -> &'static str {
        COLOURS[self.style % COLOURS.len()]
    }

    pub(super) fn dashes(&self) -> String {
        match DASHES[self.style / COLOURS.len() % DASHES.len()] {
            "" => String::new(),
            dashes => format!(r#" stroke-dasharray="{dashes}""#),
        }
    }

    /// What the main line shows.
    pub(super) fn main(&self) -> &[f64] {
        self.smoothed.as_deref().unwrap_or(self.values)
    }

    fn last(&self) -> f64 {
        self.main().last().copied().unwrap_or(f64::NAN)
    }
}

/// How values are laid out along the vertical axis.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
    /// Linear, with 0 and all values.
    FromZero,
}

/// Curves that share their axes.
pub(super) struct Panel<'a> {
    pub(super) title: Option<&'a str>,
    /// What the vertical axis shows.
    pub(super) quantity: &'static str,
    pub(super) scale: Scale,
    pub(super) curves: Vec<&'a Curve<'a>>,
}

pub(super) const SWATCH: f64 = 24.0;
pub(super) const ROW: f64 = 22.0;
pub(super) const GAP: f64 = 10.0;
pub(super) const LONGEST_NAME: f64 = 190.0;

impl<'a> Panel<'a> {
    /// The vertical axis.
    pub(super) fn axis(&self) -> Axis {
        let logarithmic = self.is_logarithmic();
        let extents = self.curves.iter().filter_map(|curve| Extent::of(curve.values, logarithmic));
        match (extents.reduce(Extent::union), self.scale) {
            (Some(extent), Scale::Linear) => Axis::linear(extent.range(false)),
            (Some(extent), Scale::Logarithmic) => Axis::logarithmic(extent.range(true)),
            (Some(extent), Scale::FromZero) => {
                Axis::linear((extent.whole.0.min(0.0), extent.whole.1.max(0.0)))
            }
            (None, Scale::Logarithmic) => Axis::logarithmic((0.1, 1.0)),
            (None, _) => Axis::linear((0.0, 1.0)),
        }
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Logarithmic
    }

    /// The names and last values, from the top curve to the lowest.
    pub(super) fn legend(&self) -> Vec<(&'a Curve<'a>, String, String)> {
        let mut curves = self.curves.clone();
        curves.sort_by(|a, b| b.last().total_cmp(&a.last()));
        let row = |curve: &'a Curve<'a>| {
            (curve, shortened(curve.name, LABEL, LONGEST_NAME), number(curve.last(), 4))
        };
        curves.into_iter().map(row).collect()
    }

    pub(super) fn legend_header(&self) -> &'static str {
        match self.curves.iter().any(|curve| curve.smoothed.is_some()) {
            true => "last, smoothed",
            false => "last",
        }
    }

    pub(super) fn legend_width(&self) -> f64 {
        let (mut names, mut values) = (0.0, 0.0);
        for (_, name, value) in self.legend() {
            names = text::em_width(&name, LABEL).max(names);
            values = text::em_width(&value, LABEL).max(values);
        }
        let row = SWATCH + GAP + names + 2.0 * GAP + values;
        row.max(widest([self.legend_header().into()]))
    }

    pub(super) fn legend_height(&self) -> f64 {
        ROW * (self.curves.len() + 1) as f64
    }
}
