//! The example cyclegan, run as users run it: killed and resumed, and given what it cannot use.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{ensure, Context, Result};
use tch_losses::manager::log::LoggedRun;
use tch_losses::manager::{cyclegan, GanSide, LazyRegularization, LossSpec, Objective};
use tch_losses::visual::image::{self, Rgb, RgbImage};

use crate::trainer::{assert_says, program, succeed, verdict, write_image};

const NAMES: [&str; 8] =
    ["G_GAN_A", "G_GAN_B", "G_CYCLE_A", "G_CYCLE_B", "G_IDT_A", "G_IDT_B", "D_GAN_A", "D_GAN_B"];

/// Grey discs in `trainA`, and more of them, in colours, in `trainB`.
fn write_sets(folder: &Path) -> Result<()> {
    for (name, count) in [("trainA", 6), ("trainB", 9)] {
        fs::create_dir_all(folder.join(name))?;
        for number in 0..count {
            let picture = RgbImage::from_fn(40, 40, |x, y| {
                let (dx, dy) = (x as i32 - 10 - 2 * number, y as i32 - 20);
                let grey = if dx * dx + dy * dy < 100 { 60 + 20 * number as u8 } else { 10 * number as u8 };
                Rgb(if name == "trainA" { [grey; 3] } else { [255 - grey, grey, grey / 2] })
            });
            picture.save(folder.join(name).join(format!("{number}.png")))?;
        }
    }
    Ok(())
}

/// A small run with 3 steps in each epoch.
fn small_run(data: &Path, runs: &Path, epochs: [&str; 2], more: &[&str]) -> Result<Command> {
    let mut command = program("cyclegan")?;
    command.args([
        "--name",
        "small",
        "--device",
        "cpu",
        "--load-size",
        "40",
        "--crop-size",
        "32",
        "--width",
        "2",
    ]);
    command.args(["--batch-size", "3", "--save-every", "3"]);
    command.arg("--data").arg(data).arg("--runs").arg(runs).args(more).args([
        "--epochs",
        epochs[0],
        "--decay-epochs",
        epochs[1],
    ]);
    Ok(command)
}

#[cfg(unix)]
mod interrupted {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::trainer::{assert_same_files, interrupt, logged_steps};

    /// 72 steps of 3 images: the pools of 50 images overflow, and dozens of steps are left at each interruption.
    const EPOCHS: [&str; 2] = ["16", "8"];

    #[test]
    fn a_run_goes_on_as_if_never_interrupted() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        write_sets(&data)?;
        let [whole, stopped, other] = ["whole", "stopped", "other"].map(|name| folder.path().join(name));
        succeed(&mut small_run(&data, &whole, EPOCHS, &["--seed", "7"])?)?;
        let losses = LoggedRun::read(whole.join("small/loss_log.jsonl"))?.losses;
        assert_eq!(losses.len(), NAMES.len());
        assert!(NAMES.iter().all(|name| losses.contains_key(*name)), "{:?}", losses.keys());
        assert!(losses.values().all(|curve| curve.steps == (1..=72).collect::<Vec<u64>>()));

        let run = stopped.join("small");
        let start = || small_run(&data, &stopped, EPOCHS, &["--seed", "7"]);
        let resume = || {
            let mut command = program("cyclegan")?;
            command.arg("--resume").arg(&run);
            Ok(command)
        };
        // While the pools fill, after a checkpoint of an epoch; within an epoch, when they have overflowed.
        let killed = interrupt(&run, "KILL", start, || logged_steps(&run) >= 10)?;
        assert_eq!(killed.status.signal(), Some(9));
        let ended = interrupt(&run, "INT", resume, || run.join("samples/epoch_009.png").exists())?;
        assert_eq!(ended.status.code(), Some(130));
        assert_says(&String::from_utf8(ended.stderr)?, &["of 72", "cyclegan --resume"]);
        succeed(&mut resume()?)?;
        let names =
            ["loss_log.jsonl", "checkpoints/latest.safetensors", "checkpoints/generators.safetensors"];
        let pictures = ["samples/epoch_009.png", "samples/epoch_024.png", "curves.png"];
        assert_same_files(&run, &whole.join("small"), &[&names[..], &pictures].concat())?;

