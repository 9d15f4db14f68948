//! What the tests of several families share.

use std::fmt::Debug;

use tch::{Kind, Tensor};
use tch_losses::{Error, Loss, Result};

use crate::common::{assert_close, device, noise, value, Relative};

pub fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, device()))
}

/// More numbers than losses without neighbours work on at a time: that is 2^18 for each thread, up to 2^21 together, or
/// 2^17 for each of 32 at most if that is more.
pub fn longer_than_a_piece() -> i64 {
    let threads = i64::from(tch::get_num_threads());
    (threads << 18).min(1 << 21).max(threads.min(32) << 17) + 1
}

pub fn indices(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Int64, device()))
}

pub fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).to_device(device())
}

pub fn integers(values: &[i64]) -> Tensor {
    Tensor::from_slice(values).to_device(device())
}

pub fn matrix<const N: usize>(rows: &[[f64; N]]) -> Tensor {
    Tensor::from_slice2(rows).to_device(device())
}

pub fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}

/// Of some dozens of steps in f64; the cosine's own 1e-12 of the squared lengths is within it, too.
pub fn assert_values(actual: &Tensor, expected: &[f64]) {
    let expected = vector(expected).view_as(actual);
    assert_close("value", actual, &expected, 1e-12, Relative::ToElement { floor: 1e-12 });
}

/// The message of a refusal, which is this crate's own and not libtorch's.
#[track_caller]
pub fn message_of<T: Debug>(result: Result<T>) -> String {
    let error = result.expect_err("bad input was accepted");
    assert!(!matches!(error, Error::Torch(_)), "libtorch's error, not ours: {error}");
    error.to_string()
}

/// The message of both ways to call the loss: its value and its map.
#[track_caller]
pub fn refusal(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> String {
    let value = loss.try_forward(input, target).expect_err("bad input was accepted").to_string();
    let map = loss.loss_map(input, target).expect_err("bad input was accepted").to_string();
    assert_eq!(value, map, "{loss:?}");
    value
}

/// Two image batches of a size that divides by the strides of the default taps.
pub fn images(kind: Kind) -> (Tensor, Tensor) {
    (noise(1, &[2, 3, 8, 12], kind), noise(2, &[2, 3, 8, 12], kind))
}

/// The loss and its gradients with respect to both arguments.
pub fn with_gradients(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor, Tensor) {
    let (input, target) = (leaf(input), leaf(target));
    let value = loss.forward(&input, &target);
    value.backward();
    (value.detach(), input.grad(), target.grad())
}

/// The derivatives of a number with respect to each element of `input`, by central differences.
pub fn differences(input: &Tensor, step: f64, number: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let slopes: Vec<f64> = (0..input.numel() as i64)
        .map(|index| {
            let moved = |offset: f64| {
                let copy = input.copy();
                let _ = copy.view([-1]).narrow(0, index, 1).g_add_scalar_(offset);
                value(&number(&leaf(&copy)))
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        })
        .collect();
    Tensor::from_slice(&slopes).view_as(input).to_device(device())
}
