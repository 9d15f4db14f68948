//! `tch-losses atlas`, `descend` and `gallery`, run as users run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use tch_losses::visual::image;

/// Exit code and stderr of a run in `folder`. Nothing is said on stdout.
fn program(folder: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output()?;
    assert!(output.stdout.is_empty());
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

fn asset(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "assets", name].iter().collect();
    path.display().to_string()
}

fn fixture(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/cli", name].iter().collect();
    path.display().to_string()
}

#[test]
fn an_atlas_is_a_folder_of_pictures_words_and_numbers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (real, cat) = (asset("real.png"), asset("photos/chelsea.jpg"));
    let arguments = ["atlas", "--image", &real, &cat, "--out", "deep/atlas", "--size", "48", "--seed", "3"];
    let (code, stderr) =
        program(folder.path(), &[&arguments[..], &["--losses", "l1,MSELoss,SSIMLoss"]].concat())?;
    assert_eq!(code, Some(0), "{stderr}");
    let out = folder.path().join("deep/atlas");
    let written: Vec<&str> = stderr.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(written.len(), 13);
    for name in &written {
        assert!(out.join(name).exists(), "{name}");
        if name.ends_with(".png") || name.ends_with(".jpg") {
            assert_eq!(image::open(out.join(name))?.width(), 1680, "{name}");
        }
    }
    let numbers: serde_json::Value = serde_json::from_str(&fs::read_to_string(out.join("atlas.json"))?)?;
    assert_eq!(numbers["seed"], 3);
    assert_eq!(numbers["photos"], 2);
    let names: Vec<_> = numbers["losses"].as_array().unwrap().iter().map(|loss| &loss["name"]).collect();
    assert_eq!(names, ["L1Loss", "MseLoss", "SsimLoss"]);
    for answers in numbers["losses"][1]["answers"].as_array().unwrap() {
        let sensitivity = answers["sensitivity"].as_f64().unwrap();
        assert!((sensitivity - 1.0).abs() < 1e-3, "{answers}");
    }
    let words = fs::read_to_string(out.join("atlas.md"))?;
    for part in [
        "![What losses see](sensitivity.png)",
        "\n## By loss\n\n### pixel\n\n- **L1Loss** ",
        "(colour-cast.jpg)",
    ] {
        assert!(words.contains(part), "{words}");
    }
    Ok(())
}

#[test]
fn losses_that_refuse_small_photos_are_left_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (real, fake) = (asset("real.png"), asset("fake.png"));
    let (code, stderr) = program(
        folder.path(),
        &["gallery", "--fake", &fake, "--real", &real, "--size", "64", "-o", "all.jpg"],
    )?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("tch-losses: left out: MultiScaleSsimLoss: "), "{stderr}");
    assert!(
        stderr.contains("tch-losses: left out: losses that need a network; --vgg WEIGHTS adds"),
        "{stderr}"
    );
    assert!(stderr.ends_with("tch-losses: wrote all.jpg\n"), "{stderr}");
    assert_eq!(image::open(folder.path().join("all.jpg"))?.width(), 1680);
    // Who asks for it is told that it cannot be.
    let arguments =
        ["gallery", "--fake", &fake, "--real", &real, "--size", "64", "--losses", "MultiScaleSsimLoss"];
    let (code, stderr) = program(folder.path(), &arguments)?;
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("tch-losses: cannot compute MultiScaleSsimLoss: "), "{stderr}");
    Ok(())
}

#[test]
fn descents_begin_with_noise_grey_or_a_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (real, fake) = (asset("real.png"), asset("fake.png"));
    for (start, output) in [("noise", "noise.png"), ("grey", "grey.png"), (fake.as_str(), "file.png")] {
        let arguments =
            ["descend", "--real", &real, "--start", start, "--size", "32", "--steps", "5", "--losses", "l1"];
        let (code, stderr) = program(folder.path(), &[&arguments[..], &["--output", output]].concat())?;
        assert_eq!((code, stderr), (Some(0), format!("tch-losses: wrote {output}\n")));
        // The photo, the start and one loss.
        assert_eq!(image::open(folder.path().join(output))?.width(), 1680);
    }
    let seeds = ["0", "0", "1"].map(|seed| -> Result<Vec<u8>> {
        let arguments =
            ["descend", "--real", &real, "--size", "32", "--steps", "2", "--losses", "l1", "--seed", seed];
        assert_eq!(program(folder.path(), &arguments)?.0, Some(0));
        Ok(fs::read(folder.path().join("descend.png"))?)
    });
    let [one, again, other] = seeds;
    let one = one?;
    assert!(one == again?);
    assert!(one != other?);
    Ok(())
}

