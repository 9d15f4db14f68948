//! Means of similarities, weighted by how much a place matters.

use tch::{Kind, Tensor};

use crate::Result;

/// How alike two images are at each place, and how much that counts: `[N, 1, H, W]`.
pub(super) struct Weighted {
    pub similarity: Tensor,
    pub weight: Tensor,
    /// What is added to both sums of the weighted mean, above and below the line.
    pub eps: [f64; 2],
}

impl Weighted {
    /// The weighted means `[N]`.
    pub fn scores(&self) -> Result<Tensor> {
        let sum = |planes: &Tensor| planes.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None::<Kind>);
        let above = sum(&self.similarity.f_mul(&self.weight)?)?.f_add_scalar(self.eps[0])?;
        Ok(above.f_div(&sum(&self.weight)?.f_add_scalar(self.eps[1])?)?)
    }

    /// The map of `1 - score`: what of it comes from where, in the size and the kind of `input`.
    pub fn map(&self, input: &Tensor) -> Result<Tensor> {
        let mean = self.weight.f_mean_dim([1i64, 2, 3].as_slice(), true, None::<Kind>)?;
        let pixels = self.weight.size()[2] * self.weight.size()[3];
        let weight = self.weight.f_div(&mean.f_add_scalar(self.eps[1] / pixels as f64)?)?;
        let map = self.similarity.f_neg()?.f_add_scalar(1.0)?.f_mul(&weight)?;
        let size = input.size();
        let map = match map.size()[2..] == size[2..] {
            true => map,
            false => map.f_upsample_nearest2d([size[2], size[3]], None::<f64>, None::<f64>)?,
        };
        Ok(map.f_to_kind(input.kind())?)
    }
}
