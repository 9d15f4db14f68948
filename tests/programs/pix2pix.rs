//! The example pix2pix, run as users run it: killed and resumed, and given what it cannot use.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{ensure, Context, Result};
use tch_losses::manager::log::LoggedRun;
use tch_losses::manager::Objective;
use tch_losses::visual::image::{self, Rgb, RgbImage};

use crate::trainer::{self, assert_says, succeed, verdict, write_image};

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

#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::thread::sleep;
    use std::time::Duration;

    use tch::Tensor;

    use super::*;
    use crate::trainer::{assert_same_files, interrupt, logged_steps, send};

    fn resume(run: &Path) -> Result<Command> {
        let mut command = pix2pix()?;
        command.arg("--resume").arg(run);
        Ok(command)
    }

    #[test]
    fn killed_and_resumed_is_as_never_interrupted() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        write_strips(&data, 9)?;
        let [whole, killed, other] = ["whole", "killed", "other"].map(|name| folder.path().join(name));

        succeed(&mut small_run(&data, &whole, "7")?)?;

        let run = killed.join("small");
        let log = run.join("loss_log.jsonl");
        let kill = |command: &dyn Fn() -> Result<Command>, moment: &dyn Fn() -> bool| -> Result<()> {
            let status = interrupt(&run, "KILL", command, moment)?.status;
            ensure!(status.signal() == Some(9), "{status}");
            Ok(())
        };
        // Before there is a checkpoint; after a flush, when one is being written; between the two; later.
        kill(&|| small_run(&data, &killed, "7"), &|| log.exists())?;
        kill(&|| resume(&run), &|| logged_steps(&run) >= 4)?;
        kill(&|| resume(&run), &|| run.join("samples/epoch_003.png").exists())?;
        kill(&|| resume(&run), &|| logged_steps(&run) >= 23)?;
        // What a write that was cut short leaves behind.
        let torn = [fs::read(&log)?, br#"{"step":999,"epoch":99,"losses":{"G_GAN":{"val"#.to_vec()].concat();
        fs::write(&log, torn)?;
        fs::write(run.join("checkpoints/latest.safetensors.partial"), [0; 100])?;
        succeed(&mut resume(&run)?)?;

        let steps: Vec<u64> = (1..=40).collect();
        assert_eq!(LoggedRun::read(&log)?.losses["G_L1"].steps, steps);
        let files = ["loss_log.jsonl", "checkpoints/latest.safetensors", "checkpoints/best.safetensors"];
        let pictures = ["samples/epoch_004.png", "samples/epoch_010.png", "curves.png"];
        assert_same_files(&run, &whole.join("small"), &[&files[..], &pictures].concat())?;

        // That the same comes out is the seed's doing.
        succeed(&mut small_run(&data, &other, "8")?)?;
        assert!(fs::read(other.join("small/loss_log.jsonl"))? != fs::read(&log)?);
        Ok(())
    }

    /// With a penalty in every 16th step, of which one comes after the interruption, and a loss that remembers averages.
    #[test]
    fn an_objective_with_a_lazy_penalty_and_a_state_resumes_exactly() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        write_strips(&data, 9)?;
        let objective = folder.path().join("objective.toml");
        let hinge = include_str!("../../examples/pix2pix/hinge.toml");
        let averages = "[losses.D_LECAM]\nloss = \"LeCamLoss\"\noptions = { initial = 0.5 }\nweight = 0.3\ntags = \"D\"\n";
        fs::write(&objective, [hinge, averages].concat())?;
        let start = |runs: &Path| -> Result<Command> {
            let mut command = pix2pix()?;
            command.args(["--name", "small", "--device", "cpu", "--load-size", "72", "--crop-size", "64"]);
            command.args(["--width", "2", "--epochs", "8", "--decay-epochs", "0", "--save-every", "1"]);
            command.arg("--objective").arg(&objective);
            command.arg("--data").arg(&data).arg("--runs").arg(runs);
            Ok(command)
        };
        let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
        succeed(&mut start(&whole)?)?;
        let run = stopped.join("small");
        interrupt(&run, "KILL", || start(&stopped), || logged_steps(&run) >= 20)?;
        succeed(&mut resume(&run)?)?;
        let log = LoggedRun::read(run.join("loss_log.jsonl"))?;
        assert_eq!(log.losses["D_R1"].steps, [16, 32, 48, 64]);
        assert_same_files(&run, &whole.join("small"), &["loss_log.jsonl", "checkpoints/latest.safetensors"])
    }

    /// Within an epoch, where no checkpoint is due: 8 steps are an epoch, and the only one due is the last.
    #[test]
    fn ctrl_c_saves_a_checkpoint_that_resumes_exactly() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        write_strips(&data, 9)?;
        let start = |runs: &Path| -> Result<Command> {
            let mut command = pix2pix()?;
            command.args(["--name", "small", "--device", "cpu", "--load-size", "72", "--crop-size", "64"]);
            command.args(["--width", "4", "--epochs", "10", "--decay-epochs", "0", "--save-every", "100"]);
            command.arg("--data").arg(&data).arg("--runs").arg(runs);
            Ok(command)
        };
        let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
        succeed(&mut start(&whole)?)?;

        let run = stopped.join("small");
        let latest = run.join("checkpoints/latest.safetensors");
        let stop = |signal: &str, code: i32, command: &dyn Fn() -> Result<Command>, steps| -> Result<()> {
            let Output { status, stderr, .. } =
                interrupt(&run, signal, command, || logged_steps(&run) >= steps)?;
            let stderr = String::from_utf8(stderr)?;
            assert_eq!(status.code(), Some(code), "{stderr}");
            let saved = Tensor::read_safetensors(&latest)?;
            let (_, step) = saved.iter().find(|(name, _)| name == "step").context("no step")?;
            let step = i64::try_from(step)?;
            assert!((steps as i64..80).contains(&step), "{step}");
            assert_eq!(logged_steps(&run), step as usize);
            let how = format!("pix2pix --resume {}", run.display());
            assert_says(&stderr, &[&format!("after step {step} of 80"), &how]);
            assert_eq!(stderr.matches("--resume").count(), 1);
            Ok(())
        };
        stop("INT", 130, &|| start(&stopped), 8)?;
        stop("TERM", 143, &|| resume(&run), 40)?;
        succeed(&mut resume(&run)?)?;
        let files = ["loss_log.jsonl", "checkpoints/latest.safetensors", "checkpoints/best.safetensors"];
        assert_same_files(&run, &whole.join("small"), &[&files[..], &["samples/epoch_010.png"]].concat())
    }

    /// In the midst of a step, and without a crash of the threads that compute it.
    #[test]
    fn a_second_ctrl_c_stops_at_once() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let [data, runs] = ["data", "runs"].map(|name| folder.path().join(name));
        write_strips(&data, 9)?;
        let mut command = pix2pix()?;
        command.env("OMP_NUM_THREADS", "2");
        command.args(["--device", "cpu", "--batch-size", "8", "--load-size", "128", "--crop-size", "128"]);
        let mut process =
            command.args(["--width", "16"]).arg("--data").arg(&data).arg("--runs").arg(&runs).spawn()?;
        while !runs.join("data/loss_log.jsonl").exists() {
            ensure!(process.try_wait()?.is_none(), "it has ended");
            sleep(Duration::from_millis(1));
        }
        send("INT", process.id())?;
        let mut lines = BufReader::new(process.stderr.take().context("a pipe")?).lines();
        while !lines.next().context("it has ended without a word")??.starts_with("stopping") {}
        send("INT", process.id())?;
        let status = process.wait()?;
        assert_eq!(status.code(), Some(130), "{status}");
        Ok(())
    }
}

