//! The networks as data.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ops::{Pooling, Window};
use super::table::{Part, Table};
use super::{Place, Tap};
use crate::weights::{self, KnownFile};
use crate::Result;

/// The layers of a network: what a [`Network`](crate::Network) is built from.
///
/// An architecture is the convolutional part of one of torchvision's models, its `features`. The parameters
/// have torchvision's names (`features.0.weight`), and layers are counted as there.
///
/// ```
/// use tch_losses::{Architecture, Tap};
///
/// assert_eq!(Architecture::VGG16.name(), "vgg16");
/// let taps = Architecture::VGG16.taps();
/// assert_eq!(&taps[..5], ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"].map(Tap::new));
/// ```
///
/// Sources, as [`torchvision.models`](https://pytorch.org/vision/stable/models.html) has them:
///
/// - K. Simonyan and A. Zisserman, [*Very deep convolutional networks for large-scale image
///   recognition*](https://arxiv.org/abs/1409.1556) (2014);
/// - A. Krizhevsky, [*One weird trick for parallelizing convolutional neural
///   networks*](https://arxiv.org/abs/1404.5997) (2014), for AlexNet;
/// - F. N. Iandola et al., [*SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
///   size*](https://arxiv.org/abs/1602.07360) (2016).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    name: &'static str,
    parts: &'static [Part],
    /// Whether a batch norm follows each convolution.
    batch_norm: bool,
    initialization: Initialization,
    /// torchvision's weights.
    weights: KnownFile,
}

/// What torchvision gives the parameters of convolutions to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initialization {
    /// Weights Kaiming normal by fan-out, biases 0.
    KaimingNormal,
    /// Weights Kaiming uniform by fan-in, biases 0.
    KaimingUniform,
    /// Weights and biases uniform, up to the root of 1 / fan-in: PyTorch's own for any convolution.
    Default,
}

/// The convolution of a VGG.
const SAME_3X3: Window = Window::new(3, 1, 1);

/// A block of a VGG: so many convolutions with so many output channels. A pooling follows.
const fn block(count: usize, channels: i64) -> Part {
    Part::Convolutions { count, channels, window: SAME_3X3 }
}

/// The pooling of a VGG.
const HALF: Part = Part::Pool(Window::new(2, 2, 0));

/// torchvision's configurations A, B, D and E.
const A: &[Part] =
    &[block(1, 64), HALF, block(1, 128), HALF, block(2, 256), HALF, block(2, 512), HALF, block(2, 512), HALF];
const B: &[Part] =
    &[block(2, 64), HALF, block(2, 128), HALF, block(2, 256), HALF, block(2, 512), HALF, block(2, 512), HALF];
const D: &[Part] =
    &[block(2, 64), HALF, block(2, 128), HALF, block(3, 256), HALF, block(3, 512), HALF, block(3, 512), HALF];
const E: &[Part] =
    &[block(2, 64), HALF, block(2, 128), HALF, block(4, 256), HALF, block(4, 512), HALF, block(4, 512), HALF];

const fn convolution(channels: i64, window: Window) -> Part {
    Part::Convolution { channels, window }
}

const fn fire(squeezed: i64, expanded: i64) -> Part {
    Part::Fire { squeezed, expanded }
}

/// The poolings of AlexNet.
const OVERLAPPING: Part = Part::Pool(Window::new(3, 2, 0));
/// The poolings of SqueezeNet.
const OVERLAPPING_CEIL: Part = Part::Pool(Window::new(3, 2, 0).with_ceil(true));

const ALEX: &[Part] = &[
    convolution(64, Window::new(11, 4, 2)),
    OVERLAPPING,
    convolution(192, Window::new(5, 1, 2)),
    OVERLAPPING,
    convolution(384, SAME_3X3),
    convolution(256, SAME_3X3),
    convolution(256, SAME_3X3),
    OVERLAPPING,
];

const SQUEEZE: &[Part] = &[
    convolution(64, Window::new(3, 2, 0)),
    OVERLAPPING_CEIL,
    fire(16, 64),
    fire(16, 64),
    OVERLAPPING_CEIL,
    fire(32, 128),
    fire(32, 128),
    OVERLAPPING_CEIL,
    fire(48, 192),
    fire(48, 192),
    fire(64, 256),
    fire(64, 256),
];

