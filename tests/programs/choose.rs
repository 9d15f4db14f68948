//! `compare` with losses of the user's choice: `--losses` and `--objective`.

use std::fs;

use anyhow::{ensure, Result};
use serde_json::Value;
use tch_losses::manager::{LossSpec, Objective};
use tch_losses::visual::image::{Rgb, RgbImage};

use crate::compare::{run, Output};

/// Of the two pictures of the fixtures.
fn compare(more: &[&str]) -> Result<Output> {
    run(&[&["compare", "--fake", "rgb8.png", "--real", "real.png"], more].concat())
}

fn json(more: &[&str]) -> Result<Value> {
    let output = compare(&[more, &["--json"]].concat())?;
    ensure!(output.code == Some(0), "{}", output.stderr);
    Ok(serde_json::from_str(&output.stdout)?)
}

fn message(more: &[&str]) -> Result<String> {
    let output = compare(more)?;
    ensure!(output.code == Some(1), "{:?} {}", output.code, output.stdout);
    Ok(output.stderr)
}

#[test]
fn losses_by_name() -> Result<()> {
    let usual = json(&[])?;
    let chosen = json(&["--losses", "sobel,L1Loss,HuberLoss"])?;
    let names: Vec<&String> = chosen.as_object().unwrap().keys().collect();
    assert_eq!(names, ["sobel", "l1", "HuberLoss"]);
    assert_eq!((&chosen["sobel"], &chosen["l1"]), (&usual["sobel"], &usual["l1"]));
    // All differences are below 1 in [0, 1]: half the squared error.
    let unit = json(&["--losses", "mse,HuberLoss", "--range", "unit"])?;
    let [mse, huber] = ["mse", "HuberLoss"].map(|name| unit[name].as_f64().unwrap());
    assert!((huber - mse / 2.0).abs() < 1e-6 * mse, "{huber} {mse}");
    Ok(())
}

#[test]
fn losses_that_there_are_not() -> Result<()> {
    let cases = [
        ("Sobl", "`Sobl` is no loss, did you mean `Sobel`?"),
        ("l1,L1Loss", "--losses names `l1` twice"),
        ("l1, L1Loss", "--losses names `l1` twice"),
        ("l1,,mse", "--losses has a name of no letters"),
        ("", "--losses has a name of no letters"),
        ("vgg", "--losses vgg needs weights: name them with --vgg"),
        ("WeightedL1Loss", "`WeightedL1Loss` does not compare two images: it takes other tensors"),
        ("TVLoss", "`TVLoss` does not compare two images: it takes other tensors"),
        (
            "WeightedTVLoss",
            "`WeightedTVLoss` does not compare two images: its second tensor is a weight for each pixel",
        ),
    ];
    for (losses, expected) in cases {
        let message = message(&["--losses", losses])?;
        assert!(message.contains(expected), "{losses}: {message}");
    }
    Ok(())
}

/// Weights that nothing would read.
#[test]
fn weights_without_a_loss_that_has_them() -> Result<()> {
    let message = message(&["--losses", "l1,SSIMLoss", "--vgg", "vgg19.pth"])?;
    let expected = "--vgg is for the loss `vgg`, which --losses does not name: add it, or leave --vgg out";
    assert_eq!(message, format!("tch-losses: {expected}\n"));
    Ok(())
}

/// Two losses whose names a file name cannot tell apart.
#[test]
fn pictures_have_names_of_their_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (path, maps) = (folder.path().join("o.toml"), folder.path().join("maps"));
    fs::write(&path, "[losses.'G/L1']\nloss = 'L1Loss'\n[losses.G_L1]\nloss = 'L1Loss'\n")?;
    let output = compare(&["--objective", path.to_str().unwrap(), "--maps", maps.to_str().unwrap()])?;
    ensure!(output.code == Some(0), "{}", output.stderr);
    assert_eq!(crate::compare::names(&maps)?, ["G_L1-2.png", "G_L1.png"]);
    assert!(output.stderr.contains("wrote") && output.stderr.contains("G_L1-2.png"), "{}", output.stderr);
    Ok(())
}

