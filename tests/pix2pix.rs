//! The example pix2pix, run as users run it: killed and resumed, and given what it cannot use.

use std::env::current_exe;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use tch_losses::manager::log::LoggedRun;
use tch_losses::visual::image::{self, Rgb, RgbImage};

/// Cargo puts examples beside the folder of the tests.
fn pix2pix() -> Result<Command> {
    let test = current_exe()?;
    let target = test.parent().and_then(Path::parent).context("a test is in target/PROFILE/deps")?;
    let program = target.join("examples").join(format!("pix2pix{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.exists(), "build it first: cargo build --example pix2pix --features image");
    let mut command = Command::new(program);
    // Where the cores are busy, threads that wait for each other cost many times what such small networks do.
    command.env("OMP_NUM_THREADS", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
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

fn succeed(command: &mut Command) -> Result<()> {
    let Output { status, stderr, .. } = command.output()?;
    ensure!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    Ok(())
}

/// Waits until `moment` has come, and kills the process there and then.
#[cfg(unix)]
fn kill_when(mut process: Child, moment: impl Fn() -> bool) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    while !moment() {
        if let Some(status) = process.try_wait()? {
            bail!("it ended before it could be killed: {status}");
        }
        sleep(Duration::from_millis(1));
    }
    process.kill()?;
    let status = process.wait()?;
    ensure!(status.signal() == Some(9), "{status}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn killed_and_resumed_is_as_never_interrupted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    write_strips(&data, 9)?;
    let [whole, killed, other] = ["whole", "killed", "other"].map(|name| folder.path().join(name));

    succeed(&mut small_run(&data, &whole, "7")?)?;

    let run = killed.join("small");
    let has_steps = |steps: usize| {
        let log = fs::read(run.join("loss_log.jsonl")).unwrap_or_default();
        log.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"step\"")).count() >= steps
    };
    let resume = || -> Result<Command> {
        let mut command = pix2pix()?;
        command.arg("--resume").arg(&run);
        Ok(command)
    };
    // Before there is a checkpoint; after a flush, when one is being written; between the two; later.
    kill_when(small_run(&data, &killed, "7")?.spawn()?, || run.join("loss_log.jsonl").exists())?;
    kill_when(resume()?.spawn()?, || has_steps(4))?;
    kill_when(resume()?.spawn()?, || run.join("samples/epoch_003.png").exists())?;
    kill_when(resume()?.spawn()?, || has_steps(23))?;
    // What a write that was cut short leaves behind.
    let log = run.join("loss_log.jsonl");
    let torn = [fs::read(&log)?, br#"{"step":999,"epoch":99,"losses":{"G_GAN":{"val"#.to_vec()].concat();
    fs::write(&log, torn)?;
    fs::write(run.join("checkpoints/latest.safetensors.partial"), [0; 100])?;
    succeed(&mut resume()?)?;

    let expected = whole.join("small");
    let steps: Vec<u64> = (1..=40).collect();
    assert_eq!(LoggedRun::read(&log)?.losses["G_L1"].steps, steps);
    let files = ["loss_log.jsonl", "checkpoints/latest.safetensors", "checkpoints/best.safetensors"];
    for name in files.into_iter().chain(["samples/epoch_004.png", "samples/epoch_010.png", "curves.png"]) {
        assert!(fs::read(run.join(name))? == fs::read(expected.join(name))?, "{name} differs");
    }

    // That the same comes out is the seed's doing.
    succeed(&mut small_run(&data, &other, "8")?)?;
    assert!(fs::read(other.join("small/loss_log.jsonl"))? != fs::read(&log)?);
    Ok(())
}

/// Runs it on `data` for as short as can be, and returns what it says when it fails.
fn failure(data: &Path, more: &[&str]) -> Result<String> {
    let runs = tempfile::tempdir()?;
    let mut command = pix2pix()?;
    command
        .args(["--width", "2", "--epochs", "1"])
        .arg("--data")
        .arg(data)
        .arg("--runs")
        .arg(runs.path())
        .args(more);
    let Output { status, stderr, .. } = command.output()?;
    ensure!(status.code().is_some_and(|code| code > 0), "{status}");
    Ok(String::from_utf8(stderr)?)
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn write_image(path: PathBuf, width: u32, height: u32) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    Ok(RgbImage::new(width, height).save(path)?)
}

#[test]
fn pairs_that_are_none_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = |name: &str| folder.path().join(name);

    assert_says(&failure(&data("missing"), &[])?, &["cannot read the folder", "missing"]);

    fs::create_dir(data("empty"))?;
    assert_says(&failure(&data("empty"), &[])?, &["empty has no PNG or JPEG files"]);

    write_image(data("odd/1.png"), 64, 32)?;
    write_image(data("odd/2.png"), 65, 32)?;
    assert_says(&failure(&data("odd"), &[])?, &["2.png is 65 x 32 pixels", "even width"]);

    write_strips(&data("broken"), 3)?;
    fs::write(data("broken/1.png"), "no image")?;
    assert_says(&failure(&data("broken"), &[])?, &["cannot read", "1.png"]);

    // The beginning of a file is enough to tell its size; the rest is missed later.
    let whole = fs::read(data("broken/0.png"))?;
    fs::write(data("broken/1.png"), &whole[..whole.len() / 2])?;
    assert_says(&failure(&data("broken"), &[])?, &["cannot read", "1.png"]);

    for name in ["unpaired/A/1.png", "unpaired/B/1.png", "unpaired/B/2.png"] {
        write_image(data(name), 32, 32)?;
    }
    assert_says(&failure(&data("unpaired"), &[])?, &["2.png has no counterpart in", "unpaired/A"]);

    write_image(data("unequal/A/1.png"), 32, 32)?;
    write_image(data("unequal/B/1.png"), 32, 33)?;
    assert_says(&failure(&data("unequal"), &[])?, &["A/1.png", "B/1.png", "32 x 32 and 32 x 33"]);
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

    let objective = folder.path().join("objective.toml");
    let path = objective.to_str().context("UTF-8")?;
    fs::write(&objective, "[losses.G_L1]\nloss = \"L1Loss\"\nweigth = 1.0\n")?;
    assert_says(&failure(&data, &["--objective", path])?, &["objective.toml", "losses.G_L1", "weigth"]);
    fs::write(&objective, "[losses.G_L1]\nloss = \"L1Loss\"\ntags = [\"image\"]\n")?;
    assert_says(&failure(&data, &["--objective", path])?, &["lacks the loss G_GAN"]);
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

/// Folders A and B with images of the same names, of which the right one is the input.
#[test]
fn pairs_come_from_two_folders_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [strips, two] = ["strips", "two"].map(|name| folder.path().join(name));
    write_strips(&strips, 4)?;
    for (side, left) in [("A", 0), ("B", 72)] {
        fs::create_dir_all(two.join(side))?;
        for number in 0..4 {
            let strip = image::open(strips.join(format!("{number}.png")))?;
            strip.crop_imm(left, 0, 72, 72).save(two.join(side).join(format!("{number}.png")))?;
        }
    }
    let logs = [&strips, &two].map(|data| -> Result<_> {
        let runs = folder.path().join("runs").join(data.file_name().context("a name")?);
        let mut command = pix2pix()?;
        command.args(["--direction", "BtoA", "--name", "run", "--epochs", "1", "--decay-epochs", "0"]);
        command.args(["--load-size", "40", "--crop-size", "32", "--width", "2", "--device", "cpu"]);
        succeed(command.arg("--data").arg(data).arg("--runs").arg(&runs))?;
        Ok(LoggedRun::read(runs.join("run/loss_log.jsonl"))?.losses)
    });
    let [strips, two] = logs;
    assert_eq!(strips?, two?);
    Ok(())
}
