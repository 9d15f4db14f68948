//! libtorch's convolutions of maps on a CPU, in bands of rows.

use tch::{Device, Kind, Tensor};

use super::source::Source;
use super::{Convolution, Window};
use crate::base::gradient::{pieces, MEGABYTE};
use crate::base::integer::div_ceil;
use crate::base::workers;
use crate::Result;

/// Multiplications of a convolution from which on it is worth the while to wake other threads: some milliseconds.
const LEAST_WORK: i64 = 1 << 28;
/// Numbers of a band's result or of what it reads, whatever is more: few enough for the cache of a core.
const AT_A_TIME: i64 = MEGABYTE / 2;
/// Rows of a band at least: the rows around it are read twice.
const LEAST_ROWS: i64 = 8;
/// Pixels of a band at least: oneDNN packs the weight anew for each.
const LEAST_PIXELS: i64 = 1024;

/// In which direction a convolution is gone through.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
    Forward {
        relu: bool,
    },
    /// From the gradient with respect to the output to that with respect to the input.
    Back,
}

impl Direction {
    /// Rows and columns of zeros around what is read.
    fn margin(self, Window { kernel, padding, .. }: Window) -> i64 {
        match self {
            Direction::Forward { .. } => padding,
            Direction::Back => kernel - 1 - padding,
        }
    }
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

/// Whether bands of a convolution of maps of a size are faster than libtorch's threads: there is a band for each thread
/// at least.
pub(super) fn pay(convolution: &Convolution, maps: &Tensor) -> bool {
    let [count, _, height, width] = maps.size()[..] else { return false };
    let (weight, threads) = (convolution.weight.size(), workers::available());
    let work = count * height * width * weight.iter().product::<i64>();
    let rows = rows_of_band(width, &weight);
    let bands = count * div_ceil(height, rows);
    convolution.window.stride == 1
        && maps.device() == Device::Cpu
        && maps.kind() != Kind::Double
        && work >= LEAST_WORK
        && rows.min(height) * width >= LEAST_PIXELS
        && threads > 1
        && usize::try_from(bands).is_ok_and(|bands| bands >= threads)
}

/// How many rows a band has in maps of a width.
fn rows_of_band(width: i64, weight: &[i64]) -> i64 {
    (AT_A_TIME / (width * weight[0].max(weight[1]))).max(LEAST_ROWS)
}

/// The convolution of `source` with a weight [in order](Convolution::in_order). The result has its channels last in
/// memory.
pub(super) fn convolve(source: Source, convolution: &Convolution, direction: Direction) -> Result<Tensor> {
    let (kernel, margin) = (convolution.window.kernel, direction.margin(convolution.window));
    let (size, weight) = (source.maps.size(), convolution.weight.size());
    let channels = match direction {
        Direction::Forward { .. } => weight[0],
        Direction::Back => weight[1],
    };
    let [height, width] = [2, 3].map(|side| size[side] + 2 * margin - kernel + 1);
    let options = (source.maps.kind(), Device::Cpu);
    let result = Tensor::f_empty([size[0], height, width, channels].as_slice(), options)?;
    let result = result.f_permute([0i64, 3, 1, 2].as_slice())?;
    let threads = workers::available();
    let rows = rows_of_band(width.max(size[3]), &weight);
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
        let margin = direction.margin(self.convolution.window);
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

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::{in_order, Convolution, Window};
    use super::{convolve, Direction, Source};

    const WINDOWS: [Window; 5] = [
        Window::new(3, 1, 1),
        Window::new(5, 1, 2),
        Window::new(1, 1, 0),
        Window::new(3, 1, 0),
        Window::new(2, 1, 1),
    ];
    // One band and several, of equal lengths and not; images of a single row.
    const SIZES: [[i64; 3]; 5] = [[1, 64, 7], [3, 37, 5], [2, 6, 9], [1, 5, 11], [2, 3, 2000]];

    fn packed(size: &[i64]) -> Tensor {
        in_order(&Tensor::randn(size, (Kind::Float, Device::Cpu)), Device::Cpu, Kind::Float).unwrap()
    }

    /// Whatever the order of a sum, it is off by its length in rounding errors of its magnitude at most: N. Higham,
    /// *Accuracy and stability of numerical algorithms*, section 3.1.
    fn assert_rounded(what: &str, found: &Tensor, exact: &Tensor, magnitudes: &Tensor, length: i64) {
        assert_eq!(found.size(), exact.size(), "{what}");
        let bound = magnitudes * (length as f64 * 2f64.powi(-24) * 1.01);
        let excess = ((found.to_kind(Kind::Double) - exact).abs() - bound).max().double_value(&[]);
        assert!(excess <= 0.0, "{what}: {excess} beyond the bound");
    }

    #[test]
    fn both_ways() {
        tch::manual_seed(0);
        for window in WINDOWS {
            for [count, height, width] in SIZES {
                let what = format!("{window:?} {count}x{height}x{width}");
                let maps = packed(&[count, 9, height, width]);
                let weight = packed(&[11, 9, window.kernel, window.kernel]);
                let bias = Tensor::randn([11], (Kind::Float, Device::Cpu));
                let convolution = Convolution { weight, bias, window };
                let wide = |tensor: &Tensor| tensor.to_kind(Kind::Double);
                let in_f64 = |maps: &Tensor, weight: &Tensor, bias: &Tensor| {
                    maps.conv2d(weight, Some(bias), [1, 1], [window.padding; 2], [1, 1], 1)
                };
                let Convolution { weight, bias, .. } = &convolution;
                let input = wide(&maps).set_requires_grad(true);
                let exact = in_f64(&input, &wide(weight), &wide(bias));
                let magnitudes = in_f64(&wide(&maps).abs(), &wide(weight).abs(), &wide(bias).abs());
                let length = 9 * window.kernel * window.kernel + 1;
                for relu in [false, true] {
                    let source = Source { maps: maps.shallow_clone(), relu: None };
                    let found = convolve(source, &convolution, Direction::Forward { relu }).unwrap();
                    let exact = if relu { exact.relu() } else { exact.shallow_clone() };
                    assert_rounded(
                        &format!("{what} relu {relu}"),
                        &found,
                        &exact.detach(),
                        &magnitudes,
                        length,
                    );
                }
                let output =
                    in_order(&exact.detach().to_kind(Kind::Float).relu(), Device::Cpu, Kind::Float).unwrap();
                let gradient = packed(&output.size());
                for relu in [None, Some(&output)] {
                    let passed = match relu {
                        Some(output) => wide(&gradient) * output.gt(0.0),
                        None => wide(&gradient),
                    };
                    let back = |input: &Tensor, weight: &Tensor, passed: &Tensor| {
                        let sum = (in_f64(input, weight, &wide(bias)) * passed).sum(Kind::Double);
                        Tensor::run_backward(&[sum], &[input], false, false).remove(0)
                    };
                    let exact = back(&input, &wide(weight), &passed);
                    let magnitudes = back(&input, &wide(weight).abs(), &passed.abs());
                    let source =
                        Source { maps: gradient.shallow_clone(), relu: relu.map(Tensor::shallow_clone) };
                    let found = convolve(source, &convolution, Direction::Back).unwrap();
                    let length = 11 * window.kernel * window.kernel;
                    assert_rounded(
                        &format!("{what} back {}", relu.is_some()),
                        &found,
                        &exact,
                        &magnitudes,
                        length,
                    );
                }
            }
        }
    }
}