        // That the same comes out is the seed's doing.
        succeed(&mut small_run(&data, &other, EPOCHS, &["--seed", "8"])?)?;
        let logs = [&run, &other.join("small")].map(|run| fs::read(run.join("loss_log.jsonl")));
        let [log, other] = logs;
        assert!(log? != other?);
        Ok(())
    }
}

#[test]
fn the_objective_beside_the_example_is_the_published_one() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cyclegan/objective.toml");
    let objective = Objective::from_file(path)?;
    assert_eq!(objective.losses.keys().collect::<Vec<_>>(), NAMES);
    let mut expected = cyclegan();
    for term in expected.losses.values_mut() {
        if let LossSpec::GanLoss(spec) = &mut term.loss {
            // The other side's factor says nothing here.
            if spec.side == GanSide::Generator {
                spec.discriminator_factor = 1.0;
            }
        }
    }
    assert_eq!(objective, expected);
    Ok(())
}

/// The samples have six columns, of the test images where there are some.
#[test]
fn samples_are_of_the_test_images() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [data, runs] = ["data", "runs"].map(|name| folder.path().join(name));
    write_sets(&data)?;
    let colours = [("testA", [10, 200, 30]), ("testB", [200, 20, 90])];
    for (name, colour) in colours {
        fs::create_dir_all(data.join(name))?;
        for number in 0..2 {
            RgbImage::from_pixel(32, 32, Rgb(colour)).save(data.join(name).join(format!("{number}.png")))?;
        }
    }
    let text = verdict(&mut small_run(&data, &runs, ["1", "0"], &[])?)?;
    assert_says(&text, &["epoch_001.png", "curves.png", "generators.safetensors"]);
    let strip = image::open(runs.join("small/samples/epoch_001.png"))?.into_rgb8();
    assert_eq!(strip.dimensions(), (6 * 32 + 5 * 4, 2 * 32 + 4));
    assert_eq!([strip.get_pixel(5, 5).0, strip.get_pixel(3 * 36 + 5, 5).0], [[10, 200, 30], [200, 20, 90]]);
    Ok(())
}

/// Hinge for one direction, a relativistic loss for the other; two losses of a cycle; no identity.
#[test]
fn other_objectives_train_as_well() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [data, runs] = ["data", "runs"].map(|name| folder.path().join(name));
    write_sets(&data)?;
    let loss = |name: &str, loss: &str, options: &str, tag: &str| {
        format!("[losses.{name}]\nloss = \"{loss}\"\noptions = {{ {options} }}\ntags = [\"{tag}\"]\n")
    };
    let [generator, discriminator] = ["generator", "discriminator"].map(|side| format!("side = \"{side}\""));
    let text = [
        loss("G_GAN_A", "GanLoss", &format!("{generator}, mode = \"hinge\""), "G"),
        loss("D_GAN_A", "GanLoss", &format!("{discriminator}, mode = \"hinge\""), "D"),
        loss("G_GAN_B", "RelativisticLoss", &generator, "G"),
        loss("D_GAN_B", "RelativisticLoss", &discriminator, "D"),
        loss("L1_A", "L1Loss", "", "cycle"),
        loss("SOBEL_A", "Sobel", "", "cycle"),
        loss("MSE_B", "MseLoss", "", "cycle"),
    ];
    let path = folder.path().join("objective.toml");
    fs::write(&path, text.concat())?;
    let path = path.to_str().context("UTF-8")?;
    succeed(&mut small_run(&data, &runs, ["2", "0"], &["--objective", path])?)?;
    let losses = LoggedRun::read(runs.join("small/loss_log.jsonl"))?.losses;
    assert_eq!(losses.len(), text.len());
    assert!(losses.values().all(|curve| curve.values.len() == 6));

    // The published one, with a loss that is due in every other step.
    let mut published = cyclegan();
    published.losses["G_IDT_A"].every = LazyRegularization::every(2)?;
    fs::write(path, published.to_toml()?)?;
    let runs = folder.path().join("published");
    succeed(&mut small_run(&data, &runs, ["1", "0"], &["--objective", path])?)?;
    let losses = LoggedRun::read(runs.join("small/loss_log.jsonl"))?.losses;
    assert_eq!(losses.len(), published.losses.len());
    assert_eq!([&losses["D_GAN_A"].steps, &losses["G_IDT_A"].steps], [&vec![1, 2, 3], &vec![2]]);
    Ok(())
}

