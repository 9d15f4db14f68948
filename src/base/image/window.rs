//! Sums over windows: what structure is measured with.

use tch::{utils, Device, Kind, Tensor};

use crate::base::tensor::{on_device, side};
use crate::Result;

/// A window that is the product of the same symmetric weights along both axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    weights: Vec<f64>,
}

impl Window {
    /// `exp(-d² / (2 sigma²))`, normalised to the sum 1, computed and rounded in `kind`.
    pub(crate) fn gaussian(size: i64, sigma: f64, kind: Kind) -> Window {
        let squared = |index: i64| (index as f64 - (size - 1) as f64 / 2.0).powi(2);
        // In the middle it is 1, even if the square of sigma is 0.
        let exponential = |squared: f64, exponent: f64| if squared == 0.0 { 1.0 } else { exponent.exp() };
        let weights = match kind {
            Kind::Double => {
                let weight = |i: i64| exponential(squared(i), -squared(i) / (2.0 * sigma * sigma));
                let weights: Vec<f64> = (0..size).map(weight).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect()
            }
            _ => {
                // Rounded once: the platforms' own f32 exponentials differ in the last bit.
                let exponent = |i: i64| f64::from(-(squared(i) as f32) / (2.0 * sigma * sigma) as f32);
                let weight = |i: i64| exponential(squared(i), exponent(i)) as f32;
                let weights: Vec<f32> = (0..size).map(weight).collect();
                let sum = sum_as_in_pytorch(&weights);
                weights.iter().map(|weight| f64::from(weight / sum)).collect()
            }
        };
        Window { weights }
    }

    /// The same weight for all.
    pub(crate) fn uniform(size: i64) -> Window {
        Window { weights: vec![1.0 / size as f64; size as usize] }
    }

    /// How many elements it has along each axis.
    pub(crate) fn size(&self) -> i64 {
        self.weights.len() as i64
    }

    /// The weights along one axis.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The weighted sums of `planes` `[.., H, W]` for all places at which the window lies within them:
    /// `[.., H - size + 1, W - size + 1]`. Works in libtorch's graph and without; fastest for [`packed`] planes.
    pub(crate) fn sums(&self, planes: &Tensor) -> Result<Tensor> {
        match is_packed(planes) {
            true => self.convolved(planes, 0),
            false => self.along(&self.along(planes, -2)?, -1),
        }
    }

    /// The adjoint of [`sums`](Self::sums): the sums of planes that are larger by zeros on all sides,
    /// `[.., H + size - 1, W + size - 1]`.
    pub(crate) fn spread(&self, planes: &Tensor) -> Result<Tensor> {
        let margin = self.size() - 1;
        match is_packed(planes) {
            true => self.convolved(planes, margin),
            false => self.sums(&planes.f_constant_pad_nd([margin; 4].as_slice())?),
        }
    }

    /// The sums of planes `[M, K, H, W]` within a margin of zeros, with the products of the weights rounded to f32:
    /// those of a window of two dimensions that was made in f32.
    pub(crate) fn products_in_f32(&self, planes: &Tensor, margin: i64) -> Result<Tensor> {
        let weights = Tensor::f_from_slice(&self.weights)?.f_to_kind(Kind::Float)?;
        let products = on_device(&weights.f_outer(&weights)?, planes.device(), planes.kind())?;
        let (channels, size) = (planes.size()[1], self.size());
        let products = products.f_expand([channels, 1, size, size], true)?;
        Ok(planes.f_conv2d(&products, None::<Tensor>, [1, 1], [margin, margin], [1, 1], channels)?)
    }

    /// By oneDNN, along one axis after the other, with a margin of zeros.
    fn convolved(&self, planes: &Tensor, margin: i64) -> Result<Tensor> {
        let (channels, size) = (planes.size()[1], self.size());
        let weights = Tensor::f_from_slice(&self.weights)?.f_to_kind(planes.kind())?;
        let along = |planes: &Tensor, kernel: [i64; 2], padding: [i64; 2]| -> Result<Tensor> {
            // Packed as the planes are.
            let [height, width] = kernel;
            let weights = weights.f_view([1, height, width, 1])?.f_expand([channels, -1, -1, -1], false)?;
            let weights = weights.f_contiguous()?.f_permute([0, 3, 1, 2])?;
            Ok(planes.f_conv2d(&weights, None::<Tensor>, [1, 1], padding, [1, 1], channels)?)
        };
        along(&along(planes, [1, size], [0, margin])?, [size, 1], [margin, 0])
    }

    /// Along one axis. The weights are symmetric: two shifted views have the same one.
    fn along(&self, planes: &Tensor, dim: i64) -> Result<Tensor> {
        let size = self.size();
        let length = side(planes, dim) - size + 1;
        let shifted = |by: i64| planes.f_narrow(dim, by, length);
        let mut sum: Option<Tensor> = None;
        for index in 0..(size + 1) / 2 {
            let (own, mirrored) = (shifted(index)?, size - 1 - index);
            let pair = if mirrored == index { own } else { own.f_add(&shifted(mirrored)?)? };
            let term = pair.f_mul_scalar(self.weights[index as usize])?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&term)?,
                None => term,
            });
        }
        Ok(sum.expect("a window has an element at least"))
    }
}

