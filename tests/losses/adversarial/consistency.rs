//! Consistency regularisation: numbers by hand, lists, and what it refuses.

use tch::{Kind, Tensor};
use tch_losses::{ConsistencyRegularization, Loss, MseLoss};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{leaf, message_of, vector, zeros};

const FLOOR: Relative = Relative::ToElement { floor: 1e-12 };

#[test]
fn numbers_by_hand() {
    let consistency = ConsistencyRegularization::default();
    // The mean of the squares is 2.5.
    let (own, other) = (vector(&[1.0, 3.0]), vector(&[2.0, 1.0]));
    assert_eq!(value(&consistency.real(&own, &other).unwrap()), 25.0);
    assert_eq!(value(&consistency.fake(&own, &other).unwrap()), 25.0);
    assert_eq!(value(&consistency.latent(&own, &other).unwrap()), 50.0);
    assert_eq!(value(&consistency.generator(&own, &other).unwrap()), -1.25);
    let others = ConsistencyRegularization {
        real_factor: 2.0,
        fake_factor: 4.0,
        latent_factor: 8.0,
        generator_factor: 16.0,
        radius: 0.5,
    };
    assert_eq!(value(&others.real(&own, &other).unwrap()), 5.0);
    assert_eq!(value(&others.fake(&own, &other).unwrap()), 10.0);
    assert_eq!(value(&others.latent(&own, &other).unwrap()), 20.0);
    assert_eq!(value(&others.generator(&own, &other).unwrap()), -40.0);
}

/// A list of scales has the mean of their terms, a list of features those of the last of each.
#[test]
fn lists() {
    let consistency = ConsistencyRegularization::default();
    let shapes: [&[i64]; 2] = [&[2, 1, 3, 4], &[2, 1, 2, 2]];
    let scales = |seed: i64| shapes.map(|shape| noise(seed, shape, Kind::Double));
    let (own, other) = (scales(1), scales(2));
    let mse = |scale: usize| MseLoss::default().forward(&own[scale], &other[scale]) * 10.0;
    let expected = (mse(0) + mse(1)) / 2.0;
    let of_scales = consistency.real(&own, &other).unwrap();
    assert_close("scales", &of_scales, &expected, 1e-12, FLOOR);
    let features = |scales: [Tensor; 2]| scales.map(|scale| vec![scale.zeros_like(), scale]);
    let of_features = consistency.fake(&features(scales(1)), &features(scales(2))).unwrap();
    assert_close("features", &of_features, &expected, 1e-12, FLOOR);
}

/// Neither side is a constant.
#[test]
fn gradients_flow_to_both_sides() {
    let consistency = ConsistencyRegularization::default();
    let (own, other) = (leaf(&noise(1, &[5], Kind::Double)), leaf(&noise(2, &[5], Kind::Double)));
    consistency.latent(&own, &other).unwrap().backward();
    let expected = (&own - &other).detach() * (2.0 / 5.0 * 20.0);
    assert_close("own", &own.grad(), &expected, 1e-12, FLOOR);
    assert_close("other", &other.grad(), &-expected, 1e-12, FLOOR);
}

#[test]
fn half_kinds_are_computed_in_f32() {
    let consistency = ConsistencyRegularization::default();
    // The square of 300 is beyond f16, a hundredth of their mean is not.
    let outputs = Tensor::cat(&[zeros(&[999]), zeros(&[1]) + 300.0], 0).to_kind(Kind::Half);
    let own = consistency.generator(&outputs, &outputs.zeros_like()).unwrap();
    assert_eq!((own.kind(), value(&own.to_kind(Kind::Double))), (Kind::Half, -45.0));
}

/// The noise has the radius as its deviation, and the codes keep their graph.
#[test]
fn perturbed_codes() {
    let latents = leaf(&noise(1, &[400, 100], Kind::Double));
    let consistency = ConsistencyRegularization::default().with_radius(0.25);
    let moved = consistency.perturbed(&latents).unwrap();
    assert!(moved.requires_grad());
    let step = (moved - &latents).detach() / 0.25;
    // Of 40000 normal numbers, the mean is off by 0.005 and the mean square by 0.0071, one deviation each.
    assert!(value(&step.mean(None)).abs() < 0.05);
    assert!((value(&step.square().mean(None)) - 1.0).abs() < 0.07);
}

#[test]
fn refusals() {
    let consistency = ConsistencyRegularization::default();
    let (one, two) = (zeros(&[2]), [zeros(&[2]), zeros(&[3])]);
    let none: [Tensor; 0] = [];
    let messages = [
        message_of(consistency.real(&one, &two)),
        message_of(consistency.fake(&two, &[zeros(&[2]), zeros(&[2])])),
        message_of(consistency.latent(&none, &one)),
        message_of(consistency.generator(&one, &one.to_kind(Kind::Double))),
        message_of(consistency.perturbed(&Tensor::zeros([2], (Kind::Int64, device())))),
        message_of(ConsistencyRegularization::default().with_radius(0.0).real(&one, &one)),
        message_of(ConsistencyRegularization::default().with_real_factor(f64::NAN).perturbed(&one)),
    ];
    let expected = [
        "`augmented` holds 2 scales, expected 1, as many as `outputs`",
        "`augmented` has shape [2], expected [3], the shape of `outputs`",
        "`outputs` holds no scale, expected one scale at least",
        "`perturbed` has kind Double, expected Float, the kind of `images`",
        "`latents` has kind Int64, expected Half, BFloat16, Float or Double",
        "option `radius` is 0, expected a finite number greater than 0",
        "option `real_factor` is NaN, expected a finite number greater than 0",
    ];
    assert_eq!(messages, expected);
}
