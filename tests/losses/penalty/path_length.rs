//! Path length regularisation of a small generator: its steps, its state and what it refuses.

use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::{PathLengthConfig, PathLengthPenalty, UnaryLoss};

use crate::common::{assert_as_in_pytorch, assert_close, device, few_roundings, noise, value, values};
use crate::common::{Fixture, Relative, Rounding};
use crate::support::{differences, leaf, message_of, zeros};

fn made(kind: Kind) -> (nn::VarStore, PathLengthPenalty) {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    let penalty = PathLengthPenalty::new(&vs.root(), PathLengthConfig::default()).unwrap();
    (vs, penalty)
}

/// Images `[N, 1, 2, 3]` of a generator that bends: it has second derivatives by its parameters.
fn generated(latents: &Tensor, style: &Tensor, mix: &Tensor) -> Tensor {
    latents.matmul(style).tanh().flatten(1, -1).matmul(mix).sin().view([-1, 1, 2, 3])
}

/// The value of a step, and the gradients of the generator's parameters.
#[test]
fn steps_in_a_row() {
    let fixture = Fixture::load("gan_steps");
    let mut run = 0;
    for case in fixture.cases.iter().filter(|case| case.loss == "PathLengthPenalty") {
        let (_vs, penalty) = made(Kind::Double);
        for step in 0..3 {
            let given = |role: &str| fixture.get(case, role).get(step);
            let [style, mix] = ["style", "mix"].map(|role| leaf(&fixture.get(case, role)));
            let latents = leaf(&given("latents"));
            let images = generated(&latents, &style, &mix);
            let jacobian = PathLengthPenalty::jacobian_with(&images, &latents, &given("noise")).unwrap();
            let lengths = PathLengthPenalty::lengths(&jacobian).unwrap();
            let own = penalty.forward(&jacobian);
            own.backward();
            for (role, own) in [
                ("jacobian", &jacobian),
                ("lengths", &lengths),
                ("value", &own),
                ("average", &penalty.average()),
                ("grad_style", &style.grad()),
                ("grad_mix", &mix.grad()),
            ] {
                let what = format!("{} {role} {step}", case.name);
                assert_as_in_pytorch(&what, own, &given(role), Rounding::OfLarger);
            }
            // It is left to the caller whether the latent codes have a graph; no gradient is written there by J.
            assert!(jacobian.requires_grad());
        }
        run += 1;
    }
    assert_eq!(run, 3);
}

/// The gradients of parameters of the penalty are its slopes, at random places.
#[test]
fn second_derivatives_are_slopes() {
    for seed in 0..3 {
        let latents = leaf(&noise(seed, &[2, 2, 3], Kind::Double));
        let (style, mix) = (noise(10 + seed, &[3, 4], Kind::Double), noise(20 + seed, &[8, 6], Kind::Double));
        let given = noise(30 + seed, &[2, 1, 2, 3], Kind::Double);
        let penalty = |style: &Tensor, mix: &Tensor| {
            let (_vs, penalty) = made(Kind::Double);
            let images = generated(&latents, style, mix);
            penalty.forward(&PathLengthPenalty::jacobian_with(&images, &latents, &given).unwrap())
        };
        let (own_style, own_mix) = (leaf(&style), leaf(&mix));
        penalty(&own_style, &own_mix).backward();
        // A step of 1e-5 is off by 1e-10 times a third derivative of some tens, and by the rounding over the step.
        let floor = Relative::ToElement { floor: 1.0 };
        let of_style = differences(&style, 1e-5, |style| penalty(style, &mix));
        assert_close("style", &own_style.grad(), &of_style, 1e-7, floor);
        let of_mix = differences(&mix, 1e-5, |mix| penalty(&style, mix));
        assert_close("mix", &own_mix.grad(), &of_mix, 1e-7, floor);
        assert!(value(&own_style.grad().abs().max()) > 1e-3);
    }
}

#[test]
fn a_loaded_state_goes_on_as_if_it_had_never_stopped() {
    for kind in [Kind::Float, Kind::Double] {
        let step =
            |penalty: &PathLengthPenalty, number: i64| penalty.forward(&noise(number, &[3, 2, 4], kind));
        let (vs, whole) = made(kind);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        (0..3).for_each(|number| drop(step(&whole, number)));
        vs.save(&path).unwrap();
        let (mut other, loaded) = made(kind);
        other.load(&path).unwrap();
        for number in 3..6 {
            assert_eq!(values(&step(&loaded, number)), values(&step(&whole, number)), "{kind:?} {number}");
            assert_eq!(loaded.average(), whole.average());
        }
        assert!(vs.variables().contains_key("ema.length") && vs.trainable_variables().is_empty());
        assert_eq!(whole.average().kind(), kind);
    }
}

