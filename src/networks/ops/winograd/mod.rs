//! 3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3).
//!
//! A tile of 4x4 results depends on 6x6 values. `Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A` computes it with 36
//! multiplications per pair of channels, where the definition takes 144. The transforms cost more than that
//! saves, unless there are many channels: the number of multiplications grows with the product of input and
//! output channels, the transforms with their sum.
//!
//! The points at which the polynomials behind the [`matrices`] are evaluated are chosen for a small rounding
//! error. Sums of 64 channels, added up, round less than one sum of all. The gradients of a trained network
//! are then as near to f64 as with libtorch's direct convolutions; `scripts/measure_precision.py` measures
//! that.
//!
//! Source: A. Lavin and S. Gray, [*Fast algorithms for convolutional neural
//! networks*](https://arxiv.org/abs/1509.09308) (2015).

use tch::{Device, Kind, Tensor};

use matrices::{transform, INPUT, RESULT, WEIGHT};

use super::Window;
use crate::base::gradient::pieces;
use crate::base::integer::div_ceil;
use crate::Result;

mod matrices;

/// Results of a tile, in each direction.
const TILE: i64 = 4;
/// Values that they depend on.
const WINDOW: i64 = TILE + 2;
const POINTS: i64 = WINDOW * WINDOW;
/// So many tiles go at once, or those of a row if they are more: enough work for all cores, few enough for
/// the cache.
const AT_A_TIME: i64 = 128;

/// Channels per running sum of products: 32 round a little less, but make a loss 2 to 5 % slower.
const SUMMANDS: i64 = 64;

/// Whether convolutions of `count` maps of a height and width are faster this way, the transform of the
/// weight included. Only those with a kernel of 3, a stride and a padding of 1 can be computed so.
pub(super) fn pays(weight: &Tensor, window: Window, count: i64, height: i64, width: i64) -> bool {
    let size = weight.size();
    window == Window::new(3, 1, 1)
        && weight.device() == Device::Cpu
        && weight.kind() == Kind::Float
        && size[0].min(size[1]) >= 128
        && count * div_ceil(height, TILE) * div_ceil(width, TILE) >= 256
}

/// Memory for intermediate results. It is allocated once, so that it stays in the cache and leaves no holes
/// in the heap.
pub(in crate::networks) struct Scratch([Tensor; 2]);

impl Scratch {
    /// For convolutions that need so many [`elements`].
    pub(in crate::networks) fn new(elements: i64) -> Result<Scratch> {
        let tensor = || Tensor::f_empty([elements].as_slice(), (Kind::Float, Device::Cpu));
        Ok(Scratch([tensor()?, tensor()?]))
    }

    /// One of the two as a tensor. Its values are undefined.
    fn tensor(&self, index: usize, shape: &[i64]) -> Result<Tensor> {
        Ok(self.0[index].f_narrow(0, 0, shape.iter().product())?.f_view(shape)?)
    }
}

/// How many elements of [`Scratch`] the convolution of maps of a width with `weight` needs.
pub(super) fn elements(weight: &Tensor, width: i64) -> i64 {
    let size = weight.size();
    POINTS * AT_A_TIME.max(div_ceil(width, TILE)) * size[0].max(size[1])
}

/// The matrices of one direction.
struct Transforms {
    input: Tensor,
    result: Tensor,
}

/// The transformed weight of a convolution with a padding of 1, in f32 on the CPU. Forward and back use the
/// same weight.
///
/// The gradient of a convolution is a convolution with the channels swapped and the kernel turned by 180
/// degrees. The matrices of the way back turn the tiles instead of the kernel.
pub(in crate::networks) struct Filter {
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

    /// Convolution and bias of maps `[N, in, H, W]`, and ReLU if asked for. The result has its channels last
    /// in memory.
    pub(super) fn forward(
        &self,
        images: &Tensor,
        bias: &Tensor,
        relu: bool,
        scratch: &Scratch,
    ) -> Result<Tensor> {
        convolve(
            &images.size(),
            &self.forward,
            &self.weight,
            Some(bias),
            scratch,
            |mut inside, part| Ok(inside.f_copy_(&part(images)?).map(drop)?),
            |results, mut to| {
                let written =
                    if relu { results.f_clamp_min_out(&to, 0.0) } else { to.f_copy_(results).map(|()| to) };
                Ok(written.map(drop)?)
            },
        )
    }

    /// From gradients `[N, out, H, W]` with respect to the output to those with respect to the maps. Where
    /// ReLU was asked for, `output` is what [`forward`](Self::forward) returned. The result has its channels
    /// last in memory.
    pub(super) fn back(
        &self,
        gradients: &Tensor,
        output: Option<&Tensor>,
        scratch: &Scratch,
    ) -> Result<Tensor> {
        convolve(
            &gradients.size(),
            &self.back,
            &self.weight.f_transpose(1, 2)?,
            None,
            scratch,
            |mut inside, part| match output {
                Some(output) => {
                    let (gradients, output) = (part(gradients)?, part(output)?);
                    Ok(output.f_threshold_backward_grad_input(&inside, &gradients, 0.0).map(drop)?)
                }
                None => Ok(inside.f_copy_(&part(gradients)?).map(drop)?),
            },
            |results, mut to| Ok(to.f_copy_(results).map(drop)?),
        )
    }
}

/// The convolution of maps of a size `[N, C, H, W]`, piece by piece, so that each stays in the cache.
///
/// `read` fills its first argument with the values of a piece. Its second argument cuts the piece out of maps
/// of that size. `write` stores the results, its first argument, in its second.
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
    let (rows, columns) = (div_ceil(height, TILE), div_ceil(width, TILE));
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
mod tests;
