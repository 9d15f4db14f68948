//! A loss with gradients with respect to several tensors, computed inside forward.

use tch::Tensor;

use crate::base::gradient::{is_tracked, with_each_gradient};
use crate::Result;

/// The scalar `value`, whose gradients with respect to tensors are those given with them. All have the same kind.
pub(super) fn with_gradients(value: Tensor, parts: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
    let mut tracked = Vec::new();
    for part in parts {
        if is_tracked(part.0)? {
            tracked.push(*part);
        }
    }
    match tracked.is_empty() {
        true => Ok(value),
        false => with_each_gradient(&value, &tracked, 1.0),
    }
}