/// Losses that would take the pictures for something else.
#[test]
fn losses_of_other_things_than_images() -> Result<()> {
    for (losses, name, family) in [
        ("RelativisticLoss", "RelativisticLoss", "adversarial"),
        ("GaussianKlLoss", "GaussianKlLoss", "distribution"),
        ("l1,BCELoss", "BCELoss", "classification"),
    ] {
        let expected = format!(
            "tch-losses: `{name}` does not compare two images: its family is {family}, those of images are pixel, \
             edge, structure, similarity, frequency, perceptual\n"
        );
        assert_eq!(message(&["--losses", losses])?, expected);
    }
    // In a file, the tag says that they are images all the same.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("objective.toml");
    let text = "[losses.G]\nloss = 'BCELoss'\n";
    fs::write(&path, text)?;
    let arguments = ["--range", "unit", "--objective", path.to_str().unwrap()];
    assert!(message(&arguments)?.contains("`G` does not compare two images: its family is classification"));
    fs::write(&path, format!("{text}tags = 'image'"))?;
    assert!(json(&arguments)?["losses"]["G"]["value"].as_f64().unwrap() > 0.0);
    Ok(())
}

/// With its weights, and what they add up to.
#[test]
fn an_objective() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("objective.toml");
    let text = "
        [losses.G_GAN]
        loss = 'BceWithLogitsLoss'
        tags = ['G']

        [losses.G_L1]
        loss = 'L1Loss'
        weight = 100.0
        tags = ['G', 'image']

        [losses.G_SOBEL]
        loss = 'Sobel'
        options = { eps = 1e-4 }
        schedule = { linear = { start_epoch = 1, end_epoch = 4, initial_value = 2.0, target_value = 10.0 } }
        tags = 'image'
    ";
    fs::write(&path, text)?;
    let path = path.to_str().unwrap();
    let usual = json(&[])?;
    let output = json(&["--objective", path])?;
    let losses = output["losses"].as_object().unwrap();
    assert_eq!(losses.keys().collect::<Vec<_>>(), ["G_L1", "G_SOBEL"]);
    assert_eq!(losses["G_L1"]["value"], usual["l1"]);
    assert_eq!((&losses["G_L1"]["weight"], &losses["G_SOBEL"]["weight"]), (&100.0.into(), &2.0.into()));
    let weighted = |name: &str| losses[name]["weighted"].as_f64().unwrap();
    assert_eq!(weighted("G_L1"), 100.0 * usual["l1"].as_f64().unwrap());
    assert_eq!(output["total"].as_f64().unwrap(), weighted("G_L1") + weighted("G_SOBEL"));
    // Another eps, another loss.
    assert_ne!(losses["G_SOBEL"]["value"], usual["sobel"]);

    let table = compare(&["--objective", path])?;
    assert!(table.stderr.contains("computed are the losses with the tag `image`"), "{}", table.stderr);
    assert!(table.stdout.contains("total"), "{}", table.stdout);

    let maps = folder.path().join("maps");
    let written = compare(&["--objective", path, "--maps", maps.to_str().unwrap()])?;
    ensure!(written.code == Some(0), "{}", written.stderr);
    let mut pictures: Vec<_> = fs::read_dir(maps)?.map(|entry| entry.unwrap().file_name()).collect();
    pictures.sort();
    assert_eq!(pictures, ["G_L1.png", "G_SOBEL.png"]);
    Ok(())
}