/// The sum in the order of PyTorch, on which the last bit depends: each eighth number belongs to one of eight sums, of
/// four parts each. Fewer than eight numbers have one sum.
fn sum_as_in_pytorch(numbers: &[f32]) -> f32 {
    let rows = numbers.chunks_exact(if numbers.len() < 8 { 1 } else { 8 });
    let sum: f32 = rows.remainder().iter().sum();
    let mut parts = [[0.0f32; 8]; 4];
    // The rows beyond a multiple of four belong to the first part.
    let in_turns = rows.len() / 4 * 4;
    for (index, row) in rows.enumerate() {
        let part = if index < in_turns { index % 4 } else { 0 };
        parts[part].iter_mut().zip(row).for_each(|(lane, number)| *lane += number);
    }
    let [mut lanes, others @ ..] = parts;
    for part in others {
        lanes.iter_mut().zip(part).for_each(|(lane, number)| *lane += number);
    }
    lanes.iter().fold(sum, |sum, lane| sum + lane)
}

/// Images `[N, C, H, W]` as planes `[1, N * C, H, W]` whose elements lie side by side in memory, pixel by pixel: so
/// oneDNN filters them at the speed of the memory. Works in libtorch's graph and without.
pub(crate) fn packed(images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let [count, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
    let pixels = images.f_permute([2, 3, 0, 1])?.f_contiguous()?;
    Ok(pixels.f_view([1, height, width, count * channels])?.f_permute([0, 3, 1, 2])?)
}

/// Whether oneDNN filters the planes without a copy. It has f32 alone, and one channel is no matter of layout.
fn is_packed(planes: &Tensor) -> bool {
    planes.dim() == 4
        && planes.kind() == Kind::Float
        && planes.device() == Device::Cpu
        && planes.size()[1] > 1
        && planes.stride()[1] == 1
        && utils::has_mkldnn()
}

#[cfg(test)]
mod tests {
    use tch::{no_grad, Kind, Tensor};

    use super::*;

    /// The weights of pytorch-msssim, bit by bit.
    #[test]
    fn a_window_in_f32() {
        let expected = [
            0.0010283803567290306,
            0.0075987582094967365,
            0.036000773310661316,
            0.10936068743467331,
            0.21300552785396576,
            0.26601171493530273,
        ];
        let window = Window::gaussian(11, 1.5, Kind::Float);
        assert_eq!(window.weights[..6], expected);
        assert!(window.weights.iter().eq(window.weights.iter().rev()));
        // A sigma whose square is 0.
        assert_eq!(Window::gaussian(3, 1e-200, Kind::Float).weights, [0.0, 1.0, 0.0]);
        assert_eq!(Window::gaussian(3, 1e-200, Kind::Double).weights, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn sums_in_the_order_of_pytorch() {
        let sum = |length: usize| {
            let numbers: Vec<f32> = (0..length).map(|i| ((7 * i + 3) as f32).sin()).collect();
            (sum_as_in_pytorch(&numbers), Tensor::from_slice(&numbers).sum(None).double_value(&[]) as f32)
        };
        for length in 1..130 {
            let (own, expected) = sum(length);
            assert!((own - expected).abs() < 1e-5, "{length}");
        }
        let weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
        // One sum after the other is 1.0000999.
        assert_eq!(sum_as_in_pytorch(&weights), 1.0001);
    }

    /// oneDNN and the shifted views have the same sums, and each spreads what it sums up.
    #[test]
    fn packed_planes_have_the_same_sums() {
        for (count, channels, size) in [(1, 2, 3), (2, 5, 5), (1, 1, 11), (3, 16, 7), (4, 3, 1)] {
            let window = Window::gaussian(size, 1.5, Kind::Float);
            let images = Tensor::rand([count, channels, 13, 17], (Kind::Float, Device::Cpu));
            let planes = packed(&images).unwrap();
            let of_planes = |sums: Tensor| sums.view([count, channels, sums.size()[2], sums.size()[3]]);
            let close = |own: Tensor, expected: Tensor| {
                assert_eq!(own.size(), expected.size());
                assert!((own - expected).abs().max().double_value(&[]) < 1e-5, "{channels} {size}");
            };
            close(of_planes(window.sums(&planes).unwrap()), window.sums(&images).unwrap());
            close(of_planes(window.spread(&planes).unwrap()), window.spread(&images).unwrap());
            let margin = size / 2;
            let within = images.constant_pad_nd([margin; 4]);
            let products = no_grad(|| window.products_in_f32(&images, margin).unwrap());
            close(products, window.sums(&within).unwrap());
        }
    }
}
