//! [`Streaming`].

use tch::{Device, Tensor};

use crate::{Error, Result};

/// How a loss on features goes through a batch.
///
/// The gradient of such a loss needs the activations of the whole network. A *streamed* loss sends a few
/// images at a time forward through the network and, if `input` requires a gradient, back again at once. It
/// stores the activations of those few images only. Until `backward` it keeps the gradient itself, which is
/// as large as the images.
///
/// - **Memory**: a large batch takes a tenth.
/// - **Time**: less, because memory is used again while it is in the cache.
/// - **Numbers**: the value is the same to rounding. So is the gradient, unless rounding turns a ReLU, a
///   maximum or the sign of a difference, as it does on every machine.
///   [`PerceptualLoss`](crate::PerceptualLoss) has the figures.
/// - **Errors**: an error on the way adds no gradient to any tensor.
/// - **Second derivatives**: there are none. `run_backward(.., create_graph = true)` shows zeros for them. A
///   gradient penalty needs [`Off`](Streaming::Off).
///
/// On a CPU in f32, a streamed loss computes large convolutions of 128 and more channels by [Winograd's
/// algorithm](https://arxiv.org/abs/1509.09308). It takes about two thirds of the time of libtorch's
/// convolutions and is as near to f64. The transformed weights take memory during `forward`: 26 MB with the
/// default taps of [`PerceptualLoss`](crate::PerceptualLoss), and 38 MB more for each convolution of the fourth
/// block. Large convolutions run on threads of this crate, one piece of a map on each, as many as
/// [`tch::get_num_threads`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Streaming {
    /// Streamed, as many images at a time as suit the device, their size and the network. If `target` requires a gradient,
    /// this is [`Off`](Streaming::Off).
    #[default]
    Auto,
    /// The same with at most so many images at a time.
    Images(usize),
    /// Not streamed: the whole batch at once, in libtorch's own graph.
    Off,
}

impl Streaming {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Streaming::Images(0) => Err(Error::Option {
                option: "streaming",
                given: "0".into(),
                expected: "at least one image at a time".into(),
            }),
            _ => Ok(()),
        }
    }

    /// How many of these images to take at a time; `None` for all of them in a graph. `stride` is that of the network's
    /// first layer.
    pub(super) fn images(self, images: &Tensor, stride: i64) -> Option<i64> {
        match self {
            Streaming::Auto => {
                let size = images.size();
                // A CPU has cores enough for one image of 256x256, and its caches are too small for more. A
                // GPU needs several images to be busy. So do a CPU's cores where a network shrinks its maps at once.
                let pixels = if images.device() == Device::Cpu { 1 << 16 } else { 1 << 19 };
                Some((pixels * stride / (size[2] * size[3])).max(1))
            }
            Streaming::Images(count) => Some(i64::try_from(count).unwrap_or(i64::MAX)),
            Streaming::Off => None,
        }
    }
}
