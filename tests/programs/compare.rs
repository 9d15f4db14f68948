//! The command line, run as users run it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use image::{ImageFormat, Rgb, RgbImage};
use tch::Tensor;
use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LogSink, LossSpec, Record};
use tch_losses::visual::image;

/// The images that `scripts/fixtures/cli.py` wrote; the tests run in their folder.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli")
}

fn tch_losses(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    command.current_dir(fixtures()).args(arguments).stdin(Stdio::null());
    command
}

pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(arguments: &[&str]) -> Result<Output> {
    let output = tch_losses(arguments).output()?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Output { code: output.status.code(), stdout, stderr })
}

/// The output of a run that goes well.
fn compare(fake: &str, real: &str, more: &[&str]) -> Result<Output> {
    let output = run(&[&["compare", "--fake", fake, "--real", real], more].concat())?;
    ensure!(output.code == Some(0), "{fake}: {:?} {}", output.code, output.stderr);
    Ok(output)
}

pub type Values = BTreeMap<String, f64>;

/// By file name, range and loss.
pub fn expected() -> Result<BTreeMap<String, BTreeMap<String, Values>>> {
    Ok(serde_json::from_str(&fs::read_to_string(fixtures().with_extension("json"))?)?)
}

pub fn assert_values(what: &str, found: &Values, expected: &Values, tolerance: f64) {
    for (key, value) in found {
        let right = expected[key];
        assert!((value - right).abs() <= tolerance * right, "{what} {key}: {value}, PyTorch has {right}");
    }
}

const KEYS: [&str; 4] = ["l1", "laplacian", "mse", "sobel"];

fn is_lossy(file: &str) -> bool {
    file.ends_with(".jpg") || file == "lossy.webp"
}

fn check_files(files: impl Fn(&str) -> bool, count: usize, tolerance: f64) -> Result<()> {
    let expected = expected()?;
    let files: Vec<_> = expected.iter().filter(|(file, _)| files(file)).collect();
    assert_eq!(files.len(), count);
    for (file, by_range) in files {
        for (range, values) in by_range {
            let output = compare(file, "real.png", &["--range", range, "--json"])?;
            let found: Values = serde_json::from_str(&output.stdout)?;
            assert_eq!(found.keys().collect::<Vec<_>>(), KEYS);
            assert_values(&format!("{file} {range}"), &found, values, tolerance);
            let note = match file {
                file if file.contains("alpha") => format!("tch-losses: {file}: alpha channel dropped\n"),
                file if file.contains("turned") => format!("tch-losses: {file}: {TURNED}\n"),
                _ => String::new(),
            };
            assert_eq!(output.stderr, note);
        }
    }
    Ok(())
}

const TURNED: &str = "turned as its EXIF orientation says";

/// Both start from the same samples, and a map's value comes of some 20 roundings of numbers that are at most a few
/// times as large: each is 6e-8 off at most, in either direction, and there are 437 for the mean. One sample in a
/// hundred that is one level of 255 off would be 1e-4.
#[test]
fn values_of_lossless_files_are_those_of_pytorch() -> Result<()> {
    check_files(|file| !is_lossy(file), 16, 1e-5)
}

/// Decoders may round differently: each sample by a level of 255 and, where colours change, those interpolated
/// between pixels by a few, in either direction, so that little of it is left in a mean over 437 pixels of losses that
/// are 20 levels and more. Wrong channels or a wrong
/// orientation change each of them by half and more.
#[test]
fn values_of_lossy_files_are_nearly_those_of_pytorch() -> Result<()> {
    check_files(is_lossy, 5, 0.02)
}

