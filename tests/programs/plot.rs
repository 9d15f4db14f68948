//! `tch-losses plot`, run as users run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LogSink, Record};
use tch_losses::visual::image;

use crate::compare::names;

/// Exit code, stdout and stderr of a run in `folder`.
type Output = (Option<i32>, String, String);

fn program(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

fn plot(folder: &Path, arguments: &[&str]) -> Result<Output> {
    program(folder, &[&["plot"], arguments].concat())
}

/// The log of two losses over 300 steps.
fn write_log(path: &Path) -> Result<()> {
    let run = RunInfo { experiment: "pix2pix".into(), ..Default::default() };
    let mut log = LossLog::open(path, &run)?;
    for step in 0..300 {
        let record = |name: &str, tag: &str, value: f64| Record {
            name: name.into(),
            tags: [tag.to_owned()].into(),
            epoch: step / 100,
            step,
            value,
            weight: 2.0,
            weighted: 2.0 * value,
        };
        let value = 1.0 / (1.0 + step as f64);
        log.append(&[record("G_L1", "G", value), record("D_real", "D", 0.5 - value)])?;
    }
    Ok(())
}

#[test]
fn logs_become_pictures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_log(&folder.join("log.jsonl"))?;
    let done = |name: &str| (Some(0), String::new(), format!("tch-losses: wrote {name}\n"));
    assert_eq!(plot(folder, &["log.jsonl"])?, done("curves.png"));
    let first = fs::read(folder.join("curves.png"))?;
    assert_eq!(image::guess_format(&first)?, image::ImageFormat::Png);

    // Again, over the old one.
    assert_eq!(plot(folder, &["log.jsonl", "--smooth", "50"])?, done("curves.png"));
    assert_ne!(fs::read(folder.join("curves.png"))?, first);

    let all =
        ["log.jsonl", "-o", "out.SVG", "--split-by-tag", "--scale", "log", "--smooth", "1", "--weights"];
    assert_eq!(plot(folder, &all)?, done("out.SVG"));
    let svg = fs::read_to_string(folder.join("out.SVG"))?;
    assert_eq!(svg.matches(r#"class="panel""#).count(), 3);
    assert!(svg.contains("log scale") && svg.contains("pix2pix") && !svg.contains("moving average"));
    assert!(
        svg.contains("D_real, weighted loss: 2 of 300 values are zero or negative"),
        "1 / 2 - 1 and 1 / 2 - 1 / 2"
    );
    let plain = ["log.jsonl", "-o", "out.svg"];
    assert_eq!(plot(folder, &plain)?, done("out.svg"));
    let svg = fs::read_to_string(folder.join("out.svg"))?;
    assert_eq!(svg.matches(r#"class="panel""#).count(), 1);
    assert!(!svg.contains("log scale") && svg.contains("a span of 6 records"));
    assert_eq!(names(folder)?, ["curves.png", "log.jsonl", "out.SVG", "out.svg"]);
    Ok(())
}

/// Two runs in one log: the last one is taken, the other one on demand.
#[test]
fn runs_in_one_log_are_shown_apart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_log(&folder.join("log.jsonl"))?;
    let mut log = LossLog::open(
        folder.join("log.jsonl"),
        &RunInfo { experiment: "pix2pix".into(), ..Default::default() },
    )?;
    for step in 0..40 {
        let record = Record {
            name: "G_SOBEL".into(),
            tags: [].into(),
            epoch: 0,
            step,
            value: 7.0,
            weight: 1.0,
            weighted: 7.0,
        };
        log.append(&[record])?;
    }
    drop(log);
    let has_two = "tch-losses: log.jsonl has 2 runs: taking the last one, --run N takes another\n";
    let (code, _, stderr) = plot(folder, &["log.jsonl", "-o", "last.svg"])?;
    assert_eq!((code, stderr), (Some(0), format!("{has_two}tch-losses: wrote last.svg\n")));
    let svg = fs::read_to_string(folder.join("last.svg"))?;
    assert!(svg.contains("up to step 39") && svg.contains("G_SOBEL") && !svg.contains("G_L1"));
    let (code, _, stderr) = plot(folder, &["log.jsonl", "-o", "first.svg", "--run", "1"])?;
    assert_eq!((code, stderr.as_str()), (Some(0), "tch-losses: wrote first.svg\n"));
    let svg = fs::read_to_string(folder.join("first.svg"))?;
    assert!(svg.contains("up to step 299") && svg.contains("G_L1") && !svg.contains("G_SOBEL"));

    for (arguments, notes, count) in
        [(&[][..], has_two, 40), (&["--run", "2"], "", 40), (&["--run", "1"], "", 300)]
    {
        let (code, _, stderr) = program(folder, &[&["log", "export", "log.jsonl"], arguments].concat())?;
        assert_eq!((code, stderr), (Some(0), format!("{notes}tch-losses: wrote loss_log.json\n")));
        let exported: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("loss_log.json"))?)?;
        let losses = exported["LOSSMANAGER_LOG"]["loss_functions"].as_object().unwrap();
        assert!(losses.values().all(|loss| loss["loss"].as_array().unwrap().len() == count));
        assert_eq!(losses.contains_key("G_SOBEL"), count == 40);
    }
    for command in [&["plot"][..], &["log", "export"]] {
        let (code, _, stderr) = program(folder, &[command, &["log.jsonl", "--run", "3"]].concat())?;
        assert_eq!((code, stderr.as_str()), (Some(1), "tch-losses: --run 3: log.jsonl has 2 runs\n"));
    }
    Ok(())
}

/// A run that went on from an earlier step: what does not count is told.
#[test]
fn repeated_steps_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    for steps in [0..100, 70..90] {
        let mut log = LossLog::open(folder.join("log.jsonl"), &RunInfo::default())?;
        for step in steps {
            let (name, value) = ("G_L1".into(), 7.0);
            log.append(&[Record {
                name,
                tags: [].into(),
                epoch: 0,
                step,
                value,
                weight: 1.0,
                weighted: 7.0,
            }])?;
        }
    }
    let (code, _, stderr) = program(folder, &["log", "export", "log.jsonl"])?;
    let expected = "tch-losses: the run went back to an earlier step, as from a checkpoint: 30 records that came again are \
                    left out (a run that begins at the first step anew is another run)\ntch-losses: wrote loss_log.json\n";
    assert_eq!((code, stderr.as_str()), (Some(0), expected));
    Ok(())
}

