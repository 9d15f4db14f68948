//! 3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3).
//!
//! A tile of 4x4 results depends on 6x6 values. `Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A` computes it with 36
//! multiplications per pair of channels, where the definition takes 144. The transforms cost more than that
//! saves, unless there are many channels: the number of multiplications grows with the product of input and
//! output channels, the transforms with their sum.
//!
//! The points at which the polynomials behind the [`matrices`] are evaluated are chosen for a small rounding
//! error. Sums of 128 channels, added up, round less than one sum of all. The gradients of a trained network
//! are then as near to f64 as with libtorch's direct convolutions; `scripts/measure_precision.py` measures
//! that.
//!
//! Source: A. Lavin and S. Gray, [*Fast algorithms for convolutional neural
//! networks*](https://arxiv.org/abs/1509.09308) (2015).

use tch::{Device, Kind, Tensor};

use matrices::{transform, INPUT, RESULT, WEIGHT};

use super::source::Source;
use super::Window;
use crate::base::gradient::pieces;
use crate::base::integer::div_ceil;
use crate::base::workers;
use crate::Result;

mod matrices;

/// Results of a tile, in each direction.
const TILE: i64 = 4;
/// Values that they depend on.
const WINDOW: i64 = TILE + 2;
const POINTS: i64 = WINDOW * WINDOW;
/// So many tiles are worked on at once by all threads together, or more if a row has more: few enough for the cache.
const AT_A_TIME: i64 = 128;
/// So many by each thread at least: with fewer, the products of matrices take longer.
const LEAST_AT_A_TIME: i64 = 16;

/// So many numbers of a transformed weight stay in the cache.
const CACHED: usize = 4 << 20;

/// Channels per running sum of products: 64 round a little less, but make a loss 5 to 10 % slower.
const SUMMANDS: i64 = 128;
/// Channels of input and output at least: with fewer, the transforms cost more than the products save.
const LEAST_CHANNELS: i64 = 64;

/// Whether convolutions of `count` maps of a height and width are faster this way, the transform of the
/// weight included. Only those with a kernel of 3, a stride and a padding of 1 can be computed so.
pub(super) fn pays(weight: &Tensor, window: Window, count: i64, height: i64, width: i64) -> bool {
    let size = weight.size();
    window == Window::new(3, 1, 1)
        && weight.device() == Device::Cpu
        // In bf16 even F(2x2, 3x3) rounds three times as much as a direct convolution, and saves a quarter of its time.
        && weight.kind() == Kind::Float
        && size[0].min(size[1]) >= LEAST_CHANNELS
        && count * div_ceil(height, TILE) * div_ceil(width, TILE) >= 256
}

/// Memory for intermediate results, for each thread. It is allocated once, so that it stays in the cache and leaves no
/// holes in the heap.
pub(in crate::networks) struct Scratch(Vec<Buffers>);

/// The memory of a thread.
struct Buffers([Tensor; 2]);

impl Scratch {
    /// For convolutions that need so many [`elements`] at a time.
    pub(in crate::networks) fn new(elements: i64) -> Result<Scratch> {
        let threads = if elements == 0 { 0 } else { workers::available() };
        // The first is also for a thread that works alone.
        let more = AT_A_TIME / at_a_time(threads.max(1));
        let buffers = |thread| {
            let elements = if thread == 0 { elements * more.max(1) } else { elements };
            let buffer = || Tensor::f_empty([elements].as_slice(), (Kind::Float, Device::Cpu));
            Ok(Buffers([buffer()?, buffer()?]))
        };
        Ok(Scratch((0..threads).map(buffers).collect::<Result<_>>()?))
    }
}

impl Buffers {
    /// One of the two as a tensor. Its values are undefined.
    fn tensor(&self, index: usize, shape: &[i64]) -> Result<Tensor> {
        Ok(self.0[index].f_narrow(0, 0, shape.iter().product())?.f_view(shape)?)
    }

