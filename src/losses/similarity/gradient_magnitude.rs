//! Gradient magnitudes of planes `[.., H, W]`, and how alike two of them are.
//!
//! The kernels are a weighted sum of three pixels along one axis and a difference of two along the other. They are sums
//! of shifted views: in libtorch, a convolution with one channel in and out is an order of magnitude slower.

use tch::Tensor;

use crate::base::image;
use crate::base::tensor::side;
use crate::Result;

/// A pair of 3x3 kernels that finds gradients, with zeros around the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operator {
    /// `[1, 1, 1] / 3` along the edge.
    Prewitt,
    /// `[3, 10, 3] / 16` along the edge.
    Scharr,
}

impl Operator {
    /// The weight of the middle pixel along the edge, where that of its neighbours is 1.
    fn middle(self) -> f64 {
        match self {
            Operator::Prewitt => 1.0,
            Operator::Scharr => 10.0 / 3.0,
        }
    }

    /// What [`gradients`](Self::gradients) have to be multiplied by to be those of the reference's kernels. Where they
    /// are compared with a constant, the constant can be divided instead.
    pub(super) fn scale(self) -> f64 {
        match self {
            Operator::Prewitt => 1.0 / 3.0,
            Operator::Scharr => 3.0 / 16.0,
        }
    }

    /// The gradients along the rows and along the columns, divided by [`scale`](Self::scale). In libtorch's graph or
    /// without one.
    pub(super) fn gradients(self, planes: &Tensor) -> Result<[Tensor; 2]> {
        let padded = planes.f_constant_pad_nd([1i64; 4].as_slice())?;
        Ok([difference(&self.smooth(&padded, -2)?, -1)?, difference(&self.smooth(&padded, -1)?, -2)?])
    }

    /// The gradient of planes, given those of their [`gradients`](Self::gradients).
    pub(super) fn back(self, [along_rows, along_columns]: [&Tensor; 2]) -> Result<Tensor> {
        let padded = |planes: &Tensor| planes.f_constant_pad_nd([1i64; 4].as_slice());
        // The kernels change their sign when turned: the adjoint of each is its negative.
        let from_rows = difference(&self.smooth(&padded(along_rows)?, -2)?, -1)?;
        let mut from_columns = difference(&self.smooth(&padded(along_columns)?, -1)?, -2)?;
        Ok(from_columns.f_add_(&from_rows)?.f_neg_()?)
    }

    /// The length of the gradient, with a gradient of its own that is 0 where the plane is flat.
    pub(super) fn magnitude(self, planes: &Tensor) -> Result<Tensor> {
        self.magnitude_of(&self.gradients(planes)?)
    }

    /// The [`magnitude`](Self::magnitude) of [`gradients`](Self::gradients).
    pub(super) fn magnitude_of(self, [along_rows, along_columns]: &[Tensor; 2]) -> Result<Tensor> {
        Ok(Lengths::of([along_rows, along_columns])?.length.f_mul_scalar(self.scale())?)
    }

    /// The gradient of planes, given that of their magnitude. Without a graph.
    pub(super) fn magnitude_back(
        self,
        slopes: &Tensor,
        [along_rows, along_columns]: &[Tensor; 2],
        magnitude: &Tensor,
    ) -> Result<Tensor> {
        // The direction has the length 0 where the magnitude is 0, which is that of the smallest number.
        let of_lengths = slopes.f_div(magnitude)?.f_mul_scalar_(self.scale().powi(2))?;
        self.back([&of_lengths.f_mul(along_rows)?, &of_lengths.f_mul(along_columns)?])
    }

    /// The weighted sum of three pixels along `dim`, which gets shorter by 2.
    fn smooth(self, padded: &Tensor, dim: i64) -> Result<Tensor> {
        let length = side(padded, dim) - 2;
        let shifted = |by: i64| padded.f_narrow(dim, by, length);
        let mut sum = shifted(0)?.f_add(&shifted(2)?)?;
        // The backward pass of a sum does not read the sum: it can change in place.
        Ok(match self.middle() {
            1.0 => sum.f_add_(&shifted(1)?)?,
            middle => sum.f_add_(&shifted(1)?.f_mul_scalar(middle)?)?,
        })
    }
}

/// The lengths of gradients and their squares. The length has a gradient of 0 where it is 0.
pub(super) struct Lengths {
    length: Tensor,
    square: Tensor,
}

impl Lengths {
    pub(super) fn of([along_rows, along_columns]: [&Tensor; 2]) -> Result<Lengths> {
        let square = along_rows.f_square()?.f_addcmul(along_columns, along_columns)?;
        Ok(Lengths { length: image::sqrt(&square)?, square })
    }

