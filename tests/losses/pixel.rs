//! The losses on pixels.

use tch::Kind;
use tch_losses::{HuberLoss, Loss, SmoothL1Loss};

use crate::common::{noise, value};

#[test]
fn the_smooth_losses_lie_between_the_plain_ones() {
    let (input, target) = (noise(1, &[50], Kind::Double), noise(2, &[50], Kind::Double));
    let huber = |delta| value(&HuberLoss { delta, ..Default::default() }.forward(&input, &target));
    let smooth = |beta| value(&SmoothL1Loss { beta, ..Default::default() }.forward(&input, &target));
    let difference = &input - &target;
    let (mse, l1) = (value(&difference.square().mean(None)), value(&difference.abs().mean(None)));
    // Beyond the largest difference it is half the squared error; near 0, the absolute one, but for half the threshold.
    assert!((huber(2.0) - mse / 2.0).abs() < 1e-12 && (smooth(2.0) - mse / 4.0).abs() < 1e-12);
    assert!((huber(1e-9) / 1e-9 - l1).abs() < 1e-8 && (smooth(1e-9) - l1).abs() < 1e-8);
}
