//! 3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3).
//!
//! A tile of 4x4 results depends on 6x6 values. `Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A` computes it with 36
//! multiplications per pair of channels, where the definition takes 144. The transforms cost more than that
//! saves, unless there are many channels: the number of multiplications grows with the product of input and
//! output channels, the transforms with their sum.
//!
//! The rounding error depends on the points at which the polynomials behind the matrices are evaluated, and on the
//! length of the sums. The points 0, ±5/8, ±3/2 and infinity give two thirds of the error of 0, ±1, 1/2, -2, and less
//! than half of that of the usual 0, ±1, ±2. Sums of 64 channels, added up, round less than one sum of all. The
//! gradients of a trained network are then as near to f64 as with libtorch's direct convolutions;
//! `scripts/measure_precision.py` measures that.
//!
//! Source: A. Lavin and S. Gray, [*Fast algorithms for convolutional neural
//! networks*](https://arxiv.org/abs/1509.09308) (2015).

use tch::{Device, Kind, Tensor};

use crate::base::streaming::pieces;
use crate::Result;

/// Results per tile, in each direction.
const TILE: i64 = 4;
/// Values that they depend on.
const WINDOW: i64 = TILE + 2;
const POINTS: i64 = WINDOW * WINDOW;
/// Tiles, if not those of a row are more: enough to be busy with, few enough for the cache.
const AT_A_TIME: i64 = 128;

/// Channels per running sum of products: 32 round a little less, but make a loss 2 to 5 % slower.
const SUMMANDS: i64 = 64;

/// `Bᵀ`
const INPUT: [[f64; 6]; 6] = [
    [225.0 / 256.0, 0.0, -169.0 / 64.0, 0.0, 1.0, 0.0],
    [0.0, -45.0 / 32.0, -2.25, 0.625, 1.0, 0.0],
    [0.0, 45.0 / 32.0, -2.25, -0.625, 1.0, 0.0],
    [0.0, -75.0 / 128.0, -25.0 / 64.0, 1.5, 1.0, 0.0],
    [0.0, 75.0 / 128.0, -25.0 / 64.0, -1.5, 1.0, 0.0],
    [0.0, 225.0 / 256.0, 0.0, -169.0 / 64.0, 0.0, 1.0],
];

/// `G`
const WEIGHT: [[f64; 3]; 6] = [
    [256.0 / 225.0, 0.0, 0.0],
    [-2048.0 / 2975.0, -256.0 / 595.0, -32.0 / 119.0],
    [-2048.0 / 2975.0, 256.0 / 595.0, -32.0 / 119.0],
    [128.0 / 1071.0, 64.0 / 357.0, 32.0 / 119.0],
    [128.0 / 1071.0, -64.0 / 357.0, 32.0 / 119.0],
    [0.0, 0.0, 1.0],
];

/// `Aᵀ`
const RESULT: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 0.625, -0.625, 1.5, -1.5, 0.0],
    [0.0, 0.390625, 0.390625, 2.25, 2.25, 0.0],
    [0.0, 0.244140625, -0.244140625, 3.375, -3.375, 1.0],
];

/// A transform of both directions at once, as a matrix for tiles written as columns.
fn transform<const ROWS: usize, const COLUMNS: usize>(
    matrix: [[f64; COLUMNS]; ROWS],
    kind: Kind,
) -> Result<Tensor> {
    let matrix =
        Tensor::f_from_slice(matrix.as_flattened())?.f_reshape([ROWS as i64, COLUMNS as i64].as_slice())?;
    Ok(matrix.f_kron(&matrix)?.f_to_kind(kind)?)
}

/// Whether convolutions of `count` maps of so many values with `weight` are faster this way, the transform of
/// the weight included.
pub(super) fn pays(weight: &Tensor, count: i64, height: i64, width: i64) -> bool {
    let size = weight.size();
    weight.device() == Device::Cpu
        && weight.kind() == Kind::Float
        && size[0].min(size[1]) >= 128
        && count * ceil_div(height, TILE) * ceil_div(width, TILE) >= 256
}

