//! `tch-losses objective`, run as users run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use tch_losses::manager::{cyclegan, pix2pixhd, Objective};

/// Exit code, stdout and stderr of a run of `check` in `folder`.
fn check(folder: &Path, file: &str) -> Result<(Option<i32>, String, String)> {
    run(folder, &["check", file])
}

fn run(folder: &Path, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    command.current_dir(folder).arg("objective").args(arguments);
    let output = command.stdin(Stdio::null()).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[test]
fn a_file_is_summed_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = r#"
        [losses.G_GAN]
        loss = "BCEWithLogitsLoss"
        options = { pos_weight = 0.1, reduction = "mean" }
        tags = "G"

        [losses.G_L1]
        loss = "L1Loss"
        weight = 100
        tags = ["G", "image"]

        [losses.G_VGG]
        loss = "PerceptualLoss"
        schedule.cosine = { start_epoch = 1, end_epoch = 20, initial_value = 0, target_value = 10 }
        options = { weights = "nowhere.pth", kind = "bfloat16", streaming = 4, taps = { relu2_2 = 0.5 } }

        [losses.warm]
        loss = "Sobel"
        schedule.warm_up = { epochs = 3, then = { step = { initial_value = 1, gamma = 0.5, step_size = 10 } } }

        [losses."late \u001b[31m"]
        loss = "Laplacian"
        schedule.piecewise = { initial_value = 0, milestones = [[5, 1.5], [9, 2]] }
    "#;
    fs::write(folder.path().join("a.toml"), text)?;
    let expected = r#"a.toml: 5 losses

G_GAN            BceWithLogitsLoss  weight 1                                                          tags G
                 pos_weight = 0.1
G_L1             L1Loss             weight 100                                                        tags G, image
G_VGG            PerceptualLoss     weight 0 (epoch 1) to 10 (epoch 20), cosine                       no tags
                 weights = "nowhere.pth"
                 kind = "bf16"
                 taps = { relu2_2 = 0.5 }
                 streaming = 4
warm             Sobel              weight 1, times 0.5 after every 10 epochs, warmed up in 3 epochs  no tags
late \u{1b}[31m  Laplacian          weight 0, 1.5 from epoch 5, 2 from epoch 9                        no tags

tag G      G_GAN, G_L1
tag image  G_L1
"#;
    assert_eq!(check(folder.path(), "a.toml")?, (Some(0), expected.into(), String::new()));

    fs::write(folder.path().join("empty.json"), r#"{"losses": {}}"#)?;
    assert_eq!(
        check(folder.path(), "empty.json")?,
        (Some(0), "empty.json: no losses\n\n".into(), String::new())
    );
    Ok(())
}

#[test]
fn a_fault_is_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, text, message) in [
        (
            "a.toml",
            "[losses.G]\nloss = 'Sobl'\n",
            "a.toml: losses.G.loss: `Sobl` is no loss, did you mean `Sobel`? (line 2)",
        ),
        (
            "b.json",
            "{\"losses\":\n[]}",
            "b.json: losses: given a list of 0, expected a table of losses by name, [losses.NAME] (line 2)",
        ),
        ("c.yaml", "losses:", "c.yaml: the name of an objective's file ends in .toml or .json"),
    ] {
        fs::write(folder.path().join(name), text)?;
        assert_eq!(check(folder.path(), name)?, (Some(1), String::new(), format!("tch-losses: {message}\n")));
    }
    fs::write(folder.path().join("bytes.toml"), [0xff, 0xfe])?;
    for name in ["bytes.toml", "nowhere.toml", "."] {
        let (code, stdout, stderr) = check(folder.path(), name)?;
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
        assert!(stderr.contains(name), "{stderr}");
    }
    Ok(())
}

/// What is printed is a file, which is the objective.
#[test]
fn published_objectives_are_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (code, toml, stderr) = run(folder.path(), &["show", "pix2pixhd"])?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(Objective::from_toml(&toml)?, pix2pixhd());
    assert!(
        toml.starts_with("[losses.G_GAN]\n") && toml.ends_with('\n') && !toml.ends_with("\n\n"),
        "{toml}"
    );
    let (code, json, stderr) = run(folder.path(), &["show", "cyclegan", "--json"])?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(Objective::from_json(&json)?, cyclegan());
    assert!(json.ends_with("}\n"), "{json}");
    // As a user goes on.
    fs::write(folder.path().join("objective.json"), json)?;
    let (code, summary, _) = check(folder.path(), "objective.json")?;
    assert_eq!(code, Some(0));
    assert!(summary.contains("G_CYCLE_A  L1Loss   weight 10  tags G, cycle\n"), "{summary}");

    let message =
        "tch-losses: the published objectives: `cyclgan` is none of them, did you mean `cyclegan`?\n";
    assert_eq!(run(folder.path(), &["show", "cyclgan"])?, (Some(1), String::new(), message.into()));
    let (code, help, _) = run(folder.path(), &["show", "--help"])?;
    assert_eq!(code, Some(0));
    assert!(Objective::PUBLISHED.iter().all(|name| help.contains(name)), "{help}");
    Ok(())
}
