//! A square root for gradients.

use tch::Tensor;

use crate::base::precision::smallest_normal;
use crate::Result;

/// The square root, with a gradient of 0 at 0, where that of libtorch is infinite and makes NaN of the zeros that it is
/// multiplied with.
///
/// The root of 0 comes out as that of the smallest normal number: 1e-19 in f32, 1e-154 in f64.
pub(crate) fn sqrt(tensor: &Tensor) -> Result<Tensor> {
    let smallest = smallest_normal(tensor.kind());
    // Below its bound, `clamp` has a gradient of 0. At the bound it has one: 0 has to lie below.
    Ok(tensor.f_clamp_min(smallest)?.f_sqrt()?)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn the_gradient_at_0_is_0() {
        for kind in [Kind::Float, Kind::Double] {
            let input = Tensor::from_slice(&[0.0, 0.25, 4.0]).to_kind(kind).set_requires_grad(true);
            let root = sqrt(&input).unwrap();
            root.sum(None).backward();
            let numbers = |tensor: &Tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double)).unwrap();
            assert!(numbers(&root)[0] < 2e-19);
            assert_eq!(numbers(&root)[1..], [0.5, 2.0]);
            assert_eq!(numbers(&input.grad()), [0.0, 1.0, 0.25]);
        }
    }
}
