//! Random parts of images.

use fastrand::Rng;
use tch::Tensor;

use super::pictures::resize;
use super::training::Training;

/// Resizes images to the load size, and takes the same crop of all of them, mirrored or not.
pub fn crop<const N: usize>(training: &Training, images: [Tensor; N], chance: &mut Rng) -> [Tensor; N] {
    let Training { load_size, crop_size, flip, .. } = *training;
    let [top, left] = [(); 2].map(|()| chance.i64(0..=load_size - crop_size));
    let flip = flip && chance.bool();
    images.map(|image| {
        let crop = resize(&image, load_size).narrow(1, top, crop_size).narrow(2, left, crop_size);
        if flip {
            crop.flip([2])
        } else {
            crop
        }
    })
}