#[test]
fn with_weights_there_is_the_perceptual_loss() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("vgg.safetensors");
    Tensor::write_safetensors(&crate::common::vgg_parameters(), &weights)?;
    let weights = weights.to_str().context("path")?;
    for (range, values) in &expected()?["rgb16.png"] {
        let output = compare("rgb16.png", "real.png", &["--json", "--range", range, "--vgg", weights])?;
        let found: Values = serde_json::from_str(&output.stdout)?;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["l1", "laplacian", "mse", "sobel", "vgg"]);
        // A feature is a sum of at most 9 * 512 products in f32, off by about the square root of that number times 6e-8,
        // 4e-6 of itself, here and in PyTorch. The loss is a mean over thousands of features, and off by less.
        assert_values(range, &found, values, 1e-5);
    }
    let maps = folder.path().join("maps");
    compare("rgb8.png", "real.png", &["--vgg", weights, "--maps", maps.to_str().context("path")?])?;
    assert_eq!(names(&maps)?, ["l1.png", "laplacian.png", "mse.png", "sobel.png", "vgg.png"]);

    // Too small for the taps.
    let tiny = folder.path().join("tiny.png");
    RgbImage::new(3, 8).save(&tiny)?;
    let tiny = tiny.to_str().context("path")?;
    assert_fails(&["--fake", tiny, "--real", tiny, "--vgg", weights], &["vgg", tiny, "at least 4"])
}

#[test]
fn what_is_not_finite_is_null_in_json() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("vgg.safetensors");
    let mut parameters = crate::common::vgg_parameters();
    for (name, tensor) in &mut parameters {
        if name == "features.0.bias" {
            *tensor = tensor.full_like(f64::NAN);
        }
    }
    Tensor::write_safetensors(&parameters, &weights)?;
    let more =
        ["--vgg", weights.to_str().context("path")?, "--maps", folder.path().to_str().context("path")?];
    let json: serde_json::Value =
        serde_json::from_str(&compare("rgb8.png", "real.png", &[&more[..], &["--json"]].concat())?.stdout)?;
    assert!(json["vgg"].is_null() && json["l1"].is_f64(), "{json}");
    assert!(compare("rgb8.png", "real.png", &more)?.stdout.ends_with("\nvgg        NaN\n"));
    assert!(folder.path().join("vgg.png").exists());
    Ok(())
}

#[test]
fn json_is_one_line_with_every_digit() -> Result<()> {
    let output = compare("rgb8.png", "real.png", &["--json"])?;
    assert_eq!(output.stdout.lines().count(), 1);
    let found: Values = serde_json::from_str(&output.stdout)?;
    for value in found.values() {
        assert_eq!(f64::from(*value as f32), *value, "not an f32 to the last digit");
    }
    Ok(())
}

/// Six digits of what cli.json has. The last of them is not the same on every machine.
#[test]
fn the_table_is_for_people() -> Result<()> {
    for (file, range, ends) in [("rgb8.png", "signed", "-1 to 1"), ("rgb16.png", "unit", "0 to 1")] {
        let output = compare(file, "real.png", &["--range", range])?;
        let head = format!(
            "fake       {file}\nreal       real.png\nsize       23 x 19 pixels\nrange      {ends}\ndevice     CPU\n\n\
             loss       value\n"
        );
        let rows = output.stdout.strip_prefix(&head).with_context(|| output.stdout.clone())?;
        let mut found = Values::new();
        for row in rows.lines() {
            let (key, value) = row.split_at_checked(11).context("a key and a value")?;
            let digits = value.trim_start_matches(['0', '.']).replace('.', "");
            assert!(digits.len() <= 6, "{row}");
            found.insert(key.trim_end().into(), value.parse()?);
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), KEYS);
        // Half a unit in the sixth digit is 5e-6 at most; see the lossless files for the rest.
        assert_values(file, &found, &expected()?[file][range], 1.5e-5);
        assert_eq!(output.stderr, "");
    }
    Ok(())
}

/// Of any number of values that are all the same, the mean is exact.
#[test]
fn round_values_are_shown_as_such() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (black, white) = (folder.path().join("black.png"), folder.path().join("white.png"));
    RgbImage::from_pixel(4, 4, Rgb([0; 3])).save(&black)?;
    RgbImage::from_pixel(4, 4, Rgb([255; 3])).save(&white)?;
    let output = compare(black.to_str().context("path")?, white.to_str().context("path")?, &[])?;
    assert!(output.stdout.contains("\nl1         2.0\nmse        4.0\n"), "{}", output.stdout);
    Ok(())
}

#[test]
fn equal_images_cost_nothing() -> Result<()> {
    let found: Values = serde_json::from_str(&compare("rgb16.png", "rgb16.png", &["--json"])?.stdout)?;
    assert!(found.values().all(|value| *value == 0.0), "{found:?}");
    Ok(())
}

