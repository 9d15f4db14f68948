//! One picture that tells what a loss makes of two images.

use image::{imageops, Rgb, RgbImage};
use tch::{Kind, Tensor};

use super::heat::{heat, heat_colour, photo, range_option};
use super::numbers::{number, ticks};
use super::pixels::resized;
use super::rows::{Image, ImageRows};
use super::scale::{of_responses, Values};
use super::text;
use crate::Result;

/// What a loss makes of two images, on one page: the images, what the loss sees of each, and where the loss
/// comes from, with its value.
///
/// - **Shapes**: `fake` and `real` `[1, C, H, W]` with one or three channels; `responses` and `map`
///   `[1, 1, H, W]`. Any size: the picture is about 1300 pixels wide, images are enlarged or reduced to fit.
/// - **Values**: the heat map's scale starts at 0 (lower, if there are negative values) and ends at the
///   99.5th percentile, so that a few outliers do not hide the rest; a note under it says what lies beyond.
///   The two responses share a scale: black to white, or, where they have a sign, grey for 0. A response with
///   nothing to see, as an edge filter's to a flat image, is black. Values that are not finite are drawn in
///   [`NOT_FINITE`](super::NOT_FINITE).
///
/// See the [module](super) for an example.
#[derive(Debug)]
pub struct ContactSheet<'a> {
    /// The name of the loss, for the headline.
    pub name: &'a str,
    /// The loss, for the headline.
    pub value: f64,
    /// The generated image.
    pub fake: &'a dyn ImageRows,
    /// The image that it should have been.
    pub real: &'a dyn ImageRows,
    /// The values of the images that mean black and white, `(-1.0, 1.0)` or `(0.0, 1.0)`.
    pub range: (f64, f64),
    /// What the loss sees of `fake` and of `real`, as [`Loss::response`](crate::Loss::response) tells.
    pub responses: Option<(Tensor, Tensor)>,
    /// The [`loss_map`](crate::Loss::loss_map) of the two.
    pub map: Tensor,
}

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([20, 20, 20]);
const SOFT_INK: Rgb<u8> = Rgb([80, 80, 80]);
const LINE: Rgb<u8> = Rgb([190, 190, 190]);

const HEADLINE: f32 = 46.0;
const VALUE: f32 = 32.0;
const LABEL: f32 = 22.0;
const NOTE: f32 = 20.0;

const MARGIN: u32 = 32;
const GAP: u32 = 16;
const LABEL_HEIGHT: u32 = 38;
const NOTE_HEIGHT: u32 = 26;
const HEADLINE_HEIGHT: u32 = 64;
/// The side of the square that a small image is fitted into.
const TILE: u32 = 256;
/// Width and height that the heat map is fitted into.
const MAP: (u32, u32) = (768, 2 * TILE);
/// No image is drawn lower or narrower than this, so that lines of single pixels can be seen.
const THINNEST: u32 = 8;
const BAR_WIDTH: u32 = 22;
const BAR_LEAST_HEIGHT: u32 = 160;
const TICK: u32 = 6;

impl ContactSheet<'_> {
    /// Draws the sheet.
    ///
    /// # Errors
    /// A batch of more than one image; shapes, kinds or a range other than described at the type.
    pub fn render(&self) -> Result<RgbImage> {
        range_option(self.range)?;
        let fake = Image::single("fake", self.fake, &[1, 3], None)?;
        let real = Image::single("real", self.real, &[1, 3], Some(fake))?;
        let map = Image::single("map", &self.map, &[1], Some(fake))?;
        let map_values = Values::of(&[map])?;
        let map_range = map_values.range();
        range_option(map_range)?;
        let (width, height) = (fake.width, fake.height);
        let (low, high) = self.range;
        let mut notes = vec![format!("Images: {width} × {height} pixels, values from {low} to {high}.")];

        let tile_size = fitted((width, height), (TILE, TILE));
        let tile = |label, image: Image, range| -> Result<Tile> {
            let image = resized(image, tile_size)?;
            let image = Image::single("image", &image, &[1, 3], None)?;
            Ok(Tile { label, picture: photo(image, range)? })
        };
        let mut columns = vec![[tile("real", real, self.range)?, tile("fake", fake, self.range)?]];
        if let Some((of_fake, of_real)) = &self.responses {
            let of_fake = Image::single("response of fake", of_fake, &[1], Some(fake))?;
            let of_real = Image::single("response of real", of_real, &[1], Some(fake))?;
            let ([fake_range, real_range], note) = of_responses([of_fake, of_real], high - low)?;
            notes.push(note);
            columns.push([
                tile("real, as the loss sees it", of_real, real_range)?,
                tile("fake, as the loss sees it", of_fake, fake_range)?,
            ]);
        }

        let map_picture = resized(map, fitted((width, height), MAP))?;
        let map_picture = heat(Image::single("map", &map_picture, &[1], None)?, map_range)?;
        let map_notes = map_values.beyond_notes(map_range);
        // Some losses are no mean of their map.
        let mean = self.map.f_mean(Kind::Double)?.f_double_value(&[])?;
        let what = if (mean - self.value).abs() > 0.01 * self.value.abs() { "loss" } else { "mean" };
        let headline = [self.name, &format!("{what} {}", number(self.value, 6))];
        Ok(compose(headline, &columns, &notes, (&map_picture, map_range), &map_notes))
    }
}

