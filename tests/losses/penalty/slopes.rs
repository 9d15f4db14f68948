//! The gradients by a discriminator's parameters are the slopes of the penalty: random cases beyond the fixtures.

use tch::{Kind, Tensor};
use tch_losses::{
    GradientNorm, GradientPenalty, OrthogonalRegularization, PenaltyPoints, R1Penalty, UnaryLoss,
};

use super::Bent;
use crate::common::{assert_close, noise, value, Relative};
use crate::support::{differences, leaf};

/// A difference quotient of a step h is off by h² times the third derivative, 1e-10 times some hundreds, and by the
/// rounding of the penalty over h: 1e-11 times some hundreds.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-6;

/// Along a random direction of each parameter.
fn check(what: &str, discriminator: &Bent, penalty: impl Fn(&Bent) -> Tensor) {
    penalty(discriminator).backward();
    for (index, parameter) in discriminator.parameters.iter().enumerate() {
        let direction = noise(90 + index as i64, &parameter.size(), Kind::Double);
        let at = |step: f64| {
            value(&penalty(&discriminator.with(index, &leaf(&(parameter.detach() + &direction * step)))))
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!(slope.abs() > 1e-3, "{what}, {index}: there is nothing to compare");
        let along = value(&(parameter.grad() * &direction).sum(None));
        let close = (along - slope).abs() <= TOLERANCE * slope.abs().max(1.0);
        assert!(close, "{what}, {index}: {along:e} instead of {slope:e}");
    }
}

#[test]
fn of_gradient_penalties() {
    let all = [PenaltyPoints::Mixed, PenaltyPoints::Real, PenaltyPoints::Fake, PenaltyPoints::Perturbed];
    let shapes = [[1, 1, 2, 2], [3, 2, 4, 3], [2, 4, 3, 5]];
    for (seed, shape) in shapes.iter().enumerate() {
        let seed = 10 * seed as i64;
        let (real, fake) = (noise(seed, shape, Kind::Double), noise(seed + 1, shape, Kind::Double));
        let weights = noise(seed + 2, &shape[..1], Kind::Double).abs();
        let jitter = noise(seed + 3, shape, Kind::Double).abs();
        for points in all {
            for norm in [GradientNorm::Sample, GradientNorm::Pixel] {
                for target in [0.0, 1.0, 1.5] {
                    let penalty = GradientPenalty { points, norm, target, factor: 2.0, ..Default::default() };
                    check(&format!("{shape:?} {penalty:?}"), &Bent::new(seed + 4, shape[1]), |bent| {
                        let forward = |x: &Tensor| bent.forward(x);
                        penalty
                            .try_penalty_with(forward, &real, &fake, Some(&weights), Some(&jitter))
                            .unwrap()
                    });
                }
            }
        }
    }
}

#[test]
fn of_r1() {
    for (seed, shape) in [[1, 1, 2, 2], [3, 2, 4, 3], [2, 4, 3, 5]].iter().enumerate() {
        let images = noise(seed as i64, shape, Kind::Double);
        for penalty in [R1Penalty::basicsr(), R1Penalty::stylegan2(), R1Penalty::mmgen()] {
            check(&format!("{shape:?} {penalty:?}"), &Bent::new(70 + seed as i64, shape[1]), |bent| {
                penalty.penalty(|x| bent.forward(x), &images)
            });
        }
    }
}

/// Of a loss of the tensor: the slopes of its gradient along a direction are the gradient of that.
fn check_second(what: &str, loss: &dyn UnaryLoss, tensor: &Tensor) {
    let direction = noise(98, &tensor.size(), Kind::Double);
    let along = |tensor: &Tensor| {
        let tensor = tensor.shallow_clone();
        let gradient = Tensor::run_backward(&[loss.forward(&tensor)], &[&tensor], true, true).remove(0);
        (gradient * &direction).sum(None)
    };
    let tensor = leaf(tensor);
    let bend = Tensor::run_backward(&[along(&tensor)], &[&tensor], false, false).remove(0);
    let slopes = differences(&tensor, STEP, along);
    let floor = value(&slopes.abs().max()).max(1.0);
    assert_close(what, &bend, &slopes, TOLERANCE, Relative::ToElement { floor });
}

#[test]
fn of_second_order() {
    for shape in [vec![3, 4], vec![2, 3, 2, 2]] {
        let tensor = noise(5, &shape, Kind::Double) * 2.0;
        for diagonal in [false, true] {
            let loss = OrthogonalRegularization { diagonal };
            check_second(&format!("{loss:?} {shape:?}"), &loss, &tensor);
        }
        for norm in [GradientNorm::Sample, GradientNorm::Pixel] {
            check_second("R1", &R1Penalty::default().with_norm(norm), &tensor);
            for target in [0.0, 1.0] {
                let loss = GradientPenalty::default().with_norm(norm).with_target(target);
                check_second(&format!("{loss:?} {shape:?}"), &loss, &tensor);
            }
        }
    }
    // Smooth where nothing is smooth about a length.
    let zeros = noise(1, &[2, 3], Kind::Double) * 0.0;
    check_second("zero-centred", &GradientPenalty::zero_centered(), &zeros);
    check_second("R1", &R1Penalty::default(), &zeros);
    check_second("orthogonal", &OrthogonalRegularization::default(), &zeros);
}
