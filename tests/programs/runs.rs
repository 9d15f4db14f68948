//! `tch-losses plot` with several runs, and `log export --csv`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LogSink, Record};

use crate::compare::run;

/// Exit code and stderr of a run in `folder`. Nothing is printed to stdout.
fn program(folder: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "", "{arguments:?}");
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

fn record(name: &str, step: u64, value: f64) -> Record {
    let (name, weighted) = (name.into(), 2.0 * value);
    Record { name, tags: ["G".to_owned()].into(), epoch: step / 2, step, value, weight: 2.0, weighted }
}

/// A log of the losses over some steps.
fn write_log(path: &Path, experiment: &str, losses: &[&str]) -> Result<()> {
    let run = RunInfo { experiment: experiment.into(), ..Default::default() };
    let mut log = LossLog::open(path, &run)?;
    for step in 0..4 {
        log.append(&losses.iter().map(|name| record(name, step, 1.0 + step as f64)).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn wrote(name: &str) -> (Option<i32>, String) {
    (Some(0), format!("tch-losses: wrote {name}\n"))
}

#[test]
fn several_logs_are_compared() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    for (path, experiment, losses) in [
        ("runs/a/log.jsonl", "plain", &["G_L1"][..]),
        ("runs/b/log.jsonl", "edges", &["G_L1", "G_SOBEL"]),
        ("runs/c/log.jsonl", "edges", &["G_L1"]),
    ] {
        fs::create_dir_all(folder.join(path).parent().unwrap())?;
        write_log(&folder.join(path), experiment, losses)?;
    }
    let svg = |arguments: &[&str]| -> Result<String> {
        assert_eq!(program(folder, &[&["plot", "-o", "out.svg"], arguments].concat())?, wrote("out.svg"));
        Ok(fs::read_to_string(folder.join("out.svg"))?)
    };
    // The experiments tell these apart.
    let two = svg(&["runs/a/log.jsonl", "runs/b/log.jsonl"])?;
    assert_eq!(two.matches(r#"class="panel""#).count(), 2);
    assert!(two.contains(">plain<") && two.contains(">edges<") && two.contains("2 runs"), "{two}");
    assert!(two.contains("G_L1, plain") && two.contains("G_SOBEL, edges") && !two.contains("G_SOBEL, plain"));
    // And the folders these.
    let three = svg(&["runs/a/log.jsonl", "runs/b/log.jsonl", "runs/c/log.jsonl", "--weights"])?;
    assert_eq!(three.matches(r#"class="panel""#).count(), 4);
    assert!(
        ["G_L1, a", "G_L1, b", "G_SOBEL, b", "G_L1, c"].iter().all(|name| three.contains(name)),
        "{three}"
    );
    // The same one twice has the whole path.
    assert!(svg(&["runs/c/log.jsonl", "runs/c/log.jsonl"])?.contains("G_L1, runs/c/log.jsonl"));

    let fails = |arguments: &[&str], message: &str| -> Result<()> {
        let expected = (Some(1), format!("tch-losses: {message}\n"));
        assert_eq!(program(folder, &[&["plot"], arguments].concat())?, expected);
        Ok(())
    };
    let logs = ["runs/a/log.jsonl", "runs/b/log.jsonl"];
    fails(&[&logs[..], &["--run", "1"]].concat(), "--run chooses from one log, here are 2")?;
    let split = "--split-by-tag is for one run: several runs have a panel for each loss";
    fails(&[&logs[..], &["--split-by-tag"]].concat(), split)?;
    LossLog::open(folder.join("empty.jsonl"), &RunInfo::default())?;
    fails(&["empty.jsonl"], "empty.jsonl has no records yet: there is nothing to draw")?;
    let none = "empty.jsonl has no records yet, empty.jsonl has no records yet: there is nothing to draw";
    fails(&["empty.jsonl", "empty.jsonl"], none)?;
    // Beside others it is left out, and a file of nothing, too.
    fs::write(folder.join("none.jsonl"), "")?;
    let mixed = [logs[0], "empty.jsonl", logs[1], "none.jsonl"];
    let others = program(folder, &[&["plot", "-o", "out.svg"], &mixed[..]].concat())?;
    let left_out = "tch-losses: left out: empty.jsonl has no records yet\n\
                    tch-losses: left out: none.jsonl is an empty file\n";
    assert_eq!(others, (Some(0), format!("{left_out}tch-losses: wrote out.svg\n")));
    assert_eq!(fs::read_to_string(folder.join("out.svg"))?, two);
    Ok(())
}

#[test]
fn several_runs_of_a_log_are_compared() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    for losses in [["G_L1"], ["G_MSE"], ["G_L1"]] {
        write_log(&folder.join("log.jsonl"), "faces", &losses)?;
    }
    assert_eq!(program(folder, &["plot", "log.jsonl", "--run", "1,3", "-o", "out.svg"])?, wrote("out.svg"));
    let svg = fs::read_to_string(folder.join("out.svg"))?;
    assert!(svg.contains(">faces<") && svg.contains("2 runs") && !svg.contains("G_MSE"), "{svg}");
    assert!(svg.contains("G_L1, run 1") && svg.contains("G_L1, run 3"), "{svg}");
    let expected = (Some(1), "tch-losses: --run 4: log.jsonl has 3 runs\n".to_owned());
    assert_eq!(program(folder, &["plot", "log.jsonl", "--run", "1,4"])?, expected);
    Ok(())
}

#[test]
fn the_scale_is_chosen_or_forced() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let mut log = LossLog::open(folder.join("log.jsonl"), &RunInfo::default())?;
    for step in 0..9 {
        log.append(&[record("large", step, 300.0), record("small", step, 0.5)])?;
    }
    drop(log);
    for (options, logarithmic) in
        [(&[][..], true), (&["--scale", "linear"], false), (&["--scale", "log"], true)]
    {
        program(folder, &[&["plot", "log.jsonl", "-o", "out.svg"], options].concat())?;
        let svg = fs::read_to_string(folder.join("out.svg"))?;
        assert_eq!(svg.contains("log scale"), logarithmic, "{options:?}");
    }
    Ok(())
}

#[test]
fn logs_become_csv() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let mut log = LossLog::open(folder.join("log.jsonl"), &RunInfo::default())?;
    let odd = "a, \"b\"";
    for (step, value) in [0.1, f64::NAN, f64::INFINITY, 1e-300].into_iter().enumerate() {
        log.append(&[record("G_L1", step as u64, value), record(odd, step as u64, -value)])?;
    }
    // Open all the while.
    assert_eq!(program(folder, &["log", "export", "--csv", "log.jsonl"])?, wrote("loss_log.csv"));
    let expected = "\
        loss,step,epoch,value,weight,weighted\n\
        G_L1,0,0,0.1,2.0,0.2\n\
        G_L1,1,0,NaN,2.0,NaN\n\
        G_L1,2,1,inf,2.0,inf\n\
        G_L1,3,1,1e-300,2.0,2e-300\n\
        \"a, \"\"b\"\"\",0,0,-0.1,2.0,-0.2\n\
        \"a, \"\"b\"\"\",1,0,NaN,2.0,NaN\n\
        \"a, \"\"b\"\"\",2,1,-inf,2.0,-inf\n\
        \"a, \"\"b\"\"\",3,1,-1e-300,2.0,-2e-300\n";
    assert_eq!(fs::read_to_string(folder.join("loss_log.csv"))?, expected);
    assert_eq!(program(folder, &["log", "export", "--csv", "log.jsonl", "-o", "new/x"])?, wrote("new/x"));
    assert_eq!(fs::read_to_string(folder.join("new/x"))?, expected);
    let itself = program(folder, &["log", "export", "--csv", "log.jsonl", "-o", "log.jsonl"])?;
    assert_eq!(itself, (Some(1), "tch-losses: log.jsonl is the log itself\n".into()));
    Ok(())
}

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
