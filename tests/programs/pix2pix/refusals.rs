//! Data, options and objectives that do not fit.

use super::*;

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
    let hinge = HINGE;
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
