//! The example pix2pix, run as users run it: killed and resumed, and given what it cannot use.

#[cfg(unix)]
mod interrupted;
mod refusals;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{ensure, Context, Result};
use tch_losses::manager::log::LoggedRun;
use tch_losses::manager::Objective;
use tch_losses::visual::image::{self, Rgb, RgbImage};

use crate::trainer::{self, assert_says, succeed, verdict, write_image};

/// An objective of the example.
const HINGE: &str = include_str!("../../../examples/pix2pix/hinge.toml");

fn pix2pix() -> Result<Command> {
    trainer::program("pix2pix")
}

/// Strips of 144x72 pixels: discs of several greys, and the same in colours that follow from the grey.
fn write_strips(folder: &Path, count: u32) -> Result<()> {
    fs::create_dir_all(folder)?;
    for number in 0..count {
        let strip = RgbImage::from_fn(144, 72, |x, y| {
            let (dx, dy) = ((x % 72) as i32 - 20 - 4 * number as i32, y as i32 - 36);
            let grey = if dx * dx + dy * dy < 400 { 60 + 20 * number as u8 } else { 10 * number as u8 };
            Rgb(if x < 72 { [grey; 3] } else { [255 - grey, grey, grey / 2] })
        });
        strip.save(folder.join(format!("{number}.png")))?;
    }
    Ok(())
}

/// A run of 10 epochs with 4 steps each, small but with dropout, random crops and a falling learning rate.
fn small_run(data: &Path, runs: &Path, seed: &str) -> Result<Command> {
    let mut command = pix2pix()?;
    command.args(["--name", "small", "--loss", "extended", "--device", "cpu", "--seed", seed]);
    command.args(["--load-size", "72", "--crop-size", "64", "--width", "4", "--batch-size", "2"]);
    command.args(["--epochs", "6", "--decay-epochs", "4", "--save-every", "1", "--maps-every", "1000"]);
    command.arg("--data").arg(data).arg("--runs").arg(runs);
    Ok(command)
}

#[test]
fn a_result_that_became_worse_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [data, runs] = ["data", "runs"].map(|name| folder.path().join(name));
    // The truth is the grey in the middle, which an untrained generator paints. Steps of 1 in weights that begin
    // at 0.02 cannot but lead away from it.
    fs::create_dir_all(&data)?;
    for number in 0..4 {
        RgbImage::from_fn(64, 32, |x, _| Rgb([if x < 32 { 60 * number } else { 128 }; 3]))
            .save(data.join(format!("{number}.png")))?;
    }
    let mut command = pix2pix()?;
    command.args([
        "--name",
        "run",
        "--epochs",
        "2",
        "--decay-epochs",
        "0",
        "--save-every",
        "1",
        "--width",
        "2",
    ]);
    command.args(["--load-size", "32", "--crop-size", "32", "--device", "cpu", "--learning-rate", "1"]);
    let text = verdict(command.arg("--data").arg(&data).arg("--runs").arg(&runs))?;
    assert_says(&text, &["untrained", "% MORE", "The training made the generator worse"]);
    assert!(!text.contains("less"), "{text}");
    assert!(!text.contains("heat maps"), "there are none after so few steps: {text}");

    // As if the first epoch had been a good one.
    let run = runs.join("run");
    let log = run.join("loss_log.jsonl");
    let mut lines = Vec::new();
    for line in fs::read_to_string(&log)?.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line)?;
        if line["epoch"] == 0 && line["losses"]["VAL_L1"].is_object() {
            line["losses"]["VAL_L1"]["value"] = 1e-9.into();
        }
        lines.push(line.to_string() + "\n");
    }
    fs::write(&log, lines.concat())?;
    let text = verdict(pix2pix()?.arg("--resume").arg(&run))?;
    assert_says(
        &text,
        &["% MORE", "100.0 % less, after epoch 1", "The generator became worse after epoch 1"],
    );
    Ok(())
}

#[test]
fn the_objective_beside_the_example_is_as_its_comments_say() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pix2pix/objective.toml");
    let sobel = &Objective::from_file(path)?.losses["G_SOBEL"].weight;
    assert_eq!([0, 19, 100].map(|epoch| sobel.value(epoch)), [0.0, 10.0, 10.0]);
    assert!((1..20).all(|epoch| sobel.value(epoch) > sobel.value(epoch - 1)));
    Ok(())
}

/// The losses of a short run on `data`, with the right one of each pair as input.
fn losses(data: &Path, more: &[&str]) -> Result<impl PartialEq + std::fmt::Debug> {
    let runs = tempfile::tempdir()?;
    let mut command = pix2pix()?;
    command.args(["--direction", "BtoA", "--name", "run", "--epochs", "1", "--decay-epochs", "0"]);
    command.args(["--load-size", "40", "--crop-size", "32", "--width", "2", "--device", "cpu"]);
    succeed(command.args(more).arg("--data").arg(data).arg("--runs").arg(runs.path()))?;
    Ok(LoggedRun::read(runs.path().join("run/loss_log.jsonl"))?.losses)
}

