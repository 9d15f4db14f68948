//! Pictures that losses restore, and pages of pictures.

use tch::{Device, Kind, Tensor};
use tch_losses::visual::image::{imageops, Rgb, RgbImage};
use tch_losses::visual::{descend, Tile, TileSheet};
use tch_losses::{Error, L1Loss, Loss, MseLoss, Result};

use crate::common::{noise, value};

fn pair() -> (Tensor, Tensor) {
    let real = noise(0, &[1, 3, 16, 20], Kind::Float).to_device(Device::Cpu).sigmoid();
    (real.full_like(0.5), real)
}

#[test]
fn losses_of_pixels_restore_the_picture() {
    let (start, real) = pair();
    let losses: [&dyn Loss; 2] = [&L1Loss::default(), &MseLoss::default()];
    for loss in losses {
        let mut steps = Vec::new();
        let restored = descend(loss, &start, &real, 150, |step| steps.push(step)).unwrap();
        assert_eq!(steps, (1..=150).collect::<Vec<_>>());
        let off = value(&(restored - &real).abs().max());
        assert!(off < 0.02, "{loss:?}: {off}");
    }
    // The start stays as it was.
    assert_eq!(value(&(&start - 0.5).abs().max()), 0.0);
}

/// Wants all pixels to be larger.
#[derive(Debug)]
struct Brighter;

impl Loss for Brighter {
    fn try_forward(&self, input: &Tensor, _target: &Tensor) -> Result<Tensor> {
        Ok(input.mean(Kind::Float).neg())
    }
}

/// Is not finite once pixels are brighter than grey.
#[derive(Debug)]
struct Fragile;

impl Loss for Fragile {
    fn try_forward(&self, input: &Tensor, _target: &Tensor) -> Result<Tensor> {
        Ok((input.neg() + 0.6).sqrt().mean(Kind::Float))
    }
}

#[test]
fn pictures_of_any_kind_are_restored() {
    let (start, real) = pair();
    for (kind, tolerance) in [(Kind::Double, 0.02), (Kind::Half, 0.021), (Kind::BFloat16, 0.03)] {
        let (start, real) = (start.to_kind(kind), real.to_kind(kind));
        let restored = descend(&MseLoss::default(), &start, &real, 150, |_| ()).unwrap();
        assert_eq!(restored.kind(), kind);
        // The result is rounded to its kind: by 1/512 at most where it has 8 bits.
        let off = value(&(restored - &real).to_kind(Kind::Double).abs().max());
        assert!(off < tolerance, "{kind:?}: {off}");
    }
}

#[test]
fn pixels_stay_in_their_range() {
    let (start, real) = pair();
    let restored = descend(&Brighter, &start, &real, 60, |_| ()).unwrap();
    assert_eq!((value(&restored.min()), value(&restored.max())), (1.0, 1.0));
}

#[test]
fn what_cannot_be_restored_is_named() {
    let (start, real) = pair();
    let error = descend(&Fragile, &start, &real, 60, |_| ()).unwrap_err();
    assert!(matches!(error, Error::Value { argument: "loss", .. }), "{error}");
    assert!(error.to_string().contains("in step"), "{error}");
    let error = descend(&L1Loss::default(), &start.narrow(2, 0, 8), &real, 1, |_| ()).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "target", .. }), "{error}");
    let error = descend(&L1Loss::default(), &start.get(0), &real, 1, |_| ()).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "start", .. }), "{error}");
}

#[test]
fn pages_show_pictures_as_they_are() {
    let picture = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, 77]));
    let tile = |picture: &RgbImage| Tile { name: "a".into(), note: "b".into(), picture: picture.clone() };
    let tiles: Vec<Tile> = (0..7).map(|_| tile(&picture)).collect();
    let page = TileSheet { title: "t", facts: "f", tiles: &tiles, notes: &[] }.render();
    assert_eq!(page.width(), 1680);
    // Six side by side, 12 pixels between them, and one below.
    let at = |x: u32, y: u32| imageops::crop_imm(&page, x, y, 256, 256).to_image();
    let first = (0..page.height()).find(|y| *page.get_pixel(42, *y) == Rgb([0, 0, 77])).unwrap();
    let places: Vec<u32> = (0..6).map(|column| 42 + 268 * column).collect();
    assert!(places.iter().all(|x| at(*x, first) == picture));
    assert!((first + 256..page.height() - 256).any(|y| at(42, y) == picture));

    // A page that would be too high is drawn smaller, with all of its pictures.
    let colours: Vec<Rgb<u8>> = (1..=60).map(|row| Rgb([4 * row, 0, 200])).collect();
    let picture = |colour: &Rgb<u8>| RgbImage::from_pixel(1, 1, *colour);
    let tile = |colour| Tile { name: "n".into(), note: String::new(), picture: picture(colour) };
    let tiles: Vec<Tile> = colours.iter().flat_map(|colour| (0..6).map(move |_| tile(colour))).collect();
    let page = TileSheet { title: "t", facts: "f", tiles: &tiles, notes: &["the end"] }.render();
    assert!(page.height() == 16384 && page.width() < 1680, "{:?}", page.dimensions());
    let found = |x: u32| -> Vec<Rgb<u8>> {
        let mut column: Vec<_> = (0..page.height()).map(|y| *page.get_pixel(x, y)).collect();
        column.retain(|pixel| colours.contains(pixel));
        column.dedup();
        column
    };
    assert_eq!(found(page.width() / 10), colours);
    assert_eq!(found(page.width() * 9 / 10), colours);

    let map = Tensor::from_slice(&[0.0, 1.0, 2.0, 4.0]).view([1, 1, 2, 2]);
    let of_map = Tile::of_map("L1", 1.75, &map).unwrap();
    assert_eq!((of_map.note.as_str(), of_map.picture.dimensions()), ("1.75, yellow 4", (2, 2)));
    let error = Tile::of_map("L1", 1.0, &map.repeat([1, 3, 1, 1])).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "map", .. }), "{error}");
    let error = Tile::of_image("a", "", &map, (1.0, 0.0)).unwrap_err();
    assert!(matches!(error, Error::Option { option: "range", .. }), "{error}");
}
