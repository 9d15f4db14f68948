//! The command line, run as users run it.

mod all;
mod files;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use image::{ImageFormat, Rgb, RgbImage};
use tch::Tensor;
use tch_losses::manager::LossSpec;
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

const TURNED: &str = "turned as its EXIF orientation says";

const SAMPLE: (&str, &str) = ("../../../assets/fake.png", "../../../assets/real.png");

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

// ---- log -------------------------------------------------------------------------------------------------
