//! The gradient of a discriminator, and penalties on it.

use tch::nn::{self, Module};
use tch::{Kind, Tensor};
use tch_losses::manager::{LossSpec, Objective};
use tch_losses::{input_gradient, GradientNorm, GradientPenalty, PenaltyPoints, R1Penalty, UnaryLoss};

use super::Bent;
use crate::common::{assert_close, device, epsilon, noise, value, Relative};
use crate::support::{leaf, matrix, message_of, vector, zeros};

/// The numbers have ten digits behind the point.
#[track_caller]
fn assert_golden(loss: &Tensor, expected: f64) {
    assert!((value(loss) - expected).abs() < 1e-9, "{} instead of {expected}", value(loss));
}

#[track_caller]
fn assert_same(own: &Tensor, expected: f64) {
    assert!((value(own) - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{own:?} {expected}");
}

#[test]
fn golden_numbers() {
    // Two channels of two pixels.
    let gradient = matrix(&[[0.3, -0.4], [0.6, 0.8]]).view([1, 2, 1, 2]);
    let penalty = GradientPenalty::default();
    assert_golden(&penalty.forward(&gradient), 0.0139320225);
    assert_golden(&GradientPenalty::basicsr().forward(&gradient), 0.0597524157);
    assert_golden(&GradientPenalty::wgan_gp().forward(&gradient), 0.139320225);
    assert_golden(&GradientPenalty::cyclegan().forward(&gradient), 0.139320225);
    assert_golden(&GradientPenalty::zero_centered().forward(&gradient), 1.25);
    assert_golden(&R1Penalty::basicsr().forward(&gradient), 1.25);
    assert_golden(&R1Penalty::stylegan2().forward(&gradient), 0.625);
    assert_golden(&R1Penalty::mmgen().forward(&gradient), 0.625);
    let pixels = GradientPenalty::zero_centered().with_norm(GradientNorm::Pixel);
    assert_golden(&pixels.forward(&gradient), 0.625);
}

/// The penalty of a batch is the mean of those of its samples. Lengths over axis 1 of a vector of features would be the
/// same; over axis 1 of images they are those of pixels, and all but axis 1 mixes the samples.
#[test]
fn each_sample_has_its_own_length() {
    let bent = Bent::new(3, 2);
    let forward = |x: &Tensor| bent.forward(x);
    let (real, fake) = (noise(1, &[4, 2, 3, 5], Kind::Double), noise(2, &[4, 2, 3, 5], Kind::Double));
    let weights = noise(5, &[4], Kind::Double).abs();
    for penalty in [GradientPenalty::wgan_gp(), GradientPenalty::basicsr(), GradientPenalty::zero_centered()]
    {
        let one = |index: i64| {
            let part = |tensor: &Tensor| tensor.narrow(0, index, 1);
            let weights = part(&weights);
            let loss = penalty.try_penalty_with(forward, &part(&real), &part(&fake), Some(&weights), None);
            value(&loss.unwrap())
        };
        let batch = penalty.try_penalty_with(forward, &real, &fake, Some(&weights), None).unwrap();
        assert_same(&batch, (0..4).map(one).sum::<f64>() / 4.0);
    }
    let gradient = input_gradient(forward, &real).unwrap();
    let cost = |lengths: Tensor| (lengths - 1.0).square().mean(None);
    let of_samples = value(&GradientPenalty::default().forward(&gradient));
    assert_same(&cost(Tensor::norm_except_dim(&gradient, 2, 0)), of_samples);
    let of_channels = cost(Tensor::norm_except_dim(&gradient, 2, 1));
    assert!((value(&of_channels) - of_samples).abs() > 0.1 * of_samples);
    let of_pixels = cost(gradient.norm_scalaropt_dim(2, [1i64].as_slice(), false));
    assert!((value(&of_pixels) - of_samples).abs() > 0.1 * of_samples);
    assert_same(&of_pixels, value(&GradientPenalty::basicsr().forward(&gradient)));
}

/// Gradients reach the discriminator, and neither the generator nor the images.
#[test]
fn the_generator_has_no_gradient() {
    let [g_vs, d_vs] = [0, 1].map(|_| {
        let mut vs = nn::VarStore::new(device());
        vs.set_kind(Kind::Double);
        vs
    });
    let generator = nn::conv2d(g_vs.root(), 2, 2, 1, Default::default());
    let first = nn::conv2d(d_vs.root() / "first", 2, 3, 2, Default::default());
    let second =
        nn::conv2d(d_vs.root() / "second", 3, 1, 1, nn::ConvConfig { bias: false, ..Default::default() });
    let discriminator = |x: &Tensor| second.forward(&first.forward(x).tanh());
    let real = leaf(&noise(1, &[3, 2, 4, 4], Kind::Double));
    for points in [PenaltyPoints::Mixed, PenaltyPoints::Real, PenaltyPoints::Fake, PenaltyPoints::Perturbed] {
        let fake = generator.forward(&noise(2, &[3, 2, 4, 4], Kind::Double));
        assert!(fake.requires_grad());
        let loss = GradientPenalty::default().with_points(points).penalty(discriminator, &real, &fake);
        (loss + R1Penalty::default().penalty(discriminator, &fake)).backward();
        for (name, variable) in g_vs.variables() {
            assert!(!variable.grad().defined(), "{points:?} {name}");
        }
        assert!(!real.grad().defined(), "{points:?}");
        for (name, mut variable) in d_vs.variables() {
            assert!(value(&variable.grad().abs().max()) > 0.0, "{points:?} {name}");
            variable.zero_grad();
        }
        // The caller's tensors are as they were: still with the graph of the generator, still without one.
        assert!(fake.requires_grad() && real.requires_grad());
        let plain = real.detach();
        let _ = R1Penalty::default().penalty(discriminator, &plain);
        assert!(!plain.requires_grad());
    }
}

/// The points are where they are said to be.
#[test]
fn points() {
    let shape = [3, 2, 2, 2];
    let (real, fake) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
    let weights = vector(&[0.0, 0.25, 0.75]);
    let jitter = noise(3, &shape, Kind::Double).abs();
    let seen = |penalty: GradientPenalty| {
        let mut seen = Tensor::new();
        let look = |x: &Tensor| {
            seen = x.detach();
            x.square()
        };
        let _ = penalty.try_penalty_with(look, &real, &fake, Some(&weights), Some(&jitter)).unwrap();
        seen
    };
    let a = weights.view([3, 1, 1, 1]);
    let close = |what: &str, penalty: GradientPenalty, expected: &Tensor| {
        assert_close(what, &seen(penalty), expected, 1e-14, Relative::ToLargest);
    };
    let penalty = GradientPenalty::default();
    close("mixed", penalty, &(&fake + (&real - &fake) * &a));
    close("real", penalty.with_points(PenaltyPoints::Real), &real);
    close("fake", penalty.with_points(PenaltyPoints::Fake), &fake);
    let variance = (&real - real.mean(None)).square().sum(None) / real.numel() as f64;
    let perturbed = |scale: f64, variance: &Tensor| &real + &a * &jitter * variance.sqrt() * scale;
    let dragan = GradientPenalty::dragan();
    close("perturbed", dragan, &perturbed(0.5, &variance));
    close("another scale", dragan.with_noise_scale(2.0), &perturbed(2.0, &variance));
    close("no noise", dragan.with_noise_scale(0.0), &real);
    let count = real.numel() as f64;
    close("unbiased", dragan.with_unbiased(true), &perturbed(0.5, &(variance * (count / (count - 1.0)))));
}

/// Drawn points have one weight for each sample, another one each time, and a noise for each element.
#[test]
fn random_points() {
    let shape = [5, 2, 3, 3];
    for kind in [Kind::Float, Kind::Double] {
        let (real, fake) = (zeros(&shape).to_kind(kind), zeros(&shape).to_kind(kind) + 1.0);
        let seen = |penalty: GradientPenalty, real: &Tensor| {
            let mut seen = Tensor::new();
            let look = |x: &Tensor| {
                seen = x.detach();
                x.square()
            };
            let _ = penalty.penalty(look, real, &fake);
            assert_eq!(seen.kind(), kind);
            seen
        };
        // Of zeros and ones, the points are the weights of the fake images.
        let mixed = seen(GradientPenalty::default(), &real);
        let weights = mixed.flatten(1, -1).select(1, 0);
        assert_eq!(mixed, weights.view([5, 1, 1, 1]).expand(shape, false));
        assert!(value(&weights.min().to_kind(Kind::Double)) > 0.0 && value(&weights.max()) <= 1.0);
        assert!(value(&weights.std(true)) > 0.0);
        assert_ne!(mixed, seen(GradientPenalty::default(), &real));
        // The standard deviation of as many ones as minus ones is 1.
        let real = (Tensor::arange(90, (kind, device())).remainder(2.0) * 2.0 - 1.0).view(shape);
        let steps = seen(GradientPenalty::dragan(), &real) - &real;
        assert!(value(&steps.min()) >= 0.0 && value(&steps.max()) < 0.501);
        // 18 numbers of [0, 1), at their weight: no two samples have the same.
        let spread = steps.flatten(1, -1).std_dim(&[1i64][..], true, false);
        assert!(value(&spread.min()) > 0.0 && value(&spread.std(true)) > 0.0);
    }
}

/// Where the discriminator is flat, as it is when its last layer is zero, all gradients are numbers.
#[test]
fn flat_discriminators() {
    for kind in [Kind::Float, Kind::Double] {
        for penalty in [
            GradientPenalty::wgan_gp(),
            GradientPenalty::cyclegan(),
            GradientPenalty::basicsr(),
            GradientPenalty::zero_centered(),
            GradientPenalty::dragan(),
        ] {
            let images = noise(1, &[2, 2, 3, 3], kind);
            let last = leaf(&zeros(&[18]).to_kind(kind));
            let loss = penalty.penalty(|x| x.tanh().flatten(1, -1).matmul(&last), &images, &images);
            loss.backward();
            // Nothing but the target is left.
            let expected = penalty.factor * penalty.target * penalty.target;
            assert!((value(&loss) - expected).abs() < 1e-6, "{penalty:?}: {loss:?}");
            assert!(last.grad().isfinite().all().int64_value(&[]) == 1, "{penalty:?}");
            if penalty.eps == 0.0 {
                assert_eq!(value(&last.grad().abs().max()), 0.0, "{penalty:?}");
            }
        }
    }
}

/// A gradient of 300 in f16: its square, 90000, is beyond f16.
#[test]
fn half_precision() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let gradient = leaf(&(zeros(&[2, 4]) + 300.0).to_kind(kind));
        let loss = GradientPenalty::default().with_factor(1e-3).forward(&gradient);
        loss.backward();
        assert_eq!((loss.kind(), gradient.grad().kind()), (kind, kind));
        // (600 - 1)² / 1000, rounded once. The slope is 2 * 599 * (300 / 600) / 2 / 1000.
        assert!((value(&loss) / 358.801 - 1.0).abs() <= epsilon(kind));
        assert!((gradient.grad().double_value(&[0, 0]) / 0.2995 - 1.0).abs() <= 2.0 * epsilon(kind));
        let squares = R1Penalty::default().with_factor(1e-2).forward(&gradient);
        assert!((value(&squares) / 3600.0 - 1.0).abs() <= epsilon(kind));
        // Through a discriminator, whose points are mixed in f32 and rounded once.
        let (real, fake) = (noise(1, &[2, 3], kind), noise(2, &[2, 3], kind));
        let weights = vector(&[0.3, 0.6]);
        let mixed = |tensor: &Tensor| tensor.to_kind(Kind::Float);
        let a = weights.to_kind(Kind::Float).view([2, 1]);
        let expected: Tensor = &a * mixed(&real) + (1.0 - &a) * mixed(&fake);
        let expected = expected.to_kind(kind);
        let mut seen = Tensor::new();
        let look = |x: &Tensor| {
            seen = x.detach();
            x.square()
        };
        let loss = GradientPenalty::default().try_penalty_with(look, &real, &fake, Some(&weights), None);
        assert_eq!(loss.unwrap().kind(), kind);
        // One rounding of f32 may be another.
        assert_close("points", &mixed(&seen), &mixed(&expected), epsilon(kind), Relative::ToLargest);
    }
}