#[test]
fn the_sample_pair_gives_what_the_documentation_shows() -> Result<()> {
    let (fake, real) = ("../../../assets/fake.png", "../../../assets/real.png");
    let found: Values = serde_json::from_str(&compare(fake, real, &["--json"])?.stdout)?;
    // Shown are six digits.
    let shown = [("l1", 0.104167), ("mse", 0.0301205), ("sobel", 0.316148), ("laplacian", 0.165924)];
    assert_values("sample", &found, &shown.map(|(key, value)| (key.to_string(), value)).into(), 1.5e-5);
    Ok(())
}

const SAMPLE: (&str, &str) = ("../../../assets/fake.png", "../../../assets/real.png");

/// The values that sample.json has are those of the libraries that the losses come from.
#[test]
fn all_losses_of_two_images_give_what_their_references_give() -> Result<()> {
    let expected: Values =
        serde_json::from_str(&fs::read_to_string(fixtures().with_file_name("sample.json"))?)?;
    let found = |more: &[&str]| -> Result<Values> {
        let output = compare(SAMPLE.0, SAMPLE.1, &[&["--json", "--losses", "all"], more].concat())?;
        assert_eq!(output.stderr, "");
        Ok(serde_json::from_str(&output.stdout)?)
    };
    let (unit, signed) = (found(&["--range", "unit"])?, found(&[])?);
    for (name, expected) in &expected {
        let close = |found: f64| (found - expected).abs() <= 2e-4 * expected;
        assert!(close(unit[name]), "{name}: {}, the reference has {expected}", unit[name]);
        // Losses that ask for the range get it told.
        let knows_range = LossSpec::named(name)?.data_range().is_some();
        assert!(
            !knows_range || close(signed[name]),
            "{name}: {}, with values from 0 to 1 {expected}",
            signed[name]
        );
    }
    assert!(unit.keys().eq(signed.keys()) && expected.len() >= 17);
    // All of them compare images.
    let families = ["pixel", "edge", "structure", "similarity", "frequency"];
    for name in unit.keys().filter(|name| !["l1", "mse", "sobel", "laplacian"].contains(&name.as_str())) {
        assert!(families.contains(&LossSpec::named(name)?.family()), "{name}");
    }
    // Its second tensor is a weight for each pixel, which the real image is not.
    assert!(!unit.contains_key("WeightedTotalVariationLoss"));
    Ok(())
}

#[test]
fn all_losses_with_a_map_have_a_picture() -> Result<()> {
    // Means of products, sums of spectra, and the like: there is no place where they come from.
    let without = [
        "PsnrLoss",
        "MultiScaleSsimLoss",
        "VifLoss",
        "InformationWeightedSsimLoss",
        "DssLoss",
        "FocalFrequencyLoss",
        "FftLoss",
    ];
    let folder = tempfile::tempdir()?;
    let maps = folder.path().to_str().context("path")?;
    let output = compare(SAMPLE.0, SAMPLE.1, &["--json", "--losses", "all", "--maps", maps])?;
    let found: Values = serde_json::from_str(&output.stdout)?;
    for name in found.keys() {
        let has_none = output.stderr.contains(&format!("tch-losses: {name} has no map: no picture"));
        let has_picture = folder.path().join(format!("{name}.png")).exists();
        assert_eq!((has_none, has_picture), (without.contains(&name.as_str()), !has_none), "{name}");
    }
    assert_eq!(names(folder.path())?.len(), found.len() - without.len());
    Ok(())
}

#[test]
fn of_all_losses_those_that_refuse_the_images_are_left_out() -> Result<()> {
    let output = compare("rgb16.png", "real.png", &["--json", "--losses", "all"])?;
    let found: Values = serde_json::from_str(&output.stdout)?;
    assert!(found.contains_key("l1") && !found.contains_key("VifLoss"), "{found:?}");
    let told = "tch-losses: left out: VifLoss: `input` has shape [1, 3, 19, 23], expected [N, C, H, W] with H and W at least 41";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    // By name, that is an error.
    let named = ["--fake", "rgb16.png", "--real", "real.png", "--losses", "VifLoss"];
    assert_fails(&named, &["cannot compute VifLoss", "at least 41"])
}