    /// `(a - b)² / (a² + b² - masking ab + constant)`.
    pub(super) fn dissimilarity(&self, other: &Lengths, constant: f64, masking: f64) -> Result<Tensor> {
        let mut denominator = self.square.f_add(&other.square)?;
        if masking != 0.0 {
            denominator = denominator.f_sub(&self.length.f_mul(&other.length)?.f_mul_scalar(masking)?)?;
        }
        let difference = self.length.f_sub(&other.length)?;
        Ok(difference.f_square()?.f_div(&denominator.f_add_scalar(constant)?)?)
    }
}

/// What follows minus what precedes along `dim`, which gets shorter by 2.
fn difference(padded: &Tensor, dim: i64) -> Result<Tensor> {
    let length = side(padded, dim) - 2;
    Ok(padded.f_narrow(dim, 2, length)?.f_sub(&padded.f_narrow(dim, 0, length)?)?)
}

/// `1 - (2ab + c) / (a² + b² + c)`: 0 where both are equal, 1 where they have nothing in common.
///
/// It is computed as `(a - b)² / (a² + b² + c)`, which is exactly 0 for equal numbers.
pub(super) fn dissimilarity(a: &Tensor, b: &Tensor, constant: f64) -> Result<Tensor> {
    let denominator = a.f_square()?.f_add(&b.f_square()?)?.f_add_scalar(constant)?;
    Ok(a.f_sub(b)?.f_square()?.f_div(&denominator)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn noise(seed: i64) -> Tensor {
        let steps = Tensor::arange(2 * 7 * 5, (Kind::Double, Device::Cpu)).view([2, 1, 7, 5]);
        (steps * (0.37 + seed as f64)).sin()
    }

    fn kernel(row: [f64; 3]) -> Tensor {
        let rows = row.iter().flat_map(|weight| [-weight, 0.0, *weight]).collect::<Vec<f64>>();
        let kernel = Tensor::from_slice(&rows).view([1, 1, 3, 3]);
        Tensor::cat(&[&kernel, &kernel.transpose(2, 3)], 0)
    }

    fn operators() -> [(Operator, Tensor); 2] {
        let third = 1.0 / 3.0;
        [
            (Operator::Prewitt, kernel([third; 3])),
            (Operator::Scharr, kernel([3.0 / 16.0, 10.0 / 16.0, 3.0 / 16.0])),
        ]
    }

    fn largest(tensor: &Tensor) -> f64 {
        tensor.abs().max().double_value(&[])
    }

    #[test]
    fn magnitudes_are_those_of_a_convolution() {
        let planes = noise(0);
        for (operator, kernels) in operators() {
            let filtered = planes.conv2d(&kernels, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
            let expected = filtered.square().sum_dim_intlist([1i64].as_slice(), true, None).sqrt();
            assert!(largest(&(operator.magnitude(&planes).unwrap() - expected)) < 1e-14, "{operator:?}");
        }
    }

    /// `<A x, y> = <x, A' y>`.
    #[test]
    fn back_is_the_adjoint_of_the_gradients() {
        let (planes, first, second) = (noise(0), noise(1), noise(2));
        for (operator, _) in operators() {
            let [along_rows, along_columns] = operator.gradients(&planes).unwrap();
            let there = (along_rows * &first + along_columns * &second).sum(None);
            let back = (planes.shallow_clone() * operator.back([&first, &second]).unwrap()).sum(None);
            assert!(largest(&(there - back)) < 1e-12, "{operator:?}");
        }
    }

    #[test]
    fn a_flat_plane_has_a_gradient_of_0() {
        let planes = Tensor::full([1, 1, 5, 6], 0.3, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        for (operator, _) in operators() {
            let inside = operator.magnitude(&planes).unwrap().narrow(2, 1, 3).narrow(3, 1, 4);
            assert!(largest(&inside) < 1e-18);
            inside.sum(None).backward();
            assert_eq!(largest(&planes.grad()), 0.0);
        }
    }

    #[test]
    fn equal_numbers_are_not_dissimilar() {
        let (a, b) = (noise(1), noise(3));
        assert_eq!(largest(&dissimilarity(&a, &a, 1e-3).unwrap()), 0.0);
        let expected = 1.0 - (2.0 * &a * &b + 0.1) / (a.square() + b.square() + 0.1);
        assert!(largest(&(dissimilarity(&a, &b, 0.1).unwrap() - expected)) < 1e-14);
    }
}
