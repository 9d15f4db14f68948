//! Images that have both pictures side by side.

use super::*;

/// Pictures side by side.
fn strip(parts: &[&str]) -> Result<image::DynamicImage> {
    let parts = parts.iter().map(|name| Ok(image::open(fixtures().join(name))?.into_rgb16()));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let (width, height) = parts[0].dimensions();
    let mut strip = image::ImageBuffer::new(width * parts.len() as u32, height);
    for (number, part) in parts.iter().enumerate() {
        image::imageops::replace(&mut strip, part, i64::from(width) * number as i64, 0);
    }
    Ok(image::DynamicImage::ImageRgb16(strip))
}

#[test]
fn parts_of_strips_are_compared() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in FAKES {
        strip(&[name, "real.png"])?.save(folder.path().join(name))?;
    }
    let (all, one) = (path(&folder, ""), path(&folder, "rgb16.png"));
    let output = run(&["compare", "--strips", &all, "--json"])?;
    assert_eq!(output.stderr, "");
    assert_pairs(&json(&output)?["pairs"])?;
    // Eight bits, and more parts than two.
    let eight = strip(&["palette.png", "real.png", "grey1.png", "rgb8.png"])?.into_rgb8();
    let file = path(&folder, "eight.png");
    eight.save(&file)?;
    for (strip, order, fake) in [
        (&one, "fake,real", "rgb16.png"),
        (&file, "input, real, -,fake", "rgb8.png"),
        (&file, "fake,real,x,y", "palette.png"),
    ] {
        let found: Values = serde_json::from_value(json(&run(&[
            "compare", "--strips", strip, "--order", order, "--json",
        ])?)?)?;
        assert_values(fake, &found, &expected()?[fake]["signed"], TOLERANCE);
    }
    let output = run(&["compare", "--strips", &one])?;
    assert!(
        output
            .stdout
            .starts_with(&format!("strips     {one}\nparts      fake, real\nsize       23 x 19 pixels\n")),
        "{}",
        output.stdout
    );
    Ok(())
}

#[test]
fn strips_cut_in_the_wrong_place_are_doubted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = path(&folder, "strip.png");
    RgbImage::new(24, 8).save(&file)?;
    let output = run(&["compare", "--strips", &file, "--json"])?;
    let told =
        format!("tch-losses: {file}: its 2 parts are 12 x 8 pixels; 3 parts would be square, see --order\n");
    assert_eq!((output.code, output.stderr), (Some(0), told));
    let output = run(&["compare", "--strips", &file, "--json", "--order", "input,fake,real"])?;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let output = run(&["compare", "--strips", &file, "--order", "a,b,c,fake,real"])?;
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(output.stderr.contains("is 24 pixels wide, which 5 equal parts are not"), "{}", output.stderr);
    Ok(())
}
