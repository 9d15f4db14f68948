//! The losses of distributions.

use tch::{Device, Kind, Tensor};
use tch_losses::{GaussianNllLoss, Variance};

use crate::common::{device, noise, value};
use crate::support::{leaf, message_of, zeros};

#[test]
fn a_variance_that_is_too_small_can_grow_again() {
    let (input, target) = (Tensor::from(1.0).to_device(device()), Tensor::from(1.5).to_device(device()));
    let loss = GaussianNllLoss { eps: 0.1, ..Default::default() };
    let gradient_at = |var: f64| {
        let var = leaf(&Tensor::from(var).to_device(device()));
        loss.forward(&input, &target, &var).backward();
        assert!(value(&var) < 0.2, "the caller's variance was changed");
        value(&var.grad())
    };
    // (1/v - d²/v²) / 2 at v = eps, for the variances below it, too.
    let expected = (1.0 / 0.1 - 0.25 / 0.01) / 2.0;
    for var in [0.1, 0.01, 0.0] {
        assert!((gradient_at(var) - expected).abs() < 1e-9, "{var}: {}", gradient_at(var));
    }
}

#[test]
fn a_variance_as_a_number_is_one_everywhere() {
    let (input, target) = (noise(1, &[2, 3], Kind::Double), noise(2, &[2, 3], Kind::Double));
    let loss = GaussianNllLoss { full: true, eps: 0.01, ..Default::default() };
    for var in [0.0, 0.005, 0.01, 2.0] {
        let everywhere = loss.forward(&input, &target, &input.full_like(var));
        assert_eq!(loss.forward(&input, &target, var), everywhere, "{var}");
    }
}

#[test]
fn gaussian_shapes() {
    let loss = GaussianNllLoss::default();
    let input = zeros(&[2, 3, 4]);
    let good = zeros(&[2, 3, 4]) + 1.0;
    for shape in [vec![3, 4], vec![2, 1, 1], vec![1, 1, 1], vec![2, 3], vec![], vec![4, 3, 2]] {
        assert_eq!(
            message_of(loss.try_forward(&input, &zeros(&shape), &good)),
            format!("`target` has shape {shape:?}, expected [2, 3, 4], the shape of `input`, or that with one size of 1")
        );
        if shape != [2, 3] {
            assert_eq!(
                message_of(loss.try_forward(&input, &good, &zeros(&shape))),
                format!(
                    "`var` has shape {shape:?}, expected [2, 3, 4], the shape of `input`, or that with one size of 1 or \
                     without the last"
                )
            );
        }
    }
    let double = good.to_kind(Kind::Double);
    let expected = |name| format!("`{name}` has kind Double, expected Float, the kind of `input`");
    assert_eq!(message_of(loss.try_forward(&input, &double, &good)), expected("target"));
    assert_eq!(message_of(loss.try_forward(&input, &good, &double)), expected("var"));
    assert_eq!(
        message_of(loss.try_forward(&input, &good, Variance::Tensor(&Tensor::new()))),
        "`var` is an undefined tensor"
    );
}

#[test]
fn a_negative_variance() {
    let input = zeros(&[3]);
    let var = Tensor::from_slice(&[1f32, -1e-9, 0.0]).to_device(device());
    let result = GaussianNllLoss::default().try_forward(&input, &input, &var);
    if device() == Device::Cpu {
        assert_eq!(message_of(result), "`var` holds negative values, expected 0 or more");
    } else {
        assert!(result.unwrap().double_value(&[]).is_nan());
    }
}
