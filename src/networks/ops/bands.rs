//! libtorch's convolutions of maps on a CPU, in bands of rows.

use tch::{Device, Kind, Tensor};

use super::source::Source;
use super::{Convolution, Window};
use crate::base::gradient::{pieces, MEGABYTE};
use crate::base::workers;
use crate::Result;

/// Multiplications of a convolution from which on it is worth the while to wake other threads: a millisecond.
const LEAST_WORK: i64 = 1 << 26;
/// Numbers of a band's result or of what it reads, whatever is more: few enough for the cache of a core.
const AT_A_TIME: i64 = MEGABYTE / 2;
/// Rows of a band at least: the rows around it are read twice.
const LEAST_ROWS: i64 = 8;

/// In which direction a convolution is gone through.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
    Forward {
        relu: bool,
    },
    /// From the gradient with respect to the output to that with respect to the input.
    Back,
}

/// Rows `[start, end)` of the result for an image.
struct Band {
    image: i64,
    start: i64,
    end: i64,
}

/// What a thread works with. All threads see the same values.
struct Worker {
    source: Source,
    convolution: Convolution,
    /// `[N, C, H, W]`
    result: Tensor,
}

/// Whether bands of a convolution of maps of a size are faster than libtorch's threads. `convolution` moves by one
/// pixel.
pub(super) fn pay(convolution: &Convolution, maps: &Tensor) -> bool {
    let pixels = maps.size()[0] * maps.size()[2] * maps.size()[3];
    let work = pixels * convolution.weight.size().iter().product::<i64>();
    convolution.window.stride == 1
        && maps.device() == Device::Cpu
        && maps.kind() != Kind::Double
        && work >= LEAST_WORK
        && workers::available() > 1
}

/// The convolution of `source` with a weight [in order](Convolution::in_order). The result has its channels last in
/// memory.
pub(super) fn convolve(source: Source, convolution: &Convolution, direction: Direction) -> Result<Tensor> {
    let Window { kernel, padding, .. } = convolution.window;
    let (size, weight) = (source.maps.size(), convolution.weight.size());
    let (channels, margin) = match direction {
        Direction::Forward { .. } => (weight[0], padding),
        Direction::Back => (weight[1], kernel - 1 - padding),
    };
    let [height, width] = [2, 3].map(|side| size[side] + 2 * margin - kernel + 1);
    let options = (source.maps.kind(), Device::Cpu);
    let result = Tensor::f_empty([size[0], height, width, channels].as_slice(), options)?;
    let result = result.f_permute([0i64, 3, 1, 2].as_slice())?;
    let threads = workers::available();
    let rows = AT_A_TIME / (width.max(size[3]) * weight[0].max(weight[1]));
    let rows = rows.clamp(LEAST_ROWS, height.max(LEAST_ROWS));
    let bands: Vec<Band> = (0..size[0])
        .flat_map(|image| {
            let band = move |(start, rows)| Band { image, start, end: start + rows };
            pieces(height, rows).map(band)
        })
        .collect();
    let worker = |_| {
        let convolution = convolution.map(|tensor| Ok(tensor.shallow_clone()))?;
        Ok(Worker { source: source.shared(), convolution, result: result.shallow_clone() })
    };
    let workers = (0..threads.min(bands.len())).map(worker).collect::<Result<_>>()?;
    workers::each(workers, bands.len(), |worker: &mut Worker, band| {
        worker.convolve(&bands[band], direction)
    })?;
    Ok(result)
}

impl Worker {
    fn convolve(&self, band: &Band, direction: Direction) -> Result<()> {
        let Window { kernel, padding, .. } = self.convolution.window;
        let margin = match direction {
            Direction::Forward { .. } => padding,
            Direction::Back => kernel - 1 - padding,
        };
        let height = self.source.maps.size()[2];
        // What the band depends on, with zeros outside of the maps.
        let (top, bottom) = (band.start - margin, band.end - margin + kernel - 1);
        let (first, last) = (top.max(0), bottom.min(height));
        let cut = |maps: &Tensor| Ok(maps.f_narrow(0, band.image, 1)?.f_narrow(2, first, last - first)?);
        let mut maps = self.source.part(cut)?;
        if (first, last) != (top, bottom) {
            maps = maps.f_constant_pad_nd([0, 0, first - top, bottom - last].as_slice())?;
        }
        let mut to =
            self.result.f_narrow(0, band.image, 1)?.f_narrow(2, band.start, band.end - band.start)?;
        let Convolution { weight, bias, .. } = &self.convolution;
        const ONE: [i64; 2] = [1, 1];
        match direction {
            Direction::Forward { relu } => {
                let found = maps.f_conv2d(weight, Some(bias), ONE, [0, padding], ONE, 1)?;
                match relu {
                    true => drop(found.f_clamp_min_out(&to, 0.0)?),
                    false => to.f_copy_(&found)?,
                }
            }
            Direction::Back => {
                let padding = [kernel - 1, padding];
                let none = None::<Tensor>;
                to.f_copy_(&maps.f_conv_transpose2d(weight, none, ONE, padding, [0, 0], 1, ONE)?)?;
            }
        }
        Ok(())
    }
}