impl Architecture {
    /// torchvision's `vgg11`: eight convolutions.
    pub const VGG11: Architecture = Architecture::vgg("vgg11", A, false, weights::VGG11);
    /// torchvision's `vgg11_bn`.
    pub const VGG11_BN: Architecture = Architecture::vgg("vgg11_bn", A, true, weights::VGG11_BN);
    /// torchvision's `vgg13`: ten convolutions.
    pub const VGG13: Architecture = Architecture::vgg("vgg13", B, false, weights::VGG13);
    /// torchvision's `vgg13_bn`.
    pub const VGG13_BN: Architecture = Architecture::vgg("vgg13_bn", B, true, weights::VGG13_BN);
    /// torchvision's `vgg16`: thirteen convolutions.
    pub const VGG16: Architecture = Architecture::vgg("vgg16", D, false, weights::VGG16);
    /// torchvision's `vgg16_bn`.
    pub const VGG16_BN: Architecture = Architecture::vgg("vgg16_bn", D, true, weights::VGG16_BN);
    /// torchvision's `vgg19`: sixteen convolutions.
    pub const VGG19: Architecture = Architecture::vgg("vgg19", E, false, weights::VGG19);
    /// torchvision's `vgg19_bn`.
    pub const VGG19_BN: Architecture = Architecture::vgg("vgg19_bn", E, true, weights::VGG19_BN);
    /// torchvision's `alexnet`: five convolutions.
    pub const ALEXNET: Architecture = Architecture {
        name: "alexnet",
        parts: ALEX,
        batch_norm: false,
        initialization: Initialization::Default,
        weights: weights::ALEXNET,
    };
    /// torchvision's `squeezenet1_1`: a convolution and eight fire modules.
    pub const SQUEEZENET1_1: Architecture = Architecture {
        name: "squeezenet1_1",
        parts: SQUEEZE,
        batch_norm: false,
        initialization: Initialization::KaimingUniform,
        weights: weights::SQUEEZENET1_1,
    };

    /// All architectures.
    pub const ALL: [Architecture; 10] = [
        Architecture::VGG11,
        Architecture::VGG11_BN,
        Architecture::VGG13,
        Architecture::VGG13_BN,
        Architecture::VGG16,
        Architecture::VGG16_BN,
        Architecture::VGG19,
        Architecture::VGG19_BN,
        Architecture::ALEXNET,
        Architecture::SQUEEZENET1_1,
    ];

    /// Their names.
    const NAMES: [&'static str; Architecture::ALL.len()] = {
        let mut names = [""; Architecture::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Architecture::ALL[index].name;
            index += 1;
        }
        names
    };

    const fn vgg(
        name: &'static str,
        parts: &'static [Part],
        batch_norm: bool,
        weights: KnownFile,
    ) -> Architecture {
        Architecture { name, parts, batch_norm, initialization: Initialization::KaimingNormal, weights }
    }

    /// torchvision's name, such as `vgg16_bn`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The taps, from shallow to deep: one for each layer, by its short name.
    pub fn taps(&self) -> Vec<Tap> {
        self.table(Pooling::Max).layers.into_iter().map(|layer| layer.name.into()).collect()
    }

    /// Where a tap is.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for a tap that the architecture lacks.
    pub fn place(&self, tap: &Tap) -> Result<Place> {
        self.table(Pooling::Max).place(tap)
    }

    /// The weights that torchvision publishes for it, trained on ImageNet.
    ///
    /// ```
    /// use tch_losses::Architecture;
    ///
    /// assert_eq!(Architecture::ALEXNET.known_weights().source.file_name(), "alexnet-owt-7be5be79.pth");
    /// ```
    pub fn known_weights(&self) -> &KnownFile {
        &self.weights
    }

    /// How far uniform weights `[out, in, height, width]` reach that have the variance of torchvision's random ones.
    pub(crate) fn uniform_bound(&self, shape: &[i64]) -> f64 {
        let fan = |channels: i64| (channels * shape[2] * shape[3]) as f64;
        let (fan_in, fan_out) = (fan(shape[1]), fan(shape[0]));
        match self.initialization {
            Initialization::KaimingNormal => (6.0 / fan_out).sqrt(),
            Initialization::KaimingUniform => (6.0 / fan_in).sqrt(),
            Initialization::Default => (1.0 / fan_in).sqrt(),
        }
    }

    pub(super) fn initialization(&self) -> Initialization {
        self.initialization
    }

    /// The layers, with poolings of a kind.
    pub(super) fn table(&self, pooling: Pooling) -> Table {
        Table::new(self.name, self.parts, self.batch_norm, pooling)
    }
}

/// torchvision's name.
impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// As its name.
impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = Architecture::ALL.into_iter().find(|architecture| architecture.name == name);
        found.ok_or_else(|| D::Error::unknown_variant(&name, &Architecture::NAMES))
    }
}
