//! [`GradientNorm`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::check;
use crate::{Error, Result};

/// Over what the length of a gradient is taken.
///
/// - **Default**: a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradientNorm {
    /// Over everything but the first axis: one length for each sample, as in the papers.
    #[default]
    Sample,
    /// Over the channels, the second axis: one length for each pixel. It is another objective: the squared length of a
    /// sample is the sum of those of its pixels. BasicSR's gradient penalty has it, and mmgen's default.
    #[doc(alias = "norm_mode")]
    Pixel,
}

impl GradientNorm {
    /// Whether there is something to take the lengths over.
    pub(super) fn check(self, argument: &'static str, gradient: &Tensor) -> Result<()> {
        check::floating(argument, gradient)?;
        let given = gradient.size();
        let (least, expected) = match self {
            GradientNorm::Sample => (1, "[N, ...], with a batch axis"),
            GradientNorm::Pixel => (2, "[N, C, ...], with a batch axis and channels"),
        };
        if given.len() < least {
            return Err(Error::Shape { argument, given, expected: expected.into() });
        }
        Ok(())
    }

    /// The lengths, of which that of zeros has the gradient 0.
    pub(super) fn lengths(self, gradient: &Tensor) -> Result<Tensor> {
        let axes: Vec<i64> = match self {
            GradientNorm::Sample => (1..gradient.dim() as i64).collect(),
            GradientNorm::Pixel => vec![1],
        };
        Ok(match axes.is_empty() {
            // A sample is a number. libtorch takes no axis for all of them.
            true => gradient.f_abs()?,
            false => gradient.f_norm_scalaropt_dim(2i64, axes.as_slice(), false)?,
        })
    }

    /// The mean of the squared lengths times `factor`: smooth, also where the gradient is 0.
    pub(super) fn mean_square(self, gradient: &Tensor, factor: f64) -> Result<Tensor> {
        let mut sizes = gradient.size();
        let count: i64 = match self {
            GradientNorm::Sample => sizes[0],
            GradientNorm::Pixel => {
                sizes.remove(1);
                sizes.iter().product()
            }
        };
        Ok(gradient.f_square()?.f_sum(None)?.f_mul_scalar(factor / count as f64)?)
    }
}
