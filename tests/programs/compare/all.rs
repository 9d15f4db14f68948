//! All losses of the catalogue that compare two images.

use super::*;

/// The values that sample.json has are those of the libraries that the losses come from.
#[test]
fn all_losses_of_two_images_give_what_their_references_give() -> Result<()> {
    let expected: Values =
        serde_json::from_str(&fs::read_to_string(fixtures().with_file_name("sample.json"))?)?;
    let found = |more: &[&str]| -> Result<Values> {
        let output = compare(SAMPLE.0, SAMPLE.1, &[&["--json", "--losses", "all"], more].concat())?;
        assert_eq!(output.stderr, "");
        Ok(serde_json::from_str(&output.stdout)?)
    };
    let (unit, signed) = (found(&["--range", "unit"])?, found(&[])?);
    for (name, expected) in &expected {
        let close = |found: f64| (found - expected).abs() <= 2e-4 * expected;
        assert!(close(unit[name]), "{name}: {}, the reference has {expected}", unit[name]);
        // Losses that ask for the range get it told.
        let knows_range = LossSpec::named(name)?.data_range().is_some();
        assert!(
            !knows_range || close(signed[name]),
            "{name}: {}, with values from 0 to 1 {expected}",
            signed[name]
        );
    }
    assert!(unit.keys().eq(signed.keys()) && expected.len() >= 17);
    // All of them compare images.
    let families = ["pixel", "edge", "structure", "similarity", "frequency"];
    for name in unit.keys().filter(|name| !["l1", "mse", "sobel", "laplacian"].contains(&name.as_str())) {
        assert!(families.contains(&LossSpec::named(name)?.family()), "{name}");
    }
    // Its second tensor is a weight for each pixel, which the real image is not.
    assert!(!unit.contains_key("WeightedTotalVariationLoss"));
    Ok(())
}

#[test]
fn all_losses_with_a_map_have_a_picture() -> Result<()> {
    // Means of products, sums of spectra, and the like: there is no place where they come from.
    let without = [
        "PsnrLoss",
        "MultiScaleSsimLoss",
        "VifLoss",
        "InformationWeightedSsimLoss",
        "DssLoss",
        "FocalFrequencyLoss",
        "FftLoss",
    ];
    let folder = tempfile::tempdir()?;
    let maps = folder.path().to_str().context("path")?;
    let output = compare(SAMPLE.0, SAMPLE.1, &["--json", "--losses", "all", "--maps", maps])?;
    let found: Values = serde_json::from_str(&output.stdout)?;
    for name in found.keys() {
        let has_none = output.stderr.contains(&format!("tch-losses: {name} has no map: no picture"));
        let has_picture = folder.path().join(format!("{name}.png")).exists();
        assert_eq!((has_none, has_picture), (without.contains(&name.as_str()), !has_none), "{name}");
    }
    assert_eq!(names(folder.path())?.len(), found.len() - without.len());
    Ok(())
}

#[test]
fn of_all_losses_those_that_refuse_the_images_are_left_out() -> Result<()> {
    let output = compare("rgb16.png", "real.png", &["--json", "--losses", "all"])?;
    let found: Values = serde_json::from_str(&output.stdout)?;
    assert!(found.contains_key("l1") && !found.contains_key("VifLoss"), "{found:?}");
    let told = "tch-losses: left out: VifLoss: `input` has shape [1, 3, 19, 23], expected [N, C, H, W] with H and W at least 41";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    // By name, that is an error.
    let named = ["--fake", "rgb16.png", "--real", "real.png", "--losses", "VifLoss"];
    assert_fails(&named, &["cannot compute VifLoss", "at least 41"])
}
