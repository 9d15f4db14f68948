//! What penalties refuse.

use tch::{no_grad, Kind, Tensor};
use tch_losses::{
    input_gradient, AdaptiveWeight, Error, GradientNorm, GradientPenalty, OrthogonalRegularization,
    PenaltyPoints, R1Penalty, UnaryLoss,
};

use crate::common::{noise, value};
use crate::support::{leaf, message_of, vector, zeros};

fn square(x: &Tensor) -> Tensor {
    x.square()
}

#[test]
fn gradients_that_there_are_not() {
    let points = noise(1, &[2, 3], Kind::Float);
    let weight = leaf(&zeros(&[3]));
    let disabled = "`outputs` has no gradient with respect to `points`: gradients are disabled (`no_grad`)";
    assert_eq!(message_of(no_grad(|| input_gradient(square, &points))), disabled);
    assert_eq!(message_of(no_grad(|| R1Penalty::default().try_penalty(square, &points))), disabled);
    let penalty = GradientPenalty::default();
    assert_eq!(message_of(no_grad(|| penalty.try_penalty(square, &points, &points))), disabled);
    let graphless = "`outputs` has no gradient with respect to `points`: it has no graph";
    assert_eq!(message_of(input_gradient(|x| x.detach(), &points)), graphless);
    assert_eq!(message_of(input_gradient(|x| no_grad(|| x.square()), &points)), graphless);
    let independent = "`outputs` has no gradient with respect to `points`: it does not depend on it";
    assert_eq!(message_of(input_gradient(|_| &weight * 2.0, &points)), independent);
    assert_eq!(message_of(input_gradient(|x| x.detach().matmul(&weight), &points)), independent);
    let error = input_gradient(|x| x.detach(), &points).unwrap_err();
    assert!(matches!(error, Error::NoGradient { of: "outputs", by: "points", .. }));
}

#[test]
fn outputs_and_points_of_other_kinds() {
    let points = noise(1, &[2, 3], Kind::Float);
    let kinds = "Half, BFloat16, Float or Double";
    for kind in [Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
        assert_eq!(
            message_of(input_gradient(|x| x.to_kind(kind), &points)),
            format!("`outputs` has kind {kind:?}, expected {kinds}")
        );
        assert_eq!(
            message_of(input_gradient(square, &points.to_kind(kind))),
            format!("`points` has kind {kind:?}, expected {kinds}")
        );
    }
    assert_eq!(message_of(input_gradient(|_| Tensor::new(), &points)), "`outputs` is an undefined tensor");
    assert_eq!(message_of(input_gradient(square, &Tensor::new())), "`points` is an undefined tensor");
    let sparse = message_of(input_gradient(square, &points.to_sparse_sparse_dim(2)));
    assert_eq!(sparse, "`points` is a sparse or mkldnn tensor, expected a dense one (`to_dense`)");
    assert_eq!(
        message_of(R1Penalty::default().try_penalty(square, &zeros(&[]))),
        "`images` has shape [], expected [N, ...], with a batch axis"
    );
    assert_eq!(
        message_of(R1Penalty::mmgen().try_penalty(square, &zeros(&[4]))),
        "`images` has shape [4], expected [N, C, ...], with a batch axis and channels"
    );
    assert_eq!(
        message_of(GradientPenalty::basicsr().try_forward(&zeros(&[4]))),
        "`gradient` has shape [4], expected [N, C, ...], with a batch axis and channels"
    );
    assert_eq!(
        message_of(OrthogonalRegularization::default().try_forward(&zeros(&[4]))),
        "`weight` has shape [4], expected [out, ...], of two dimensions at least"
    );
}

#[test]
fn images_that_do_not_fit() {
    let penalty = GradientPenalty::default();
    let real = zeros(&[2, 3]);
    let refused = |penalty: GradientPenalty, real: &Tensor, fake: &Tensor| {
        message_of(penalty.try_penalty(square, real, fake))
    };
    assert_eq!(
        refused(penalty, &real, &zeros(&[3, 3])),
        "`fake` has shape [3, 3], expected [2, 3], the shape of `real`"
    );
    assert_eq!(
        refused(penalty, &real, &real.to_kind(Kind::Double)),
        "`fake` has kind Double, expected Float, the kind of `real`"
    );
    assert_eq!(refused(penalty, &real, &Tensor::new()), "`fake` is an undefined tensor");
    assert_eq!(refused(penalty, &Tensor::new(), &real), "`real` is an undefined tensor");
    let at = |points: PenaltyPoints| penalty.with_points(points);
    assert_eq!(refused(at(PenaltyPoints::Fake), &real, &Tensor::new()), "`fake` is an undefined tensor");
    assert_eq!(
        refused(at(PenaltyPoints::Perturbed).with_norm(GradientNorm::Pixel), &zeros(&[2]), &real),
        "`real` has shape [2], expected [N, C, ...], with a batch axis and channels"
    );
    // Whoever is not looked at may be anything.
    let plain = at(PenaltyPoints::Fake).penalty(square, &Tensor::new(), &real);
    assert_eq!(value(&plain), 1.0);
    for points in [PenaltyPoints::Real, PenaltyPoints::Perturbed] {
        assert_eq!(value(&at(points).penalty(square, &real, &Tensor::new())), 1.0);
    }
}

