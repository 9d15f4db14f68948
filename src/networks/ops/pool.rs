//! Pooling: maxima, averages, or the norms of DISTS.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Window;
use crate::base::precision::accumulation_kind;
use crate::Result;

const UNDILATED: &[i64] = &[1, 1];

/// How a [`Network`](crate::Network) makes maps of features smaller:
/// [`Network::with_pooling`](crate::Network::with_pooling).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::networks::{Architecture, Network, Pooling, Tap};
///
/// # tch::manual_seed(0);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let network = Network::new(&vs.root(), &Architecture::VGG16).with_pooling(Pooling::Average);
/// assert_eq!(network.pooling(), Pooling::Average);
/// let image = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// assert_eq!(network.features(&image, &[Tap::RELU2_1])?[0].size(), [1, 128, 8, 8]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The maximum of each window, as the networks were trained.
    #[default]
    Max,
    /// The mean of the same window. A window that would reach beyond the map is left out.
    ///
    /// Source: L. A. Gatys et al., [*Image style transfer using convolutional neural
    /// networks*](https://openaccess.thecvf.com/content_cvpr_2016/html/Gatys_Image_Style_Transfer_CVPR_2016_paper.html)
    /// (2016); `replace_pooling` of [piq](https://piq.readthedocs.io).
    Average,
    /// `sqrt(g * x² + 1e-12)`: the norm of the features under the window `g`, whose rows are
    /// `(1, 2, 1) / 16`, `(2, 4, 2) / 16` and `(1, 2, 1) / 16`.
    ///
    /// The window moves by 2 over a map with a margin of one zero, whatever window the network has for its
    /// maxima. A side `n` becomes `(n + 1) / 2`, rounded down: no map is too small for it. Squares, sums
    /// and roots of half kinds are computed in f32.
    ///
    /// Source: K. Ding et al., [*Image quality assessment: unifying structure and texture
    /// similarity*](https://arxiv.org/abs/2004.07728) (2020), and its package DISTS-pytorch 0.1.
    L2,
}

/// Every network moves its poolings by 2.
const L2_WINDOW: Window = Window::new(3, 2, 1);
/// What DISTS adds to the sum of squares.
const EPS: f64 = 1e-12;

/// A pooling of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::networks) struct Pool {
    pooling: Pooling,
    window: Window,
}

/// What the way back needs.
pub(in crate::networks) enum PoolRecord {
    /// The input, of which only the shape counts, and where in it the maxima were.
    Max(Tensor, Tensor),
    /// The input, of which only the shape counts.
    Average(Tensor),
    /// The input, and the root of its squares' sum, in f32 at least.
    L2(Tensor, Tensor),
}

impl Pool {
    /// In place of a max pooling with this window.
    pub(in crate::networks) fn new(pooling: Pooling, window: Window) -> Pool {
        let window = match pooling {
            Pooling::Max => window,
            Pooling::Average => window.with_ceil(false),
            Pooling::L2 => L2_WINDOW,
        };
        Pool { pooling, window }
    }

    pub(in crate::networks) fn window(self) -> Window {
        self.window
    }

    /// The pooled map, in the graph where there is one, and what the way back needs without.
    pub(in crate::networks) fn forward(self, x: &Tensor) -> Result<(Tensor, PoolRecord)> {
        let Window { kernel, stride, padding, ceil } = self.window;
        let input = x.shallow_clone();
        Ok(match self.pooling {
            Pooling::Max => {
                let (kernel, stride, padding) = ([kernel; 2], [stride; 2], [padding; 2]);
                let (maxima, places) =
                    x.f_max_pool2d_with_indices(kernel, stride, padding, UNDILATED, ceil)?;
                (maxima, PoolRecord::Max(input, places))
            }
            Pooling::Average => {
                let (kernel, stride, padding) = ([kernel; 2], [stride; 2], [padding; 2]);
                let means = x.f_avg_pool2d(kernel, stride, padding, ceil, true, None::<i64>)?;
                (means, PoolRecord::Average(input))
            }
            Pooling::L2 => {
                let squares = x.f_to_kind(accumulation_kind(x.kind()))?.f_square()?;
                // libtorch's autocast would round the squares, and those of f16 may overflow.
                let sums = tch::autocast(false, || -> Result<Tensor> {
                    let (filter, groups) = (l2_filter(&squares)?, x.size()[1]);
                    let (stride, padding) = ([stride; 2], [padding; 2]);
                    Ok(squares.f_conv2d(&filter, None::<Tensor>, stride, padding, UNDILATED, groups)?)
                })?;
                let root = sums.f_add_scalar(EPS)?.f_sqrt()?;
                (root.f_to_kind(x.kind())?, PoolRecord::L2(input, root))
            }
        })
    }

