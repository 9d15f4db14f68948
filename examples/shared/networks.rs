//! The networks of pix2pix and CycleGAN: a U-Net that paints, a PatchGAN that judges.
//!
//! P. Isola, J.-Y. Zhu, T. Zhou, A. Efros, [*Image-to-Image Translation with Conditional Adversarial
//! Networks*](https://arxiv.org/abs/1611.07004) (2017).

use tch::nn::{self, ConvConfig, ConvTransposeConfig, Init, ModuleT, Path};
use tch::Tensor;

/// Makes the norm of a layer with so many channels.
pub type Norm = fn(Path<'_>, i64) -> Box<dyn ModuleT>;

/// What both networks start from.
const WEIGHTS: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// The channels in layer `depth`, which double up to eight times the width.
fn channels(width: i64, depth: i64) -> i64 {
    width << depth.min(3)
}

fn leaky_relu(x: &Tensor) -> Tensor {
    // The slope of tch's own `leaky_relu` is fixed at 0.01.
    x.prelu(&Tensor::full([1], 0.2, (x.kind(), x.device())))
}

/// A convolution with 4x4 kernels, normalised or not.
#[derive(Debug)]
struct Down {
    conv: nn::Conv2D,
    norm: Option<Box<dyn ModuleT>>,
}

impl Down {
    fn new(path: &Path, [from, to]: [i64; 2], stride: i64, norm: Option<Norm>) -> Down {
        // The norm takes a bias away again.
        let bias = norm.is_none();
        let config = ConvConfig { stride, padding: 1, bias, ws_init: WEIGHTS, ..Default::default() };
        let norm = norm.map(|norm| norm(path / "norm", to));
        Down { conv: nn::conv2d(path / "conv", from, to, 4, config), norm }
    }
}

impl ModuleT for Down {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let x = x.apply(&self.conv);
        self.norm.iter().fold(x, |x, norm| norm.forward_t(&x, train))
    }
}

/// A transposed convolution that doubles the size, perhaps with dropout.
#[derive(Debug)]
struct Up {
    conv: nn::ConvTranspose2D,
    norm: Box<dyn ModuleT>,
    dropout: bool,
}

impl Up {
    fn new(path: &Path, [from, to]: [i64; 2], norm: Norm, dropout: bool) -> Up {
        let config = up_config(false);
        Up {
            conv: nn::conv_transpose2d(path / "conv", from, to, 4, config),
            norm: norm(path / "norm", to),
            dropout,
        }
    }
}

impl ModuleT for Up {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let x = self.norm.forward_t(&x.apply(&self.conv), train);
        if self.dropout {
            x.dropout(0.5, train)
        } else {
            x
        }
    }
}

fn up_config(bias: bool) -> ConvTransposeConfig {
    ConvTransposeConfig { stride: 2, padding: 1, bias, ws_init: WEIGHTS, ..Default::default() }
}

/// The generator: halves the image `depth` times, doubles it as often, and hands what each size on the way
/// down has seen to the same size on the way up.
#[derive(Debug)]
pub struct UNet {
    downs: Vec<Down>,
    /// From the smallest to the largest.
    ups: Vec<Up>,
    last: nn::ConvTranspose2D,
}

impl UNet {
    /// Images are RGB; their sides must be multiples of 2^`depth`. `width` is the number of channels after
    /// the first layer. The first `dropouts` layers of the way up have dropout.
    pub fn new(path: &Path, width: i64, depth: i64, norm: Norm, dropouts: i64) -> UNet {
        let downs = (0..depth).map(|layer| {
            let from = if layer == 0 { 3 } else { channels(width, layer - 1) };
            // Neither the image nor the innermost layer, which may be a single pixel, is normalised.
            let norm = (layer > 0 && layer < depth - 1).then_some(norm);
            Down::new(&(path / format!("down{layer}")), [from, channels(width, layer)], 2, norm)
        });
        let ups = (1..depth).rev().map(|layer| {
            let innermost = layer == depth - 1;
            let from = channels(width, layer) * if innermost { 1 } else { 2 };
            let dropout = depth - 1 - layer < dropouts;
            Up::new(&(path / format!("up{layer}")), [from, channels(width, layer - 1)], norm, dropout)
        });
        UNet {
            downs: downs.collect(),
            ups: ups.collect(),
            last: nn::conv_transpose2d(path / "last", 2 * width, 3, 4, up_config(true)),
        }
    }
}

impl ModuleT for UNet {
    /// `[N, 3, H, W]` to the same, -1 to 1.
    fn forward_t(&self, image: &Tensor, train: bool) -> Tensor {
        let mut x = image.shallow_clone();
        let mut skips = Vec::new();
        for (layer, down) in self.downs.iter().enumerate() {
            x = down.forward_t(&if layer == 0 { x } else { leaky_relu(&x) }, train);
            skips.push(x.shallow_clone());
        }
        skips.pop();
        for up in &self.ups {
            x = up.forward_t(&x.relu(), train);
            x = Tensor::cat(&[skips.pop().as_ref().expect("one for each way up"), &x], 1);
        }
        x.relu().apply(&self.last).tanh()
    }
}

/// The discriminator: says of each overlapping patch of 70x70 pixels how real it looks.
#[derive(Debug)]
pub struct PatchGan {
    layers: Vec<Down>,
}

impl PatchGan {
    /// Images have so many `channels`, and sides of 32 or more. `width` is the number of channels after the first
    /// layer.
    pub fn new(path: &Path, channels: i64, width: i64, norm: Norm) -> PatchGan {
        let layer = |index: i64, channels, stride, norm| {
            Down::new(&(path / format!("layer{index}")), channels, stride, norm)
        };
        PatchGan {
            layers: vec![
                layer(0, [channels, width], 2, None),
                layer(1, [width, 2 * width], 2, Some(norm)),
                layer(2, [2 * width, 4 * width], 2, Some(norm)),
                layer(3, [4 * width, 8 * width], 1, Some(norm)),
                layer(4, [8 * width, 1], 1, None),
            ],
        }
    }

    /// What each layer gives, of which the last is one output for each patch, `[N, 1, h, w]`.
    pub fn features(&self, image: &Tensor) -> Vec<Tensor> {
        let mut x = image.shallow_clone();
        let activated = |(index, layer): (usize, &Down)| {
            x = layer.forward_t(&x, true);
            if index + 1 < self.layers.len() {
                x = leaky_relu(&x);
            }
            x.shallow_clone()
        };
        self.layers.iter().enumerate().map(activated).collect()
    }
}

/// Each channel of each image has the mean 0 and the deviation 1.
pub fn instance_norm(_: Path, _: i64) -> Box<dyn ModuleT> {
    Box::new(nn::func(|x| {
        let none = None::<&Tensor>;
        x.instance_norm(none, none, none, none, true, 0.1, 1e-5, true)
    }))
}
