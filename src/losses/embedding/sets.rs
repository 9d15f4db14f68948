//! A loss with gradients with respect to several tensors, computed inside forward.

use tch::Tensor;

use crate::base::gradient::is_tracked;
use crate::Result;

/// The scalar `value`, whose gradients with respect to tensors are those given with them. All have the same kind.
pub(super) fn with_gradients(value: Tensor, parts: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
    let flat = |tensor: &Tensor| tensor.f_reshape([-1i64].as_slice());
    let mut scalar: Option<Tensor> = None;
    for (tensor, gradient) in parts {
        if is_tracked(tensor)? {
            let product = flat(tensor)?.f_dot(&flat(gradient)?)?;
            scalar = Some(match scalar {
                Some(sum) => sum.f_add(&product)?,
                None => product,
            });
        }
    }
    let Some(scalar) = scalar else { return Ok(value) };
    // The graph holds the gradients now. None of its operations reads its result again.
    scalar.f_detach()?.f_copy_(&value)?;
    Ok(scalar)
}
