//! Where a factor is next to nothing, and what it is divided by as well.

use tch::{Kind, Tensor};
use tch_losses::{
    AsymmetricLoss, AsymmetricSingleLabelLoss, DistillationLoss, FocalLoss, Loss, PolyCrossEntropyLoss,
    Reduction, SigmoidFocalLoss,
};

use crate::common::{noise, value, values};
use crate::support::{integers, leaf};

fn gradient(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> Tensor {
    let input = leaf(input);
    loss.forward(&input, target).sum(None).backward();
    input.grad()
}

#[test]
fn high_powers_of_sure_answers() {
    for kind in [Kind::Float, Kind::Double] {
        let input = Tensor::from_slice2(&[[30.0, 0.0], [700.0, 0.0], [0.0, 60.0]]).to_kind(kind);
        let target = Tensor::from_slice(&[0i64, 0, 0]);
        for gamma in [3.0, 4.0, 5.0, 8.0] {
            let focal = FocalLoss::default().with_gamma(gamma);
            let single = AsymmetricSingleLabelLoss { gamma_pos: gamma, ..Default::default() };
            for loss in [&focal as &dyn Loss, &single] {
                let slopes = values(&gradient(loss, &input, &target));
                assert!(slopes.iter().all(|slope| slope.is_finite()), "{loss:?} {kind:?}: {slopes:?}");
            }
            let slopes = values(&gradient(&focal, &input, &target));
            // Nothing to learn from the sure and right; the wrong one has the slope of a cross entropy, or nearly so.
            assert!(slopes[..4].iter().all(|slope| slope.abs() < 1e-12), "{slopes:?}");
            assert!((slopes[5] - 1.0 / 3.0).abs() < 1e-6, "{slopes:?}");
        }
    }
}

/// The mean of nothing is NaN, and moves nothing.
#[test]
fn a_batch_of_ignored_places() {
    let (input, target) = (noise(1, &[3, 4], Kind::Double), integers(&[-100; 3]));
    let labels = input.full_like(-100.0);
    let smoothed = PolyCrossEntropyLoss { label_smoothing: 0.1, ..Default::default() };
    let sigmoid = SigmoidFocalLoss::smp().with_ignore_index(-100);
    for (loss, target) in [
        (&FocalLoss::default() as &dyn Loss, &target),
        (&PolyCrossEntropyLoss::default(), &target),
        (&smoothed, &target),
        (&sigmoid, &labels),
    ] {
        assert!(value(&loss.forward(&input, target)).is_nan(), "{loss:?}");
        assert_eq!(values(&gradient(loss, &input, target)), vec![0.0; 12], "{loss:?}");
    }
}

/// A probability that `eps` holds has a logarithm that does not move, in forward's gradient as in the graph's.
#[test]
fn without_a_margin() {
    let input = Tensor::from_slice2(&[[19.0, -25.0, 3.0], [40.0, 0.5, -19.0]]);
    let target = Tensor::from_slice2(&[[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]]);
    for clip in [0.0, 1e-9, 0.05] {
        let loss = AsymmetricLoss { clip, reduction: Reduction::Sum, ..Default::default() };
        let own = gradient(&loss, &input, &target);
        let expected = gradient(&loss.clone().with_reduction(Reduction::None), &input, &target);
        let off = value(&(own - &expected).abs().max());
        assert!(off <= 1e-12 * value(&expected.abs().max()), "{clip}: {off:e}");
    }
}

/// `log 2`: the student gives both classes a half, the teacher one of them everything.
#[test]
fn a_class_that_the_teacher_rules_out() {
    let teacher = Tensor::from_slice2(&[[1.0, f64::NEG_INFINITY]]);
    let student = leaf(&teacher.zeros_like());
    let loss = DistillationLoss::default().forward(&student, &teacher);
    assert!((value(&loss) - std::f64::consts::LN_2).abs() < 1e-12);
    loss.backward();
    assert_eq!(values(&student.grad()), [-0.5, 0.5]);
}