/// By their names. Where no loss is said to compare images, the message says which can.
#[test]
fn published_objectives() -> Result<()> {
    let output = json(&["--objective", "pix2pix"])?;
    let right = 100.0 * json(&["--losses", "l1"])?["l1"].as_f64().unwrap();
    assert_eq!(output["total"].as_f64().unwrap(), right);

    let not_images = "does not compare two images: its family is adversarial, those of images are pixel, edge, structure, \
                      similarity, frequency, perceptual. ";
    let hint =
        "the tag `image` to the losses that compare a generated image with the real one; those that can are \
                `G_CYCLE_A`, `G_CYCLE_B`, `G_IDT_A`, `G_IDT_B`\n";
    let show = "In a file, which `tch-losses objective show cyclegan` prints, give ";
    let expected = format!("tch-losses: `G_GAN_A` {not_images}{show}{hint}");
    assert_eq!(message(&["--objective", "cyclegan"])?, expected);
    let nothing = "No loss of this objective does, so there is nothing to compare\n";
    assert_eq!(message(&["--objective", "stylegan2"])?, format!("tch-losses: `G_GAN` {not_images}{nothing}"));
    let told = message(&["--objective", "pix2pixh"])?;
    assert!(told.contains("`pix2pixh` is none of them, did you mean `pix2pixhd`?"), "{told}");

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cyclegan.toml");
    let mut objective = Objective::named("cyclegan")?;
    objective.save(&path)?;
    let file = path.to_str().unwrap();
    assert_eq!(message(&["--objective", file])?, format!("tch-losses: `G_GAN_A` {not_images}Give {hint}"));
    objective.losses["G_CYCLE_A"].tags.push("image".into());
    objective.save(&path)?;
    let losses = &json(&["--objective", file])?["losses"];
    assert_eq!(losses.as_object().unwrap().keys().collect::<Vec<_>>(), ["G_CYCLE_A"]);
    Ok(())
}

#[test]
fn objectives_that_cannot_be_computed() -> Result<()> {
    assert!(message(&["--objective", "nowhere.toml"])?.contains("cannot read nowhere.toml"));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("objective.json");
    let mut objective = Objective::default();
    objective.losses.insert("X".into(), LossSpec::named("CtcLoss")?.into());
    objective.save(&path)?;
    let told = message(&["--objective", path.to_str().unwrap()])?;
    assert!(told.contains("`X` does not compare two images: its family is sequence"), "{told}");
    for (loss, expected) in [
        ("CtcLoss", "`X` does not compare two images: it takes other tensors"),
        ("LinearCrossEntropyLoss", "`X` does not compare two images: it has parameters of its own"),
    ] {
        let options = if loss == "CtcLoss" { "{}" } else { r#"{"in_features": 2, "num_classes": 3}"# };
        let term = format!(r#"{{"loss": "{loss}", "tags": "image", "options": {options}}}"#);
        fs::write(&path, format!(r#"{{"losses": {{"X": {term}}}}}"#))?;
        let told = message(&["--objective", path.to_str().unwrap()])?;
        assert!(told.contains(expected), "{told}");
    }
    let both = compare(&["--objective", "a.toml", "--losses", "l1"])?;
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    Ok(())
}

/// Pictures that are computed in strips where the loss is a mean.
#[test]
fn a_sum_over_large_pictures_is_a_sum() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (width, height) = (2048, 1040);
    let mut paths = Vec::new();
    for level in [0, 255] {
        let path = folder.path().join(format!("{level}.png"));
        RgbImage::from_pixel(width, height, Rgb([level; 3])).save(&path)?;
        paths.push(path.display().to_string());
    }
    let objective = folder.path().join("objective.toml");
    let table = |name, reduction| {
        format!("[losses.{name}]\nloss = \"L1Loss\"\noptions = {{ reduction = \"{reduction}\" }}\n")
    };
    fs::write(&objective, table("total", "sum") + &table("mean", "mean"))?;
    let objective = objective.display().to_string();
    let (fake, real) = (&paths[0], &paths[1]);
    let output = run(&[
        "compare",
        "--fake",
        fake,
        "--real",
        real,
        "--objective",
        &objective,
        "--range",
        "unit",
        "--json",
    ])?;
    ensure!(output.code == Some(0), "{}", output.stderr);
    let found: Value = serde_json::from_str(&output.stdout)?;
    // Whole numbers below 2^24, which f32 adds exactly.
    let value = |name: &str| found["losses"][name]["value"].as_f64();
    assert_eq!(value("total"), Some(f64::from(width * height * 3)), "{found}");
    assert_eq!(value("mean"), Some(1.0), "{found}");
    Ok(())
}
