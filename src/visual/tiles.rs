//! Named pictures side by side.

use image::RgbImage;
use tch::Tensor;

use super::board::{painted, Anchor, Board, COLUMNS, TILE};
use super::curves::{shortened, INK, SMALL, SOFT_INK};
use super::heat::{heat, range_option};
use super::numbers::number;
use super::rows::Image;
use super::scale::Values;
use crate::Result;

/// What a [`TileSheet`] shows: a picture with its name above and what there is to say about it below.
#[derive(Debug, Clone)]
pub struct Tile {
    /// What stands above the picture.
    pub name: String,
    /// What stands below the picture, in smaller type; may be empty.
    pub note: String,
    /// The picture, which is fitted into a square.
    pub picture: RgbImage,
}

impl Tile {
    /// An image `[1, C, H, W]` of one or three channels, `range` from black to white.
    ///
    /// # Errors
    /// Other shapes and kinds; a range that is empty or not finite.
    pub fn of_image(name: &str, note: &str, image: &Tensor, range: (f64, f64)) -> Result<Tile> {
        range_option(range)?;
        Ok(Tile { name: name.into(), note: note.into(), picture: painted(image, range)? })
    }

    /// The [`loss_map`](crate::Loss::loss_map) `[1, 1, H, W]` of a loss as a heat map. Its scale begins at 0, or at the
    /// least value below, and leaves out the highest half a hundredth at most, as that of a
    /// [`ContactSheet`](super::ContactSheet). The note tells the loss's value and where the scale ends.
    ///
    /// # Errors
    /// Other shapes and kinds.
    pub fn of_map(name: &str, value: f64, map: &Tensor) -> Result<Tile> {
        let map = Image::single("map", map, &[1], None)?;
        let range = Values::of(&[map])?.range();
        let note = format!("{}, yellow {}", number(value, 3), number(range.1, 2));
        Ok(Tile { name: name.into(), note, picture: heat(map, range)? })
    }
}

/// A page of pictures, six side by side: what losses restore ([`descend`](super::descend)), or all their heat maps.
///
/// ```
/// use tch_losses::visual::image::RgbImage;
/// use tch_losses::visual::{Tile, TileSheet};
///
/// let tile = |name: &str| Tile { name: name.into(), note: "22.1 dB".into(), picture: RgbImage::new(64, 64) };
/// let tiles = [tile("real"), tile("L1Loss"), tile("MseLoss")];
/// let sheet = TileSheet { title: "Restored", facts: "300 steps", tiles: &tiles, notes: &["Seed 0."] };
/// let page = sheet.render();
/// # assert_eq!(page.width(), 1680);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TileSheet<'a> {
    /// The headline.
    pub title: &'a str,
    /// A line below it.
    pub facts: &'a str,
    /// The pictures, row by row.
    pub tiles: &'a [Tile],
    /// Lines at the foot.
    pub notes: &'a [&'a str],
}

const NAME: f64 = 13.5;
/// The room for a name, for a note, and between rows.
const NAME_HEIGHT: f64 = 22.0;
const NOTE_HEIGHT: f64 = 20.0;
const ROW_GAP: f64 = 8.0;

impl TileSheet<'_> {
    /// Draws the page, 1680 pixels wide. A picture of 256 pixels has the size that it has. With some 300 pictures, a page
    /// would be higher than 16384 pixels, and is drawn smaller.
    pub fn render(&self) -> RgbImage {
        let mut board = Board::new(self.title, self.facts);
        let mut y = board.bottom + 12.0;
        for row in self.tiles.chunks(COLUMNS) {
            for (column, tile) in row.iter().enumerate() {
                let x = Board::column(column);
                let name = shortened(&tile.name, NAME, TILE);
                board.text((x, y + NAME_HEIGHT - 7.0), &name, NAME, INK, Anchor::Start);
                board.picture((x, y + NAME_HEIGHT), TILE, &tile.picture);
                let note = shortened(&tile.note, SMALL, TILE);
                let baseline = y + NAME_HEIGHT + TILE + 17.0;
                board.text((x, baseline), &note, SMALL, SOFT_INK, Anchor::Start);
            }
            let has_notes = row.iter().any(|tile| !tile.note.is_empty());
            y += NAME_HEIGHT + TILE + if has_notes { NOTE_HEIGHT } else { 0.0 } + ROW_GAP;
        }
        board.bottom = y - ROW_GAP;
        board.render(self.notes)
    }
}
