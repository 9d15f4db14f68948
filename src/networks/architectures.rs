//! The networks as data.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ops::Window;
use super::table::{Block, Table};
use super::{Place, Tap};
use crate::weights::{KnownFile, VGG19};
use crate::{Error, Result};

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
/// Source: K. Simonyan and A. Zisserman, [*Very deep convolutional networks for large-scale image
/// recognition*](https://arxiv.org/abs/1409.1556) (2014);
/// [`torchvision.models.vgg`](https://pytorch.org/vision/stable/models/vgg.html).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    name: &'static str,
    blocks: &'static [Block],
    /// Whether a batch norm follows each convolution.
    batch_norm: bool,
    /// torchvision's weights.
    pretrained: Option<KnownFile>,
}

/// The convolution of a VGG.
const SAME_3X3: Window = Window { kernel: 3, stride: 1, padding: 1 };
/// The pooling of a VGG.
const HALF: Window = Window { kernel: 2, stride: 2, padding: 0 };

/// A block of a VGG: so many convolutions with so many output channels, and a pooling.
const fn block(convolutions: usize, channels: i64) -> Block {
    Block { convolutions, channels, window: SAME_3X3, pooling: HALF }
}

/// torchvision's configurations A, B, D and E.
const A: &[Block] = &[block(1, 64), block(1, 128), block(2, 256), block(2, 512), block(2, 512)];
const B: &[Block] = &[block(2, 64), block(2, 128), block(2, 256), block(2, 512), block(2, 512)];
const D: &[Block] = &[block(2, 64), block(2, 128), block(3, 256), block(3, 512), block(3, 512)];
const E: &[Block] = &[block(2, 64), block(2, 128), block(4, 256), block(4, 512), block(4, 512)];

impl Architecture {
    /// torchvision's `vgg11`: eight convolutions.
    pub const VGG11: Architecture = Architecture::row("vgg11", A, false);
    /// torchvision's `vgg11_bn`.
    pub const VGG11_BN: Architecture = Architecture::row("vgg11_bn", A, true);
    /// torchvision's `vgg13`: ten convolutions.
    pub const VGG13: Architecture = Architecture::row("vgg13", B, false);
    /// torchvision's `vgg13_bn`.
    pub const VGG13_BN: Architecture = Architecture::row("vgg13_bn", B, true);
    /// torchvision's `vgg16`: thirteen convolutions.
    pub const VGG16: Architecture = Architecture::row("vgg16", D, false);
    /// torchvision's `vgg16_bn`.
    pub const VGG16_BN: Architecture = Architecture::row("vgg16_bn", D, true);
    /// torchvision's `vgg19`: sixteen convolutions.
    pub const VGG19: Architecture =
        Architecture { pretrained: Some(VGG19), ..Architecture::row("vgg19", E, false) };
    /// torchvision's `vgg19_bn`.
    pub const VGG19_BN: Architecture = Architecture::row("vgg19_bn", E, true);

    /// All architectures.
    pub const ALL: [Architecture; 8] = [
        Architecture::VGG11,
        Architecture::VGG11_BN,
        Architecture::VGG13,
        Architecture::VGG13_BN,
        Architecture::VGG16,
        Architecture::VGG16_BN,
        Architecture::VGG19,
        Architecture::VGG19_BN,
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

    const fn row(name: &'static str, blocks: &'static [Block], batch_norm: bool) -> Architecture {
        Architecture { name, blocks, batch_norm, pretrained: None }
    }

    /// torchvision's name, such as `vgg16_bn`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The taps, from shallow to deep: one for each layer, by its short name.
    pub fn taps(&self) -> Vec<Tap> {
        self.table().layers.into_iter().map(|layer| layer.name.into()).collect()
    }

    /// Where a tap is.
    ///
    /// # Errors
    /// [`Error::Option`] for a tap that the architecture lacks.
    pub fn place(&self, tap: &Tap) -> Result<Place> {
        self.table().place(tap)
    }

    /// The weights that torchvision publishes.
    ///
    /// # Errors
    /// [`Error::Option`] for an architecture whose weights this crate does not know.
    pub(crate) fn known_weights(&self) -> Result<&KnownFile> {
        self.pretrained.as_ref().ok_or_else(|| {
            let known = Architecture::ALL.iter().filter(|known| known.pretrained.is_some());
            let known: Vec<&str> = known.map(Architecture::name).collect();
            Error::Option {
                option: "architecture",
                given: self.name.into(),
                expected: format!("one with known weights: {}", known.join(", ")),
            }
        })
    }

    pub(super) fn table(&self) -> Table {
        Table::new(self.name, self.blocks, self.batch_norm)
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