/// Runs it on `data` for as short as can be, and returns what it says when it fails. It leaves no run behind.
fn failure(data: &Path, more: &[&str]) -> Result<String> {
    let runs = tempfile::tempdir()?;
    let message = failure_in(runs.path(), data, more)?;
    ensure!(fs::read_dir(runs.path())?.next().is_none(), "a run is left");
    Ok(message)
}

/// The same, where a run may be left in `runs`.
fn failure_in(runs: &Path, data: &Path, more: &[&str]) -> Result<String> {
    let mut command = pix2pix()?;
    command
        .args(["--width", "2", "--epochs", "1"])
        .arg("--data")
        .arg(data)
        .arg("--runs")
        .arg(runs)
        .args(more);
    let Output { status, stderr, .. } = command.output()?;
    ensure!(status.code().is_some_and(|code| code > 0), "{status}");
    Ok(String::from_utf8(stderr)?)
}

const ACCEPTED: [&str; 4] = ["DIR/*.png", "DIR/A/*, DIR/B/*", "DIR/train", "DIR/val"];

#[test]
fn pairs_that_are_none_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = |name: &str| folder.path().join(name);

    assert_says(&failure(&data("missing"), &[])?, &["cannot read the folder", "missing"]);

    write_strips(&data("broken"), 3)?;
    fs::write(data("broken/1.png"), "no image")?;
    let message = failure(&data("broken"), &[])?;
    assert_says(&message, &["cannot read", "1.png"]);
    assert_eq!(message.matches("Invalid PNG signature").count(), 1, "{message}");

    // The beginning of a file is enough to tell its size; the rest is missed later: in the pairs to validate on, of
    // which the first is one, and in the others.
    let whole = fs::read(data("broken/0.png"))?;
    for half in [&["0.png"][..], &["1.png", "2.png"]] {
        write_strips(&data("broken"), 3)?;
        for name in half {
            fs::write(data("broken").join(name), &whole[..whole.len() / 2])?;
        }
        assert_says(&failure(&data("broken"), &[])?, &["cannot read", ".png"]);
    }

    for name in ["unpaired/A/1.png", "unpaired/B/1.png", "unpaired/B/2.png"] {
        write_image(data(name), 32, 32)?;
    }
    assert_says(&failure(&data("unpaired"), &[])?, &["2.png has no counterpart in", "unpaired/A"]);

    write_image(data("unequal/A/1.png"), 32, 32)?;
    write_image(data("unequal/B/1.png"), 32, 33)?;
    assert_says(&failure(&data("unequal"), &[])?, &["A/1.png", "B/1.png", "32 x 32 and 32 x 33"]);

    write_image(data("single/1.png"), 64, 32)?;
    assert_says(&failure(&data("single"), &[])?, &["one pair", "DIR/val"]);
    Ok(())
}

