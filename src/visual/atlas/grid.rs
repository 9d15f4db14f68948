//! Fields of coloured cells.

use crate::visual::board::{Anchor, Board};
use crate::visual::curves::{LABEL, SMALL, SOFT_INK};

const BAR_WIDTH: f64 = 220.0;
const BAR_HEIGHT: f64 = 12.0;
const LIGHT_INK: &str = "#ffffff";
const DARK_INK: &str = "#141414";

/// The colour of a place from -1, blue, by 0, white, to 1, red.
fn colour(place: f64) -> (u8, u8, u8) {
    // Without the darkest of either end, on which no text can be read.
    let position = 0.5 - 0.44 * place.clamp(-1.0, 1.0);
    colorous::RED_BLUE.eval_continuous(position).into_tuple()
}

/// A cell with its text, coloured by its place; grey without one.
pub(super) fn cell(
    board: &mut Board,
    (x, y): (f64, f64),
    (width, height): (f64, f64),
    place: Option<f64>,
    text: (&str, f64),
) {
    let (red, green, blue) = place.map_or((225, 225, 225), colour);
    board.svg += &format!(
        r##"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}" fill="#{red:02x}{green:02x}{blue:02x}"/>"##
    );
    let brightness = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    let ink = if brightness < 140.0 { LIGHT_INK } else { DARK_INK };
    let (text, size) = text;
    board.text((x + width / 2.0, y + height / 2.0 + 0.35 * size), text, size, ink, Anchor::Middle);
}

/// What the colours mean: a bar from -1 to 1 with evenly spaced texts below, and one beside it.
pub(super) fn legend(board: &mut Board, left: f64, ticks: &[&str], meaning: &str) {
    const STEPS: usize = 44;
    let top = board.bottom + 22.0;
    let step = BAR_WIDTH / STEPS as f64;
    for number in 0..STEPS {
        let place = 2.0 * (number as f64 + 0.5) / STEPS as f64 - 1.0;
        // A little wider, so that no lines are between them.
        cell(board, (left + number as f64 * step, top), (step + 0.3, BAR_HEIGHT), Some(place), ("", SMALL));
    }
    for (number, tick) in ticks.iter().enumerate() {
        let x = left + BAR_WIDTH * number as f64 / (ticks.len() - 1) as f64;
        board.text((x, top + BAR_HEIGHT + 15.0), tick, SMALL, SOFT_INK, Anchor::Middle);
    }
    board.text((left + BAR_WIDTH + 26.0, top + 11.0), meaning, LABEL, SOFT_INK, Anchor::Start);
    board.bottom = top + BAR_HEIGHT + 18.0;
}
