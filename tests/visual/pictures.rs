//! The pictures of the module `visual`.

use std::cell::Cell;

use image::{Rgb, RgbImage};
use tch::{Device, Kind, Tensor};
use tch_losses::visual::{heat_map, image, ContactSheet, ImageRows, NOT_FINITE};
use tch_losses::{Error, L1Loss, Laplacian, Loss, Sobel};

use crate::common::noise;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn inferno(position: f64) -> Rgb<u8> {
    Rgb(colorous::INFERNO.eval_continuous(position).into_array())
}

fn random(size: [i64; 4], seed: i64) -> Tensor {
    noise(seed, &size, Kind::Float).to_device(Device::Cpu)
}

/// The sheet of a loss on random images, as a user would make it.
fn sheet_of<'a>(loss: &dyn Loss, fake: &'a Tensor, real: &'a Tensor) -> ContactSheet<'a> {
    ContactSheet {
        name: "Loss",
        value: loss.forward(fake, real).double_value(&[]),
        fake,
        real,
        range: (-1.0, 1.0),
        responses: loss.response(fake).unwrap().zip(loss.response(real).unwrap()),
        map: loss.loss_map(fake, real).unwrap().unwrap(),
    }
}

fn count(picture: &RgbImage, colour: Rgb<u8>) -> usize {
    picture.pixels().filter(|pixel| **pixel == colour).count()
}

/// That so many pixels have the grey of `level`, besides the edges of letters: some three hundred letters with a few
/// pixels of each grey, and the smallest part of a picture that is asked for has 4096.
#[track_caller]
fn assert_grey(picture: &RgbImage, level: u8, expected: usize) {
    let found = count(picture, Rgb([level; 3]));
    assert!(
        (expected..expected + 500).contains(&found),
        "{found} pixels of grey {level}, expected {expected}"
    );
}

#[test]
fn heat_map_has_the_colours_of_inferno_from_end_to_end() {
    let map = Tensor::from_slice(&[2.0, 2.5, 3.0, 4.0, 1.0, 9.0]).view([2, 3]);
    let picture = heat_map(&map, (2.0, 4.0)).unwrap();
    assert_eq!(picture.dimensions(), (3, 2));
    // Values outside the range are drawn as its ends.
    let expected = [0.0, 0.25, 0.5, 1.0, 0.0, 1.0].map(inferno);
    assert_eq!(picture.pixels().copied().collect::<Vec<_>>(), expected);
}

#[test]
fn heat_map_takes_four_dimensions_other_kinds_and_strides() {
    let map = Tensor::from_slice(&[0.0, 0.25, 0.5, 0.75, 1.0, 0.5]).view([2, 3]);
    let expected = heat_map(&map, (0.0, 1.0)).unwrap();
    for kind in [Kind::Half, Kind::BFloat16, Kind::Float] {
        let map = map.to_kind(kind).view([1, 1, 2, 3]).set_requires_grad(true);
        assert_eq!(heat_map(&map, (0.0, 1.0)).unwrap(), expected, "{kind:?}");
    }
    let strided = map.tr().contiguous().tr();
    assert_eq!(heat_map(&strided, (0.0, 1.0)).unwrap(), expected);
}

#[test]
fn heat_map_shows_what_is_not_finite() {
    let map = Tensor::from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0]).view([2, 2]);
    let picture = heat_map(&map, (0.0, 1.0)).unwrap();
    assert_eq!(count(&picture, NOT_FINITE), 3);
    assert_eq!(*picture.get_pixel(1, 1), inferno(0.0));
    assert!((0..=255).all(|step| inferno(f64::from(step) / 255.0) != NOT_FINITE), "it means something else");
}

#[test]
fn heat_map_names_what_it_does_not_take() {
    for size in [&[4i64][..], &[2, 2, 2], &[2, 1, 2, 2], &[1, 3, 2, 2], &[0, 2], &[1, 1, 2, 0]] {
        let error = heat_map(&Tensor::zeros(size, CPU), (0.0, 1.0)).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "map", .. }), "{size:?}: {error}");
    }
    let map = Tensor::zeros([2, 2], CPU);
    for range in [(0.0, 0.0), (1.0, 0.0), (0.0, f64::NAN), (0.0, f64::INFINITY), (f64::MIN, f64::MAX)] {
        let error = heat_map(&map, range).unwrap_err();
        assert!(matches!(error, Error::Option { option: "range", .. }), "{range:?}: {error}");
    }
    let error = heat_map(&map.to_kind(Kind::Int64), (0.0, 1.0)).unwrap_err();
    assert!(matches!(error, Error::Kind { argument: "map", given: Kind::Int64, .. }), "{error}");
    let error = heat_map(&Tensor::new(), (0.0, 1.0)).unwrap_err();
    assert!(matches!(error, Error::Undefined { argument: "map" }), "{error}");
}