#[test]
fn what_cannot_be_done_is_said() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("file"), "in the way")?;
    let (real, small) = (asset("real.png"), fixture("real.png"));
    image::open(&real)?.save(folder.path().join("noise.jpg"))?;
    // 20000 x 20000 pixels, as its head says.
    let mut head = [b"BM".as_slice(), &[0; 8], &54u32.to_le_bytes(), &40u32.to_le_bytes()].concat();
    head.extend([20000u32.to_le_bytes(), 20000u32.to_le_bytes()].concat());
    head.extend([1, 0, 24, 0].into_iter().chain([0; 24]));
    fs::write(folder.path().join("huge.bmp"), head)?;
    let cases: [(&[&str], &str); 12] = [
        (
            &["gallery", "--fake", "huge.bmp", "--real", &real],
            "has 20000 x 20000 pixels, more than the 134217728 that can be read here: crop or reduce it\n",
        ),
        (
            &["atlas", "--image", &small, "--out", "a"],
            "has 23 x 19 pixels: give one with 32 on each side at least",
        ),
        (&["atlas", "--image", "missing.png", "--out", "a"], "--image: cannot read missing.png"),
        (
            &["atlas", "--image", &real, "--out", "file", "--losses", "l1"],
            "--out: cannot make the folder file",
        ),
        (
            &["atlas", "--image", &real, "--out", "a", "--losses", "DiceLoss"],
            "`DiceLoss` does not compare two images",
        ),
        (&["descend", "--real", &real, "-o", "a.gif"], "--output a.gif: its name has to end in .png or .jpg"),
        (
            &["descend", "--real", &real, "--start", "white"],
            "--start: cannot read white: there is no such file, and the words are `noise` and `grey`",
        ),
        (
            &["descend", "--real", &real, "--start", &asset_of_48(&folder)?, "--losses", "l1"],
            "has a side of 48 pixels, expected 192 or more",
        ),
        (
            &["gallery", "--fake", &asset_of_48(&folder)?, "--real", &real],
            "--fake has 48 x 60 pixels and --real ",
        ),
        (
            &["gallery", "--fake", "noise.jpg", "--real", &real, "-o", "noise.jpg"],
            "--output: noise.jpg is one of the pictures that are read",
        ),
        (
            &["descend", "--real", "noise.jpg", "-o", "./noise.jpg"],
            "--output: ./noise.jpg is one of the pictures that are read",
        ),
        (
            &["atlas", "--image", &real, "noise.jpg", "--out", "."],
            "--out: ./noise.jpg is one of the pictures that are read",
        ),
    ];
    for (arguments, expected) in cases {
        let (code, stderr) = program(folder.path(), arguments)?;
        assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("tch-losses: ") && stderr.contains(expected), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("file"))?, "in the way");
    let (code, stderr) = program(folder.path(), &["atlas", "--image", &real, "--out", "a", "--size", "8"])?;
    assert_eq!(code, Some(2), "{stderr}");
    let (code, stderr) =
        program(folder.path(), &["gallery", "--fake", &real, "--real", &real, "--size", "-8"])?;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("-8 is not in 32..=2048"), "{stderr}");
    Ok(())
}

/// A photo of 48 by 60 pixels.
fn asset_of_48(folder: &tempfile::TempDir) -> Result<String> {
    let path = folder.path().join("small.png");
    image::open(asset("real.png"))?.crop_imm(0, 0, 48, 60).save(&path)?;
    Ok(path.display().to_string())
}