#[test]
fn an_objective_for_another_range_is_said_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("objective.toml");
    fs::write(&file, "[losses.structure]\nloss = \"SSIMLoss\"\n")?;
    let objective = ["--objective", file.to_str().context("path")?];
    let output = compare(SAMPLE.0, SAMPLE.1, &objective)?;
    let told = "tch-losses: `structure` expects values in the range unit, and gets signed: see --range\n";
    assert_eq!(output.stderr, told);
    let output = compare(SAMPLE.0, SAMPLE.1, &[&objective[..], &["--range", "unit"]].concat())?;
    assert_eq!(output.stderr, "");
    Ok(())
}

#[test]
fn the_content_decides_not_the_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (png, jpeg) = (folder.path().join("a.jpg"), folder.path().join("b"));
    fs::copy(fixtures().join("rgb8.png"), &png)?;
    fs::copy(fixtures().join("rgb.jpg"), &jpeg)?;
    let renamed = compare(png.to_str().context("path")?, jpeg.to_str().context("path")?, &["--json"])?;
    assert_eq!(renamed.stdout, compare("rgb8.png", "rgb.jpg", &["--json"])?.stdout);
    Ok(())
}

pub fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn maps_are_written_as_png_and_said_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (fake, real) = (folder.path().join("fake.png"), folder.path().join("real.png"));
    RgbImage::from_pixel(8, 8, Rgb([0, 0, 255])).save(&fake)?;
    RgbImage::from_pixel(8, 8, Rgb([255, 0, 0])).save(&real)?;
    let maps = folder.path().join("deep/maps");
    let (fake, real) = (fake.to_str().context("path")?, real.to_str().context("path")?);
    let more = ["--json", "--maps", maps.to_str().context("path")?];
    let output = compare(fake, real, &more)?;
    let values: Values = serde_json::from_str(&output.stdout)?;
    assert_eq!(values.keys().collect::<Vec<_>>(), KEYS, "stdout is for the values only");

    assert_eq!(names(&maps)?, ["l1.png", "laplacian.png", "mse.png", "sobel.png"]);
    for key in KEYS {
        let path = maps.join(format!("{key}.png"));
        assert!(
            output.stderr.contains(&format!("tch-losses: wrote {}\n", path.display())),
            "{}",
            output.stderr
        );
        let bytes = fs::read(&path)?;
        assert_eq!(image::guess_format(&bytes)?, ImageFormat::Png);
        let sheet = image::load_from_memory(&bytes)?.into_rgb8();
        // One column of tiles, or two where the loss sees something else than pixels; the labels of the legend, which
        // tell values, are not always of the same width.
        let width = if ["l1", "mse"].contains(&key) { 1002 } else { 1274 };
        assert!((width - 40..width + 40).contains(&sheet.width()), "{key}: {}", sheet.width());
        assert!((700..800).contains(&sheet.height()), "{key}: {}", sheet.height());
        // The real image is above the fake one.
        assert_eq!([sheet.get_pixel(160, 260).0, sheet.get_pixel(160, 570).0], [[255, 0, 0], [0, 0, 255]]);
    }

    // Again, over the old ones.
    let before = fs::read(maps.join("l1.png"))?;
    compare(real, fake, &more)?;
    assert_ne!(fs::read(maps.join("l1.png"))?, before);
    assert_eq!(names(&maps)?.len(), 4);
    Ok(())
}

/// `compare` prints nothing, one line on stderr that names `what`, and exits with 1.
#[track_caller]
fn assert_fails(arguments: &[&str], what: &[&str]) -> Result<()> {
    let output = run(&[&["compare"], arguments].concat())?;
    assert_eq!(output.code, Some(1), "{arguments:?}: {}", output.stderr);
    assert_eq!(output.stdout, "", "{arguments:?}");
    assert!(output.stderr.starts_with("tch-losses: ") && output.stderr.ends_with('\n'), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    for part in what {
        assert!(output.stderr.contains(part), "no {part:?} in {}", output.stderr);
    }
    Ok(())
}

fn float_tiff() -> Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let image = image::Rgb32FImage::new(2, 2);
    image::DynamicImage::from(image).write_to(&mut file, ImageFormat::Tiff)?;
    Ok(file.into_inner())
}

