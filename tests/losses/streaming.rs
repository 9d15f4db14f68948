//! Gradients taken inside forward: whatever the way, the loss is the one of the plain graph.

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
fn images_and_network_of_different_kinds() {
    let single = vgg();
    let double = single.to_kind(Kind::Double).unwrap();
    for (kind, vgg) in [(Kind::Double, single), (Kind::Float, double)] {
        let (input, target) = pair(&[2, 3, 16, 16], kind);
        let loss = PerceptualLoss::new(vgg);
        let (value, gradient) = streamed(&loss, &input, &target);
        assert_eq!((value.kind(), gradient.kind()), (kind, kind));
        // What has been computed in f64 differs by the rounding of the result only.
        match loss.network.kind() {
            Kind::Double => assert_same("in f64", &loss, &input, &target, 1e-6),
            _ => assert_same_up_to_turns("in f32", &loss, (&input, &target), 1e-5, 0.1),
        }
    }
}

#[test]
fn images_of_reduced_precision() {
    // Values that differ in f32 may be rounded to neighbours: one unit in the last of 11 or 8 binary digits.
    for (kind, tolerance) in [(Kind::Half, 1e-3), (Kind::BFloat16, 8e-3)] {
        let (input, target) = pair(&[3, 3, 16, 16], kind);
        // Images of so few digits have differences of exactly 0, which rounding in f32 turns to either side: 0.07 of
        // the norm each, of 768.
        for loss in reduced_edge_losses() {
            assert_same_up_to_turns(&format!("{loss:?}"), loss.as_ref(), (&input, &target), tolerance, 0.25);
        }
        let perceptual = PerceptualLoss::new(vgg());
        assert_same_up_to_turns("perceptual", &perceptual, (&input, &target), tolerance, 0.1);
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

/// Equal images cost nothing, to the last bit, in pieces as well.
#[test]
fn equal_images() {
    for channels in [1, 3, 7, 64] {
        let image = noise(3, &[5, channels, 301, 257], Kind::Float);
        for loss in [&Sobel::default() as &dyn Loss, &Laplacian::default()] {
            let (cost, gradient) = streamed(loss, &image, &image.copy());
            assert_eq!((value(&cost), value(&gradient.abs().sum(None))), (0.0, 0.0), "{loss:?} {channels}");
        }
    }
    let image = noise(3, &[5, 3, 16, 16], Kind::Float);
    for loss in perceptual_losses(&vgg()) {
        let loss = PerceptualLoss { streaming: Streaming::Images(2), ..loss };
        let (cost, gradient) = streamed(&loss, &image, &image.copy());
        assert_eq!((value(&cost), value(&gradient.abs().sum(None))), (0.0, 0.0), "{loss:?}");
    }
}

/// Where an image is not finite the loss is not, and the gradient is not where the graph's is not.
#[test]
fn values_that_are_not_finite() {
    for bad in [f64::NAN, f64::INFINITY] {
        let (input, target) = pair(&[2, 3, 12, 12], Kind::Double);
        let _ = input.get(1).get(0).get(5).get(5).fill_(bad);
        for loss in streaming_losses() {
            let (value, gradient) = streamed(loss.as_ref(), &input, &target);
            let (expected, expected_gradient) = in_graph(loss.as_ref(), &input, &target);
            let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-9;
            assert!(
                same(crate::common::value(&value), crate::common::value(&expected)),
                "{loss:?} {value:?} {expected:?}"
            );
            for (a, b) in values(&gradient).into_iter().zip(values(&expected_gradient)) {
                assert!(same(a, b), "{loss:?} {bad}: {a} for {b}");
            }
        }
    }
    // The value is exact, however large what else is at hand.
    let (input, target) = (noise(1, &[1, 3, 8, 8], Kind::Float) * 1e30, noise(2, &[1, 3, 8, 8], Kind::Float));
    let laplacian = Laplacian { reduction: Reduction::Sum };
    assert_same("large", &laplacian, &input, &target, 1e-5);
}

/// Without `eps`, flat regions have no gradient, as in the graph.
#[test]
fn flat_regions_without_eps() {
    let loss = Sobel { eps: 0.0, ..Default::default() };
    let (input, target) = (noise(1, &[1, 1, 8, 8], Kind::Double), noise(2, &[1, 1, 8, 8], Kind::Double));
    let _ = input.narrow(2, 2, 5).narrow(3, 2, 5).fill_(0.25);
    let (_, gradient) = streamed(&loss, &input, &target);
    let (_, expected) = in_graph(&loss, &input, &target);
    let nan = |gradient: &Tensor| values(gradient).into_iter().map(f64::is_nan).collect::<Vec<_>>();
    assert!(nan(&expected).contains(&true) && nan(&expected).contains(&false));
    assert_eq!(nan(&gradient), nan(&expected));
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

/// A layer that fails when the network has been run in part, in the second piece of the batch or on the way
/// back.
#[test]
fn an_error_in_the_middle_leaves_nothing_behind() {
    let vs = nn::VarStore::new(device());
    let loss = PerceptualLoss {
        streaming: Streaming::Images(1),
        ..PerceptualLoss::new(Network::new(&vs.root(), &Architecture::VGG19))
    };
    let (input, target) = pair(&[3, 3, 12, 12], Kind::Float);
    let input = leaf(&input);
    let fake = &input * 2.0;
    let (expected, _) = streamed(&loss, &fake, &target);
    let mut variables = vs.variables();
    let weight = variables.get_mut("features.5.weight").unwrap();
    let whole = weight.copy();
    let broken = whole.narrow(1, 0, 63).contiguous();
    weight.set_data(&broken);
    assert!(matches!(loss.try_forward(&fake, &target), Err(Error::Torch(_))));
    // Features of another kind are found out only when there is something to compare them with.
    let other = PerceptualLoss { network: loss.network.to_kind(Kind::Double).unwrap(), ..loss.clone() };
    variables.get_mut("features.5.weight").unwrap().set_data(&whole);
    let features = PerceptualLoss { network: loss.network.to_kind(Kind::Double).unwrap(), ..loss.clone() }
        .target_features(&target)
        .unwrap();
    assert!(matches!(loss.try_forward_features(&fake, &features), Err(Error::Kind { .. })));
    assert!(other.try_forward(&fake, &target).is_err());

    assert!(!input.grad().defined());
    for (name, parameter) in vs.variables() {
        assert!(!parameter.requires_grad() && !parameter.grad().defined(), "{name}");
    }
    // Gradients are still recorded, and the loss is what it was.
    assert!((&input * 2.0).requires_grad());
    let value = loss.forward(&fake, &target);
    assert_close("value", &value.detach(), &expected, 1e-6, Relative::ToLargest);
    value.backward();
    assert!(input.grad().defined());
}

#[test]
fn no_images_at_a_time() {
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let loss = PerceptualLoss { streaming: Streaming::Images(0), ..PerceptualLoss::new(vgg()) };
    let error = loss.try_forward(&image, &image).unwrap_err();
    assert_eq!(error.to_string(), "option `streaming` is 0, expected at least one image at a time");
}

/// Gradients of a mean over millions are less than f16 holds: inside they are scaled, whatever happens
/// outside.
#[test]
fn gradients_in_reduced_precision_neither_vanish_nor_overflow() {
    let (input, target) = pair(&[2, 3, 32, 32], Kind::Float);
    let single = vgg();
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        // Kinds and the units that they round to. Seven convolutions lead to the deepest tap, so that features are
        // about √7 units off. So are lengths and values, at most; of the ReLUs and differences, a share like that
        // turns, and takes twice its share from the cosine. Twice all that is granted.
        for (kind, unit) in [(Kind::Half, 2f64.powi(-11)), (Kind::BFloat16, 2f64.powi(-8))] {
            let off = 2.0 * 7f64.sqrt() * unit;
            // Weights as small as a batch a thousand times as large would make them; images as large as can
            // be.
            for (weight, size) in [(1.0, 1.0), (1e-6, 1.0), (1e6, 1.0), (1.0, 255.0), (1.0, 5e3)] {
                let with = |vgg: Network| PerceptualLoss {
                    taps: vec![(Tap::RELU1_2, weight), (Tap::RELU3_3, weight / 3.0)],
                    criterion,
                    ..PerceptualLoss::new(vgg)
                };
                let (input, target) = (&input * size, &target * size);
                let (expected, direction) = streamed(&with(single.clone()), &input, &target);
                let loss = with(single.to_kind(kind).unwrap());
                for factor in [1.0, 65536.0, 2f64.powi(-16)] {
                    let input = leaf(&input);
                    let value = loss.forward(&input, &target);
                    (&value * factor).backward();
                    let what = format!("{kind:?} {criterion:?} {weight} {size} {factor}");
                    assert_close(&what, &value.detach(), &expected, off, Relative::ToLargest);
                    let (a, e) = (input.grad().flatten(0, -1) / factor, direction.flatten(0, -1));
                    let (a, e) = (a.to_kind(Kind::Double), e.to_kind(Kind::Double));
                    let cosine = crate::common::value(&(a.dot(&e) / (a.norm() * e.norm())));
                    assert!(cosine > 1.0 - 2.0 * off, "{what}: {cosine}");
                    let length = crate::common::value(&(a.norm() / e.norm()));
                    assert!((length - 1.0).abs() < off, "{what}: {length}");
                }
            }
        }
    }
}

/// On the CPU, large maps of many channels have an algorithm of their own in f32. The truth is the graph in f64, the
/// measure libtorch's f32.
///
/// The value is continuous. The longest of its sums has 8091 terms, one after the other; independent rounding moves it
/// by √8091 units of 2^-24.
///
/// Gradients jump where rounding turns a ReLU, a maximum or a difference. One turn more or less is chance, so that
/// the medians over images are compared. The number of turns grows with the error of the features, their effect on
/// the norm with its root: twice libtorch's is four times its error.
#[test]
fn large_maps() {
    let single = vgg();
    let double = single.to_kind(Kind::Double).unwrap();
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        let loss = |vgg: &Network, streaming| PerceptualLoss {
            taps: vec![(Tap::RELU2_2, 1.0), (Tap::RELU3_3, 2.0)],
            criterion,
            streaming,
            ..PerceptualLoss::new(vgg.clone())
        };
        let (mut own, mut libtorchs) = (Vec::new(), Vec::new());
        for seed in 0..7 {
            // One image, or two of a size that tiles do not divide.
            let shape = if seed % 3 == 0 { [2, 3, 150, 205] } else { [1, 3, 256, 256] };
            let (input, target) = (noise(seed, &shape, Kind::Float), noise(100 + seed, &shape, Kind::Float));
            let (expected, expected_gradient) = streamed(
                &loss(&double, Streaming::Auto),
                &input.to_kind(Kind::Double),
                &target.to_kind(Kind::Double),
            );
            let (_, gradient_in_graph) = streamed(&loss(&single, Streaming::Off), &input, &target);
            libtorchs.push(distance(&gradient_in_graph, &expected_gradient));
            let streaming = if seed % 2 == 0 { Streaming::Auto } else { Streaming::Images(2) };
            let loss = loss(&single, streaming);
            let (found, gradient) = streamed(&loss, &input, &target);
            own.push(distance(&gradient, &expected_gradient));
            let what = format!("{shape:?} {criterion:?} {streaming:?}");
            let tolerance = 8091f64.sqrt() * 2f64.powi(-24);
            let found_exactly = found.to_kind(Kind::Double);
            assert_close(&what, &found_exactly, &expected, tolerance, Relative::ToLargest);
            if seed < 2 {
                let features = loss.target_features(&target).unwrap();
                assert_eq!(loss.forward_features(&input, &features), found, "{what}");
            }
            if device() == Device::Cpu {
                assert_ne!(gradient, gradient_in_graph, "{what} did not take the other way");
            }
        }
        let (own, libtorchs) = (median(own), median(libtorchs));
        assert!(own <= 2.0 * libtorchs, "{criterion:?}: {own}, libtorch {libtorchs}");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Large images are shrunk by 2 first: the gradient goes back to all pixels of each block.
#[test]
fn gradients_of_shrunk_images() {
    let shape = [1, 1, 385, 386];
    let images = |seed| noise(seed, &shape, Kind::Double) * 0.4 + 0.5;
    let (input, target) = (images(1), images(2));
    let losses: [&dyn Loss; 3] = [&SsimLoss::piq(), &MdsiLoss::default(), &FsimLoss::default()];
    for loss in losses {
        assert_same("shrunk", loss, &input, &target, 1e-9);
    }
}

/// Where a gain explains all of the input, its variance has no gradient through what is left unexplained.
#[test]
fn the_gradient_of_vif_where_nothing_is_unexplained() {
    let target = noise(1, &[1, 1, 44, 42], Kind::Double) * 0.4 + 0.5;
    assert_same("a gain alone", &VifLoss::default(), &(&target * 0.5), &target, 1e-9);
}
