//! Small operations on tensors.

use tch::Tensor;

use crate::Result;

/// A constant as an operand, on the device without a copy from the host.
pub(crate) fn scalar(value: f64, like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_full([0i64; 0].as_slice(), value, (like.kind(), like.device()))?)
}

/// The size along `dim`, of which -1 is the last one.
pub(crate) fn side(tensor: &Tensor, dim: i64) -> i64 {
    let sizes = tensor.size();
    sizes[(sizes.len() as i64 + dim) as usize]
}