    /// The gradient with respect to the input, from that with respect to the output.
    pub(in crate::networks) fn back(self, gradient: &Tensor, record: PoolRecord) -> Result<Tensor> {
        let Window { kernel, stride, padding, ceil } = self.window;
        Ok(match record {
            PoolRecord::Max(input, places) => input.f_max_pool2d_with_indices_backward(
                gradient,
                [kernel; 2],
                [stride; 2],
                [padding; 2],
                UNDILATED,
                ceil,
                &places,
            )?,
            PoolRecord::Average(input) => {
                let (kernel, stride, padding) = ([kernel; 2], [stride; 2], [padding; 2]);
                input.f_avg_pool2d_backward(gradient, kernel, stride, padding, ceil, true, None::<i64>)?
            }
            PoolRecord::L2(input, root) => {
                // The 2 of the square and the 1/2 of the root cancel out.
                let shares = gradient.f_to_kind(root.kind())?.f_div(&root)?;
                let (size, filter) = (input.size(), l2_filter(&root)?);
                // What is left over at the lower and right border, where the stride does not divide.
                let left =
                    [size[2], size[3]].map(|side| side - self.window.input_for(self.window.output(side)));
                let (bias, stride, padding) = (None::<Tensor>, [stride; 2], [padding; 2]);
                let mut spread = tch::autocast(false, || {
                    shares.f_conv_transpose2d(&filter, bias, stride, padding, left, size[1], UNDILATED)
                })?;
                spread.f_mul_(&input.f_to_kind(root.kind())?)?.f_to_kind(gradient.kind())?
            }
        })
    }
}

/// The weights of [`Pooling::L2`] for each of the channels of a map: `[C, 1, 3, 3]`.
fn l2_filter(of: &Tensor) -> Result<Tensor> {
    // Made on the device: a copy from the host would wait for all that is queued there.
    let filter = Tensor::f_full([1i64, 1, 3, 3].as_slice(), 1.0 / 16.0, (of.kind(), of.device()))?;
    for dim in [2, 3] {
        let _ = filter.f_narrow(dim, 1, 1)?.f_mul_scalar_(2.0)?;
    }
    Ok(filter.f_expand([of.size()[1], 1, 3, 3].as_slice(), false)?)
}

#[cfg(test)]
mod tests {
    use tch::{no_grad, Device, Kind, Tensor};

    use super::{l2_filter, Pool, Pooling, Window};

    const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);
    /// Of VGG, AlexNet and SqueezeNet.
    const WINDOWS: [Window; 3] =
        [Window::new(2, 2, 0), Window::new(3, 2, 0), Window::new(3, 2, 0).with_ceil(true)];
    const POOLINGS: [Pooling; 3] = [Pooling::Max, Pooling::Average, Pooling::L2];

    #[test]
    fn back_is_the_gradient() {
        tch::manual_seed(0);
        for (window, pooling) in WINDOWS.into_iter().flat_map(|window| POOLINGS.map(|p| (window, p))) {
            let pool = Pool::new(pooling, window);
            for size in [[12, 12], [13, 17], [14, 15], [16, 11], [3, 4]] {
                let input = Tensor::randn([2, 3, size[0], size[1]], DOUBLE).set_requires_grad(true);
                let (output, _) = pool.forward(&input).unwrap();
                assert_eq!(output.size()[2..], size.map(|side| pool.window().output(side)));
                let gradient = output.randn_like();
                let sum = (&output * &gradient).sum(Kind::Double);
                let expected = Tensor::run_backward(&[sum], &[&input], false, false).remove(0);
                let found = no_grad(|| {
                    let (_, record) = pool.forward(&input.detach()).unwrap();
                    pool.back(&gradient, record).unwrap()
                });
                // Sums of at most nine products of numbers below 10, divided by roots that are hardly
                // below 0.01 here.
                let difference = (found - expected).abs().max().double_value(&[]);
                assert!(difference < 1e-11, "{pool:?} {size:?}: {difference}");
            }
        }
    }

    #[test]
    fn the_weights_of_l2_pooling() {
        let filter = l2_filter(&Tensor::zeros([1, 2, 1, 1], DOUBLE)).unwrap();
        let row = [1.0, 2.0, 1.0].map(|weight| weight / 4.0);
        let row = Tensor::from_slice(&row);
        assert_eq!(filter, row.outer(&row).expand([2, 1, 3, 3], false));
    }
}
