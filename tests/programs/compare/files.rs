//! Files as they come: turned, misnamed, with something after their end.

use super::*;

#[test]
fn the_content_decides_not_the_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (png, jpeg) = (folder.path().join("a.jpg"), folder.path().join("b"));
    fs::copy(fixtures().join("rgb8.png"), &png)?;
    fs::copy(fixtures().join("rgb.jpg"), &jpeg)?;
    let renamed = compare(png.to_str().context("path")?, jpeg.to_str().context("path")?, &["--json"])?;
    assert_eq!(renamed.stdout, compare("rgb8.png", "rgb.jpg", &["--json"])?.stdout);
    Ok(())
}

/// What the eight values of the EXIF tag mean for where a pixel of the upright picture is stored: its first row
/// is the top (1, 2), the bottom (3, 4), the left (5, 8) or the right side (6, 7) and so on, as the standard says.
#[test]
fn exif_orientations_are_applied() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (turned, upright) = (folder.path().join("turned.jpg"), folder.path().join("upright.png"));
    let jpeg = fs::read(fixtures().join("rgb.jpg"))?;
    let stored = image::load_from_memory(&jpeg)?.into_rgb8();
    let (right, bottom) = (stored.width() - 1, stored.height() - 1);
    for orientation in 1..=8u8 {
        let place = |x: u32, y: u32| match orientation {
            1 => (x, y),
            2 => (right - x, y),
            3 => (right - x, bottom - y),
            4 => (x, bottom - y),
            5 => (y, x),
            6 => (y, bottom - x),
            7 => (right - y, bottom - x),
            _ => (right - y, x),
        };
        let (width, height) = if orientation < 5 { (right + 1, bottom + 1) } else { (bottom + 1, right + 1) };
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = place(x, y);
            *stored.get_pixel(x, y)
        });
        picture.save(&upright)?;
        // A TIFF of one tag: 0x112, of one 16-bit number.
        let exif = [
            b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0",
            &[orientation][..],
            b"\0\0\0\0\0\0",
        ];
        fs::write(&turned, [&jpeg[..2], &exif.concat(), &jpeg[2..]].concat())?;
        let [turned, upright] = [&turned, &upright].map(|path| path.to_str().expect("a path in Unicode"));
        let output = compare(turned, upright, &["--json"])?;
        let values: Values = serde_json::from_str(&output.stdout)?;
        assert!(values.values().all(|value| *value == 0.0), "{orientation}: {values:?}");
        assert_eq!(output.stderr.contains(TURNED), orientation > 1, "{orientation}: {}", output.stderr);
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn control_characters_of_file_names_are_escaped() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a\u{1b}[31m\n.png");
    fs::copy(fixtures().join("rgb8_alpha.png"), &path)?;
    let path = path.to_str().context("path")?;
    let output = compare(path, "real.png", &["--maps", &format!("{path}.maps")])?;
    assert!(output.stdout.contains(r"a\u{1b}[31m\n.png"), "{}", output.stdout);
    assert_eq!(output.stderr.matches(r"a\u{1b}[31m\n.png").count(), 5, "{}", output.stderr);
    assert!(!(output.stdout + &output.stderr).contains('\u{1b}'));
    fs::write(path, "Not an image.")?;
    assert_fails(&["--fake", path, "--real", "real.png"], &[r"a\u{1b}[31m\n.png is not an image"])?;
    assert_fails(
        &["--fake", &format!("{path}2"), "--real", "real.png"],
        &[r"cannot read", r"a\u{1b}[31m\n.png2"],
    )
}

/// Cameras append previews and videos to the image proper, and put thumbnails into it.
#[test]
fn jpeg_with_something_after_its_end_is_whole() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("appended.jpg");
    let jpeg = fs::read(fixtures().join("rgb.jpg"))?;
    fs::write(&path, [&jpeg[..], b"\xff\xd8\xff\xda and so on"].concat())?;
    let output = compare(path.to_str().context("path")?, "rgb.jpg", &["--json"])?;
    assert!(output.stdout.contains(r#""l1":0.0,"#), "{}", output.stdout);

    // A thumbnail's end marker is not that of the image.
    let thumbnail = [b"\xff\xe1\x00\x06\xff\xd9..", &jpeg[2..jpeg.len() / 2]].concat();
    fs::write(&path, [&jpeg[..2], &thumbnail].concat())?;
    assert_fails(&["--fake", path.to_str().context("path")?, "--real", "rgb.jpg"], &["end is missing"])
}
