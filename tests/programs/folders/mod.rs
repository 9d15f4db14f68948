//! `compare` with many pairs: two folders, and strips.

mod strips;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use image::RgbImage;
use serde_json::Value;
use tch_losses::visual::image;
use tempfile::TempDir;

use crate::compare::{assert_values, expected, fixtures, names, run, Output, Values};

/// Fake pictures of the fixtures. PyTorch's values of them are those of `cli.json`.
const FAKES: [&str; 3] = ["grey8.png", "rgb16.png", "rgb8.png"];
/// See `values_of_lossless_files_are_those_of_pytorch`.
const TOLERANCE: f64 = 1e-5;

/// The folders `fake` and `real`, with a pair for each fake picture.
fn folders() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let (fake, real) = (folder.path().join("fake"), folder.path().join("real"));
    fs::create_dir(&fake)?;
    fs::create_dir(&real)?;
    for name in FAKES {
        fs::copy(fixtures().join(name), fake.join(name))?;
        // The ending may be another one.
        image::open(fixtures().join("real.png"))?.save(real.join(name).with_extension("BMP"))?;
    }
    Ok(folder)
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn compare(folder: &TempDir, more: &[&str]) -> Result<Output> {
    let (fake, real) = (path(folder, "fake"), path(folder, "real"));
    run(&[&["compare", "--fake", &fake, "--real", &real], more].concat())
}

fn json(output: &Output) -> Result<Value> {
    ensure!(output.code == Some(0), "{:?} {}", output.code, output.stderr);
    Ok(serde_json::from_str(&output.stdout)?)
}

/// Of the pairs, and what PyTorch says of each.
fn assert_pairs(pairs: &Value) -> Result<BTreeMap<String, Values>> {
    let mut all = BTreeMap::new();
    let expected = expected()?;
    let pairs = pairs.as_array().context("a list of pairs")?;
    assert_eq!(pairs.len(), FAKES.len());
    for (pair, file) in pairs.iter().zip(FAKES) {
        let stem = file.strip_suffix(".png").context("PNG")?;
        assert_eq!(pair["pair"], stem);
        let found: Values = serde_json::from_value(pair["losses"].clone())?;
        assert_eq!(found.len(), 4);
        assert_values(file, &found, &expected[file]["signed"], TOLERANCE);
        all.insert(stem.to_owned(), found);
    }
    Ok(all)
}

#[test]
fn folders_are_compared_pair_by_pair() -> Result<()> {
    let folder = folders()?;
    let output = compare(&folder, &["--json"])?;
    assert_eq!(output.stderr, "");
    let whole = json(&output)?;
    let pairs = assert_pairs(&whole["pairs"])?;
    for loss in ["l1", "mse", "sobel", "laplacian"] {
        let values: Vec<f64> = pairs.values().map(|values| values[loss]).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let found = &whole["losses"][loss];
        assert!((found["mean"].as_f64().unwrap() - mean).abs() <= 1e-12 * mean, "{found}");
        assert_eq!(found["worst"]["value"], values.iter().copied().fold(0.0, f64::max));
        // In `cli.json`, each of its losses is the largest by some percent.
        assert_eq!(found["worst"]["pair"], "grey8");
    }
    assert!(whole.get("total").is_none());
    Ok(())
}