#[test]
fn random_numbers_that_do_not_fit() {
    let real = zeros(&[2, 3]);
    let refused = |penalty: GradientPenalty, weights: Option<&Tensor>, noise: Option<&Tensor>| {
        message_of(penalty.try_penalty_with(square, &real, &real, weights, noise))
    };
    let (mixed, dragan) = (GradientPenalty::default(), GradientPenalty::dragan());
    let good = zeros(&[2, 1]);
    assert_eq!(refused(mixed, None, None), "`weights` is an undefined tensor");
    assert_eq!(refused(dragan, Some(&good), None), "`noise` is an undefined tensor");
    for shape in [vec![], vec![3], vec![1], vec![2, 3], vec![1, 2]] {
        assert_eq!(
            refused(mixed, Some(&zeros(&shape)), None),
            format!("`weights` has shape {shape:?}, expected [2] or [2, 1, ...], a number for each sample of `real`")
        );
    }
    assert_eq!(
        refused(mixed, Some(&good.to_kind(Kind::Int64)), None),
        "`weights` has kind Int64, expected Half, BFloat16, Float or Double"
    );
    assert_eq!(
        refused(dragan, Some(&good), Some(&zeros(&[2, 1]))),
        "`noise` has shape [2, 1], expected [2, 3], the shape of `real`"
    );
    // More axes of one number, or none, and another kind are fine.
    for weights in [zeros(&[2]), zeros(&[2, 1, 1, 1]), zeros(&[2, 1]).to_kind(Kind::Double)] {
        let loss = mixed.try_penalty_with(square, &real, &real, Some(&weights), None).unwrap();
        assert_eq!((value(&loss), loss.kind()), (1.0, Kind::Float));
    }
}

#[test]
fn options() {
    let gradient = zeros(&[2, 3]);
    let penalty = GradientPenalty::default();
    for (changed, message) in [
        (penalty.with_target(-1.0), "option `target` is -1, expected a finite number, 0 or more"),
        (penalty.with_eps(f64::NAN), "option `eps` is NaN, expected a finite number, 0 or more"),
        (penalty.with_factor(0.0), "option `factor` is 0, expected a finite number greater than 0"),
        (penalty.with_noise_scale(-0.5), "option `noise_scale` is -0.5, expected a finite number, 0 or more"),
    ] {
        assert_eq!(message_of(changed.try_forward(&gradient)), message);
        // Before the discriminator runs.
        let never = |_: &Tensor| -> Tensor { panic!("it ran") };
        assert_eq!(message_of(changed.try_penalty(never, &gradient, &gradient)), message);
    }
    let never = |_: &Tensor| -> Tensor { panic!("it ran") };
    let r1 = R1Penalty::default().with_factor(f64::INFINITY);
    assert_eq!(
        message_of(r1.try_penalty(never, &gradient)),
        "option `factor` is inf, expected a finite number greater than 0"
    );
}

#[test]
fn adaptive_weights() {
    let weight = AdaptiveWeight::default();
    let last = leaf(&vector(&[3.0, 4.0]));
    let (long, short) = (last.square().sum(None), last.get(0) * 1e-9);
    // 10 / (1e-9 + 1e-4) is beyond the largest.
    assert_eq!(value(&weight.weight(&long, &short, &last)), 1e4);
    assert_eq!(value(&weight.with_max(3.0).with_factor(0.5).weight(&long, &short, &last)), 1.5);
    let ratio = value(&weight.weight(&short, &long, &last));
    assert!((ratio / (1e-9 / 10.0001) - 1.0).abs() < 1e-12, "{ratio:e}");
    // No gradient is written, and one element may have axes.
    assert!(!last.grad().defined());
    assert_eq!(weight.weight(&long.view([1, 1]), &short, &last).size(), [0i64; 0]);
    // The square of 300 is beyond f16.
    let half = leaf(&Tensor::from_slice(&[300f32, 400.0]).to_kind(Kind::Half).to_device(last.device()));
    let (first, second) = ((&half * &half.detach()).sum(None), half.get(0) * 2.0);
    let own = weight.weight(&first.to_kind(Kind::Float), &second, &half);
    assert_eq!((own.kind(), value(&own)), (Kind::Half, 250.0));

    let refused = |reconstruction: &Tensor, gan: &Tensor, last: &Tensor| {
        message_of(weight.try_weight(reconstruction, gan, last))
    };
    let end = "has no gradient with respect to `last_layer`";
    assert_eq!(
        refused(&vector(&[1.0]), &short, &last),
        format!("`reconstruction_loss` {end}: it has no graph")
    );
    assert_eq!(
        refused(&long, &leaf(&vector(&[1.0])), &last),
        format!("`gan_loss` {end}: it does not depend on it")
    );
    assert_eq!(
        refused(&long, &short, &last.detach()),
        format!("`reconstruction_loss` {end}: the latter does not require one")
    );
    assert_eq!(refused(&last, &short, &last), "`reconstruction_loss` has shape [2], expected one element");
    assert_eq!(refused(&long, &Tensor::new(), &last), "`gan_loss` is an undefined tensor");
    assert_eq!(refused(&long, &short, &Tensor::new()), "`last_layer` is an undefined tensor");
    for (changed, message) in [
        (weight.with_factor(0.0), "option `factor` is 0, expected a finite number greater than 0"),
        (weight.with_max(f64::NAN), "option `max` is NaN, expected a finite number greater than 0"),
        (weight.with_eps(-1.0), "option `eps` is -1, expected a finite number, 0 or more"),
    ] {
        assert_eq!(message_of(changed.try_weight(&long, &short, &last)), message);
    }
}