#[test]
fn unusable_images_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let read = |name: &str| fs::read(fixtures().join(name));
    let (png, jpeg) = (read("rgb8.png")?, read("rgb.jpg")?);
    // The frame header: marker, length, 8 bits, then height and width.
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).context("a baseline JPEG")?;
    let mut huge = jpeg.clone();
    huge[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let mut flipped = png.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let lossless = read("rgb.webp")?;
    // Width and height follow the header's length.
    let mut bmp_without_pixels = read("rgb.bmp")?;
    bmp_without_pixels[18..26].fill(0);
    let cases: [(&str, &[u8], &str); 24] = [
        ("empty.png", b"", "is an empty file"),
        ("text.png", b"Not an image, whatever its name says.", "is not an image, it looks like Plain Text"),
        ("page.png", b"<!doctype html><html></html>", "is not an image, it looks like HyperText Markup"),
        ("binary.png", &[7; 90], "is not an image: PNG, JPEG, WebP, TIFF and BMP are read"),
        ("animation.png", b"GIF89a\x01\0\x01\0\0\0\0;", "is a picture in GIF format, convert it: PNG, JPEG"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "in HEIC format"),
        ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "in AVIF format"),
        ("a.jxl", b"\xff\x0a\x10\x10", "in JXL format"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "in JP2 format"),
        ("a.ppm", b"P6\n1 1\n255\n...", "in PPM format"),
        ("a.tga", b"\0\0\x02\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x18\0...", "in TGA format"),
        ("a.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "in SVG format"),
        ("half.png", &png[..middle], "is not whole, its end is missing"),
        ("start.png", &png[..8], "is not whole, its end is missing"),
        ("flipped.png", &flipped, "cannot decode"),
        ("half.jpg", &jpeg[..jpeg.len() / 2], "is not whole, its end is missing"),
        ("endless.jpg", &jpeg[..jpeg.len() - 2], "is not whole, its end is missing"),
        ("half.webp", &lossless[..lossless.len() / 2], "cannot decode"),
        ("half.tif", &read("rgb.tif")?[..900], "is not whole, its end is missing"),
        ("half.bmp", &read("rgb.bmp")?[..700], "is not whole, its end is missing"),
        ("start.bmp", b"BM", "is not whole, its end is missing"),
        ("flat.bmp", &bmp_without_pixels, "flat.bmp"),
        ("float.tif", &float_tiff()?, "floating-point samples: convert it to 8 or 16 bits"),
        (
            "huge.jpg",
            &huge,
            "65500 x 65500 pixels, more than the 33554432 of --max-pixels: crop or reduce it, or raise",
        ),
    ];
    for (name, bytes, problem) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        let path = path.to_str().context("path")?;
        assert_fails(&["--fake", path, "--real", "real.png"], &[path, problem])?;
    }
    let path = folder.path().join("text.png");
    let path = path.to_str().context("path")?;
    assert_fails(&["--fake", "real.png", "--real", path, "--json"], &[path, "is not an image"])?;
    assert_fails(&["--fake", "nowhere.png", "--real", "real.png"], &["nowhere.png", "No such file"])?;
    let folder_and_file = "--fake . is a folder, --real real.png is none: name two images or two folders";
    assert_fails(&["--fake", ".", "--real", "real.png"], &[folder_and_file])
}

