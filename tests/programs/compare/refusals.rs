//! Files, folders and options that do not fit.

use super::*;

fn float_tiff() -> Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let image = image::Rgb32FImage::new(2, 2);
    image::DynamicImage::from(image).write_to(&mut file, ImageFormat::Tiff)?;
    Ok(file.into_inner())
}

#[test]
fn unusable_images_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let read = |name: &str| fs::read(fixtures().join(name));
    let (png, jpeg) = (read("rgb8.png")?, read("rgb.jpg")?);
    // The frame header: marker, length, 8 bits, then height and width.
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).context("a baseline JPEG")?;
    let mut huge = jpeg.clone();
    huge[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let mut flipped = png.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let lossless = read("rgb.webp")?;
    // Width and height follow the header's length.
    let mut bmp_without_pixels = read("rgb.bmp")?;
    bmp_without_pixels[18..26].fill(0);
    let cases: [(&str, &[u8], &str); 24] = [
        ("empty.png", b"", "is an empty file"),
        ("text.png", b"Not an image, whatever its name says.", "is not an image, it looks like Plain Text"),
        ("page.png", b"<!doctype html><html></html>", "is not an image, it looks like HyperText Markup"),
        ("binary.png", &[7; 90], "is not an image: PNG, JPEG, WebP, TIFF and BMP are read"),
        ("animation.png", b"GIF89a\x01\0\x01\0\0\0\0;", "is a picture in GIF format, convert it: PNG, JPEG"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "in HEIC format"),
        ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "in AVIF format"),
        ("a.jxl", b"\xff\x0a\x10\x10", "in JXL format"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "in JP2 format"),
        ("a.ppm", b"P6\n1 1\n255\n...", "in PPM format"),
        ("a.tga", b"\0\0\x02\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x18\0...", "in TGA format"),
        ("a.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "in SVG format"),
        ("half.png", &png[..middle], "is not whole, its end is missing"),
        ("start.png", &png[..8], "is not whole, its end is missing"),
        ("flipped.png", &flipped, "cannot decode"),
        ("half.jpg", &jpeg[..jpeg.len() / 2], "is not whole, its end is missing"),
        ("endless.jpg", &jpeg[..jpeg.len() - 2], "is not whole, its end is missing"),
        ("half.webp", &lossless[..lossless.len() / 2], "cannot decode"),
        ("half.tif", &read("rgb.tif")?[..900], "is not whole, its end is missing"),
        ("half.bmp", &read("rgb.bmp")?[..700], "is not whole, its end is missing"),
        ("start.bmp", b"BM", "is not whole, its end is missing"),
        ("flat.bmp", &bmp_without_pixels, "flat.bmp"),
        ("float.tif", &float_tiff()?, "floating-point samples: convert it to 8 or 16 bits"),
        (
            "huge.jpg",
            &huge,
            "65500 x 65500 pixels, more than the 33554432 of --max-pixels: crop or reduce it, or raise",
        ),
    ];
    for (name, bytes, problem) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        let path = path.to_str().context("path")?;
        assert_fails(&["--fake", path, "--real", "real.png"], &[path, problem])?;
    }
    let path = folder.path().join("text.png");
    let path = path.to_str().context("path")?;
    assert_fails(&["--fake", "real.png", "--real", path, "--json"], &[path, "is not an image"])?;
    assert_fails(&["--fake", "nowhere.png", "--real", "real.png"], &["nowhere.png", "No such file"])?;
    let folder_and_file = "--fake . is a folder, --real real.png is none: name two images or two folders";
    assert_fails(&["--fake", ".", "--real", "real.png"], &[folder_and_file])
}

#[test]
fn the_limit_of_pixels_can_be_moved() -> Result<()> {
    let pair = ["--fake", "rgb8.png", "--real", "real.png"];
    let refusal = ["rgb8.png has 23 x 19 pixels", "more than the 436 of --max-pixels"];
    assert_fails(&[&pair[..], &["--max-pixels", "436"]].concat(), &refusal)?;
    for limit in ["437", "18446744073709551615"] {
        compare("rgb8.png", "real.png", &["--max-pixels", limit])?;
    }
    let help = run(&["compare", "--help"])?.stdout;
    assert!(help.contains("--max-pixels <N>") && help.contains("[default: 33554432]"), "{help}");
    Ok(())
}

