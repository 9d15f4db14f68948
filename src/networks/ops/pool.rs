//! Max pooling.

use tch::Tensor;

use super::Window;
use crate::Result;

const UNDILATED: &[i64] = &[1, 1];

/// The maxima, and where in the input they are. In the graph where there is one.
pub(in crate::networks) fn pool(x: &Tensor, window: Window) -> Result<(Tensor, Tensor)> {
    let Window { kernel, stride, padding } = window;
    Ok(x.f_max_pool2d_with_indices([kernel; 2], [stride; 2], [padding; 2], UNDILATED, false)?)
}

/// The gradient with respect to the `input`, from that with respect to the maxima. Of the input only the
/// shape counts.
pub(in crate::networks) fn pool_back(
    gradient: &Tensor,
    input: &Tensor,
    places: &Tensor,
    window: Window,
) -> Result<Tensor> {
    let Window { kernel, stride, padding } = window;
    Ok(input.f_max_pool2d_with_indices_backward(
        gradient,
        [kernel; 2],
        [stride; 2],
        [padding; 2],
        UNDILATED,
        false,
        places,
    )?)
}
