//! Barlow Twins and VICReg.

use tch::{Kind, Tensor};
use tch_losses::{BarlowTwinsLoss, Loss, VicRegLoss};

use crate::common::{assert_close, noise, value, values, Relative};
use crate::support::{assert_values, differences, leaf, matrix, message_of, with_gradients, zeros};

/// Variances of 1 and means of 0, so that nothing but eps is between the views and their standardised features.
#[test]
fn barlow_twins_by_hand() {
    let z_a = matrix(&[[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]);
    let z_b = matrix(&[[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]]);
    let shrunk = 1.0 / (1.0 + 1e-5);
    // The correlations are [[1, 1], [0, 0]].
    let own = (shrunk - 1.0f64).powi(2) + 1.0;
    let expected = own + 0.5 * shrunk * shrunk;
    assert_values(&BarlowTwinsLoss::default().with_lambda_param(0.5).forward(&z_a, &z_b), &[expected]);
    // A feature that is constant correlates with nothing.
    let flat = matrix(&[[3.0], [3.0], [3.0]]);
    assert_values(&BarlowTwinsLoss::default().forward(&flat, &flat), &[1.0]);
}

#[test]
fn vicreg_by_hand() {
    let z_a = matrix(&[[1.0, 0.0], [-1.0, 0.0]]);
    let z_b = matrix(&[[2.0, 1.0], [-2.0, -1.0]]);
    let loss = VicRegLoss { lambda_param: 1.0, mu_param: 0.0, nu_param: 0.0, eps: 0.25 };
    assert_values(&loss.forward(&z_a, &z_b), &[(4.0 * 1.0) / 4.0]);
    // The variances are 2 and 0; 8 and 2.
    let loss = loss.with_lambda_param(0.0).with_mu_param(3.0);
    assert_values(&loss.forward(&z_a, &z_b), &[3.0 * (0.5 / 2.0) / 2.0]);
    // The covariances are 0 and 4.
    let loss = loss.with_mu_param(0.0).with_nu_param(5.0);
    assert_values(&loss.forward(&z_a, &z_b), &[5.0 * (2.0 * 16.0) / 2.0]);
}

/// A sum of millions of squares keeps its digits in f32, whichever of the two matrices it is of.
#[test]
fn many_features() {
    for (samples, features) in [(600, 1100), (300, 1100)] {
        let [z_a, z_b] = [1, 2].map(|seed| noise(seed, &[samples, features], Kind::Double));
        let narrow = |view: &Tensor| view.to_kind(Kind::Float);
        let losses: [&dyn Loss; 2] = [&BarlowTwinsLoss::default(), &VicRegLoss::default()];
        for loss in losses {
            let exact =
                loss.forward(&narrow(&z_a).to_kind(Kind::Double), &narrow(&z_b).to_kind(Kind::Double));
            let found = loss.forward(&narrow(&z_a), &narrow(&z_b)).to_kind(Kind::Double);
            assert_close(&format!("{loss:?}"), &found, &exact, 1e-5, Relative::ToLargest);
        }
    }
}

/// The loss with the matrix `[D, D]` of the definition.
fn defined(loss: &BarlowTwinsLoss, z_a: &Tensor, z_b: &Tensor) -> Tensor {
    let standard = |view: &Tensor| {
        let centred = view - view.mean_dim([0i64].as_slice(), true, Kind::Double);
        let variance = centred.square().mean_dim([0i64].as_slice(), true, Kind::Double);
        centred / (variance + 1e-5).sqrt()
    };
    let matrix = standard(z_a).tr().matmul(&standard(z_b)) / z_a.size()[0];
    let diagonal = matrix.diagonal(0, 0, 1);
    let own = (&diagonal - 1.0).square().sum(None);
    own + (matrix.square().sum(None) - diagonal.square().sum(None)) * loss.lambda_param
}

/// Few samples of many features take another way than many of few.
#[test]
fn any_numbers_of_samples_and_features() {
    for samples in [2, 3, 5, 8] {
        for features in [1, 4, 5, 9, 10, 11, 40] {
            let z_a = noise(samples, &[samples, features], Kind::Double);
            let z_b = &z_a * 0.5 + noise(100 + features, &[samples, features], Kind::Double);
            let loss = BarlowTwinsLoss::default().with_lambda_param(0.3);
            let what = format!("{samples} {features}");
            let expected = defined(&loss, &z_a, &z_b);
            // Sums of some hundreds of squares of at most 1.
            assert_close(&what, &loss.forward(&z_a, &z_b), &expected, 1e-11, Relative::ToLargest);
        }
    }
}

#[test]
fn the_views_can_be_exchanged() {
    for shape in [[6, 4], [4, 40]] {
        let (z_a, z_b) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
        let losses: [&dyn Loss; 2] = [&BarlowTwinsLoss::default(), &VicRegLoss::default()];
        for loss in losses {
            let (own, of_a, of_b) = with_gradients(loss, &z_a, &z_b);
            let (other, of_b_first, of_a_second) = with_gradients(loss, &z_b, &z_a);
            assert_close("value", &own, &other, 1e-12, Relative::ToLargest);
            assert_close("z_a", &of_a, &of_a_second, 1e-10, Relative::ToLargest);
            assert_close("z_b", &of_b, &of_b_first, 1e-10, Relative::ToLargest);
        }
    }
}

/// Views that agree about everything: the correlations are the identity, or there are none to have a slope.
#[test]
fn gradients_are_finite_where_there_is_nothing_to_correct() {
    let orthogonal = matrix(&[[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]);
    for views in [&orthogonal, &matrix(&[[2.0], [-2.0]]), &matrix(&[[0.0; 5]; 2])] {
        let losses: [&dyn Loss; 2] = [&BarlowTwinsLoss::default(), &VicRegLoss::default()];
        for loss in losses {
            let (own, of_a, of_b) = with_gradients(loss, views, views);
            for tensor in [own, of_a, of_b] {
                assert!(values(&tensor).iter().all(|number| number.is_finite()), "{loss:?} {tensor:?}");
            }
        }
    }
    assert!(value(&BarlowTwinsLoss::default().forward(&orthogonal, &orthogonal)) < 1e-9);
}

/// Of the second order: the slope of the gradient.
#[test]
fn gradients_of_gradients() {
    for shape in [[5, 3], [3, 8]] {
        let losses: [&dyn Loss; 2] = [&BarlowTwinsLoss::default(), &VicRegLoss::default()];
        let (z_b, direction) = (noise(2, &shape, Kind::Double), noise(3, &shape, Kind::Double));
        for loss in losses {
            let along = |z_a: &Tensor| {
                let gradient = Tensor::run_backward(&[loss.forward(z_a, &z_b)], &[z_a], true, true).remove(0);
                (gradient * &direction).sum(None)
            };
            let z_a = leaf(&(noise(1, &shape, Kind::Double) * 2.0));
            let own = Tensor::run_backward(&[along(&z_a)], &[&z_a], false, false).remove(0);
            // The rounding of the gradient over the step, and the square of the step times the fourth derivative.
            let expected = differences(&z_a, 1e-5, along);
            assert_close(&format!("{loss:?}"), &own, &expected, 1e-5, Relative::ToLargest);
        }
    }
}

/// The lengths of the views do not count for Barlow Twins, as far as the eps of the variance goes.
#[test]
fn values_of_any_size() {
    let (z_a, z_b) = (noise(1, &[6, 4], Kind::Float), noise(2, &[6, 4], Kind::Float));
    let expected = value(&BarlowTwinsLoss::default().forward(&(&z_a * 1e3), &(&z_b * 1e3)));
    for size in [1e6, 1e9, 1e15] {
        let own = value(&BarlowTwinsLoss::default().forward(&(&z_a * size), &(&z_b * size)));
        assert!((own - expected).abs() < 1e-4 * expected, "{size}: {own} instead of {expected}");
    }
    for size in [1e-30, 1e-15, 1e15, 1e18] {
        let (own, of_a, of_b) = with_gradients(&BarlowTwinsLoss::default(), &(&z_a * size), &(&z_b * size));
        for tensor in [own, of_a, of_b] {
            assert!(values(&tensor).iter().all(|number| number.is_finite()), "{size} {tensor:?}");
        }
    }
    for size in [1e-30, 1e-15, 1e6] {
        let (own, of_a, of_b) = with_gradients(&VicRegLoss::default(), &(&z_a * size), &(&z_b * size));
        for tensor in [own, of_a, of_b] {
            assert!(values(&tensor).iter().all(|number| number.is_finite()), "{size} {tensor:?}");
        }
    }
}

#[test]
fn refusals() {
    let losses: [&dyn Loss; 2] = [&BarlowTwinsLoss::default(), &VicRegLoss::default()];
    let expected = "expected [N, D] with N at least 2 and D at least 1";
    for loss in losses {
        let message = |a: &[i64], b: &[i64]| message_of(loss.try_forward(&zeros(a), &zeros(b)));
        assert_eq!(message(&[1, 4], &[1, 4]), format!("`z_a` has shape [1, 4], {expected}"));
        assert_eq!(message(&[0, 4], &[0, 4]), format!("`z_a` has shape [0, 4], {expected}"));
        assert_eq!(message(&[3, 0], &[3, 0]), format!("`z_a` has shape [3, 0], {expected}"));
        assert_eq!(message(&[2, 3, 4], &[2, 3, 4]), format!("`z_a` has shape [2, 3, 4], {expected}"));
        let other = message(&[3, 4], &[4, 3]);
        assert_eq!(other, "`z_b` has shape [4, 3], expected [3, 4], the shape of `z_a`");
    }
    let views = zeros(&[2, 2]);
    let message = |loss: &dyn Loss| message_of(loss.try_forward(&views, &views));
    let bad = [
        message(&BarlowTwinsLoss::default().with_lambda_param(-1.0)),
        message(&VicRegLoss::default().with_mu_param(f64::NAN)),
        message(&VicRegLoss::default().with_eps(0.0)),
    ];
    let expected = [
        "option `lambda_param` is -1, expected a finite number, 0 or more",
        "option `mu_param` is NaN, expected a finite number, 0 or more",
        "option `eps` is 0, expected a finite number greater than 0",
    ];
    assert_eq!(bad, expected);
}
