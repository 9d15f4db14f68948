//! What the page and its panels draw alike: sizes, colours and texts.

use crate::printable;
use crate::visual::text;

/// What is left free at the edges of the page.
pub(in crate::visual) const MARGIN: f64 = 28.0;
/// The size of the type of labels.
pub(in crate::visual) const LABEL: f64 = 14.0;
/// The size of the type of ticks and notes.
pub(in crate::visual) const SMALL: f64 = 13.0;
/// The room for the epochs above a panel.
pub(super) const EPOCHS_HEIGHT: f64 = 24.0;

pub(in crate::visual) const INK: &str = "#141414";
pub(in crate::visual) const SOFT_INK: &str = "#505050";

/// The width of the widest of the texts, in small type.
pub(super) fn widest(texts: impl IntoIterator<Item = String>) -> f64 {
    texts.into_iter().map(|label| text::em_width(&label, SMALL)).fold(0.0, f64::max)
}

/// A text that begins at `x`, or what there is room for.
pub(super) fn words(text: &str, size: f64, room: f64, x: f64, y: f64) -> String {
    format!(r#"<text x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(&shortened(text, size, room)))
}

/// A text that can be shown, with its middle left out, if it has to be.
pub(in crate::visual) fn shortened(text: &str, size: f64, room: f64) -> String {
    // No more of a text is ever shown, and measuring takes its time.
    const MOST: usize = 240;
    let text = printable(text).to_string();
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= MOST && text::em_width(&text, size) <= room {
        return text;
    }
    let cut = |kept: usize| -> String {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
    };
    let lengths: Vec<usize> = (0..letters.len().min(MOST)).collect();
    let fitting = lengths.partition_point(|kept| text::em_width(&cut(*kept), size) <= room);
    cut(fitting.saturating_sub(1))
}

/// Text for XML. It has no place for control characters, which names from files may have.
pub(in crate::visual) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).to_string().chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}