#[test]
fn a_table_ends_with_mean_and_worst() -> Result<()> {
    let folder = folders()?;
    let output = compare(&folder, &["--losses", "sobel,l1"])?;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let parts: Vec<&str> = output.stdout.split("\n\n").collect();
    let [head, pairs, losses] = parts[..] else { panic!("three parts: {}", output.stdout) };
    let (fake, real) = (path(&folder, "fake"), path(&folder, "real"));
    let expected =
        format!("fake       {fake}\nreal       {real}\npairs      3\nrange      -1 to 1\ndevice     CPU");
    assert_eq!(head, expected);
    let cells = |part: &str| -> Vec<Vec<String>> {
        part.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let (pairs, losses) = (cells(pairs), cells(losses));
    let first = |lines: &[Vec<String>]| lines.iter().map(|line| line[0].clone()).collect::<Vec<_>>();
    assert_eq!(pairs[0], ["pair", "sobel", "l1"]);
    assert_eq!(first(&pairs), ["pair", "grey8", "rgb16", "rgb8"]);
    assert_eq!(losses[0], ["loss", "mean", "worst", "of"]);
    assert_eq!(first(&losses), ["loss", "sobel", "l1"]);
    // PyTorch's of `cli.json`.
    let number = |text: &str| text.parse::<f64>().unwrap();
    for (cell, right) in [(&pairs[1][1], 0.609749), (&pairs[3][2], 0.370440), (&losses[1][2], 0.609749)] {
        assert!((number(cell) - right).abs() < 2e-5, "{cell}, PyTorch has {right}");
    }
    assert!((number(&losses[2][1]) - (0.407227 + 0.370457 + 0.370440) / 3.0).abs() < 2e-5);
    assert_eq!(losses[1][3], "grey8");
    Ok(())
}

/// As a reader of CSV sees it, with the digits of JSON.
#[test]
fn csv_has_a_line_for_each_pair() -> Result<()> {
    let folder = folders()?;
    // A name that has to be quoted.
    let odd = "a, \"b\"";
    fs::rename(folder.path().join("fake/rgb8.png"), folder.path().join(format!("fake/{odd}.png")))?;
    fs::rename(folder.path().join("real/rgb8.BMP"), folder.path().join(format!("real/{odd}.BMP")))?;
    let (csv, json) = (compare(&folder, &["--csv"])?, json(&compare(&folder, &["--json"])?)?);
    assert_eq!((csv.code, csv.stderr.as_str()), (Some(0), ""));
    let mut reader = csv::Reader::from_reader(csv.stdout.as_bytes());
    assert_eq!(reader.headers()?, vec!["pair", "l1", "mse", "sobel", "laplacian"]);
    let records = reader.records().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(records.len(), 3);
    for (record, pair) in records.iter().zip(json["pairs"].as_array().context("pairs")?) {
        assert_eq!(record[0], *pair["pair"].as_str().context("a name")?);
        for (place, loss) in ["l1", "mse", "sobel", "laplacian"].into_iter().enumerate() {
            assert_eq!(record[place + 1].parse::<f64>()?, pair["losses"][loss], "{loss}");
        }
    }
    assert_eq!(records[0][0], *odd);

    // Of two images, one line.
    let output = run(&["compare", "--fake", "rgb8.png", "--real", "real.png", "--csv", "--losses", "l1"])?;
    assert!(output.stdout.starts_with("pair,l1\nrgb8,0.3704"), "{}", output.stdout);
    Ok(())
}

#[test]
fn an_objective_has_totals() -> Result<()> {
    let folder = folders()?;
    let file = path(&folder, "objective.toml");
    fs::write(
        &file,
        "[losses]\nL1 = { loss = 'L1Loss', weight = 100 }\nS = { loss = 'Sobel', weight = 10 }\n",
    )?;
    let output = compare(&folder, &["--objective", &file, "--json"])?;
    let whole = json(&output)?;
    let expected = expected()?;
    let right =
        |file: &str| 100.0 * expected[file]["signed"]["l1"] + 10.0 * expected[file]["signed"]["sobel"];
    let close = |found: &Value, right: f64| {
        let found = found.as_f64().unwrap();
        assert!((found - right).abs() <= TOLERANCE * right, "{found}, PyTorch has {right}");
    };
    for (pair, file) in whole["pairs"].as_array().context("pairs")?.iter().zip(FAKES) {
        close(&pair["total"], right(file));
        close(&pair["losses"]["S"]["weighted"], 10.0 * expected[file]["signed"]["sobel"]);
    }
    close(&whole["total"]["mean"], FAKES.iter().map(|file| right(file)).sum::<f64>() / 3.0);
    close(&whole["total"]["worst"]["value"], right("grey8.png"));
    assert_eq!(whole["total"]["worst"]["pair"], "grey8");
    assert_eq!(whole["losses"]["L1"]["weight"], 100.0);

    let csv = compare(&folder, &["--objective", &file, "--csv"])?.stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "pair,L1,S,total");
    let totals: Vec<f64> =
        lines[1..].iter().map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert!(totals
        .iter()
        .zip(whole["pairs"].as_array().unwrap())
        .all(|(total, pair)| *total == pair["total"]));
    let table = compare(&folder, &["--objective", &file])?.stdout;
    assert!(table.contains("\nloss       weight    mean ") && table.contains("\ntotal "), "{table}");
    Ok(())
}

/// Compared is what has a partner; the rest is named.
#[test]
fn files_without_a_partner_are_named() -> Result<()> {
    let folder = folders()?;
    for name in ["fake/alone.png", "real/other.jpeg", "real/third.tif"] {
        fs::write(folder.path().join(name), "never read")?;
    }
    fs::write(folder.path().join("fake/losses.csv"), "l1\n")?;
    fs::write(folder.path().join("fake/.DS_Store"), "")?;
    fs::create_dir(folder.path().join("real/folder.png"))?;
    let output = compare(&folder, &["--json"])?;
    assert_pairs(&json(&output)?["pairs"])?;
    let (fake, real) = (path(&folder, "fake"), path(&folder, "real"));
    let expected = format!(
        "tch-losses: left out of {fake}, as no images by their endings: losses.csv\n\
         tch-losses: left out: 1 image of {fake} has no image of the same name in {real}: alone.png\n\
         tch-losses: left out: 2 images of {real} have no image of the same name in {fake}: other.jpeg, third.tif\n"
    );
    assert_eq!(output.stderr, expected);
    Ok(())
}