/// What a discriminator gives is added up, whatever its shape.
#[test]
fn outputs_of_any_shape() {
    let points = noise(1, &[3, 2], Kind::Double);
    let expected = &points * 2.0;
    let gradient_of =
        |discriminator: &dyn Fn(&Tensor) -> Tensor| input_gradient(discriminator, &points).unwrap();
    for gradient in [
        gradient_of(&|x| x.square()),
        gradient_of(&|x| x.square().sum(None)),
        gradient_of(&|x| x.square().sum_dim_intlist([1i64].as_slice(), true, None)),
        gradient_of(&|x| x.square().unsqueeze(0)),
    ] {
        assert_close("gradient", &gradient, &expected, 1e-14, Relative::ToLargest);
        assert!(gradient.requires_grad());
    }
    // A linear function has a constant gradient; the points themselves are the simplest one.
    assert_eq!(gradient_of(&|x| x.shallow_clone()), points.ones_like());
    assert_eq!(gradient_of(&|x| x * 3.0), points.full_like(3.0));
    assert_eq!(input_gradient(|x| x.square(), &zeros(&[0, 3])).unwrap().size(), [0, 3]);
}

/// In an objective's file they are losses of a gradient.
#[test]
fn in_a_file() {
    let text = r#"
        [losses.GP]
        loss = "GradientPenalty"
        weight = 10
        options = { norm = "pixel", points = "perturbed", target = 0.5 }
        [losses.R2]
        loss = "R1Penalty"
        options = { factor = 0.5 }
        [losses.W]
        loss = "OrthogonalRegularization"
        options = { diagonal = true }
        "#;
    let objective = Objective::from_toml(text).unwrap();
    let penalty = GradientPenalty::basicsr().with_points(PenaltyPoints::Perturbed).with_target(0.5);
    assert_eq!(objective.losses["GP"].loss, LossSpec::GradientPenalty(penalty));
    assert_eq!(objective.losses["R2"].loss, LossSpec::R1Penalty(R1Penalty::stylegan2()));
    let mut manager = objective.build(device()).unwrap();
    let gradient = input_gradient(|x| x.sin(), &noise(1, &[2, 3, 2, 2], Kind::Double)).unwrap();
    assert_eq!(manager.compute("GP", &gradient).unwrap(), penalty.forward(&gradient) * 10.0);
    assert_eq!(manager.compute("R2", &gradient).unwrap(), R1Penalty::stylegan2().forward(&gradient));
    for (name, meant) in [
        ("WGAN-GP", "GradientPenalty"),
        ("gradient_penalty", "GradientPenalty"),
        ("gradient_penalty_loss", "GradientPenalty"),
        ("DRAGAN", "GradientPenalty"),
        ("R1", "R1Penalty"),
        ("r1_penalty", "R1Penalty"),
        ("r1_gradient_penalty", "R1Penalty"),
        ("ortho", "OrthogonalRegularization"),
    ] {
        let message = message_of(LossSpec::named(name));
        assert!(message.ends_with(&format!("did you mean `{meant}`?")), "{message}");
    }
}