/// Each message names what is there, what is missing and what is accepted.
#[test]
fn folders_that_are_laid_out_otherwise_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (files, parts) in [
        (&["empty/"][..], &["empty has no pairs", "it is empty"][..]),
        (&["half/A/1.png"], &["half has the folder A, but no folder B"]),
        (&["other/train/B/1.png"], &["other/train has the folder B, but no folder A"]),
        (&["untrained/1.png", "untrained/val/2.png"], &["untrained has the folder val, but no folder train"]),
        (
            &["cyclegan/trainA/1.png", "cyclegan/trainB/1.png"],
            &["cyclegan has no pairs", "it has the folders trainA, trainB"],
        ),
        (
            &["parts/A/train/1.png", "parts/B/train/1.png"],
            &["parts/A has no PNG or JPEG files", "folders train"],
        ),
        (&["text/a.txt", "text/1\u{1b}[31m.gif"], &[r"it has the files 1\u{1b}[31m.gif, a.txt"]),
    ] {
        let (name, _) = files[0].split_once('/').context("a folder")?;
        for file in files {
            match file.strip_suffix('/') {
                Some(name) => fs::create_dir(folder.path().join(name))?,
                None if file.ends_with(".png") => write_image(folder.path().join(file), 64, 32)?,
                None => {
                    fs::create_dir_all(folder.path().join(name))?;
                    fs::write(folder.path().join(file), "")?;
                }
            }
        }
        let message = failure(&folder.path().join(name), &[])?;
        assert_says(&message, parts);
        assert_says(&message, &ACCEPTED);
    }
    Ok(())
}