/// What a log says is shown, whatever it would make a terminal do.
#[test]
fn control_characters_of_a_log_are_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let evil = "\u{1b}[31mG\r\n\u{202e}";
    let run =
        RunInfo { experiment: evil.into(), device: evil.into(), dataroot: evil.into(), dataset_length: 1 };
    let mut log = LossLog::open(folder.join("log.jsonl"), &run)?;
    let record = |value| Record {
        name: evil.into(),
        tags: [evil.to_owned()].into(),
        epoch: 0,
        step: 0,
        value,
        weight: 2.0,
        weighted: value,
    };
    log.append(&[record(1.0), record(f64::NAN)])?;
    drop(log);
    let (code, _, stderr) = plot(folder, &["log.jsonl", "-o", "curves.svg", "--split-by-tag"])?;
    assert_eq!(code, Some(0), "{stderr}");
    let svg = fs::read_to_string(folder.join("curves.svg"))?;
    // Experiment, device, dataroot, tag, legend and note, and the titles of lines and legend.
    let shown = r"\u{1b}[31mG\r\n\u{202e}";
    assert!(svg.matches(shown).count() >= 8, "{svg}");
    let obeyed = |text: &str| text.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}');
    assert!(!obeyed(&svg));

    // Damage: a loss that was not declared, and one that comes twice.
    let name = serde_json::to_string(evil)?;
    let point = r#"{"value":1,"weight":1,"weighted":1}"#;
    let log = fs::read_to_string(folder.join("log.jsonl"))?;
    for losses in [format!("{{{name}:{point}}}"), format!("{{{name}:{point},{name}:{point}}}")] {
        let line = format!(r#"{{"step":0,"epoch":0,"losses":{losses}}}"#);
        fs::write(folder.join("bad.jsonl"), format!("{}\n{line}\n", log.lines().next().unwrap()))?;
        let (code, _, stderr) = plot(folder, &["bad.jsonl"])?;
        assert_eq!((code, stderr.lines().count()), (Some(1), 1));
        assert!(stderr.contains(shown) && stderr.contains("line 2") && !obeyed(&stderr), "{stderr:?}");
    }
    Ok(())
}

#[test]
fn unusable_logs_and_outputs_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_log(&folder.join("log.jsonl"))?;
    fs::write(folder.join("text.txt"), "no log")?;
    fs::write(folder.join("nothing.jsonl"), "")?;
    LossLog::open(folder.join("empty.jsonl"), &RunInfo::default())?;
    fs::create_dir(folder.join("taken.png"))?;
    let before = names(folder)?;
    let cases: [(&[&str], &[&str]); 8] = [
        (&["nowhere.jsonl"], &["nowhere.jsonl", "No such file"]),
        (&["text.txt"], &["text.txt"]),
        (&["nothing.jsonl"], &["nothing.jsonl"]),
        (&["empty.jsonl"], &["empty.jsonl", "no records yet"]),
        (&["."], &["cannot read ."]),
        (&["log.jsonl", "-o", "curves.pdf"], &["--output", "curves.pdf", ".png or .svg"]),
        (&["log.jsonl", "-o", "curves"], &["--output", "curves", ".png or .svg"]),
        (&["log.jsonl", "-o", "taken.png"], &["--output", "taken.png"]),
    ];
    for (arguments, parts) in cases {
        let (code, stdout, stderr) = plot(folder, arguments)?;
        assert_eq!(
            (code, stdout.as_str(), stderr.lines().count()),
            (Some(1), "", 1),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.starts_with("tch-losses: "), "{stderr}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{arguments:?}: {stderr}");
    }
    assert_eq!(names(folder)?, before, "nothing half done is left");
    Ok(())
}

#[test]
fn wrong_usage_exits_with_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let wrong: [&[&str]; 6] = [
        &["log.jsonl", "--run", "0"],
        &[],
        &["log.jsonl", "--smooth", "0"],
        &["log.jsonl", "--smooth", "much"],
        &["log.jsonl", "--scale", "logarithmic"],
        &["log.jsonl", "--linear"],
    ];
    for arguments in wrong {
        let (code, stdout, stderr) = plot(folder.path(), arguments)?;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains("--help"), "{stderr}");
    }
    let (code, help, _) = plot(folder.path(), &["--help"])?;
    assert_eq!(code, Some(0));
    for option in [
        "--output",
        "--split-by-tag",
        "--scale",
        "--smooth",
        "--weights",
        "--run",
        "curves.png",
        "2 / (N + 1)",
    ] {
        assert!(help.contains(option), "{option} is not explained");
    }
    Ok(())
}
