//! Curves of several parts and exponentials, as libtorch computes them fast on a CPU.
//!
//! `where` and `masked_fill` take one element after the other and guess which way each goes: for an image, that took ten
//! times as long as a product does. A mask of zeros and ones is a number, of which the vector units take many at a time.

use tch::Tensor;

use crate::base::precision::smallest_normal;
use crate::Result;

/// Ones where numbers are larger than `bound`, and zeros elsewhere, in their kind. They have no gradient.
pub(super) fn above(numbers: &Tensor, bound: f64) -> Result<Tensor> {
    let numbers = numbers.f_detach()?;
    Ok(numbers.f_gt_scalar_out(&numbers.f_empty_like()?, bound)?)
}

/// `yes` where the mask is 1, and `no` where it is 0: exactly so, for finite numbers. In libtorch's graph or without one.
pub(super) fn choose(mask: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    Ok(no.f_lerp_tensor(yes, mask)?)
}

/// `exp` of negative numbers, of at least a few times the smallest normal number. Those below, and that number itself,
/// libtorch's MKL takes one by one, which took ten times as long.
pub(super) fn decay(exponent: &Tensor) -> Result<Tensor> {
    Ok(exponent.f_clamp_min(smallest_normal(exponent.kind()).ln() + 1.0)?.f_exp_()?)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn masks_choose() {
        for kind in [Kind::Float, Kind::Double] {
            let tensor = Tensor::from_slice(&[0.25, 0.5, 0.75]).to_kind(kind).set_requires_grad(true);
            let mask = above(&tensor, 0.5).unwrap();
            assert_eq!((numbers(&mask), mask.kind()), (vec![0.0, 0.0, 1.0], kind));
            let chosen = choose(&mask, &tensor, &(&tensor * 2.0)).unwrap();
            assert_eq!(numbers(&chosen), [0.5, 1.0, 0.75]);
        }
    }

    #[test]
    fn decay_ends_near_the_smallest_number() {
        for kind in [Kind::Float, Kind::Double] {
            let decayed = decay(&Tensor::from_slice(&[0.0, -1.0, -1e6]).to_kind(kind)).unwrap();
            let expected = [1.0, (-1f64).exp(), smallest_normal(kind) * 1f64.exp()];
            for (own, expected) in numbers(&decayed).iter().zip(expected) {
                assert!((own / expected - 1.0).abs() < 1e-4);
            }
        }
    }
}
