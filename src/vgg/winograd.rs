//! 3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3).
//!
//! A tile of 4x4 results depends on 6x6 values. `Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A` computes it with 36
//! multiplications per pair of channels, where the definition takes 144. The transforms cost more than that
//! saves, unless there are many channels: the number of multiplications grows with the product of input and
//! output channels, the transforms with their sum.
//!
//! The polynomials behind the matrices are evaluated at 0, ±1, 1/2, -2 and infinity, which rounds half as much
//! as the usual 0, ±1, ±2: the error is about twice that of libtorch's direct convolution.
//!
//! Source: A. Lavin and S. Gray, [*Fast algorithms for convolutional neural
//! networks*](https://arxiv.org/abs/1509.09308) (2015).

use tch::{Device, Kind, Tensor};

use crate::streaming::pieces;
use crate::Result;

/// Results per tile, in each direction.
const TILE: i64 = 4;
/// Values that they depend on.
const WINDOW: i64 = TILE + 2;
const POINTS: i64 = WINDOW * WINDOW;
/// Tiles, if not those of a row are more: enough to be busy with, few enough for the cache.
const AT_A_TIME: i64 = 128;

/// `Bᵀ`
const INPUT: [[f64; 6]; 6] = [
    [1.0, -1.5, -2.0, 1.5, 1.0, 0.0],
    [0.0, -1.0, 0.5, 2.5, 1.0, 0.0],
    [0.0, 1.0, -2.5, 0.5, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 0.5, -1.0, -0.5, 1.0, 0.0],
    [0.0, 1.0, -1.5, -2.0, 1.5, 1.0],
];

/// `G`
const WEIGHT: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
    [-1.0 / 3.0, 1.0 / 3.0, -1.0 / 3.0],
    [-16.0 / 15.0, -8.0 / 15.0, -4.0 / 15.0],
    [1.0 / 15.0, -2.0 / 15.0, 4.0 / 15.0],
    [0.0, 0.0, 1.0],
];

/// `Aᵀ`
const RESULT: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, -1.0, 0.5, -2.0, 0.0],
    [0.0, 1.0, 1.0, 0.25, 4.0, 0.0],
    [0.0, 1.0, -1.0, 0.125, -8.0, 1.0],
];

/// The product that goes into each result of its tile with a factor of 1: that of the second point of both
/// directions.
const ONES: i64 = WINDOW + 1;

/// A transform of both directions at once, as a matrix for tiles written as columns.
fn transform<const ROWS: usize, const COLUMNS: usize>(matrix: [[f64; COLUMNS]; ROWS]) -> Result<Tensor> {
    let matrix =
        Tensor::f_from_slice(matrix.as_flattened())?.f_reshape([ROWS as i64, COLUMNS as i64].as_slice())?;
    Ok(matrix.f_kron(&matrix)?.f_to_kind(Kind::Float)?)
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
        let weight = transform(WEIGHT)?.f_matmul(&columns)?.f_view([-1, size[1], size[0]].as_slice())?;
        let forward = Transforms { input: transform(INPUT)?, result: transform(RESULT)? };
        let (mut input, mut result) = (INPUT, RESULT);
        input.iter_mut().for_each(|row| row.reverse());
        result.reverse();
        let back = Transforms { input: transform(input)?, result: transform(result)? };
        Ok(Filter { weight, forward, back })
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
            let _ = values.f_bmm_out(&products, weight)?;
            if let Some(bias) = bias {
                let _ = products.f_get(ONES)?.f_add_(bias)?;
            }
            let results = scratch.tensor(1, &[TILE * TILE, count, out])?;
            let _ = transforms.result.f_mm_out(&in_rows(&results)?, &in_rows(&products)?)?;
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

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::in_order;
    use super::{elements, Filter, Scratch};

    /// Memory for a convolution, of which nothing is taken for granted.
    fn scratch(weight: &Tensor, size: &[i64]) -> Scratch {
        let scratch = Scratch::new(elements(weight, size[3])).unwrap();
        let _ = scratch.0.each_ref().map(|tensor| tensor.shallow_clone().fill_(f64::NAN));
        scratch
    }

    fn maps(size: &[i64]) -> Tensor {
        in_order(&Tensor::randn(size, (Kind::Float, Device::Cpu)).relu(), Device::Cpu, Kind::Float).unwrap()
    }

    /// Relative to the largest result, against libtorch's convolution in f64: this one's error, and that of
    /// libtorch's in f32.
    fn errors(size: &[i64], out: i64) -> (f64, f64) {
        tch::manual_seed(0);
        let options = (Kind::Float, Device::Cpu);
        let images = maps(size);
        let deviation = (2.0 / (9.0 * size[1] as f64)).sqrt();
        let weight = Tensor::randn([out, size[1], 3, 3], options) * deviation;
        let bias = Tensor::randn([out], options);
        let direct = |kind| {
            let (images, weight, bias) = (images.to_kind(kind), weight.to_kind(kind), bias.to_kind(kind));
            images.conv2d(&weight, Some(&bias), [1i64, 1], [1i64, 1], [1i64, 1], 1).relu()
        };
        let expected = direct(Kind::Double);
        let scratch = scratch(&weight, size);
        let result = Filter::new(&weight).unwrap().forward(&images, &bias, &scratch).unwrap();
        (error(&result, &expected), error(&direct(Kind::Float), &expected))
    }

    fn error(result: &Tensor, expected: &Tensor) -> f64 {
        assert_eq!(result.size(), expected.size());
        let largest = (result.to_kind(Kind::Double) - expected).abs().max();
        (largest / expected.abs().max()).double_value(&[])
    }

    // Whole tiles and parts, one piece and several, by images and by rows.
    const SIZES: [[i64; 4]; 6] =
        [[1, 3, 4, 4], [2, 5, 1, 7], [3, 8, 13, 18], [40, 4, 12, 9], [2, 3, 70, 66], [1, 2, 3, 1100]];

    #[test]
    fn it_is_a_convolution_with_bias_and_relu() {
        for size in SIZES {
            let (error, _) = errors(&size, 6);
            assert!(error < 3e-6, "{size:?}: {error}");
        }
    }

    #[test]
    fn back_is_the_gradient_of_relu_and_convolution() {
        tch::manual_seed(0);
        for size in SIZES {
            let weight = Tensor::randn([6, size[1], 3, 3], (Kind::Float, Device::Cpu));
            let input = maps(&size).to_kind(Kind::Double).set_requires_grad(true);
            let double = weight.to_kind(Kind::Double);
            let output = input.conv2d(&double, None::<Tensor>, [1i64, 1], [1i64, 1], [1i64, 1], 1).relu();
            let gradients = in_order(&output.randn_like(), Device::Cpu, Kind::Float).unwrap();
            let expected = Tensor::run_backward(
                &[(&output * gradients.to_kind(Kind::Double)).sum(Kind::Double)],
                &[&input],
                false,
                false,
            );
            let scratch = scratch(&weight, &size);
            let activations = output.detach().to_kind(Kind::Float);
            let result =
                Filter::new(&weight).unwrap().back(&gradients.to_kind(Kind::Float), &activations, &scratch);
            let error = error(&result.unwrap(), &expected[0]);
            assert!(error < 3e-6, "{size:?}: {error}");
        }
    }

    #[test]
    fn it_rounds_nearly_as_little_as_the_direct_one() {
        for (channels, side) in [(128, 128), (256, 64)] {
            let (error, direct) = errors(&[1, channels, side, side], channels);
            assert!(error < 4.0 * direct, "{channels}: {error}, direct {direct}");
        }
    }
}
