//! Discriminators of several scales.

use tch::nn::Path;
use tch::Tensor;

use crate::objective::Features;
use crate::shared::networks::{Norm, PatchGan};

/// PatchGANs that judge an image beside the input: the first as it is, each further one at half the size.
///
/// T.-C. Wang et al., [*High-Resolution Image Synthesis and Semantic Manipulation with Conditional
/// GANs*](https://arxiv.org/abs/1711.11585) (2018).
#[derive(Debug)]
pub struct Discriminator {
    scales: Vec<PatchGan>,
}

impl Discriminator {
    pub fn new(path: &Path, scales: u64, width: i64, norm: Norm) -> Discriminator {
        let scale = |index| PatchGan::new(&(path / format!("scale{index}")), 6, width, norm);
        Discriminator { scales: (0..scales).map(scale).collect() }
    }

    pub fn judge(&self, input: &Tensor, output: &Tensor) -> Features {
        let mut pair = Tensor::cat(&[input, output], 1);
        let mut features = Vec::new();
        for (index, scale) in self.scales.iter().enumerate() {
            if index > 0 {
                pair = pair.avg_pool2d([3, 3], [2, 2], [1, 1], false, false, None);
            }
            features.push(scale.features(&pair));
        }
        features
    }
}
