//! The heat map of losses by distortions.

use image::RgbImage;
use tch::Tensor;

use super::grid::{cell, legend};
use super::{Atlas, Distortion};
use crate::visual::board::{painted, Anchor, Board, ROOM};
use crate::visual::curves::{shortened, INK, LABEL, MARGIN, SMALL, SOFT_INK};
use crate::visual::numbers::number;
use crate::Result;

/// The room for the names of families and of losses.
const FAMILIES: f64 = 84.0;
const NAMES: f64 = 196.0;
const ROW: f64 = 23.0;
const FAMILY_GAP: f64 = 9.0;
/// The sensitivity with the strongest colour, and 1 / this one.
const STRONGEST: f64 = 16.0;

impl Atlas {
    /// The heat map of sensitivity, losses by distortions, as a page with the distortions of `photo` at the head of the
    /// columns.
    ///
    /// # Errors
    /// A photo that [`measure`](Atlas::measure) refuses.
    pub fn draw_sensitivity(&self, photo: &Tensor) -> Result<RgbImage> {
        let mut board = Board::new(
            "What losses see",
            "Losses by distortions, all distortions at the same mean squared difference.",
        );
        let left = MARGIN + FAMILIES + NAMES;
        let width = (ROOM - FAMILIES - NAMES) / Distortion::ALL.len() as f64;
        let top = board.bottom + 18.0;
        for (column, distortion) in Distortion::ALL.into_iter().enumerate() {
            let x = left + column as f64 * width;
            let side = width - 4.0;
            if let Some((distorted, _)) = distortion.at_error(photo, self.error, self.seed)? {
                board.picture((x + 2.0, top), side, &painted(&distorted, (0.0, 1.0))?);
            }
            let name = shortened(distortion.name(), SMALL, width);
            board.text((x + width / 2.0, top + side + 17.0), &name, SMALL, INK, Anchor::Middle);
        }
        let mut y = top + width + 20.0;
        let mut family = "";
        for loss in &self.losses {
            if loss.family != family {
                y += if family.is_empty() { 0.0 } else { FAMILY_GAP };
                family = &loss.family;
                let name = shortened(family, SMALL, FAMILIES - 8.0);
                board.text((MARGIN, y + 16.0), &name, SMALL, SOFT_INK, Anchor::Start);
            }
            let name = shortened(&loss.name, LABEL, NAMES - 10.0);
            board.text((MARGIN + FAMILIES, y + 16.0), &name, LABEL, INK, Anchor::Start);
            for (column, answers) in loss.answers.iter().enumerate() {
                let place = answers.sensitivity.map(|times| times.max(1e-9).log(STRONGEST));
                let text = answers.sensitivity.map_or("".into(), short);
                let corner = (left + column as f64 * width, y);
                cell(&mut board, corner, (width - 1.0, ROW - 1.0), place, (&text, SMALL));
            }
            y += ROW;
        }
        board.bottom = y;
        let meaning = "times the loss's own median";
        legend(&mut board, left, &["1/16", "1/4", "1", "4", "16"], meaning);
        let error = number(self.error, 3);
        let photos = photos(self.photos);
        Ok(board.render(&[
            &format!("Each distortion has the strength at which the root of the mean squared difference is {error} (a PSNR of 26 dB). Mean of {photos}."),
            "A row's unit is the loss's median over the nine distortions. Blue: a loss that sees little of this. Red: a loss that sees this above all.",
        ]))
    }
}

/// A sensitivity with the digits that [`short`] shows.
pub(super) fn rounded(times: f64) -> f64 {
    let digits = match times.abs() {
        size if size >= 9.95 => 1.0,
        size if size >= 0.095 => 10.0,
        _ => 100.0,
    };
    (times * digits).round() / digits
}

/// A sensitivity in a few letters.
pub(super) fn short(times: f64) -> String {
    match times {
        times if !times.is_finite() => times.to_string(),
        times if times >= 9.95 => format!("{times:.0}"),
        times if times >= 0.095 => format!("{times:.1}"),
        // Rounding may make it less than 0.
        times if times > -0.005 => format!("{:.2}", times.abs()),
        times => format!("-{}", short(-times)),
    }
}

/// How many photos.
pub(super) fn photos(count: usize) -> String {
    if count == 1 {
        "one photo".into()
    } else {
        format!("{count} photos")
    }
}