#[test]
fn sheets_fit_images_of_every_size() {
    for (height, width) in [(1, 1), (5, 3), (3, 5), (1, 512), (512, 1), (256, 256), (256, 768), (1024, 1024)]
    {
        let (fake, real) = (random([1, 3, height, width], 0), random([1, 3, height, width], 1));
        for loss in [&L1Loss::default() as &dyn Loss, &Sobel::default(), &Laplacian::default()] {
            let picture = sheet_of(loss, &fake, &real).render().unwrap();
            let (across, down) = picture.dimensions();
            // The widest: margins, two tiles of 256 or their labels, a map of 768, a legend. The narrowest: the map of a
            // line of pixels, and labels. The lowest: two tiles of a line of pixels, and labels. The highest: two
            // tiles of 256 or a map of 512, and some lines of text.
            assert!(
                (500..1700).contains(&across) && (300..900).contains(&down),
                "{height}x{width}: {across}x{down}"
            );
            let margin = |x: u32, y: u32| x < 16 || y < 16 || x >= across - 16 || y >= down - 16;
            let drawn = picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 != [255; 3]);
            // No image is drawn thinner than 8 pixels: 2 * 8 * 256 in the tiles, 8 * 512 in the map, and the text.
            assert!(drawn.clone().count() > 5000, "{height}x{width}");
            let beyond = drawn.clone().filter(|(x, y, _)| margin(*x, *y)).count();
            assert_eq!(beyond, 0, "{height}x{width}: something runs over the edge");
        }
    }
}

#[test]
fn small_images_keep_their_pixels() {
    // One pixel of four is red: 128 of 256 pixels of the tile in each direction.
    let red = Tensor::from_slice(&[1.0, -1.0, -1.0]).view([1, 3, 1, 1]);
    let fake = Tensor::full([1, 3, 2, 2], 0.2, (Kind::Double, Device::Cpu));
    fake.narrow(2, 0, 1).narrow(3, 1, 1).copy_(&red);
    let real = Tensor::full_like(&fake, 0.2);
    let picture = sheet_of(&L1Loss::default(), &fake, &real).render().unwrap();
    assert_eq!(count(&picture, Rgb([255, 0, 0])), 128 * 128);
    assert_grey(&picture, 153, 3 * 128 * 128 + 256 * 256);
    // And the largest loss is a quarter of the map, besides the one line of the legend.
    assert_eq!(count(&picture, inferno(1.0)), 256 * 256 + 22);
}

#[test]
fn large_maps_are_averaged() {
    // A checkerboard of 0 and 1 is one half everywhere at half the size.
    let board = (Tensor::arange(1024, CPU).view([1, 1, 1, 1024])
        + Tensor::arange(1024, CPU).view([1, 1, 1024, 1]))
    .remainder(2.0);
    let zero = board.zeros_like();
    let sheet = ContactSheet { map: board, ..sheet_of(&L1Loss::default(), &zero, &zero) };
    assert!(count(&sheet.render().unwrap(), inferno(0.5)) >= 512 * 512);
}

#[test]
fn responses_with_a_sign_have_grey_for_nothing() {
    let zero = Tensor::zeros([1, 1, 4, 4], CPU);
    let response =
        |low: f64| Tensor::from_slice(&[0.0, low, 2.0, 0.0]).view([1, 1, 1, 4]).expand([1, 1, 4, 4], true);
    let picture = |low| {
        let responses = Some((response(low), zero.shallow_clone()));
        let sheet = ContactSheet { responses, ..sheet_of(&L1Loss::default(), &zero, &zero) };
        sheet.render().unwrap()
    };
    let quarter = 64 * 256;
    // 0 -1 2 0 on a scale from -2 to 2, and 0 0 2 0 on one from 0 to 2; the images, 0 in [-1, 1], are grey too.
    let signed = picture(-1.0);
    assert_grey(&signed, 128, 8 * quarter + 2 * quarter);
    assert_grey(&signed, 64, quarter);
    // Where the other has nothing to see, it is black all the same.
    assert_grey(&signed, 0, 4 * quarter);
    let unsigned = picture(0.0);
    assert_grey(&unsigned, 128, 8 * quarter);
    assert_grey(&unsigned, 0, 3 * quarter + 4 * quarter);
}

/// Two columns of tiles: the place of the upper and the lower one of the second.
const RESPONSES: [(u32, u32); 2] = [(304, 134), (304, 444)];