struct Tile {
    label: &'static str,
    picture: RgbImage,
}

/// Measures, then draws: the headline, columns of two tiles with notes below, the heat map with its notes,
/// and its legend.
fn compose(
    [name, mean]: [&str; 2],
    columns: &[[Tile; 2]],
    notes: &[String],
    (map, map_range @ (low, high)): (&RgbImage, (f64, f64)),
    map_notes: &[String],
) -> RgbImage {
    const MAP_LABEL: &str = "where the loss comes from";
    const LEGEND: &str = "loss per pixel";
    let label_width = |label: &str| text::width(label, LABEL);
    let column_width = |[upper, lower]: &[Tile; 2]| {
        upper.picture.width().max(label_width(upper.label)).max(label_width(lower.label))
    };

    let mean_left = MARGIN + text::width(name, HEADLINE) + 2 * GAP;
    let map_left = MARGIN + columns.iter().map(|tiles| column_width(tiles) + GAP).sum::<u32>() + GAP;
    let bar_left = map_left + map.width().max(label_width(MAP_LABEL)) + GAP + GAP / 2;
    let tick_left = bar_left + BAR_WIDTH + 2 * TICK;
    let ticks: Vec<(f64, String)> =
        ticks(map_range).into_iter().map(|tick| (tick, number(tick, 6))).collect();
    let rights = [mean_left + text::width(mean, VALUE), bar_left + label_width(LEGEND)]
        .into_iter()
        .chain(ticks.iter().map(|(_, label)| tick_left + label_width(label)))
        .chain(notes.iter().map(|note| MARGIN + text::width(note, NOTE)))
        .chain(map_notes.iter().map(|note| map_left + text::width(note, NOTE)));
    let width = rights.fold(0, u32::max) + MARGIN;

    let top = MARGIN + HEADLINE_HEIGHT;
    let row_height = LABEL_HEIGHT + columns[0][0].picture.height() + GAP;
    let bar_height = map.height().max(BAR_LEAST_HEIGHT);
    let bottom = |top, notes: &[String]| top + NOTE_HEIGHT * notes.len() as u32;
    let map_notes_top = top + LABEL_HEIGHT + bar_height;
    let notes_top = (top + 2 * row_height - GAP).max(bottom(map_notes_top, map_notes));
    let height = bottom(notes_top, notes) + MARGIN;

    let mut page = RgbImage::from_pixel(width, height, PAPER);
    text::draw(&mut page, (MARGIN, MARGIN + 34), name, HEADLINE, INK);
    text::draw(&mut page, (mean_left, MARGIN + 34), mean, VALUE, SOFT_INK);
    let mut left = MARGIN;
    for tiles in columns {
        for (row, tile) in (0..).zip(tiles) {
            place(&mut page, (left, top + row * row_height), tile.label, &tile.picture);
        }
        left += column_width(tiles) + GAP;
    }
    place(&mut page, (map_left, top), MAP_LABEL, map);
    let bar = RgbImage::from_fn(BAR_WIDTH, bar_height, |_, y| {
        heat_colour(1.0 - f64::from(y) / f64::from(bar_height - 1))
    });
    place(&mut page, (bar_left, top), LEGEND, &bar);
    for (tick, label) in ticks {
        let from_top = (high - tick) / (high - low) * f64::from(bar_height - 1);
        let y = top + LABEL_HEIGHT + from_top.round() as u32;
        (0..TICK).for_each(|x| page.put_pixel(bar_left + BAR_WIDTH + x, y, SOFT_INK));
        text::draw(&mut page, (tick_left, y + 7), &label, LABEL, INK);
    }
    for (left, top, notes) in [(MARGIN, notes_top, notes), (map_left, map_notes_top, map_notes)] {
        for (line, note) in (1..).zip(notes) {
            text::draw(&mut page, (left, top + 2 + NOTE_HEIGHT * line), note, NOTE, SOFT_INK);
        }
    }
    page
}

/// A label and, under it, a framed picture.
fn place(page: &mut RgbImage, (left, top): (u32, u32), label: &str, picture: &RgbImage) {
    text::draw(page, (left, top + LABEL_HEIGHT - 14), label, LABEL, INK);
    let (width, height) = picture.dimensions();
    let (left, top) = (i64::from(left), i64::from(top + LABEL_HEIGHT));
    imageops::replace(page, &RgbImage::from_pixel(width + 2, height + 2, LINE), left - 1, top - 1);
    imageops::replace(page, picture, left, top);
}

/// The largest size of the same proportions in a box.
fn fitted((width, height): (i64, i64), (box_width, box_height): (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(box_width) / width as f64).min(f64::from(box_height) / height as f64);
    let side = |side: i64| ((side as f64 * scale).round() as u32).max(THINNEST);
    (side(width), side(height))
}
