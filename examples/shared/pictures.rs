//! Pictures as tensors, and tensors as pictures.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Kind, Tensor};
use tch_losses::visual::image::metadata::Orientation;
use tch_losses::visual::image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};

/// What a file holds, before it is decoded, and how it has to be turned: cameras note that beside the pixels.
fn open(path: &Path) -> Result<(impl ImageDecoder, Orientation)> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    Ok((decoder, orientation))
}

/// Width and height, from the beginning of the file.
pub fn size(path: &Path) -> Result<(u32, u32)> {
    let (decoder, orientation) = open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (width, height) = decoder.dimensions();
    Ok(match orientation {
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
    })
}

/// `[3, H, W]`, -1 to 1.
pub fn decode(path: &Path) -> Result<Tensor> {
    let image = open(path).and_then(|(decoder, orientation)| {
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image.into_rgb8())
    });
    let image = image.with_context(|| format!("cannot read {}", path.display()))?;
    let (width, height) = image.dimensions();
    let rows = Tensor::from_slice(image.as_raw()).view([i64::from(height), i64::from(width), 3]);
    Ok(rows.permute([2, 0, 1]).to_kind(Kind::Float) / 127.5 - 1.0)
}

/// `[3, H, W]` to a square, as Pillow's bicubic filter does it.
pub fn resize(image: &Tensor, size: i64) -> Tensor {
    if image.size()[1..] == [size, size] {
        return image.shallow_clone();
    }
    let resized = image.unsqueeze(0).internal_upsample_bicubic2d_aa([size, size], false, None, None);
    resized.squeeze_dim(0).clamp(-1.0, 1.0)
}

/// `[3, H, W]`, -1 to 1.
pub fn to_picture(image: &Tensor) -> RgbImage {
    let bytes = ((image + 1.0) * 127.5)
        .round()
        .clamp(0.0, 255.0)
        .to_kind(Kind::Uint8)
        .permute([1, 2, 0])
        .contiguous();
    let [height, width] = [image.size()[1], image.size()[2]];
    let bytes = Vec::<u8>::try_from(bytes.view([-1])).expect("a row of bytes");
    RgbImage::from_raw(width as u32, height as u32, bytes).expect("three bytes for each pixel")
}

/// Rows of images side by side, with a line of white between.
pub fn strip(columns: &[&Tensor]) -> RgbImage {
    let white = |image: &Tensor, dim: i64| {
        let mut size = image.size();
        size[dim as usize] = 4;
        Tensor::ones(size, (image.kind(), image.device()))
    };
    let joined = |images: Vec<Tensor>, dim| {
        let gap = white(&images[0], dim);
        let spaced: Vec<Tensor> =
            images.into_iter().flat_map(|image| [gap.shallow_clone(), image]).skip(1).collect();
        Tensor::cat(&spaced, dim)
    };
    let rows = (0..columns[0].size()[0])
        .map(|row| joined(columns.iter().map(|images| images.get(row)).collect(), 2))
        .collect();
    to_picture(&joined(rows, 1))
}
