//! The command line, run as users run it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use image::{ImageFormat, Rgb, RgbImage};
use tch::Tensor;
use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LogSink, Record};
use tch_losses::visual::image;

/// The images that `scripts/export_cli_fixtures.py` wrote; the tests run in their folder.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli")
}

fn tch_losses(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    command.current_dir(fixtures()).args(arguments).stdin(Stdio::null());
    command
}

struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Result<Output> {
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

type Values = BTreeMap<String, f64>;

/// By file name, range and loss.
fn expected() -> Result<BTreeMap<String, BTreeMap<String, Values>>> {
    Ok(serde_json::from_str(&fs::read_to_string(fixtures().with_extension("json"))?)?)
}

fn assert_values(what: &str, found: &Values, expected: &Values, tolerance: f64) {
    for (key, value) in found {
        let right = expected[key];
        assert!((value - right).abs() <= tolerance * right, "{what} {key}: {value}, PyTorch has {right}");
    }
}

const KEYS: [&str; 4] = ["l1", "laplacian", "mse", "sobel"];

fn check_files(extension: &str, tolerance: f64) -> Result<()> {
    let expected = expected()?;
    let files: Vec<_> = expected.iter().filter(|(file, _)| file.ends_with(extension)).collect();
    assert!(files.len() >= 2);
    for (file, by_range) in files {
        for (range, values) in by_range {
            let output = compare(file, "real.png", &["--range", range, "--json"])?;
            let found: Values = serde_json::from_str(&output.stdout)?;
            assert_eq!(found.keys().collect::<Vec<_>>(), KEYS);
            assert_values(&format!("{file} {range}"), &found, values, tolerance);
            let note = format!("tch-losses: {file}: alpha channel dropped\n");
            assert_eq!(output.stderr, if file.contains("alpha") { note } else { String::new() });
        }
    }
    Ok(())
}

#[test]
fn png_values_are_those_of_pytorch() -> Result<()> {
    check_files(".png", 1e-6)
}

/// Decoders may round differently.
#[test]
fn jpeg_values_are_nearly_those_of_pytorch() -> Result<()> {
    check_files(".jpg", 0.01)
}

#[test]
fn with_weights_there_is_the_perceptual_loss() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("vgg.safetensors");
    Tensor::write_safetensors(&common::vgg_parameters(), &weights)?;
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
    let mut parameters = common::vgg_parameters();
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

/// Six digits of what cli.json has, without trailing zeros; of images whose digits do not end near a half,
/// where rounding would decide.
#[test]
fn the_table_is_for_people() -> Result<()> {
    let output = compare("rgb8.png", "real.png", &["--range", "signed"])?;
    let table = "\
fake       rgb8.png
real       real.png
size       23 x 19 pixels
range      -1 to 1
device     CPU

loss       value
l1         0.37044
mse        0.27837
sobel      0.44658
laplacian  0.144461
";
    assert_eq!(output.stdout, table);
    assert_eq!(output.stderr, "");
    let output = compare("rgb16.png", "real.png", &["--range", "unit"])?;
    let head = "\
fake       rgb16.png
real       real.png
size       23 x 19 pixels
range      0 to 1
device     CPU

loss       value
l1         0.185229
";
    assert!(output.stdout.starts_with(head), "{}", output.stdout);
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
    let shown = [("l1", 0.104167), ("mse", 0.0301205), ("sobel", 0.316148), ("laplacian", 0.165924)];
    assert_values("sample", &found, &shown.map(|(key, value)| (key.to_string(), value)).into(), 1e-5);
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

fn names(folder: &Path) -> Result<Vec<String>> {
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
        // One column of tiles, or two where the loss sees something else than pixels.
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
    let cases: [(&str, &[u8], &str); 9] = [
        ("empty.png", b"", "not an image"),
        ("text.png", b"Not an image, whatever its name says.", "not an image"),
        ("animation.png", b"GIF89a\x01\0\x01\0\0\0\0;", "Gif"),
        ("half.png", &png[..middle], "cannot decode"),
        ("start.png", &png[..8], "cannot decode"),
        ("flipped.png", &flipped, "cannot decode"),
        ("half.jpg", &jpeg[..jpeg.len() / 2], "end is missing"),
        ("endless.jpg", &jpeg[..jpeg.len() - 2], "end is missing"),
        ("huge.jpg", &huge, "65500 x 65500"),
    ];
    for (name, bytes, problem) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        let path = path.to_str().context("path")?;
        assert_fails(&["--fake", path, "--real", "real.png"], &[path, problem])?;
        assert_fails(&["--fake", "real.png", "--real", path, "--json"], &[path, problem])?;
    }
    assert_fails(&["--fake", "nowhere.png", "--real", "real.png"], &["nowhere.png", "No such file"])?;
    assert_fails(&["--fake", ".", "--real", "real.png"], &["cannot read .: "])
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
