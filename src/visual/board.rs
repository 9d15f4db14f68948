//! A page of texts, lines and pictures.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use tch::Tensor;

use super::curves::{document, escaped, picture, shortened, HIGHEST, INK, LABEL, MARGIN, SOFT_INK};
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
    pictures: Vec<Placed>,
    /// How far down the page is full.
    pub(super) bottom: f64,
}

/// A picture in the middle of a square.
struct Placed {
    /// The upper left corner of the square, and its side.
    corner: (f64, f64),
    side: f64,
    /// With no more pixels than it can have on the page.
    picture: RgbImage,
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
    pub(super) fn picture(&mut self, corner: (f64, f64), side: f64, picture: &RgbImage) {
        let picture = match f64::from(picture.width().max(picture.height())) > side * SCALE {
            true => fitted(picture, side * SCALE),
            false => picture.clone(),
        };
        self.pictures.push(Placed { corner, side, picture });
    }

    /// Lines of small type below everything, and the page as a picture.
    pub(super) fn render(mut self, notes: &[&str]) -> RgbImage {
        let mut y = self.bottom + 26.0;
        for note in notes {
            self.text((MARGIN, y), &shortened(note, LABEL, ROOM), LABEL, SOFT_INK, Anchor::Start);
            y += 20.0;
        }
        let height = (y - 20.0 + MARGIN).ceil();
        let scale = SCALE.min(f64::from(HIGHEST) / height);
        let mut page = picture(&document(WIDTH, height, &self.svg), scale as f32);
        for Placed { corner: (x, y), side, picture } in &self.pictures {
            let side = side * scale;
            let picture = fitted(picture, side);
            let place =
                |start: f64, length: u32| (start * scale + (side - f64::from(length)) / 2.0).round() as i64;
            let (width, height) = picture.dimensions();
            let (x, y) = (place(*x, width), place(*y, height));
            imageops::replace(&mut page, &RgbImage::from_pixel(width + 2, height + 2, FRAME), x - 1, y - 1);
            imageops::replace(&mut page, &picture, x, y);
        }
        page
    }
}

/// A picture whose longer side has so many pixels.
fn fitted(picture: &RgbImage, side: f64) -> RgbImage {
    let (width, height) = picture.dimensions();
    let scale = side / f64::from(width.max(height));
    let length = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    // Enlarged, pixels stay even squares.
    let filter = if scale < 1.0 { FilterType::Lanczos3 } else { FilterType::Nearest };
    imageops::resize(picture, length(width), length(height), filter)
}

/// An image `[1, 3, H, W]` or `[1, 1, H, W]` as a picture of the same size, `range` from black to white.
pub(super) fn painted(image: &Tensor, range: (f64, f64)) -> Result<RgbImage> {
    photo(Image::single("image", image, &[1, 3], None)?, range)
}