#[test]
fn strips_that_are_no_two_squares_need_to_be_told_how() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (width, height) in [(96, 32), (32, 32), (65, 32), (128, 32), (64, 33)] {
        let data = folder.path().join(format!("{width}"));
        write_image(data.join("1.png"), 64, 32)?;
        write_image(data.join("2.png"), width, height)?;
        let message = failure(&data, &[])?;
        let size = format!("2.png is {width} x {height} pixels");
        assert_says(&message, &[&size, "not two squares", "--strip AB ", "--strip A_B "]);
    }
    let data = folder.path().join("96");
    assert_says(&failure(&data, &["--strip", "A_B"])?, &["1.png is 64 x 32", "3 images (--strip A_B)"]);
    for strip in ["", "A", "AA", "ABA", "ab", "A-B", "AB\u{e9}"] {
        assert_says(&failure(&data, &["--strip", strip])?, &["--strip <LETTERS>", "as in A_B"]);
    }

    write_image(folder.path().join("two/A/1.png"), 32, 32)?;
    write_image(folder.path().join("two/B/1.png"), 32, 32)?;
    let message = failure(&folder.path().join("two"), &["--strip", "AB"])?;
    assert_says(&message, &["--strip AB", "has the folders A and B, and no strips"]);
    Ok(())
}

#[test]
fn options_that_do_not_fit_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    write_strips(&data, 3)?;
    assert_says(&failure(&data, &["--crop-size", "48", "--load-size", "40"])?, &["--load-size 40"]);
    let message = failure(&data, &["--crop-size", "48", "--load-size", "48", "--depth", "5"])?;
    assert_says(&message, &["--crop-size 48", "multiple of 2^depth"]);
    assert_says(&failure(&data, &["--resume", "runs/small"])?, &["--resume"]);
    for (options, parts) in [
        (
            &["--lambda-l2", "1"][..],
            &["--lambda-l2 1 has no effect", "--loss basic;", "extended or extended+vgg"][..],
        ),
        (&["--lambda-sobel", "1"], &["--lambda-sobel 1 has no effect", "extended or extended+vgg"]),
        (&["--lambda-lap", "1"], &["--lambda-lap 1 has no effect", "extended or extended+vgg"]),
        (&["--lambda-vgg", "1"], &["--lambda-vgg 1 has no effect", "basic+vgg or extended+vgg"]),
        (&["--lambda-vgg", "1", "--loss", "extended"], &["--lambda-vgg 1 has no effect", "--loss extended;"]),
        (&["--lambda-l2", "1", "--loss", "basic+vgg"], &["--lambda-l2 1 has no effect", "--loss basic+vgg;"]),
        (&["--lambda-l1", "nan"], &["nan", "--lambda-l1", "0 or more"]),
        (&["--lambda-l1", "-1"], &["-1", "--lambda-l1", "0 or more"]),
        (&["--objective", "o.toml", "--lambda-l1", "1"], &["--objective", "--lambda-l1"]),
        (&["--objective", "o.toml", "--loss", "basic"], &["--objective", "--loss"]),
    ] {
        assert_says(&failure(&data, options)?, parts);
    }

    let objective = folder.path().join("objective.toml");
    let path = objective.to_str().context("UTF-8")?;
    fs::write(&objective, "[losses.G_L1]\nloss = \"L1Loss\"\nweigth = 1.0\n")?;
    assert_says(&failure(&data, &["--objective", path])?, &["objective.toml", "losses.G_L1", "weigth"]);
    fs::write(&objective, "[losses.G_L1]\nloss = \"L1Loss\"\ntags = [\"image\"]\n")?;
    assert_says(&failure(&data, &["--objective", path])?, &["lacks the loss G_GAN", "\"generator\""]);
    let hinge = include_str!("../../examples/pix2pix/hinge.toml");
    for (from, to, more, parts) in [
        (
            "side = \"discriminator\"",
            "side = \"generator\"",
            &[][..],
            &["lacks the loss D_real", "\"discriminator\""][..],
        ),
        ("weight = 10.0\ntags = \"G\"", "tags = \"image\"", &[], &["G_FEAT is not of images"]),
        ("[\"G\", \"image\"]", "\"G\"", &[], &["G_L1", "the tag \"image\""]),
        ("loss = \"R1Penalty\"", "loss = \"LeCamLoss\"", &["--scales", "2"], &["--scales 2", "D_R1", "one"]),
        ("every = 16", "every = 0", &[], &["objective.toml", "D_R1", "every"]),
        ("\"L1Loss\"", "\"SSIMLoss\"", &[], &["G_L1", "from -1 to 1", "data_range = \"signed\""]),
        (
            "\"L1Loss\"",
            "\"TotalVariationLoss\"",
            &[],
            &["G_L1", "TotalVariationLoss does not compare two images"],
        ),
    ] {
        ensure!(hinge.contains(from), "{from}");
        fs::write(&objective, hinge.replacen(from, to, 1))?;
        let size = ["--load-size", "64", "--crop-size", "64"];
        assert_says(&failure(&data, &[&["--objective", path][..], &size, more].concat())?, parts);
    }
    let message = failure(&data, &["--load-size", "64", "--crop-size", "64", "--scales", "3"])?;
    assert_says(&message, &["--scales 3", "--crop-size 64", "32 pixels"]);
    let gan = |name: &str| format!("[losses.{name}]\nloss = \"BceWithLogitsLoss\"\n");
    let map = "[losses.G_L1]\nloss = \"L1Loss\"\noptions = { reduction = \"none\" }\ntags = [\"image\"]\n";
    fs::write(&objective, [gan("G_GAN"), gan("D_real"), gan("D_fake"), map.into()].concat())?;
    // What a loss comes to is known when it is computed.
    let message = failure_in(&folder.path().join("runs"), &data, &["--objective", path])?;
    assert_says(&message, &["\"image\"", "a map", "reduction mean or sum"]);
    Ok(())
}