/// The losses of objectives with discriminators of two scales, and in which steps of 8 each is due.
#[test]
fn objectives_of_all_adversarial_losses_train() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [data, runs, objectives] = ["data", "runs", "objectives"].map(|name| folder.path().join(name));
    write_strips(&data, 9)?;
    fs::create_dir(&objectives)?;
    let hinge = HINGE.replace("every = 16", "every = 3");
    let relativistic = hinge
        .replace("loss = \"GanLoss\"", "loss = \"RelativisticLoss\"")
        .replace("mode = \"hinge\"", "pairing = \"paired\", mode = \"non_saturating\"")
        .replace("loss = \"R1Penalty\"\nweight = 0.05", "loss = \"GradientPenalty\"\nweight = 10.0");
    for (name, text, scales) in [("hinge", hinge, "2"), ("relativistic", relativistic, "2")] {
        let path = objectives.join(name).with_extension("toml");
        fs::write(&path, text)?;
        let mut command = pix2pix()?;
        command.args([
            "--name",
            name,
            "--device",
            "cpu",
            "--load-size",
            "72",
            "--crop-size",
            "64",
            "--width",
            "2",
        ]);
        command.args(["--epochs", "1", "--decay-epochs", "0", "--scales", scales, "--objective"]).arg(&path);
        succeed(command.arg("--data").arg(&data).arg("--runs").arg(&runs))?;
        let losses = LoggedRun::read(runs.join(name).join("loss_log.jsonl"))?.losses;
        for every in ["G_GAN", "G_FEAT", "G_L1", "D_GAN"] {
            assert_eq!(losses[every].steps, (1..=8).collect::<Vec<u64>>(), "{name}: {every}");
        }
        let penalty = &losses["D_R1"];
        assert_eq!(penalty.steps, [3, 6], "{name}");
        assert!(penalty.values.iter().all(|value| *value > 0.0 && value.is_finite()), "{name}");
    }
    Ok(())
}

/// Strips of two, the same pairs in folders A and B, and in strips of more images.
#[test]
fn pairs_come_from_all_layouts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = |name: &str| folder.path().join(name);
    write_strips(&data("strips"), 4)?;
    for name in ["two/A", "two/B", "A_B", "_BA_", "val/train", "val/val"] {
        fs::create_dir_all(data(name))?;
    }
    for number in 0..4 {
        let file = format!("{number}.png");
        let strip = image::open(data("strips").join(&file))?.into_rgb8();
        let half = |left| image::imageops::crop_imm(&strip, left, 0, 72, 72).to_image();
        let (a, b) = (half(0), half(72));
        a.save(data("two/A").join(&file))?;
        b.save(data("two/B").join(&file))?;
        let other = RgbImage::from_pixel(72, 72, Rgb([200, 0, 0]));
        for (name, columns) in [("A_B", &[&a, &other, &b][..]), ("_BA_", &[&other, &b, &a, &other])] {
            let mut wide = RgbImage::new(72 * columns.len() as u32, 72);
            for (column, part) in columns.iter().enumerate() {
                image::imageops::replace(&mut wide, *part, 72 * column as i64, 0);
            }
            wide.save(data(name).join(&file))?;
        }
        // The pair that is kept back from the others.
        let kind = if number == 0 { "val" } else { "train" };
        strip.save(data("val").join(kind).join(&file))?;
    }
    let expected = losses(&data("strips"), &[])?;
    assert_eq!(losses(&data("strips"), &["--strip", "AB"])?, expected);
    assert_eq!(losses(&data("two"), &[])?, expected);
    assert_eq!(losses(&data("A_B"), &["--strip", "A_B"])?, expected);
    assert_eq!(losses(&data("_BA_"), &["--strip", "_BA_"])?, expected);
    assert_eq!(losses(&data("val"), &[])?, expected);
    assert!(losses(&data("strips"), &["--strip", "BA"])? != expected);
    Ok(())
}

/// Cameras store photos as the sensor saw them, and beside that how they were held.
#[test]
fn photos_are_turned_as_they_say() -> Result<()> {
    // In TIFF's form: one entry, the tag orientation, a short: to be turned by 90 degrees.
    const ORIENTATION: &[u8] =
        b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let folder = tempfile::tempdir()?;
    let [upright, turned] = ["upright", "turned"].map(|name| folder.path().join(name));
    write_strips(&upright, 3)?;
    fs::create_dir(&turned)?;
    for number in 0..3 {
        let name = format!("{number}.png");
        let strip = image::open(upright.join(&name))?;
        let path = turned.join(format!("{number}.jpg"));
        strip.rotate270().save(&path)?;
        image::open(&path)?.rotate90().save(upright.join(&name))?;
        let jpeg = fs::read(&path)?;
        // Behind the two bytes with which every JPEG begins.
        fs::write(&path, [&jpeg[..2], ORIENTATION, &jpeg[2..]].concat())?;
    }
    assert_eq!(losses(&turned, &[])?, losses(&upright, &[])?);
    Ok(())
}