/// What can be compared is printed all the same, and the exit code says that it is not all.
#[test]
fn pairs_that_cannot_be_compared_are_named() -> Result<()> {
    let folder = folders()?;
    fs::write(folder.path().join("fake/broken.png"), "no image")?;
    fs::write(folder.path().join("real/broken.png"), "no image")?;
    RgbImage::new(4, 4).save(folder.path().join("fake/small.png"))?;
    RgbImage::new(5, 4).save(folder.path().join("real/small.png"))?;
    let output = compare(&folder, &["--json"])?;
    assert_eq!(output.code, Some(1));
    let whole: Value = serde_json::from_str(&output.stdout)?;
    assert_pairs(&whole["pairs"])?;
    let told: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(told.len(), 3, "{}", output.stderr);
    assert!(told[0].contains("left out: ") && told[0].contains("broken.png is not an image"), "{}", told[0]);
    assert!(told[1].contains("small.png differ in size, 4 x 4 and 5 x 4 pixels"), "{}", told[1]);
    assert_eq!(told[2], "tch-losses: 2 of 5 pairs could not be compared");

    for name in FAKES {
        fs::remove_file(folder.path().join("fake").join(name))?;
    }
    let output = compare(&folder, &[])?;
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(
        output.stderr.ends_with("tch-losses: none of the 2 pairs could be compared\n"),
        "{}",
        output.stderr
    );
    Ok(())
}

#[test]
fn unusable_folders_are_named() -> Result<()> {
    let fails = |folder: &TempDir, parts: &[&str]| -> Result<()> {
        let output = compare(folder, &[])?;
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(parts.iter().all(|part| output.stderr.contains(part)), "{}", output.stderr);
        Ok(())
    };
    let twins = folders()?;
    fs::copy(fixtures().join("real.png"), twins.path().join("fake/rgb8.tif"))?;
    fails(&twins, &["rgb8.png, rgb8.tif have the same name but for their endings"])?;

    let strangers = folders()?;
    for name in names(&strangers.path().join("real"))? {
        fs::rename(
            strangers.path().join("real").join(&name),
            strangers.path().join(format!("real/x{name}")),
        )?;
    }
    fails(
        &strangers,
        &["no image of", "the first has grey8.png, rgb16.png, rgb8.png, the second xgrey8.BMP, "],
    )?;

    let empty = tempfile::tempdir()?;
    fs::create_dir(empty.path().join("fake"))?;
    fs::create_dir(empty.path().join("real"))?;
    fails(&empty, &["fake has no images", ".png, .jpg", "not looked into"])?;

    let (folder, file) = (path(&twins, "fake"), "real.png");
    for (fake, real) in [(&*folder, file), (file, &*folder)] {
        let output = run(&["compare", "--fake", fake, "--real", real])?;
        assert_eq!(output.code, Some(1));
        assert!(output.stderr.contains("name two images or two folders"), "{}", output.stderr);
    }
    Ok(())
}

/// A loss that refuses one pair is left out of all, so that all means are of the same pairs.
#[test]
fn of_all_losses_those_that_refuse_a_pair_are_left_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, side) in [("big", 176), ("small", 8)] {
        for (kind, offset) in [("fake", 0), ("real", 40)] {
            let picture = RgbImage::from_fn(side, side, |x, y| image::Rgb([(x * y) as u8 / 2 + offset; 3]));
            fs::create_dir_all(folder.path().join(kind))?;
            picture.save(folder.path().join(format!("{kind}/{name}.png")))?;
        }
    }
    let output = compare(&folder, &["--losses", "all", "--range", "unit", "--json"])?;
    let whole = json(&output)?;
    let told = format!("tch-losses: left out: VifLoss of all pairs, for {}", path(&folder, "fake/small.png"));
    assert!(output.stderr.contains(&told), "{}", output.stderr);
    for pair in whole["pairs"].as_array().context("pairs")? {
        let losses = pair["losses"].as_object().context("losses")?;
        assert!(losses.contains_key("l1") && !losses.contains_key("VifLoss"), "{losses:?}");
        assert!(losses.keys().eq(whole["losses"].as_object().unwrap().keys()));
    }
    Ok(())
}

#[test]
fn each_pair_has_its_own_maps() -> Result<()> {
    let folder = folders()?;
    let maps = path(&folder, "maps");
    let output = compare(&folder, &["--losses", "l1,PsnrLoss", "--maps", &maps])?;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(names(Path::new(&maps))?, ["grey8", "rgb16", "rgb8"]);
    assert_eq!(names(&Path::new(&maps).join("rgb8"))?, ["l1.png"]);
    assert_eq!(output.stderr.matches("PsnrLoss has no map").count(), 1, "{}", output.stderr);
    Ok(())
}

#[test]
fn wrong_usage_exits_with_2() -> Result<()> {
    let wrong: [&[&str]; 7] = [
        &["--strips", "rgb8.png", "--fake", "rgb8.png"],
        &["--strips", "rgb8.png", "--order", "fake"],
        &["--strips", "rgb8.png", "--order", "fake,real,real"],
        &["--strips", "rgb8.png", "--order", ""],
        &["--fake", "rgb8.png", "--real", "real.png", "--order", "real,fake"],
        &["--fake", "rgb8.png", "--real", "real.png", "--csv", "--json"],
        &["--real", "real.png"],
    ];
    for arguments in wrong {
        let output = run(&[&["compare"], arguments].concat())?;
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    Ok(())
}