#[test]
fn a_run_that_is_there_is_left_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [data, runs] = ["data", "runs"].map(|name| folder.path().join(name));
    write_strips(&data, 3)?;
    fs::create_dir_all(runs.join("data"))?;
    fs::write(runs.join("data/notes.txt"), "mine")?;
    let mut command = pix2pix()?;
    command.arg("--data").arg(&data).arg("--runs").arg(&runs);
    let Output { status, stderr, .. } = command.output()?;
    assert_eq!(status.code(), Some(1));
    assert_says(&String::from_utf8(stderr)?, &["is there already", "--resume", "--name"]);
    assert_eq!(fs::read_dir(runs.join("data"))?.count(), 1);
    Ok(())
}

#[test]
fn runs_stay_in_their_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [data, runs] = ["data", "runs"].map(|name| folder.path().join(name));
    write_strips(&data, 3)?;
    let outside = folder.path().join("x");
    let outside = outside.to_str().context("UTF-8")?;
    for name in ["../x", outside, "..", ".", "", "a/x", "a/", r"a\x", "x\n"] {
        let mut command = pix2pix()?;
        command.args(["--width", "2", "--epochs", "1", "--name", name]);
        let Output { status, stderr, .. } =
            command.arg("--data").arg(&data).arg("--runs").arg(&runs).output()?;
        assert_eq!(status.code(), Some(1), "{name:?}");
        assert_says(
            &String::from_utf8(stderr)?,
            &[&format!("--name {name:?}"), "runs (--runs)", "cannot be a path"],
        );
    }
    let left: Vec<_> = fs::read_dir(folder.path())?.collect::<std::io::Result<_>>()?;
    assert_eq!(left.iter().map(|entry| entry.path()).collect::<Vec<_>>(), [data]);
    Ok(())
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
    let hinge = include_str!("../../examples/pix2pix/hinge.toml").replace("every = 16", "every = 3");
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
