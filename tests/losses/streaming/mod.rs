//! Gradients taken inside forward: whatever the way, the loss is the one of the plain graph.

mod edges;
mod precision;

use crate::common::{assert_close, device, hashed_network, noise, value, values, vgg, Relative};
use crate::support::{differences, leaf};
use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::{
    Architecture, DataRange, Error, FeatureCriterion, FsimLoss, InputNormalization, L1Loss, Laplacian, Loss,
    MdsiLoss, Network, PerceptualLoss, Reduction, Sobel, SsimLoss, Streaming, Tap, VifLoss,
};

/// Value and gradient with respect to the input, by way of libtorch's graph: `target` requires a gradient.
fn in_graph(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let loss = loss.forward(&input, &leaf(target));
    loss.backward();
    (loss.detach(), input.grad())
}

/// The same with a target that requires none.
fn streamed(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let loss = loss.forward(&input, &target.detach());
    loss.backward();
    (loss.detach(), input.grad())
}

fn assert_same(what: &str, loss: &dyn Loss, input: &Tensor, target: &Tensor, tolerance: f64) {
    let (value, gradient) = streamed(loss, input, target);
    let (expected, expected_gradient) = in_graph(loss, input, target);
    assert_close(&format!("{what} value"), &value, &expected, tolerance, Relative::ToLargest);
    assert_close(&format!("{what} gradient"), &gradient, &expected_gradient, tolerance, Relative::ToLargest);
}

/// The same where gradients jump: rounding turns the sign of a difference, a ReLU or the choice of a maximum now and
/// then, and each such turn moves the gradients of the pixels that it sees by any amount. The value is continuous.
/// `most` is how far the gradients may be apart, relative to their norm.
fn assert_same_up_to_turns(
    what: &str,
    loss: &dyn Loss,
    (input, target): (&Tensor, &Tensor),
    tolerance: f64,
    most: f64,
) {
    let (value, gradient) = streamed(loss, input, target);
    let (expected, expected_gradient) = in_graph(loss, input, target);
    assert_close(&format!("{what} value"), &value, &expected, tolerance, Relative::ToLargest);
    let (apart, norm) =
        (values(&(&gradient - &expected_gradient).norm())[0], values(&expected_gradient.norm())[0]);
    assert!(apart <= most * norm, "{what} gradient: {apart} apart, of {norm}");
}