#[test]
fn images_of_different_sizes_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("other.png");
    RgbImage::new(19, 23).save(&path)?;
    let path = path.to_str().context("path")?;
    assert_fails(&["--fake", "rgb8.png", "--real", path], &["rgb8.png", path, "23 x 19", "19 x 23"])
}

#[test]
fn unusable_weights_are_named() -> Result<()> {
    let fails = |weights, problem| {
        assert_fails(
            &["--fake", "rgb8.png", "--real", "real.png", "--vgg", weights],
            &["--vgg", weights, problem],
        )
    };
    fails("nowhere.safetensors", "No such file")?;
    fails("rgb8.png", "it is a PNG picture")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("other.safetensors");
    Tensor::write_safetensors(&[("something.weight", Tensor::from(1.0f32))], &path)?;
    fails(path.to_str().context("path")?, "features.0.weight")
}

#[test]
fn maps_that_cannot_be_written_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "in the way")?;
    let fails = |directory: &Path, named: &Path| {
        let (directory, named) = (directory.to_str().context("path")?, named.to_str().context("path")?);
        assert_fails(&["--fake", "rgb8.png", "--real", "real.png", "--maps", directory], &["--maps", named])
    };
    fails(&file, &file)?;
    fails(&file.join("below"), &file.join("below"))?;
    let taken = folder.path().join("maps");
    fs::create_dir_all(taken.join("l1.png"))?;
    fails(&taken, &taken.join("l1.png"))?;
    assert_eq!(names(&taken)?, ["l1.png"], "nothing half done is left");
    Ok(())
}

#[test]
fn maps_replace_no_picture_that_is_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let fake = folder.path().join("l1.png");
    let below = folder.path().join("maps/l1");
    fs::create_dir_all(&below)?;
    fs::copy(fixtures().join("rgb8.png"), &fake)?;
    fs::copy(fixtures().join("real.png"), below.join("l1.png"))?;
    let before = fs::read(&fake)?;
    let text = |path: &Path| path.to_str().context("path").map(str::to_owned);
    let maps = text(folder.path())?;
    assert_fails(
        &["--fake", &text(&fake)?, "--real", "real.png", "--maps", &maps],
        &["--maps: ", "l1.png is one of the pictures that are read"],
    )?;
    // Of folders, each pair has a folder of its own, which may be one of those that are read.
    let (maps, below) = (text(&folder.path().join("maps"))?, text(&below)?);
    assert_fails(
        &["--fake", &text(folder.path())?, "--real", &below, "--maps", &maps],
        &["--maps: ", "l1.png is one of the pictures that are read"],
    )?;
    assert_eq!(fs::read(&fake)?, before);
    assert_eq!(names(folder.path())?, ["l1.png", "maps"]);
    Ok(())
}

#[test]
fn cuda_is_used_or_refused() -> Result<()> {
    if tch::Cuda::is_available() {
        let output = compare("rgb8.png", "real.png", &["--device", "cuda", "--json"])?;
        let found: Values = serde_json::from_str(&output.stdout)?;
        assert_values("cuda", &found, &expected()?["rgb8.png"]["signed"], 1e-5);
        Ok(())
    } else {
        assert_fails(
            &["--fake", "rgb8.png", "--real", "real.png", "--device", "cuda"],
            &["CUDA", "--device cpu"],
        )
    }
}

#[test]
fn wrong_usage_exits_with_2() -> Result<()> {
    let wrong: [&[&str]; 6] = [
        &[],
        &["contrast"],
        &["compare", "--fake", "rgb8.png"],
        &["compare", "--fake", "rgb8.png", "--real", "real.png", "--range", "0,1"],
        &["compare", "--fake", "rgb8.png", "--real", "real.png", "--device", "tpu"],
        &["compare", "rgb8.png", "real.png"],
    ];
    for arguments in wrong {
        let output = run(arguments)?;
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(output.stderr.contains("--help"), "{}", output.stderr);
    }
    let help = run(&["compare", "--help"])?;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for option in ["--fake", "--real", "--vgg", "--range", "--device", "--json", "--maps"] {
        assert!(help.stdout.contains(option), "{option} is not explained");
    }
    Ok(())
}

#[test]
fn a_reader_that_has_gone_is_no_error() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = tch_losses(&["compare", "--fake", "rgb8.png", "--real", "real.png"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()?;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok(())
}