/// Where nothing depends on the codes, the references have gradients of NaN.
#[test]
fn gradients_are_finite_where_j_is_0() {
    let (_vs, penalty) = made(Kind::Double);
    let latents = leaf(&noise(1, &[2, 2, 3], Kind::Double));
    let style = leaf(&noise(2, &[3, 4], Kind::Double));
    let mix = leaf(&noise(3, &[8, 6], Kind::Double).zeros_like());
    penalty.penalty(&generated(&latents, &style, &mix), &latents).backward();
    for leaf in [style, mix] {
        assert_eq!(value(&leaf.grad().abs().sum(None)), 0.0);
    }
    // One image of two.
    let jacobian = leaf(&Tensor::stack(&[noise(4, &[2, 3], Kind::Double), latents.zeros_like().get(0)], 0));
    penalty.forward(&jacobian).backward();
    let gradient = jacobian.grad();
    assert!(value(&gradient.get(0).abs().sum(None)) > 0.0);
    assert_eq!(value(&gradient.get(1).abs().sum(None)), 0.0);
}

/// The images are the codes here, so J is the noise over the root of the number of pixels.
#[test]
fn the_noise_is_standard_normal() {
    let latents = leaf(&noise(1, &[4, 4096], Kind::Double));
    let jacobian = PathLengthPenalty::jacobian(&latents.view([4, 1, 64, 64]), &latents).unwrap();
    let drawn = jacobian.detach() * 64.0;
    // Of 16384 normal numbers, the mean is off by 0.0078 and the mean square by 0.011, one deviation each.
    assert!(value(&drawn.mean(None)).abs() < 0.08);
    assert!((value(&drawn.square().mean(None)) - 1.0).abs() < 0.11);
}

#[test]
fn half_kinds_are_computed_in_f32() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let (_vs, penalty) = made(Kind::Float);
        let (_other, exact) = made(Kind::Double);
        // The squares are beyond f16; the lengths are not.
        let jacobian = noise(1, &[3, 2, 8], kind) * 200.0;
        let own = penalty.forward(&(&jacobian / 16.0));
        let expected = exact.forward(&(jacobian / 16.0).to_kind(Kind::Double));
        assert_eq!(own.kind(), kind);
        assert_close(
            "value",
            &own.to_kind(Kind::Double),
            &expected,
            few_roundings(kind),
            Relative::ToLargest,
        );
    }
}

#[test]
fn refusals() {
    let (vs, penalty) = made(Kind::Float);
    let latents = leaf(&zeros(&[2, 3, 4]));
    let images = (latents.flatten(1, -1)).view([2, 1, 3, 4]);
    let messages = [
        message_of(penalty.try_forward(&zeros(&[4]))),
        message_of(PathLengthPenalty::lengths(&zeros(&[2, 0, 4]))),
        message_of(penalty.try_penalty(&images, &latents.detach())),
        message_of(penalty.try_penalty(&images.detach(), &latents)),
        message_of(penalty.try_penalty(&images, &leaf(&latents))),
        message_of(no_grad(|| penalty.try_penalty(&images, &latents))),
        message_of(penalty.try_penalty(&images, &latents.narrow(0, 0, 1))),
        message_of(penalty.try_penalty(&latents, &latents)),
        message_of(PathLengthPenalty::jacobian_with(&images, &latents, &zeros(&[2, 1, 3, 3]))),
        message_of(PathLengthPenalty::jacobian_with(&images, &latents, &images.to_kind(Kind::Double))),
    ];
    let constants = "`images` holds constants, expected what a generator made of `latents`, with its graph";
    let expected = [
        "`jacobian` has shape [4], expected [N, L, D] or [N, D] with every size at least 1",
        "`jacobian` has shape [2, 0, 4], expected [N, L, D] or [N, D] with every size at least 1",
        "`latents` holds constants, expected a tensor that requires a gradient",
        constants,
        "`latents` holds what `images` do not depend on, expected what a generator made `images` of",
        constants,
        "`latents` has shape [1, 3, 4], expected 2 codes, as many as `images`",
        "`images` has shape [2, 3, 4], expected [N, C, H, W] with every size at least 1",
        "`noise` has shape [2, 1, 3, 3], expected [2, 1, 3, 4], the shape of `images`",
        "`noise` has kind Double, expected Float, the kind of `images`",
    ];
    assert_eq!(messages, expected);
    assert_eq!(value(&penalty.average()), 0.0);
    let message = message_of(PathLengthPenalty::new(&vs.root(), PathLengthConfig { decay: -0.1 }));
    assert_eq!(message, "option `decay` is -0.1, expected a number in [0, 1]");
    if device() != Device::Cpu {
        let message = message_of(penalty.try_forward(&zeros(&[2, 2]).to_device(Device::Cpu)));
        assert!(message.ends_with("the device of the average"), "{message}");
    }
}
