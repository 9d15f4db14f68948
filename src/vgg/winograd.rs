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
        && size[0].min(size[1]) >= 256
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

/// The transformed weight of a convolution with a padding of 1, on the CPU and in f32.
pub(super) struct Filter {
    /// `[36, in, out]`
    weight: Tensor,
    input: Tensor,
    result: Tensor,
}

impl Filter {
    /// Of a weight `[out, in, 3, 3]`.
    pub(super) fn new(weight: &Tensor) -> Result<Filter> {
        let size = weight.size();
        let columns = weight.f_permute([2i64, 3, 1, 0].as_slice())?.f_reshape([9i64, -1].as_slice())?;
        let weight = transform(WEIGHT)?.f_matmul(&columns)?.f_view([-1, size[1], size[0]].as_slice())?;
        Ok(Filter { weight, input: transform(INPUT)?, result: transform(RESULT)? })
    }

    /// The convolution of maps `[N, C, H, W]`, the result with its channels last in memory.
    pub(super) fn apply(&self, images: &Tensor, bias: Option<&Tensor>, scratch: &Scratch) -> Result<Tensor> {
        let [count, channels, height, width] = images.size()[..] else {
            unreachable!("images have four dimensions")
        };
        let out = self.weight.size()[2];
        let (rows, columns) = (ceil_div(height, TILE), ceil_div(width, TILE));
        let padding = [1, 1 + columns * TILE - width, 1, 1 + rows * TILE - height];
        // [6, 6, N, rows, columns, C], a view.
        let windows = images
            .f_constant_pad_nd(padding.as_slice())?
            .f_unfold(2, WINDOW, TILE)?
            .f_unfold(3, WINDOW, TILE)?
            .f_permute([4i64, 5, 0, 2, 3, 1].as_slice())?;
        let options = (Kind::Float, Device::Cpu);
        let result = Tensor::f_empty([count, rows, TILE, columns, TILE, out].as_slice(), options)?;
        let tiles = result.f_permute([2i64, 4, 0, 1, 3, 5].as_slice())?;
        for (image, images) in pieces(count, (AT_A_TIME / (rows * columns)).max(1)) {
            for (row, rows) in pieces(rows, (AT_A_TIME / columns).max(1)) {
                let part = |all: &Tensor| all.f_narrow(2, image, images)?.f_narrow(3, row, rows);
                let count = images * rows * columns;
                let in_rows = |tensor: &Tensor| tensor.f_view([tensor.size()[0], -1].as_slice());
                let window = scratch.tensor(0, &[POINTS, count, channels])?;
                let shape = [WINDOW, WINDOW, images, rows, columns, channels];
                window.f_view(shape.as_slice())?.f_copy_(&part(&windows)?)?;
                let values = scratch.tensor(1, &[POINTS, count, channels])?;
                let _ = self.input.f_mm_out(&in_rows(&values)?, &in_rows(&window)?)?;
                let products = scratch.tensor(0, &[POINTS, count, out])?;
                let _ = values.f_bmm_out(&products, &self.weight)?;
                let results = scratch.tensor(1, &[TILE * TILE, count, out])?;
                let _ = self.result.f_mm_out(&in_rows(&results)?, &in_rows(&products)?)?;
                let shape = [TILE, TILE, images, rows, columns, out];
                part(&tiles)?.f_copy_(&results.f_view(shape.as_slice())?)?;
            }
        }
        let mut result = result
            .f_view([count, rows * TILE, columns * TILE, out].as_slice())?
            .f_narrow(1, 0, height)?
            .f_narrow(2, 0, width)?
            .f_contiguous()?;
        if let Some(bias) = bias {
            result = result.f_add_(bias)?;
        }
        Ok(result.f_permute([0i64, 3, 1, 2].as_slice())?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::in_order;
    use super::{elements, Filter, Scratch};

    /// Relative to the largest result, against libtorch's convolution in f64.
    fn errors(size: &[i64], out: i64, bias: bool) -> (f64, f64) {
        tch::manual_seed(0);
        let options = (Kind::Float, Device::Cpu);
        let images = in_order(&Tensor::randn(size, options).relu(), Device::Cpu, Kind::Float).unwrap();
        let deviation = (2.0 / (9.0 * size[1] as f64)).sqrt();
        let weight = Tensor::randn([out, size[1], 3, 3], options) * deviation;
        let bias = bias.then(|| Tensor::randn([out], options));
        let direct = |kind| {
            let bias = bias.as_ref().map(|bias| bias.to_kind(kind));
            let (images, weight) = (images.to_kind(kind), weight.to_kind(kind));
            images.conv2d(&weight, bias.as_ref(), [1i64, 1], [1i64, 1], [1i64, 1], 1).to_kind(Kind::Double)
        };
        let expected = direct(Kind::Double);
        let error = |result: &Tensor| {
            let largest = (result.to_kind(Kind::Double) - &expected).abs().max();
            (largest / expected.abs().max()).double_value(&[])
        };
        let scratch = Scratch::new(elements(&weight, size[3])).unwrap();
        let result = Filter::new(&weight).unwrap().apply(&images, bias.as_ref(), &scratch).unwrap();
        assert_eq!(result.size(), expected.size());
        (error(&result), error(&direct(Kind::Float)))
    }

    #[test]
    fn it_is_a_convolution() {
        // Whole tiles and parts, one piece and several, by images and by rows.
        for size in
            [[1, 3, 4, 4], [2, 5, 1, 7], [3, 8, 13, 18], [40, 4, 12, 9], [2, 3, 70, 66], [1, 2, 3, 1100]]
        {
            for bias in [false, true] {
                let (error, _) = errors(&size, 6, bias);
                assert!(error < 3e-6, "{size:?}: {error}");
            }
        }
    }

    #[test]
    fn it_rounds_nearly_as_little_as_the_direct_one() {
        let (error, direct) = errors(&[1, 256, 64, 64], 256, true);
        assert!(error < 4.0 * direct, "{error}, direct {direct}");
    }
}