/// The colour in the middle of the panels with what the loss sees of `real` and of `fake`, of 256 x 256 pixels.
fn middles(picture: &RgbImage) -> [[u8; 3]; 2] {
    RESPONSES.map(|(left, top)| picture.get_pixel(left + 128, top + 128).0)
}

fn flat(side: i64, level: f64) -> Tensor {
    Tensor::full([1, 3, side, side], level, CPU)
}

#[test]
fn flat_pictures_are_black_to_losses_that_see_edges() {
    let pairs = [(0.0, 0.0), (0.4, 0.4), (-0.7, -0.7), (0.4, -0.7), (1.0, -1.0)];
    // Of the largest, the frame that zero padding makes is less than what a scale leaves out.
    for (side, pairs) in [(8, &pairs[..]), (256, &pairs), (1000, &pairs[3..4])] {
        for (of_fake, of_real) in pairs {
            let (fake, real) = (flat(side, *of_fake), flat(side, *of_real));
            for loss in [&Sobel::default() as &dyn Loss, &Laplacian::default()] {
                let picture = sheet_of(loss, &fake, &real).render().unwrap();
                assert_eq!(middles(&picture), [[0; 3]; 2], "{loss:?} {side} {of_fake} {of_real}");
            }
        }
        // And to black pictures in [0, 1].
        let black = flat(side, 0.0);
        let sheet = ContactSheet { range: (0.0, 1.0), ..sheet_of(&Sobel::default(), &black, &black) };
        assert_eq!(middles(&sheet.render().unwrap()), [[0; 3]; 2]);
    }
}

#[test]
fn a_flat_picture_is_black_beside_one_with_edges() {
    let (fake, real) = (flat(256, 0.4), random([1, 3, 256, 256], 0));
    for loss in [&Sobel::default() as &dyn Loss, &Laplacian::default()] {
        for (fake, real, place) in [(&fake, &real, 1), (&real, &fake, 0)] {
            let picture = sheet_of(loss, fake, real).render().unwrap();
            let middles = middles(&picture);
            assert_eq!(middles[place], [0; 3], "{loss:?}");
            assert_ne!(middles[1 - place], [0; 3], "{loss:?}");
        }
    }
}

#[test]
fn flat_ground_around_a_few_edges_is_black() {
    let (fake, real) = (flat(512, 0.0), flat(512, 0.0));
    // Off the middle, and less than what a scale leaves out.
    let _ = fake.narrow(2, 64, 16).narrow(3, 64, 16).fill_(1.0);
    let picture = sheet_of(&Sobel::default(), &fake, &real).render().unwrap();
    assert_eq!(middles(&picture), [[0; 3]; 2]);
    let (left, top) = RESPONSES[1];
    let edge = picture.get_pixel(left + 32, top + 36).0;
    assert!(edge[0] > 100, "an edge of half the range: {edge:?}");
}

/// The scale of the panels is that of what is seen, however little that is.
#[test]
fn weak_edges_are_not_black() {
    let fake = Tensor::arange(256, CPU).view([1, 1, 1, 256]).expand([1, 3, 256, 256], true) * (0.02 / 8.0);
    let picture = sheet_of(&Sobel::default(), &fake, &flat(256, 0.0)).render().unwrap();
    // Eight times the difference of neighbours, on a scale that ends near it, but for the frame's.
    let [of_real, of_fake] = middles(&picture);
    assert_eq!(of_real, [0; 3].map(|_: u8| of_real[0]));
    assert!(of_fake[0] > 2 * of_real[0].max(1), "{of_fake:?} {of_real:?}");
}

/// Each row's part of the height, without a tensor that holds them.
#[derive(Debug)]
struct Ramp {
    height: i64,
    most: Cell<i64>,
}

impl ImageRows for Ramp {
    fn shape(&self, _argument: &'static str) -> Result<[i64; 4], Error> {
        Ok([1, 1, self.height, 300])
    }

    fn rows(&self, start: i64, count: i64) -> Result<Tensor, Error> {
        assert!(start >= 0 && count > 0 && start + count <= self.height);
        self.most.set(self.most.get().max(count));
        let row = Tensor::arange_start(start, start + count, CPU).view([1, 1, count, 1]);
        Ok((row / self.height as f64).expand([1, 1, count, 300], true))
    }
}

