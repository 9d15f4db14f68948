//! Sums over windows: what structure is measured with.

use tch::{Kind, Tensor};

use crate::Result;

/// A window that is the product of the same symmetric weights along both axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    weights: Vec<f64>,
}

impl Window {
    /// `exp(-d² / (2 sigma²))`, normalised to the sum 1, computed and rounded in `kind`.
    pub(crate) fn gaussian(size: i64, sigma: f64, kind: Kind) -> Window {
        let distance = |index: i64| index as f64 - (size - 1) as f64 / 2.0;
        let weights = match kind {
            Kind::Double => {
                let weights: Vec<f64> =
                    (0..size).map(|i| (-distance(i).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect()
            }
            _ => {
                let exponent = |i: i64| -(distance(i).powi(2) as f32) / ((2.0 * sigma * sigma) as f32);
                let weights: Vec<f32> = (0..size).map(|i| exponent(i).exp()).collect();
                let sum: f32 = weights.iter().sum();
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
    /// `[.., H - size + 1, W - size + 1]`. Works in libtorch's graph and without.
    pub(crate) fn sums(&self, planes: &Tensor) -> Result<Tensor> {
        self.along(&self.along(planes, -2)?, -1)
    }

    /// The adjoint of [`sums`](Self::sums): the sums of planes that are larger by zeros on all sides,
    /// `[.., H + size - 1, W + size - 1]`.
    pub(crate) fn spread(&self, planes: &Tensor) -> Result<Tensor> {
        let margin = self.size() - 1;
        self.sums(&planes.f_constant_pad_nd([margin; 4].as_slice())?)
    }

    /// Along one axis. The weights are symmetric: two shifted views have the same one.
    fn along(&self, planes: &Tensor, dim: i64) -> Result<Tensor> {
        let size = self.size();
        let axis = (planes.dim() as i64 + dim) as usize;
        let length = planes.size()[axis] - size + 1;
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
