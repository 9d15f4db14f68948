//! The places in VGG19.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A place in VGG19 where features are taken: after the ReLU of convolution `c` in block `b`, for
/// `Relu{b}_{c}`.
///
/// The deeper, the coarser and the more abstract: a block halves height and width.
///
/// ```
/// use tch_losses::VggLayer;
///
/// let layer: VggLayer = "relu3_3".parse()?;
/// assert_eq!(layer, VggLayer::Relu3_3);
/// assert_eq!((layer.index(), layer.channels(), layer.stride()), (15, 256, 4));
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum VggLayer {
    Relu1_1,
    Relu1_2,
    Relu2_1,
    Relu2_2,
    Relu3_1,
    Relu3_2,
    Relu3_3,
    Relu3_4,
    Relu4_1,
    Relu4_2,
    Relu4_3,
    Relu4_4,
    Relu5_1,
    Relu5_2,
    Relu5_3,
    Relu5_4,
}

/// Per block: how many convolutions, and their output channels.
const BLOCKS: [(usize, i64); 5] = [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)];

impl VggLayer {
    /// All layers, from shallow to deep.
    pub const ALL: [VggLayer; 16] = [
        VggLayer::Relu1_1,
        VggLayer::Relu1_2,
        VggLayer::Relu2_1,
        VggLayer::Relu2_2,
        VggLayer::Relu3_1,
        VggLayer::Relu3_2,
        VggLayer::Relu3_3,
        VggLayer::Relu3_4,
        VggLayer::Relu4_1,
        VggLayer::Relu4_2,
        VggLayer::Relu4_3,
        VggLayer::Relu4_4,
        VggLayer::Relu5_1,
        VggLayer::Relu5_2,
        VggLayer::Relu5_3,
        VggLayer::Relu5_4,
    ];

    /// The number of the layer's convolution among all sixteen.
    pub(super) fn ordinal(self) -> usize {
        self as usize
    }

    /// Block and place in it, both from 0.
    fn position(self) -> (usize, usize) {
        let mut place = self.ordinal();
        for (block, (convolutions, _)) in BLOCKS.iter().enumerate() {
            if place < *convolutions {
                return (block, place);
            }
            place -= convolutions;
        }
        unreachable!("BLOCKS counts as many convolutions as there are layers")
    }

    /// Whether a pooling layer, or nothing, comes before its convolution.
    pub(super) fn starts_block(self) -> bool {
        self.position().1 == 0
    }

    /// The index of the ReLU in torchvision's `vgg19().features`.
    pub fn index(self) -> usize {
        self.convolution_index() + 1
    }

    /// The index of the convolution before it in torchvision's `vgg19().features`: convolutions and ReLUs
    /// alternate, and each earlier block adds a pooling layer.
    pub(super) fn convolution_index(self) -> usize {
        2 * self.ordinal() + self.position().0
    }

    /// The shape of its convolution's weight, `[out, in, 3, 3]`.
    pub(super) fn weight_shape(self) -> [i64; 4] {
        let input = self.ordinal().checked_sub(1).map_or(3, |previous| VggLayer::ALL[previous].channels());
        [self.channels(), input, 3, 3]
    }

    /// The number of channels of its features.
    pub fn channels(self) -> i64 {
        BLOCKS[self.position().0].1
    }

    /// How many pixels of the image, in each direction, lie between neighbouring features; also the
    /// smallest height and width that reach it.
    pub fn stride(self) -> i64 {
        1 << self.position().0
    }
}

/// `relu1_2`, as the literature writes it.
impl fmt::Display for VggLayer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (block, place) = self.position();
        write!(f, "relu{}_{}", block + 1, place + 1)
    }
}

impl FromStr for VggLayer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        VggLayer::ALL.into_iter().find(|layer| layer.to_string() == name).ok_or_else(|| Error::Option {
            option: "layer",
            given: format!("{name:?}"),
            expected: "relu1_1 to relu5_4".into(),
        })
    }
}
