//! The sheet of one distortion: a small panel of curves for each loss.

use image::RgbImage;
use tch::Tensor;

use super::sensitivity::{photos, short};
use super::{Answers, Atlas, Distortion, LossAnswers, Point};
use crate::visual::board::{painted, Anchor, Board, COLUMNS, GAP, TILE};
use crate::visual::curves::{shortened, INK, LABEL, MARGIN, SMALL, SOFT_INK};
use crate::visual::numbers::number;
use crate::visual::text::em_width;
use crate::Result;

const NAME: f64 = 13.0;
const PLOT_HEIGHT: f64 = 84.0;
const PANEL_HEIGHT: f64 = PLOT_HEIGHT + 36.0;
/// The values that a panel shows.
const RANGE: (f64, f64) = (-0.25, 1.08);
/// A loss that sees less than this is drawn pale.
const BLIND: f64 = 0.1;
const GRID: &str = "#e4e4e4";
const FRAME: &str = "#b0b0b0";

/// A line of each panel: its colour and dashes, what it is, and its numbers.
struct Line {
    style: &'static str,
    meaning: &'static str,
    numbers: fn(&[Point]) -> Vec<f64>,
    /// Whether the line begins at 0, where the photo is as it was.
    from_zero: bool,
}

const LINES: [Line; 3] = [
    Line {
        style: r##"stroke="#0072b2" stroke-width="2.2""##,
        meaning: "value, as a part of its largest",
        numbers: |points| parts(points.iter().map(|point| point.value).collect()),
        from_zero: true,
    },
    Line {
        style: r##"stroke="#009e73" stroke-width="1.8" stroke-dasharray="5 3""##,
        meaning: "length of the gradient, as a part of its largest",
        numbers: |points| parts(points.iter().map(|point| point.gradient).collect()),
        from_zero: false,
    },
    Line {
        style: r##"stroke="#d55e00" stroke-width="1.8""##,
        meaning: "where the gradient leads: 1 straight back to the photo, 0 across",
        numbers: |points| points.iter().map(|point| point.way_back).collect(),
        from_zero: false,
    },
];

impl Atlas {
    /// The answers of all losses to one distortion, as a page: `photo` with the distortion at its strengths, and below
    /// it a panel for each loss.
    ///
    /// # Errors
    /// A photo that [`measure`](Atlas::measure) refuses.
    pub fn draw_curves(&self, distortion: Distortion, photo: &Tensor) -> Result<RgbImage> {
        let name = distortion.name();
        let title = name[..1].to_uppercase() + &name[1..];
        let facts = format!("What losses and their gradients answer. Mean of {}.", photos(self.photos));
        let mut board = Board::new(&title, &facts);
        let top = board.bottom + 18.0;
        let strengths = distortion.strengths();
        for column in 0..=strengths.len() {
            let (picture, label) = match column.checked_sub(1).map(|level| strengths[level]) {
                None => (photo.shallow_clone(), "the photo".into()),
                Some(strength) => (distortion.apply(photo, strength, self.seed)?, distortion.label(strength)),
            };
            let x = Board::column(column);
            board.picture((x, top), TILE, &painted(&picture, (0.0, 1.0))?);
            board.text((x + TILE / 2.0, top + TILE + 18.0), &label, LABEL, INK, Anchor::Middle);
        }
        let mut y = top + TILE + 48.0;
        let mut x = MARGIN;
        for Line { style, meaning, .. } in LINES {
            board.svg += &format!(r#"<path d="M{x:.1} {:.1}h28" fill="none" {style}/>"#, y - 4.5);
            board.text((x + 36.0, y), meaning, SMALL, INK, Anchor::Start);
            x += 36.0 + em_width(meaning, SMALL) + 26.0;
        }
        y += 14.0;
        let place = Distortion::ALL.iter().position(|other| *other == distortion);
        for (number, loss) in self.losses.iter().enumerate() {
            let corner = (Board::column(number % COLUMNS), y + (number / COLUMNS) as f64 * PANEL_HEIGHT);
            let answers = place.and_then(|place| loss.answers.get(place));
            if let Some(answers) = answers {
                panel(&mut board, corner, loss, answers);
            }
        }
        board.bottom = y + self.losses.len().div_ceil(COLUMNS) as f64 * PANEL_HEIGHT - 8.0;
        Ok(board.render(&[
            "From left to right: the photo as it was, and the five strengths of the pictures above.",
            &format!(
                "×: what the loss sees of this, beside the median of nine distortions, all at a root of the mean squared difference of {}. Pale: below ×{BLIND}.",
                number(self.error, 3)
            ),
        ]))
    }
}

fn panel(board: &mut Board, (left, top): (f64, f64), loss: &LossAnswers, answers: &Answers) {
    let is_pale = answers.sensitivity.is_some_and(|times| times < BLIND);
    board.svg += if is_pale { r#"<g opacity="0.4">"# } else { "<g>" };
    let times = answers.sensitivity.map_or("".into(), |times| format!("×{}", short(times)));
    let room = TILE - em_width(&times, SMALL) - GAP;
    let baseline = top + 22.0;
    board.text((left, baseline), &shortened(&loss.name, NAME, room), NAME, INK, Anchor::Start);
    board.text((left + TILE, baseline), &times, SMALL, SOFT_INK, Anchor::End);
    let (plot_top, count) = (top + 28.0, answers.points.len());
    let y = |value: f64| {
        let part = (RANGE.1 - value.clamp(RANGE.0, RANGE.1)) / (RANGE.1 - RANGE.0);
        plot_top + part * PLOT_HEIGHT
    };
    let x = |number: usize| left + number as f64 / count as f64 * (TILE - 6.0);
    let right = left + TILE;
    let bottom = plot_top + PLOT_HEIGHT;
    let (zero, one) = (y(0.0), y(1.0));
    board.svg += &format!(
        r#"<path d="M{left:.1} {one:.1}H{right:.1}M{left:.1} {:.1}H{right:.1}" stroke="{GRID}"/><path d="M{left:.1} {zero:.1}H{right:.1}M{left:.1} {plot_top:.1}V{bottom:.1}" stroke="{FRAME}"/>"#,
        y(0.5)
    );
    for Line { style, numbers, from_zero, .. } in LINES {
        let numbers = numbers(&answers.points);
        let start = from_zero.then_some(0.0).into_iter().map(|value| (0, value));
        let points = start.chain((1..).zip(numbers)).filter(|(_, value)| value.is_finite());
        let points: Vec<String> =
            points.map(|(number, value)| format!("{:.1} {:.1}", x(number), y(value))).collect();
        if !points.is_empty() {
            board.svg +=
                &format!(r#"<path d="M{}" fill="none" stroke-linejoin="round" {style}/>"#, points.join("L"));
        }
    }
    board.svg += "</g>";
}

/// As parts of the largest magnitude.
fn parts(numbers: Vec<f64>) -> Vec<f64> {
    let largest = numbers.iter().fold(0.0, |largest: f64, number| largest.max(number.abs()));
    let largest = if largest > 0.0 { largest } else { 1.0 };
    numbers.into_iter().map(|number| number / largest).collect()
}