    fn shared(&self) -> Buffers {
        Buffers(self.0.each_ref().map(Tensor::shallow_clone))
    }
}

/// How many elements of [`Scratch`] the convolution of maps of a width with `weight` needs.
pub(super) fn elements(weight: &Tensor, width: i64) -> i64 {
    let size = weight.size();
    POINTS * at_a_time(workers::available()).max(div_ceil(width, TILE)) * size[0].max(size[1])
}

/// How many tiles a thread takes at a time, at least: it reads the whole weight for them, which a cache of many megabytes
/// may not hold.
fn least_at_a_time(weight: &Tensor) -> i64 {
    match weight.numel() > CACHED {
        true => AT_A_TIME / 2,
        false => LEAST_AT_A_TIME,
    }
}

/// How many tiles a thread of so many takes at a time, at most.
fn at_a_time(threads: usize) -> i64 {
    (AT_A_TIME / to_i64(threads)).max(LEAST_AT_A_TIME)
}

fn to_i64(threads: usize) -> i64 {
    i64::try_from(threads).unwrap_or(i64::MAX)
}

/// The matrices of one direction.
struct Transforms {
    input: Tensor,
    result: Tensor,
}

impl Transforms {
    fn shared(&self) -> Transforms {
        Transforms { input: self.input.shallow_clone(), result: self.result.shallow_clone() }
    }
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
    pub(in crate::networks) fn forward(
        &self,
        images: &Tensor,
        bias: &Tensor,
        relu: bool,
        scratch: &Scratch,
    ) -> Result<Tensor> {
        let source = Source { maps: images.shallow_clone(), relu: None };
        convolve(source, &self.forward, &self.weight, Some(bias), relu, scratch)
    }

    /// From gradients `[N, out, H, W]` with respect to the output to those with respect to the maps. Where
    /// ReLU was asked for, `output` is what [`forward`](Self::forward) returned. The result has its channels
    /// last in memory.
    pub(in crate::networks) fn back(
        &self,
        gradients: &Tensor,
        output: Option<&Tensor>,
        scratch: &Scratch,
    ) -> Result<Tensor> {
        let source = Source { maps: gradients.shallow_clone(), relu: output.map(Tensor::shallow_clone) };
        convolve(source, &self.back, &self.weight.f_transpose(1, 2)?, None, false, scratch)
    }
}

/// What a thread works with. All threads see the same values, but for the buffers.
struct Worker {
    source: Source,
    transforms: Transforms,
    weight: Tensor,
    bias: Option<Tensor>,
    buffers: Buffers,
    /// The result, `[4, 4, N, rows, columns, C]`.
    tiles: Tensor,
}

/// The convolution of maps, piece by piece, so that each stays in the cache.
fn convolve(
    source: Source,
    transforms: &Transforms,
    weight: &Tensor,
    bias: Option<&Tensor>,
    relu: bool,
    scratch: &Scratch,
) -> Result<Tensor> {
    let [count, _, height, width] = source.maps.size()[..] else {
        unreachable!("images have four dimensions")
    };
    let out = weight.size()[2];
    let (rows, columns) = (div_ceil(height, TILE), div_ceil(width, TILE));
    let options = (Kind::Float, Device::Cpu);
    let result = Tensor::f_empty([count, rows, TILE, columns, TILE, out].as_slice(), options)?;
    let tiles = result.f_permute([2i64, 4, 0, 1, 3, 5].as_slice())?;
    let cut = |at_a_time: i64| -> Vec<Piece> {
        let of_images =
            |images| pieces(rows, (at_a_time / columns).max(1)).map(move |rows| Piece { images, rows });
        pieces(count, (at_a_time / (rows * columns)).max(1)).flat_map(of_images).collect()
    };
    let mut threads = scratch.0.len();
    let (least, most) = (least_at_a_time(weight), at_a_time(threads));
    let share = count * rows * columns / to_i64(threads);
    let mut pieces = cut(share.max(least).min(most));
    if least > most || pieces.len() < threads {
        // libtorch's threads share the work on large pieces.
        (pieces, threads) = (cut(AT_A_TIME), 1);
    }
    let workers = scratch.0.iter().take(threads).map(|buffers| Worker {
        source: source.shared(),
        transforms: transforms.shared(),
        weight: weight.shallow_clone(),
        bias: bias.map(Tensor::shallow_clone),
        buffers: buffers.shared(),
        tiles: tiles.shallow_clone(),
    });
    workers::each(workers.collect(), pieces.len(), |worker, piece| worker.convolve(&pieces[piece], relu))?;
    let result = result
        .f_view([count, rows * TILE, columns * TILE, out].as_slice())?
        .f_narrow(1, 0, height)?
        .f_narrow(2, 0, width)?
        .f_contiguous()?;
    Ok(result.f_permute([0i64, 3, 1, 2].as_slice())?)
}