/// What the eight values of the EXIF tag mean for where a pixel of the upright picture is stored: its first row
/// is the top (1, 2), the bottom (3, 4), the left (5, 8) or the right side (6, 7) and so on, as the standard says.
#[test]
fn exif_orientations_are_applied() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (turned, upright) = (folder.path().join("turned.jpg"), folder.path().join("upright.png"));
    let jpeg = fs::read(fixtures().join("rgb.jpg"))?;
    let stored = image::load_from_memory(&jpeg)?.into_rgb8();
    let (right, bottom) = (stored.width() - 1, stored.height() - 1);
    for orientation in 1..=8u8 {
        let place = |x: u32, y: u32| match orientation {
            1 => (x, y),
            2 => (right - x, y),
            3 => (right - x, bottom - y),
            4 => (x, bottom - y),
            5 => (y, x),
            6 => (y, bottom - x),
            7 => (right - y, bottom - x),
            _ => (right - y, x),
        };
        let (width, height) = if orientation < 5 { (right + 1, bottom + 1) } else { (bottom + 1, right + 1) };
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = place(x, y);
            *stored.get_pixel(x, y)
        });
        picture.save(&upright)?;
        // A TIFF of one tag: 0x112, of one 16-bit number.
        let exif = [
            b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0",
            &[orientation][..],
            b"\0\0\0\0\0\0",
        ];
        fs::write(&turned, [&jpeg[..2], &exif.concat(), &jpeg[2..]].concat())?;
        let [turned, upright] = [&turned, &upright].map(|path| path.to_str().expect("a path in Unicode"));
        let output = compare(turned, upright, &["--json"])?;
        let values: Values = serde_json::from_str(&output.stdout)?;
        assert!(values.values().all(|value| *value == 0.0), "{orientation}: {values:?}");
        assert_eq!(output.stderr.contains(TURNED), orientation > 1, "{orientation}: {}", output.stderr);
    }
    Ok(())
}

#[test]
fn the_limit_of_pixels_can_be_moved() -> Result<()> {
    let pair = ["--fake", "rgb8.png", "--real", "real.png"];
    let refusal = ["rgb8.png has 23 x 19 pixels", "more than the 436 of --max-pixels"];
    assert_fails(&[&pair[..], &["--max-pixels", "436"]].concat(), &refusal)?;
    for limit in ["437", "18446744073709551615"] {
        compare("rgb8.png", "real.png", &["--max-pixels", limit])?;
    }
    let help = run(&["compare", "--help"])?.stdout;
    assert!(help.contains("--max-pixels <N>") && help.contains("[default: 33554432]"), "{help}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn control_characters_of_file_names_are_escaped() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a\u{1b}[31m\n.png");
    fs::copy(fixtures().join("rgb8_alpha.png"), &path)?;
    let path = path.to_str().context("path")?;
    let output = compare(path, "real.png", &["--maps", &format!("{path}.maps")])?;
    assert!(output.stdout.contains(r"a\u{1b}[31m\n.png"), "{}", output.stdout);
    assert_eq!(output.stderr.matches(r"a\u{1b}[31m\n.png").count(), 5, "{}", output.stderr);
    assert!(!(output.stdout + &output.stderr).contains('\u{1b}'));
    fs::write(path, "Not an image.")?;
    assert_fails(&["--fake", path, "--real", "real.png"], &[r"a\u{1b}[31m\n.png is not an image"])?;
    assert_fails(
        &["--fake", &format!("{path}2"), "--real", "real.png"],
        &[r"cannot read", r"a\u{1b}[31m\n.png2"],
    )
}

/// Cameras append previews and videos to the image proper, and put thumbnails into it.
#[test]
fn jpeg_with_something_after_its_end_is_whole() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("appended.jpg");
    let jpeg = fs::read(fixtures().join("rgb.jpg"))?;
    fs::write(&path, [&jpeg[..], b"\xff\xd8\xff\xda and so on"].concat())?;
    let output = compare(path.to_str().context("path")?, "rgb.jpg", &["--json"])?;
    assert!(output.stdout.contains(r#""l1":0.0,"#), "{}", output.stdout);

    // A thumbnail's end marker is not that of the image.
    let thumbnail = [b"\xff\xe1\x00\x06\xff\xd9..", &jpeg[2..jpeg.len() / 2]].concat();
    fs::write(&path, [&jpeg[..2], &thumbnail].concat())?;
    assert_fails(&["--fake", path.to_str().context("path")?, "--real", "rgb.jpg"], &["end is missing"])
}

#[test]
fn images_of_different_sizes_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("other.png");
    RgbImage::new(19, 23).save(&path)?;
    let path = path.to_str().context("path")?;
    assert_fails(&["--fake", "rgb8.png", "--real", path], &["rgb8.png", path, "23 x 19", "19 x 23"])
}

#[test]
fn unusable_weights_are_named() -> Result<()> {
    let fails = |weights, problem| {
        assert_fails(
            &["--fake", "rgb8.png", "--real", "real.png", "--vgg", weights],
            &["--vgg", weights, problem],
        )
    };
    fails("nowhere.safetensors", "No such file")?;
    fails("rgb8.png", "it is a PNG picture")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("other.safetensors");
    Tensor::write_safetensors(&[("something.weight", Tensor::from(1.0f32))], &path)?;
    fails(path.to_str().context("path")?, "features.0.weight")
}