fn ceil_div(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

/// Memory for what is computed on the way: allocated once, it is in the cache, and leaves no holes.
pub(super) struct Scratch([Tensor; 2]);

impl Scratch {
    /// For convolutions that need so many [`elements`].
    pub(super) fn new(elements: i64) -> Result<Scratch> {
        let tensor = || Tensor::f_empty([elements].as_slice(), (Kind::Float, Device::Cpu));
        Ok(Scratch([tensor()?, tensor()?]))
    }

    /// One of the two, as a tensor whose values are not those from before.
    fn tensor(&self, index: usize, shape: &[i64]) -> Result<Tensor> {
        Ok(self.0[index].f_narrow(0, 0, shape.iter().product())?.f_view(shape)?)
    }
}

/// What convolutions of maps of a width with `weight` need of [`Scratch`].
pub(super) fn elements(weight: &Tensor, width: i64) -> i64 {
    let size = weight.size();
    POINTS * AT_A_TIME.max(ceil_div(width, TILE)) * size[0].max(size[1])
}

/// The matrices of one direction.
struct Transforms {
    input: Tensor,
    result: Tensor,
}

/// The transformed weight of a convolution with a padding of 1, on the CPU and in f32, and of its gradient.
///
/// The gradient of a convolution is one with the channels swapped and the kernel turned by 180 degrees.
/// Instead of the kernel, the tiles may be turned, before and after, which the matrices do.
pub(super) struct Filter {
    /// `[36, in, out]`
    weight: Tensor,
    forward: Transforms,
    back: Transforms,
}

impl Filter {
    /// Of a weight `[out, in, 3, 3]`.
    pub(super) fn new(weight: &Tensor) -> Result<Filter> {
        let size = weight.size();
        let columns = weight.f_permute([2i64, 3, 1, 0].as_slice())?.f_reshape([9i64, -1].as_slice())?;
        let weight =
            transform(WEIGHT, Kind::Float)?.f_matmul(&columns)?.f_view([-1, size[1], size[0]].as_slice())?;
        let transforms = |input, result| -> Result<Transforms> {
            Ok(Transforms { input: transform(input, Kind::Float)?, result: transform(result, Kind::Float)? })
        };
        let forward = transforms(INPUT, RESULT)?;
        let (mut input, mut result) = (INPUT, RESULT);
        input.iter_mut().for_each(|row| row.reverse());
        result.reverse();
        Ok(Filter { weight, forward, back: transforms(input, result)? })
    }

    /// Convolution, bias and ReLU of maps `[N, in, H, W]`. The result has its channels last in memory.
    pub(super) fn forward(&self, images: &Tensor, bias: &Tensor, scratch: &Scratch) -> Result<Tensor> {
        convolve(
            &images.size(),
            &self.forward,
            &self.weight,
            Some(bias),
            scratch,
            |mut inside, part| Ok(inside.f_copy_(&part(images)?).map(drop)?),
            |results, to| Ok(results.f_clamp_min_out(&to, 0.0).map(drop)?),
        )
    }

    /// From gradients `[N, out, H, W]` with respect to these `activations`, which [`forward`](Self::forward)
    /// returned, to those with respect to its maps. The result has its channels last in memory.
    pub(super) fn back(&self, gradients: &Tensor, activations: &Tensor, scratch: &Scratch) -> Result<Tensor> {
        convolve(
            &gradients.size(),
            &self.back,
            &self.weight.f_transpose(1, 2)?,
            None,
            scratch,
            |inside, part| {
                let (gradients, activations) = (part(gradients)?, part(activations)?);
                Ok(activations.f_threshold_backward_grad_input(&inside, &gradients, 0.0).map(drop)?)
            },
            |results, mut to| Ok(to.f_copy_(results).map(drop)?),
        )
    }
}

/// The convolution of maps of a size `[N, C, H, W]`. What comes before and after is done piece by piece,
/// while that is in the cache: `read` writes to its first argument what the second makes of maps of that
/// size, `write` brings results to where they belong.
fn convolve(
    size: &[i64],
    transforms: &Transforms,
    weight: &Tensor,
    bias: Option<&Tensor>,
    scratch: &Scratch,
    read: impl Fn(Tensor, &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<()>,
    write: impl Fn(&Tensor, Tensor) -> Result<()>,
) -> Result<Tensor> {
    let [count, channels, height, width] = size[..] else { unreachable!("images have four dimensions") };
    let out = weight.size()[2];
    let (rows, columns) = (ceil_div(height, TILE), ceil_div(width, TILE));
    let options = (Kind::Float, Device::Cpu);
    let result = Tensor::f_empty([count, rows, TILE, columns, TILE, out].as_slice(), options)?;
    let tiles = result.f_permute([2i64, 4, 0, 1, 3, 5].as_slice())?;
    let in_rows = |tensor: &Tensor| tensor.f_view([tensor.size()[0], -1].as_slice());
    for (image, images) in pieces(count, (AT_A_TIME / (rows * columns)).max(1)) {
        for (row, rows) in pieces(rows, (AT_A_TIME / columns).max(1)) {
            let count = images * rows * columns;
            // What the piece's tiles depend on, with zeros outside of the maps.
            let (top, padded_height) = (row * TILE - 1, rows * TILE + 2);
            let (first, last) = (top.max(0), (top + padded_height).min(height));
            let padded = scratch.tensor(1, &[images, padded_height, columns * TILE + 2, channels])?;
            for (dimension, start, end) in [(1, first - top, last - top), (2, 1, 1 + width)] {
                let length = padded.size()[dimension as usize];
                let _ = padded.f_narrow(dimension, 0, start)?.f_zero_()?;
                let _ = padded.f_narrow(dimension, end, length - end)?.f_zero_()?;
            }
            let padded = padded.f_permute([0i64, 3, 1, 2].as_slice())?;
            let inside = padded.f_narrow(2, first - top, last - first)?.f_narrow(3, 1, width)?;
            read(inside, &|maps| Ok(maps.f_narrow(0, image, images)?.f_narrow(2, first, last - first)?))?;
            let window = scratch.tensor(0, &[POINTS, count, channels])?;
            let windows = padded
                .f_unfold(2, WINDOW, TILE)?
                .f_unfold(3, WINDOW, TILE)?
                .f_permute([4i64, 5, 0, 2, 3, 1].as_slice())?;
            window.f_view(windows.size().as_slice())?.f_copy_(&windows)?;
            let values = scratch.tensor(1, &[POINTS, count, channels])?;
            let _ = transforms.input.f_mm_out(&in_rows(&values)?, &in_rows(&window)?)?;
            let products = scratch.tensor(0, &[POINTS, count, out])?;
            multiply(&values, weight, products.shallow_clone())?;
            let mut results = scratch.tensor(1, &[TILE * TILE, count, out])?;
            let _ = transforms.result.f_mm_out(&in_rows(&results)?, &in_rows(&products)?)?;
            if let Some(bias) = bias {
                let _ = results.f_add_(bias)?;
            }
            let to = tiles.f_narrow(2, image, images)?.f_narrow(3, row, rows)?;
            write(&results.f_view(to.size().as_slice())?, to)?;
        }
    }
    let result = result
        .f_view([count, rows * TILE, columns * TILE, out].as_slice())?
        .f_narrow(1, 0, height)?
        .f_narrow(2, 0, width)?
        .f_contiguous()?;
    Ok(result.f_permute([0i64, 3, 1, 2].as_slice())?)
}

/// The sums over the channels: `values` `[36, tiles, in]` times `weight` `[36, in, out]`.
///
/// A running sum of many terms rounds more than sums of a few that are added up.
fn multiply(values: &Tensor, weight: &Tensor, mut products: Tensor) -> Result<()> {
    for (channel, channels) in pieces(weight.size()[1], SUMMANDS) {
        let (values, weight) =
            (values.f_narrow(2, channel, channels)?, weight.f_narrow(1, channel, channels)?);
        let _ = match channel {
            0 => values.f_bmm_out(&products, &weight)?,
            _ => products.f_baddbmm_(&values, &weight)?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::in_order;
    use super::{
        ceil_div, elements, transform, Filter, Scratch, INPUT, POINTS, RESULT, TILE, WEIGHT, WINDOW,
    };

    // Whole tiles and parts, one piece and several, by images and by rows; one running sum and several.
    const SIZES: [[i64; 4]; 7] = [
        [1, 3, 4, 4],
        [2, 5, 1, 7],
        [3, 8, 13, 18],
        [40, 4, 12, 9],
        [2, 3, 70, 66],
        [1, 2, 3, 1100],
        [2, 131, 9, 6],
    ];

    /// Several running sums, too, on the way back.
    const OUT: i64 = 40;

    /// Memory for a convolution, of which nothing is taken for granted.
    fn scratch(weight: &Tensor, size: &[i64]) -> Scratch {
        let scratch = Scratch::new(elements(weight, size[3])).unwrap();
        let _ = scratch.0.each_ref().map(|tensor| tensor.shallow_clone().fill_(f64::NAN));
        scratch
    }

    fn maps(size: &[i64]) -> Tensor {
        in_order(&Tensor::randn(size, (Kind::Float, Device::Cpu)).relu(), Device::Cpu, Kind::Float).unwrap()
    }

    fn convolution(maps: &Tensor, weight: &Tensor) -> Tensor {
        maps.conv2d(weight, None::<Tensor>, [1i64, 1], [1i64, 1], [1i64, 1], 1)
    }

    /// The algorithm written once more, in f64 and whole. Of `magnitudes`, the absolute values of all that occurs
    /// are added up.
    fn in_f64(maps: &Tensor, weight: &Tensor, magnitudes: bool) -> Tensor {
        let part = |tensor: Tensor| if magnitudes { tensor.abs() } else { tensor };
        let (maps, weight) = (part(maps.to_kind(Kind::Double)), part(weight.to_kind(Kind::Double)));
        let [count, channels, height, width] = maps.size()[..] else { panic!("no maps") };
        let (rows, columns, out) = (ceil_div(height, TILE), ceil_div(width, TILE), weight.size()[0]);
        let padded =
            maps.constant_pad_nd([1i64, columns * TILE + 1 - width, 1, rows * TILE + 1 - height].as_slice());
        let windows = padded.unfold(2, WINDOW, TILE).unfold(3, WINDOW, TILE).permute([4i64, 5, 1, 0, 2, 3]);
        let input = part(transform(INPUT, Kind::Double).unwrap());
        let values = input.matmul(&windows.reshape([POINTS, -1])).view([POINTS, channels, -1]);
        let kernel = part(transform(WEIGHT, Kind::Double).unwrap());
        let weight =
            kernel.matmul(&weight.permute([2i64, 3, 0, 1]).reshape([9, -1])).view([POINTS, out, channels]);
        let products = weight.bmm(&values).view([POINTS, -1]);
        let results = part(transform(RESULT, Kind::Double).unwrap()).matmul(&products);
        let results = results.view([TILE, TILE, out, count, rows, columns]).permute([3i64, 2, 4, 0, 5, 1]);
        let whole = results.reshape([count, out, rows * TILE, columns * TILE]);
        whole.narrow(2, 0, height).narrow(3, 0, width)
    }

    #[test]
    fn the_matrices_are_those_of_a_convolution() {
        tch::manual_seed(0);
        let options = (Kind::Double, Device::Cpu);
        let (maps, weight) = (Tensor::randn([2, 3, 13, 18], options), Tensor::randn([5, 3, 3, 3], options));
        let difference = in_f64(&maps, &weight, false) - convolution(&maps, &weight);
        // Both round in f64; all numbers are far below 1000.
        assert!(difference.abs().max().double_value(&[]) < 1e-12);
    }

    /// Panics if a result is further from the exact one than rounding explains.
    ///
    /// Each result is a sum of products, of which every one is rounded as often as numbers are added and
    /// multiplied on its way. In whatever order a machine adds, that moves the result by no more than
    /// n u / (1 - n u) of the sum of the magnitudes, where u is 2^-24 and n the length of the way
    /// (N. Higham, *Accuracy and stability of numerical algorithms*, section 3.1).
    fn assert_rounded(what: &str, result: &Tensor, exact: &Tensor, magnitudes: &Tensor, channels: i64) {
        // The transforms of input, weight (whose matrix is rounded, too), and results, the sum over the
        // channels, and the bias.
        let length = (POINTS + 10 + POINTS + channels + 1) as f64;
        let unit = 2f64.powi(-24);
        let bound = magnitudes * (length * unit / (1.0 - length * unit));
        assert_eq!(result.size(), exact.size());
        let excess = ((result.to_kind(Kind::Double) - exact).abs() - bound).max().double_value(&[]);
        // Not merely "not above": NaN is neither.
        assert!(excess <= 0.0, "{what}: {excess} beyond the bound");
    }

    #[test]
    fn it_is_a_convolution_with_bias_and_relu() {
        tch::manual_seed(0);
        for size in SIZES {
            let options = (Kind::Float, Device::Cpu);
            let (maps, weight) = (maps(&size), Tensor::randn([OUT, size[1], 3, 3], options));
            let bias = Tensor::randn([OUT], options);
            let shifts = bias.to_kind(Kind::Double).view([1, OUT, 1, 1]);
            let exact =
                (convolution(&maps.to_kind(Kind::Double), &weight.to_kind(Kind::Double)) + &shifts).relu();
            let magnitudes = in_f64(&maps, &weight, true) + shifts.abs();
            let scratch = scratch(&weight, &size);
            let result = Filter::new(&weight).unwrap().forward(&maps, &bias, &scratch).unwrap();
            assert_rounded(&format!("{size:?}"), &result, &exact, &magnitudes, size[1]);
        }
    }

    #[test]
    fn back_is_the_gradient_of_relu_and_convolution() {
        tch::manual_seed(0);
        for size in SIZES {
            let weight = Tensor::randn([OUT, size[1], 3, 3], (Kind::Float, Device::Cpu));
            let input = maps(&size).to_kind(Kind::Double).set_requires_grad(true);
            let output = convolution(&input, &weight.to_kind(Kind::Double)).relu();
            // The signs that ReLU asks for are those of the activations given, whatever their rounding.
            let activations =
                in_order(&output.detach().to_kind(Kind::Float), Device::Cpu, Kind::Float).unwrap();
            let gradients = in_order(&activations.randn_like(), Device::Cpu, Kind::Float).unwrap();
            let passed = gradients.to_kind(Kind::Double) * activations.gt(0.0);
            let whole = (convolution(&input, &weight.to_kind(Kind::Double)) * &passed).sum(Kind::Double);
            let exact = Tensor::run_backward(&[whole], &[&input], false, false).remove(0);
            // The gradient of a convolution is one with the channels swapped and the kernel turned.
            let magnitudes = in_f64(&passed, &weight.transpose(0, 1).flip([2i64, 3]), true);
            let scratch = scratch(&weight, &size);
            let result = Filter::new(&weight).unwrap().back(&gradients, &activations, &scratch).unwrap();
            assert_rounded(&format!("{size:?}"), &result, &exact, &magnitudes, OUT);
        }
    }
}
