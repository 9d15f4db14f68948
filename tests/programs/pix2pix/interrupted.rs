//! Runs that are interrupted, killed and resumed.

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
    let hinge = HINGE;
    let averages =
        "[losses.D_LECAM]\nloss = \"LeCamLoss\"\noptions = { initial = 0.5 }\nweight = 0.3\ntags = \"D\"\n";
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
        let Output { status, stderr, .. } = interrupt(&run, signal, command, || logged_steps(&run) >= steps)?;
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
