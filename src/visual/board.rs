//! A page of texts, lines and pictures.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use tch::Tensor;

use super::curves::{document, escaped, picture, shortened, INK, LABEL, MARGIN, SOFT_INK};
use super::heat::photo;
use super::rows::Image;
use crate::Result;

/// The width of a page.
pub(super) const WIDTH: f64 = 1120.0;
/// The width between its margins.
pub(super) const ROOM: f64 = WIDTH - 2.0 * MARGIN;
/// How many pictures stand side by side.
pub(super) const COLUMNS: usize = 6;
/// What is between them.
pub(super) const GAP: f64 = 8.0;
/// The side of a picture. Of 256 pixels, each is one pixel of the page.
pub(super) const TILE: f64 = (ROOM - (COLUMNS - 1) as f64 * GAP) / COLUMNS as f64;
/// Pixels for each unit of length.
const SCALE: f64 = 1.5;
const TITLE: f64 = 24.0;
const FRAME: Rgb<u8> = Rgb([190, 190, 190]);

/// The page while it is made, from top to bottom.
pub(super) struct Board {
    /// What is drawn as SVG, beside the pictures.
    pub(super) svg: String,
    /// Pictures with their upper left corners, in pixels.
    pictures: Vec<(i64, i64, RgbImage)>,
    /// How far down the page is full.
    pub(super) bottom: f64,
}

/// Where a text begins or ends.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Board {
    /// With a title, and a line of facts below it.
    pub(super) fn new(title: &str, facts: &str) -> Board {
        let mut board = Board { svg: String::new(), pictures: Vec::new(), bottom: MARGIN + 44.0 };
        let (title, facts) = (shortened(title, TITLE, ROOM), shortened(facts, LABEL, ROOM));
        board.text((MARGIN, MARGIN + 20.0), &title, TITLE, INK, Anchor::Start);
        board.text((MARGIN, MARGIN + 44.0), &facts, LABEL, SOFT_INK, Anchor::Start);
        board
    }

    /// Where the column with this number begins.
    pub(super) fn column(number: usize) -> f64 {
        MARGIN + number as f64 * (TILE + GAP)
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), text: &str, size: f64, ink: &str, anchor: Anchor) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let text = escaped(text);
        self.svg +=
            &format!(r#"<text x="{x:.1}" y="{y:.1}" fill="{ink}" font-size="{size}"{anchor}>{text}</text>"#);
    }

    /// A framed picture that fits a square with this side, in its middle.
    pub(super) fn picture(&mut self, (x, y): (f64, f64), side: f64, picture: &RgbImage) {
        let (width, height) = picture.dimensions();
        let scale = side * SCALE / f64::from(width.max(height));
        let fitted = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
        let (new_width, new_height) = (fitted(width), fitted(height));
        // Enlarged, pixels stay even squares.
        let filter = if scale < 1.0 { FilterType::Lanczos3 } else { FilterType::Nearest };
        let picture = imageops::resize(picture, new_width, new_height, filter);
        let place = |start: f64, length: u32| {
            (start * SCALE + (side * SCALE - f64::from(length)) / 2.0).round() as i64
        };
        let (x, y) = (place(x, new_width), place(y, new_height));
        self.pictures.push((x - 1, y - 1, RgbImage::from_pixel(new_width + 2, new_height + 2, FRAME)));
        self.pictures.push((x, y, picture));
    }

    /// Lines of small type below everything, and the page as a picture.
    pub(super) fn render(mut self, notes: &[&str]) -> RgbImage {
        let mut y = self.bottom + 26.0;
        for note in notes {
            self.text((MARGIN, y), &shortened(note, LABEL, ROOM), LABEL, SOFT_INK, Anchor::Start);
            y += 20.0;
        }
        let height = (y - 20.0 + MARGIN).ceil();
        let mut page = picture(&document(WIDTH, height, &self.svg), SCALE as f32);
        for (x, y, picture) in &self.pictures {
            imageops::replace(&mut page, picture, *x, *y);
        }
        page
    }
}

/// An image `[1, 3, H, W]` or `[1, 1, H, W]` as a picture of the same size, `range` from black to white.
pub(super) fn painted(image: &Tensor, range: (f64, f64)) -> Result<RgbImage> {
    photo(Image::single("image", image, &[1, 3], None)?, range)
}
