//! Windows on planes `[P, 1, H, W]`, whose elements lie in rows or in columns.
//!
//! In f32 on the CPU, oneDNN filters at the speed of the memory where what it takes for channels lie side by side. The
//! pixels of a row do, along columns. So the planes are filtered along columns, transposed, and filtered along what was
//! their rows; the result's elements lie in columns. Filtered once more, they lie in rows again.
//!
//! [`packed`](super::window::packed) planes, which SSIM has, are another way to the same end. For images of few channels
//! it is slower: five planes of 256x256 under 17 pixels took 2.4 times as long on one thread, twenty 3.5 times. SSIM's
//! strips are packed once for all its passes.

use tch::{utils, Device, Kind, Tensor};

use super::window::Window;
use crate::Result;

/// [`Window::sums`].
pub(crate) fn sums(window: &Window, planes: &Tensor) -> Result<Tensor> {
    match is_fast(planes) {
        true => convolved(window, planes, 0),
        false => window.sums(planes),
    }
}

/// [`Window::spread`].
pub(crate) fn spread(window: &Window, planes: &Tensor) -> Result<Tensor> {
    match is_fast(planes) {
        true => convolved(window, planes, window.size() - 1),
        false => window.spread(planes),
    }
}

/// All the planes, as the first ones lie.
pub(crate) fn joined(planes: &[Tensor]) -> Result<Tensor> {
    if planes[0].is_contiguous() {
        return Ok(Tensor::f_cat(planes, 0)?);
    }
    let turned = planes.iter().map(turned).collect::<Result<Vec<Tensor>>>()?;
    self::turned(&Tensor::f_cat(&turned, 0)?)
}

/// In libtorch's graph, views of another shape would cost more than they save.
fn is_fast(planes: &Tensor) -> bool {
    planes.kind() == Kind::Float
        && planes.device() == Device::Cpu
        && !planes.requires_grad()
        && utils::has_mkldnn()
}

fn turned(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_transpose(-2, -1)?)
}

/// By oneDNN, with a margin of zeros.
fn convolved(window: &Window, planes: &Tensor, margin: i64) -> Result<Tensor> {
    let weights = Tensor::f_from_slice(window.weights())?.f_to_kind(planes.kind())?;
    let in_columns = !planes.is_contiguous() && turned(planes)?.is_contiguous();
    let first = if in_columns { turned(planes)? } else { planes.f_contiguous()? };
    let once = along_columns(&first, &weights, margin)?;
    let twice = along_columns(&turned(&once)?.f_contiguous()?, &weights, margin)?;
    match in_columns {
        true => Ok(twice),
        false => turned(&twice),
    }
}

/// Along the columns of contiguous planes. The width is the number of channels.
fn along_columns(planes: &Tensor, weights: &Tensor, margin: i64) -> Result<Tensor> {
    let size = planes.size();
    let [count, _, height, width] = size[..] else { unreachable!("planes have four dimensions") };
    let area = height * width;
    let channels = planes.f_as_strided([count, width, 1, height], [area, 1, area, width], None)?;
    let taps = weights.size()[0];
    let weights = weights.f_view([1, 1, 1, taps])?.f_expand([width, 1, 1, taps], false)?.f_contiguous()?;
    let sums = channels.f_conv2d(&weights, None::<Tensor>, [1, 1], [0, margin], [1, 1], width)?;
    // As the planes were: for a layout that oneDNN returns otherwise, this is a copy.
    Ok(sums.f_permute([0, 2, 3, 1])?.f_contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_have_the_same_sums() {
        for size in [3, 9, 17] {
            let window = Window::gaussian(size, size as f64 / 5.0, Kind::Float);
            let planes = Tensor::rand([3, 1, 29, 23], (Kind::Float, Device::Cpu));
            let close = |own: Tensor, expected: Tensor| {
                assert_eq!(own.size(), expected.size());
                assert!((own - expected).abs().max().double_value(&[]) < 1e-5, "{size}");
            };
            let own = sums(&window, &planes).unwrap();
            let expected = window.sums(&planes).unwrap();
            close(own.shallow_clone(), expected.shallow_clone());
            // These lie in columns, if oneDNN is there.
            close(spread(&window, &own).unwrap(), window.spread(&expected).unwrap());
            close(
                joined(&[own.shallow_clone(), &own * 2.0]).unwrap(),
                Tensor::cat(&[&expected, &(&expected * 2.0)], 0),
            );
        }
    }
}