/// Rows of tiles of some images; start and length of each.
struct Piece {
    images: (i64, i64),
    rows: (i64, i64),
}

impl Worker {
    fn convolve(&self, piece: &Piece, relu: bool) -> Result<()> {
        let ((image, images), (row, rows)) = (piece.images, piece.rows);
        let [_, channels, height, width] = self.source.maps.size()[..] else {
            unreachable!("four dimensions")
        };
        let (columns, out) = (div_ceil(width, TILE), self.weight.size()[2]);
        let count = images * rows * columns;
        let in_rows = |tensor: &Tensor| tensor.f_view([tensor.size()[0], -1].as_slice());
        // What the piece's tiles depend on, with zeros outside of the maps.
        let (top, padded_height) = (row * TILE - 1, rows * TILE + 2);
        let (first, last) = (top.max(0), (top + padded_height).min(height));
        let padded = self.buffers.tensor(1, &[images, padded_height, columns * TILE + 2, channels])?;
        for (dimension, start, end) in [(1, first - top, last - top), (2, 1, 1 + width)] {
            let length = padded.size()[dimension as usize];
            let _ = padded.f_narrow(dimension, 0, start)?.f_zero_()?;
            let _ = padded.f_narrow(dimension, end, length - end)?.f_zero_()?;
        }
        let padded = padded.f_permute([0i64, 3, 1, 2].as_slice())?;
        let inside = padded.f_narrow(2, first - top, last - first)?.f_narrow(3, 1, width)?;
        let part = |maps: &Tensor| Ok(maps.f_narrow(0, image, images)?.f_narrow(2, first, last - first)?);
        self.source.write_part(inside, part)?;
        let window = self.buffers.tensor(0, &[POINTS, count, channels])?;
        let windows = padded
            .f_unfold(2, WINDOW, TILE)?
            .f_unfold(3, WINDOW, TILE)?
            .f_permute([4i64, 5, 0, 2, 3, 1].as_slice())?;
        window.f_view(windows.size().as_slice())?.f_copy_(&windows)?;
        let values = self.buffers.tensor(1, &[POINTS, count, channels])?;
        let _ = self.transforms.input.f_mm_out(&in_rows(&values)?, &in_rows(&window)?)?;
        let products = self.buffers.tensor(0, &[POINTS, count, out])?;
        multiply(&values, &self.weight, products.shallow_clone())?;
        let mut results = self.buffers.tensor(1, &[TILE * TILE, count, out])?;
        let _ = self.transforms.result.f_mm_out(&in_rows(&results)?, &in_rows(&products)?)?;
        if let Some(bias) = &self.bias {
            let _ = results.f_add_(bias)?;
        }
        let mut to = self.tiles.f_narrow(2, image, images)?.f_narrow(3, row, rows)?;
        let results = results.f_view(to.size().as_slice())?;
        match relu {
            true => drop(results.f_clamp_min_out(&to, 0.0)?),
            false => to.f_copy_(&results)?,
        }
        Ok(())
    }
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