#[test]
fn maps_that_cannot_be_written_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "in the way")?;
    let fails = |directory: &Path, named: &Path| {
        let (directory, named) = (directory.to_str().context("path")?, named.to_str().context("path")?);
        assert_fails(&["--fake", "rgb8.png", "--real", "real.png", "--maps", directory], &["--maps", named])
    };
    fails(&file, &file)?;
    fails(&file.join("below"), &file.join("below"))?;
    let taken = folder.path().join("maps");
    fs::create_dir_all(taken.join("l1.png"))?;
    fails(&taken, &taken.join("l1.png"))?;
    assert_eq!(names(&taken)?, ["l1.png"], "nothing half done is left");
    Ok(())
}

#[test]
fn cuda_is_used_or_refused() -> Result<()> {
    if tch::Cuda::is_available() {
        let output = compare("rgb8.png", "real.png", &["--device", "cuda", "--json"])?;
        let found: Values = serde_json::from_str(&output.stdout)?;
        assert_values("cuda", &found, &expected()?["rgb8.png"]["signed"], 1e-5);
        Ok(())
    } else {
        assert_fails(
            &["--fake", "rgb8.png", "--real", "real.png", "--device", "cuda"],
            &["CUDA", "--device cpu"],
        )
    }
}

#[test]
fn wrong_usage_exits_with_2() -> Result<()> {
    let wrong: [&[&str]; 6] = [
        &[],
        &["contrast"],
        &["compare", "--fake", "rgb8.png"],
        &["compare", "--fake", "rgb8.png", "--real", "real.png", "--range", "0,1"],
        &["compare", "--fake", "rgb8.png", "--real", "real.png", "--device", "tpu"],
        &["compare", "rgb8.png", "real.png"],
    ];
    for arguments in wrong {
        let output = run(arguments)?;
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(output.stderr.contains("--help"), "{}", output.stderr);
    }
    let help = run(&["compare", "--help"])?;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for option in ["--fake", "--real", "--vgg", "--range", "--device", "--json", "--maps"] {
        assert!(help.stdout.contains(option), "{option} is not explained");
    }
    Ok(())
}

#[test]
fn a_reader_that_has_gone_is_no_error() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = tch_losses(&["compare", "--fake", "rgb8.png", "--real", "real.png"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()?;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok(())
}

// ---- log -------------------------------------------------------------------------------------------------

#[test]
fn log_export_writes_the_reference_layout() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("a.jsonl");
    let run_info = RunInfo { experiment: "maps".into(), ..Default::default() };
    let record = Record {
        name: "G_L1".into(),
        tags: ["G".to_owned()].into(),
        epoch: 0,
        step: 0,
        value: 0.5,
        weight: 100.0,
        weighted: 50.0,
    };
    // Open all the while.
    let mut writer = LossLog::open(&log, &run_info)?;
    writer.append(&[record])?;
    let bytes = fs::read(&log)?;
    let log_path = log.to_str().context("path")?;

    let output = run(&["log", "export", log_path])?;
    let beside = folder.path().join("loss_log.json");
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{}", output.stderr);
    assert_eq!(output.stderr, format!("tch-losses: wrote {}\n", beside.display()));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&beside)?)?;
    let losses = &json["LOSSMANAGER_LOG"]["loss_functions"];
    assert_eq!(*losses, serde_json::json!({"G_L1": {"loss": [50.0], "weights": [100.0]}}));

    let other = folder.path().join("new/b.json");
    let output = run(&["log", "export", log_path, "-o", other.to_str().context("path")?])?;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(fs::read(&other)?, fs::read(&beside)?);

    // Not onto itself, under any name, and not what is no log.
    let itself = folder.path().join("new/../a.jsonl");
    for (input, output) in [(log_path, itself.to_str().context("path")?), ("real.png", "/nowhere/a.json")] {
        let output = run(&["log", "export", input, "-o", output])?;
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(output.stderr.contains("log"), "{}", output.stderr);
    }
    assert_eq!(fs::read(&log)?, bytes);
    Ok(())
}