/// The norm of the difference of two gradients, relative to that of the second.
fn distance(gradient: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(gradient.size(), expected.size());
    let (gradient, expected) = (gradient.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    values(&((gradient - &expected).norm() / expected.norm()))[0]
}

fn pair(shape: &[i64], kind: Kind) -> (Tensor, Tensor) {
    (noise(1, shape, kind), noise(2, shape, kind))
}

fn edge_losses() -> [Box<dyn Loss>; 5] {
    [
        Box::new(Sobel::default()),
        Box::new(Sobel { reduction: Reduction::Sum, eps: 1e-2 }),
        Box::new(Sobel { reduction: Reduction::None, ..Default::default() }),
        Box::new(Laplacian::default()),
        Box::new(Laplacian { reduction: Reduction::Sum }),
    ]
}

/// Those with a gradient to be taken inside forward.
fn reduced_edge_losses() -> Vec<Box<dyn Loss>> {
    let image = noise(1, &[1, 1, 2, 2], Kind::Float);
    edge_losses().into_iter().filter(|loss| loss.forward(&image, &image).size().is_empty()).collect()
}

/// Every option of the perceptual loss.
fn perceptual_losses(vgg: &Network) -> Vec<PerceptualLoss> {
    let default = || PerceptualLoss::new(vgg.clone());
    vec![
        default(),
        PerceptualLoss { criterion: FeatureCriterion::Mse, ..default() },
        // Neither in order nor all different, one without weight, none where the network ends.
        PerceptualLoss {
            taps: vec![(Tap::RELU3_3, 1e-3), (Tap::RELU1_1, 2.0), (Tap::RELU2_1, 0.0), (Tap::RELU1_1, 0.5)],
            data_range: DataRange::Signed,
            normalization: InputNormalization::ImageNet,
            ..default()
        },
        PerceptualLoss {
            taps: vec![(Tap::RELU5_4, 3.0)],
            criterion: FeatureCriterion::Mse,
            normalization: InputNormalization::ImageNet,
            ..default()
        },
    ]
}

#[test]
fn edge_losses_are_those_of_the_graph() {
    // The last three are more than a piece: 2^18 pixels.
    let shapes = [
        [1i64, 1, 1, 1],
        [1, 3, 1, 5],
        [2, 3, 2, 2],
        [3, 4, 7, 1],
        [2, 3, 33, 18],
        [5, 3, 300, 301],
        [1, 2, 600, 512],
        [300, 1, 37, 29],
    ];
    for shape in shapes {
        for loss in reduced_edge_losses() {
            let what = format!("{loss:?} {shape:?}");
            let (input, target) = pair(&shape, Kind::Double);
            // A turn needs a difference of less than 1e-15, which none of a million is by chance.
            assert_same(&what, loss.as_ref(), &input, &target, 1e-11);
            let (input, target) = (input.to_kind(Kind::Float), target.to_kind(Kind::Float));
            // In f32 less than 1e-6, which one in a million is. One of a few thousand pixels or more is 0.02 of the
            // norm at most; fewer have no turn.
            assert_same_up_to_turns(&what, loss.as_ref(), (&input, &target), 1e-5, 0.05);
        }
    }
}

#[test]
fn perceptual_losses_are_those_of_the_graph() {
    let single = vgg();
    let double = single.to_kind(Kind::Double).unwrap();
    let ways = [
        Streaming::Auto,
        Streaming::Images(1),
        Streaming::Images(2),
        Streaming::Images(5000),
        // The graph, whatever requires a gradient.
        Streaming::Off,
    ];
    for (kind, vgg) in [(Kind::Double, &double), (Kind::Float, &single)] {
        // Sizes that pooling rounds down.
        let (input, target) = pair(&[5, 3, 17, 22], kind);
        for loss in perceptual_losses(vgg) {
            for streaming in ways {
                let loss = PerceptualLoss { streaming, ..loss.clone() };
                let what = format!("{kind:?} {loss:?}");
                match kind {
                    Kind::Double => assert_same(&what, &loss, &input, &target, 1e-10),
                    // Of the half million ReLUs, differences and maxima, one turns at times: 0.03 of the norm at
                    // most (of the 3000 features of the deepest tap).
                    _ => assert_same_up_to_turns(&what, &loss, (&input, &target), 5e-5, 0.1),
                }
            }
        }
    }
}

/// A norm over the batch needs the whole batch before any slope of it; a root has no kink.
#[test]
fn other_criteria_are_those_of_the_graph() {
    let network = hashed_network(Architecture::VGG11).to_kind(Kind::Double).unwrap();
    let (input, target) = pair(&[3, 3, 9, 11], Kind::Double);
    // One image of three costs nothing.
    input.get(1).copy_(&target.get(1));
    for criterion in [FeatureCriterion::Frobenius, FeatureCriterion::Charbonnier] {
        for streaming in [Streaming::Auto, Streaming::Images(1), Streaming::Images(2)] {
            let taps = vec![(Tap::RELU2_1, 0.5), (Tap::RELU1_1, 2.0), (Tap::new("features.4"), 0.25)];
            let loss = PerceptualLoss { taps, criterion, streaming, ..PerceptualLoss::new(network.clone()) };
            assert_same(&format!("{loss:?}"), &loss, &input, &target, 1e-10);
            // The norm of a batch that costs nothing has a gradient of 0.
            let (value, gradient) = streamed(&loss, &target, &target);
            assert!(
                crate::common::value(&value) < 1e-5 && values(&gradient).iter().all(|slope| *slope == 0.0)
            );
            let features = loss.target_features(&target).unwrap();
            let (expected, _) = in_graph(&loss, &input, &target);
            let found = loss.forward_features(&input, &features);
            assert_close("cached", &found, &expected, 1e-10, Relative::ToLargest);
        }
    }
}

#[test]
fn cached_features() {
    let (input, target) = pair(&[5, 3, 17, 22], Kind::Double);
    for loss in perceptual_losses(&vgg().to_kind(Kind::Double).unwrap()) {
        let (expected, expected_gradient) = in_graph(&loss, &input, &target);
        for streaming in [Streaming::Auto, Streaming::Images(2), Streaming::Off] {
            let loss = PerceptualLoss { streaming, ..loss.clone() };
            let features = loss.target_features(&target).unwrap();
            // Twice: the features are not used up.
            for _ in 0..2 {
                let input = leaf(&input);
                let value = loss.forward_features(&input, &features);
                value.backward();
                assert_close("value", &value.detach(), &expected, 1e-10, Relative::ToLargest);
                assert_close("gradient", &input.grad(), &expected_gradient, 1e-10, Relative::ToLargest);
            }
        }
    }
}

/// Every loss that can take its gradient inside forward.
fn streaming_losses() -> Vec<Box<dyn Loss>> {
    let perceptual = PerceptualLoss::new(vgg().to_kind(Kind::Double).unwrap());
    vec![
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(PerceptualLoss { streaming: Streaming::Images(1), ..perceptual }),
    ]
}

#[test]
fn upstream_factors_scale_the_gradient() {
    let (input, target) = pair(&[3, 3, 12, 12], Kind::Double);
    for loss in streaming_losses() {
        let (_, expected) = in_graph(loss.as_ref(), &input, &target);
        for factor in [65536.0, 2f64.powi(-16), -3.0, 0.0] {
            let input = leaf(&input);
            (loss.forward(&input, &target) * factor).backward();
            let expected = &expected * factor;
            assert_close(&format!("{loss:?}"), &input.grad(), &expected, 1e-11, Relative::ToLargest);
        }
        // A factor that is itself a tensor with a gradient gets the value as that.
        let factor = leaf(&Tensor::from(2.0).to_device(device()));
        let value = loss.forward(&leaf(&input), &target);
        (&value * &factor).backward();
        assert_eq!(factor.grad(), value.detach(), "{loss:?}");
    }
}

#[test]
fn gradients_reach_what_made_the_input() {
    let (seed, target) = pair(&[3, 3, 12, 12], Kind::Double);
    for loss in streaming_losses() {
        let through = |target: &Tensor| {
            let seed = leaf(&seed);
            let weight = leaf(&Tensor::from(0.5).to_device(device()));
            // A generator, in miniature.
            let fake = (&seed * &weight).tanh();
            loss.forward(&fake, target).backward();

            (seed.grad(), weight.grad())
        };
        let (seed_gradient, weight_gradient) = through(&target);
        let expected = through(&leaf(&target));
        assert_close("seed", &seed_gradient, &expected.0, 1e-11, Relative::ToLargest);
        assert_close("weight", &weight_gradient, &expected.1, 1e-11, Relative::ToLargest);
    }
}

#[test]
fn losses_add_up() {
    let (input, target) = pair(&[3, 3, 12, 12], Kind::Double);
    let total = |target: &Tensor| {
        let input = leaf(&input);
        let losses: Tensor = streaming_losses()
            .iter()
            .enumerate()
            .map(|(index, loss)| loss.forward(&input, target) * (index + 1) as f64)
            .sum();
        (losses + L1Loss::default().forward(&input, target) * 100.0).backward();
        input.grad()
    };
    assert_close("sum", &total(&target), &total(&leaf(&target)), 1e-11, Relative::ToLargest);
}

#[test]
fn backward_twice() {
    let (input, target) = pair(&[2, 3, 12, 12], Kind::Double);
    for loss in streaming_losses() {
        let (_, expected) = in_graph(loss.as_ref(), &input, &target);
        let input = leaf(&input);
        let value = loss.forward(&input, &target);
        for _ in 0..2 {
            let gradient = Tensor::run_backward(&[&value], &[&input], true, false).remove(0);
            assert_close(&format!("{loss:?}"), &gradient, &expected, 1e-11, Relative::ToLargest);
        }
        // Nothing has been accumulated but what is asked for here.
        assert!(!input.grad().defined());
        value.backward();
        assert_close(&format!("{loss:?}"), &input.grad(), &expected, 1e-11, Relative::ToLargest);
    }
}

#[test]
fn without_gradients_values_are_the_same() {
    let (input, target) = pair(&[3, 3, 12, 12], Kind::Double);
    for loss in streaming_losses() {
        let (expected, _) = in_graph(loss.as_ref(), &input, &target);
        let tracked = leaf(&input);
        let within = no_grad(|| loss.forward(&tracked, &leaf(&target)));
        let untracked = loss.forward(&input, &target);
        for value in [within, untracked] {
            assert!(!value.requires_grad());
            assert_close(&format!("{loss:?}"), &value, &expected, 1e-12, Relative::ToLargest);
        }
        assert!(!tracked.grad().defined());
    }
}

#[test]
fn gradients_reach_the_target_alone() {
    let (input, target) = pair(&[2, 3, 12, 12], Kind::Double);
    for loss in streaming_losses() {
        let both = leaf(&target);
        loss.forward(&leaf(&input), &both).backward();
        let alone = leaf(&target);
        loss.forward(&input, &alone).backward();
        assert_close(&format!("{loss:?}"), &alone.grad(), &both.grad(), 1e-12, Relative::ToLargest);
    }
}

#[test]
fn second_derivatives_through_the_graph() {
    let (input, target) = pair(&[1, 3, 4, 4], Kind::Double);
    let vgg = vgg().to_kind(Kind::Double).unwrap();
    let perceptual = PerceptualLoss {
        criterion: FeatureCriterion::Mse,
        streaming: Streaming::Off,
        ..PerceptualLoss::new(vgg)
    };
    let sobel = Sobel { reduction: Reduction::None, ..Default::default() };
    for loss in [&perceptual as &dyn Loss, &sobel] {
        let penalty = |input: &Tensor| {
            let mean = loss.forward(input, &target).mean(Kind::Double);
            Tensor::run_backward(&[mean], &[input], true, true).remove(0).square().sum(None)
        };
        let at = leaf(&input);
        penalty(&at).backward();
        let slopes = differences(&input, 1e-6, penalty);
        assert!(value(&slopes.abs().max()) > 0.0);
        assert_close(&format!("{loss:?}"), &at.grad(), &slopes, 1e-4, Relative::ToLargest);
    }
}