/// What it says when it fails. It leaves no run behind.
fn failure(data: &Path, more: &[&str]) -> Result<String> {
    let runs = tempfile::tempdir()?;
    let Output { status, stderr, .. } = small_run(data, runs.path(), ["1", "0"], more)?.output()?;
    ensure!(status.code().is_some_and(|code| code > 0), "{status}");
    ensure!(fs::read_dir(runs.path())?.next().is_none(), "a run is left");
    Ok(String::from_utf8(stderr)?)
}

#[test]
fn folders_that_are_laid_out_otherwise_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = |name: &str| folder.path().join(name);
    assert_says(&failure(&data("missing"), &[])?, &["cannot read the folder", "missing"]);
    for (files, parts) in [
        (
            &["pairs/A/1.png", "pairs/B/1.png"][..],
            &["pairs lacks the folder trainA", "has the folders A, B"][..],
        ),
        (&["half/trainA/1.png"], &["half lacks the folder trainB", "has the folders trainA"]),
        (
            &["empty/trainA/1.png", "empty/trainB/x/1.png"],
            &["empty/trainB has no PNG or JPEG files", "folders x"],
        ),
        (
            &["tested/trainA/1.png", "tested/trainB/1.png", "tested/testB/1.png"],
            &["tested has the folder testB, but no folder testA"],
        ),
    ] {
        for file in files {
            write_image(data(file), 32, 32)?;
        }
        let (name, _) = files[0].split_once('/').context("a folder")?;
        let message = failure(&data(name), &[])?;
        assert_says(&message, parts);
        assert_says(&message, &["Accepted", "DIR/trainA, DIR/trainB", "DIR/testA, DIR/testB"]);
    }
    write_sets(&data("broken"))?;
    fs::write(data("broken/trainB/1.png"), "no image")?;
    assert_says(&failure(&data("broken"), &[])?, &["cannot read", "trainB/1.png"]);
    Ok(())
}

#[test]
fn objectives_that_lack_something_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    write_sets(&data)?;
    let path = folder.path().join("objective.toml");
    let given = path.to_str().context("UTF-8")?;
    let original = include_str!("../../examples/cyclegan/objective.toml");
    for (from, to, parts) in [
        (
            "[losses.D_GAN_B]",
            "[losses.D_GAN_C]",
            &["lacks a GanLoss", "side = \"discriminator\"", "in _B"][..],
        ),
        (
            "side = \"discriminator\"",
            "side = \"generator\"",
            &["lacks a GanLoss", "side = \"discriminator\"", "in _A"],
        ),
        ("[\"G\", \"cycle\"]", "[\"G\", \"cycles\"]", &["G_CYCLE_A", "in 0 places", "\"cycle\""]),
        ("[\"G\", \"cycle\"]", "[\"cycle\", \"identity\"]", &["G_CYCLE_A", "in 2 places"]),
        ("[losses.G_CYCLE_B]", "[losses.G_CYCLE]", &["G_CYCLE is computed in 0 places", "end in _A or _B"]),
        ("tags = \"D\"", "tags = \"cycle\"", &["D_GAN_A", "in 2 places"]),
        ("\"L1Loss\"", "\"SSIMLoss\"", &["G_CYCLE_A", "from -1 to 1", "data_range = \"signed\""]),
        ("\"L1Loss\"", "\"TotalVariationLoss\"", &["G_CYCLE_A", "does not compare two images"]),
        ("weight = 10.0", "weigth = 10.0", &["objective.toml", "losses.G_CYCLE_A", "weigth"]),
    ] {
        let text = original.replacen(from, to, 1);
        ensure!(text != original, "{from}");
        fs::write(&path, text)?;
        assert_says(&failure(&data, &["--objective", given])?, parts);
    }
    Ok(())
}

#[test]
fn help_tells_what_to_do() -> Result<()> {
    let help = verdict(program("cyclegan")?.arg("--help"))?;
    assert_says(
        &help,
        &["--demo", "--data <DIR>", "--resume <RUN>", "--objective <FILE>", "DIR/trainA", "`cycle`"],
    );
    let Output { status, stderr, .. } = program("cyclegan")?.output()?;
    assert_eq!(status.code(), Some(2));
    assert_says(&String::from_utf8(stderr)?, &["--data", "--demo", "--resume"]);
    Ok(())
}