#[test]
fn images_are_read_a_few_rows_at_a_time() {
    let ramp = Ramp { height: 2000, most: Cell::new(0) };
    let whole = ramp.rows(0, 2000).unwrap();
    ramp.most.set(0);
    let sheet = |fake, real| ContactSheet { fake, real, ..sheet_of(&L1Loss::default(), &whole, &whole) };
    let picture = sheet(&ramp, &ramp).render().unwrap();
    assert_eq!(picture, sheet(&whole, &whole).render().unwrap());
    // A row of the tile, which is 256 high, covers 7.8 of them, parts of 9 at most.
    assert!(ramp.most.get() <= 9, "{}", ramp.most.get());

    let image = Ramp { height: 2000, most: Cell::new(0) };
    let error = sheet(&image, &Ramp { height: 1999, most: Cell::new(0) }).render().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`real` has shape [1, 1, 1999, 300], expected [1, 1, 2000, 300] or [1, 3, 2000, 300]"
    );
}

#[test]
fn control_characters_in_names_are_escaped() {
    let image = random([1, 3, 8, 8], 0);
    let picture =
        |name| ContactSheet { name, ..sheet_of(&L1Loss::default(), &image, &image) }.render().unwrap();
    assert_eq!(picture("a\u{1b}[31m\n\u{202e}b"), picture(r"a\u{1b}[31m\n\u{202e}b"));
    assert_ne!(picture("a\nb"), picture("ab"));
}

#[test]
fn sheets_show_what_is_not_finite() {
    let image = Tensor::zeros([1, 3, 2, 2], CPU);
    let map = Tensor::from_slice(&[f32::NAN, 0.5, f32::INFINITY, 1.0]).view([1, 1, 2, 2]);
    let sheet = ContactSheet { map, value: f64::NAN, ..sheet_of(&L1Loss::default(), &image, &image) };
    assert_eq!(count(&sheet.render().unwrap(), NOT_FINITE), 2 * 256 * 256);
    let nowhere = Tensor::full([1, 1, 2, 2], f64::NAN, CPU);
    let sheet = ContactSheet { map: nowhere, ..sheet_of(&L1Loss::default(), &image, &image) };
    assert_eq!(count(&sheet.render().unwrap(), NOT_FINITE), 512 * 512);
}

#[test]
fn the_name_and_the_value_are_on_the_sheet() {
    let image = random([1, 3, 8, 8], 0);
    let picture = |name, value| {
        ContactSheet { name, value, ..sheet_of(&L1Loss::default(), &image, &image) }.render().unwrap()
    };
    let plain = picture("Loss", 0.25);
    assert_eq!(picture("Loss", 0.25), plain);
    assert_ne!(picture("Lost", 0.25), plain);
    assert_ne!(picture("Loss", 0.26), plain);
    let long = picture(&"long ".repeat(80), 0.25);
    assert!(long.width() > plain.width(), "the page grows with its headline");
}

#[test]
fn extreme_maps_can_be_drawn() {
    let image = Tensor::zeros([1, 1, 2, 2], (Kind::Double, Device::Cpu));
    for values in
        [[0.0; 4], [-3.0; 4], [0.0, 0.0, 0.0, 5e-324], [1e-300; 4], [-1e30, 0.0, 1e30, 1e300], [1e-9; 4]]
    {
        let map = Tensor::from_slice(&values).view([1, 1, 2, 2]);
        let sheet = ContactSheet { map, ..sheet_of(&L1Loss::default(), &image, &image) };
        sheet.render().unwrap_or_else(|error| panic!("{values:?}: {error}"));
    }
}

#[test]
fn sheets_are_for_one_image() {
    let (one, two) = (random([1, 3, 4, 4], 0), random([2, 3, 4, 4], 0));
    let error = sheet_of(&Sobel::default(), &two, &two).render().unwrap_err();
    assert_eq!(error.to_string(), "`fake` has shape [2, 3, 4, 4], expected [1, 1, H, W] or [1, 3, H, W]");

    let base = || sheet_of(&Sobel::default(), &one, &one);
    let plane = |size: [i64; 4]| Tensor::zeros(size, CPU);
    let rejected = |sheet: ContactSheet, argument: &str| match sheet.render().unwrap_err() {
        Error::Shape { argument: named, .. } => assert_eq!(named, argument),
        error => panic!("{argument}: {error}"),
    };
    rejected(ContactSheet { fake: &random([1, 4, 4, 4], 0), ..base() }, "fake");
    rejected(ContactSheet { real: &random([1, 3, 4, 5], 0), ..base() }, "real");
    rejected(ContactSheet { map: plane([1, 3, 4, 4]), ..base() }, "map");
    rejected(ContactSheet { map: plane([1, 1, 2, 2]), ..base() }, "map");
    let responses = Some((plane([1, 1, 4, 4]), plane([1, 1, 2, 2])));
    rejected(ContactSheet { responses, ..base() }, "response of real");
    let error = ContactSheet { range: (1.0, -1.0), ..base() }.render().unwrap_err();
    assert!(matches!(error, Error::Option { option: "range", .. }), "{error}");
}
