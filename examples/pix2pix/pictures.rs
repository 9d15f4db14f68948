//! Tensors as pictures.

use tch::{Kind, Tensor};
use tch_losses::visual::image::RgbImage;

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
