//! How alike two numbers are, with the slope in closed form: without a graph, in fewer passes over memory.

use std::f64::consts::PI;

use tch::Tensor;

use crate::base::precision::smallest_normal;
use crate::Result;

/// `(2ab + c) / (a² + b² + c)` of planes, without a graph.
pub(super) struct Alike {
    pub similarity: Tensor,
    /// With respect to `a`.
    pub slope: Tensor,
}

impl Alike {
    /// With `q = a² + b² + c` and `r = (a - b) / q`, the similarity is `1 - (a - b) r`, exactly 1 for equal numbers, and the
    /// slope `2 r (a r - 1)`.
    pub fn of(a: &Tensor, b: &Tensor, constant: f64) -> Result<Alike> {
        let denominator = a.f_square()?.f_addcmul_(b, b)?.f_add_scalar_(constant)?;
        let mut difference = a.f_sub(b)?;
        let ratio = difference.f_div(&denominator)?;
        let similarity = difference.f_mul_(&ratio)?.f_neg_()?.f_add_scalar_(1.0)?;
        let slope = a.f_mul(&ratio)?.f_sub_scalar_(1.0)?.f_mul_(&ratio)?.f_mul_scalar_(2.0)?;
        Ok(Alike { similarity, slope })
    }
}

/// The real part of a complex power of real numbers, without a graph.
pub(super) struct RealPower {
    pub power: Tensor,
    /// The slope over the power: it is 0 where the base is 0.
    pub relative_slope: Tensor,
}

impl RealPower {
    pub fn of(base: &Tensor, exponent: f64) -> Result<RealPower> {
        let size = base.f_abs()?.f_clamp_min_(smallest_normal(base.kind()))?;
        let power = size.f_log2()?.f_mul_scalar_(exponent)?.f_exp2_()?;
        // Negative numbers have the angle π, and 0 to the power of 0 is 1.
        let like = || base.f_empty_like();
        let turned = base.f_lt_scalar_out(&like()?, 0.0)?.f_mul_scalar_((PI * exponent).cos() - 1.0)?;
        let factor = match exponent == 0.0 {
            true => turned.f_ones_like()?,
            false => base.f_ne_scalar_out(&like()?, 0.0)?.f_add_(&turned)?,
        };
        let relative_slope = base.f_sgn()?.f_div_(&size)?.f_mul_scalar_(exponent)?;
        Ok(RealPower { power: factor.f_mul(&power)?, relative_slope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn the_slope_of_a_similarity() {
        let a = Tensor::from_slice(&[0.0, 0.3, -2.0, 5.0, 0.7]).set_requires_grad(true);
        let b = Tensor::from_slice(&[0.4, 0.2, 1.0, 5.0, 0.0]);
        let expected: Tensor = (2.0 * &a * &b + 0.1) / (a.square() + b.square() + 0.1);
        expected.sum(None).backward();
        let Alike { similarity, slope } = Alike::of(&a.detach(), &b, 0.1).unwrap();
        assert!((&similarity - expected).abs().max().double_value(&[]) < 1e-15);
        assert!((slope - a.grad()).abs().max().double_value(&[]) < 1e-14);
        assert_eq!(numbers(&similarity)[3], 1.0);
    }

    #[test]
    fn powers_of_all_signs() {
        let base = Tensor::from_slice(&[4.0, 1.0, 0.0, -4.0]);
        let RealPower { power, relative_slope } = RealPower::of(&base, 0.5).unwrap();
        for (own, expected) in numbers(&power).iter().zip([2.0, 1.0, 0.0, 2.0 * (PI / 2.0).cos()]) {
            assert!((own - expected).abs() < 1e-15);
        }
        assert_eq!(numbers(&relative_slope), [0.125, 0.5, 0.0, -0.125]);
        // Exactly 1 for equal images.
        assert_eq!(numbers(&power)[1], 1.0);
        let RealPower { power, relative_slope } = RealPower::of(&base, 0.0).unwrap();
        assert_eq!((numbers(&power), numbers(&relative_slope.abs())), (vec![1.0; 4], vec![0.0; 4]));
    }
}
