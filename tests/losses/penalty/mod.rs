//! Penalties of GANs.

mod discriminators;
mod gradient;
mod orthogonal;
mod path_length;
mod refusals;
mod slopes;

use tch::{Kind, Tensor};

use crate::common::noise;
use crate::support::leaf;

/// A discriminator that bends everywhere, of images `[N, C, H, W]`, with a map of patches: three sets of parameters.
pub struct Bent {
    pub parameters: [Tensor; 3],
}

impl Bent {
    pub fn new(seed: i64, channels: i64) -> Bent {
        let shapes = [vec![3, channels, 2, 2], vec![3], vec![1, 3, 1, 1]];
        let parameter =
            |index: usize| leaf(&(noise(seed + index as i64, &shapes[index], Kind::Double) * 2.0));
        Bent { parameters: [0, 1, 2].map(parameter) }
    }

    /// The same with another set of parameters at one place.
    pub fn with(&self, index: usize, parameter: &Tensor) -> Bent {
        let mut parameters = self.parameters.each_ref().map(Tensor::shallow_clone);
        parameters[index] = parameter.shallow_clone();
        Bent { parameters }
    }

    pub fn forward(&self, images: &Tensor) -> Tensor {
        let [first, bias, second] = &self.parameters;
        let hidden = images.conv2d(first, Some(bias), [1, 1], [0, 0], [1, 1], 1);
        hidden.tanh().conv2d::<Tensor>(second, None, [1, 1], [0, 0], [1, 1], 1)
    }
}
