//! ReLU as a step of its own. A convolution takes its ReLU in itself, unless a tap lies between them.

use tch::Tensor;

use crate::Result;

/// `max(x, 0)`, in memory of its own: a tap may hold `x`.
pub(in crate::networks) fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_relu()?)
}

/// The gradient with respect to the input, from that with respect to the `output`.
pub(in crate::networks) fn relu_back(gradient: &Tensor, output: &Tensor) -> Result<Tensor> {
    Ok(output.f_threshold_backward_grad_input(gradient, gradient, 0.0)?)
}
