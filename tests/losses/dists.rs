//! DISTS: golden numbers, and the ways to compute it.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{Architecture, DataRange, Dists, Loss, Network, PerceptualLoss, Reduction, Streaming, Tap};

use crate::common::{assert_close, device, hashed_network, noise, value, values, waves, Relative};
use crate::support::{differences, leaf, with_gradients, zeros};

fn dists() -> Dists {
    Dists::new(hashed_network(Architecture::VGG16))
}

fn in_double() -> Dists {
    Dists::new(dists().network.to_kind(Kind::Double).unwrap())
}

/// In [0, 1].
fn images(shape: &[i64]) -> (Tensor, Tensor) {
    let image = |seed| noise(seed, shape, Kind::Double) * 0.5 + 0.5;
    (image(1), image(2))
}

/// Value and gradient where `target` requires none.
fn of_input(loss: &Dists, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let loss = loss.forward(&input, target);
    loss.sum(None).backward();
    (loss.detach(), input.grad())
}

/// A VGG16 with weights `sin(0.7 t + length of the name) * sqrt(2 / m)`, where m is the number of inputs, or 100 for
/// biases; t counts the elements of a tensor.
fn sine_network() -> Network {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &Architecture::VGG16);
    for (name, mut parameter) in vs.variables() {
        let shape = parameter.size();
        let inputs = if shape.len() > 1 { shape[1..].iter().product::<i64>() as f64 } else { 100.0 };
        let count = Tensor::arange(parameter.numel() as i64, (Kind::Double, device()));
        let numbers = (count * 0.7 + name.len() as f64).sin() * (2.0 / inputs).sqrt();
        no_grad(|| parameter.copy_(&numbers.view(&shape[..])));
    }
    network
}

/// Numbers of DISTS-pytorch 0.1 and of piq 0.8 in f64. Both round ImageNet's means and deviations to f32: what the network
/// sees is off by half an epsilon, 6e-8, and the loss by some times that.
#[test]
fn golden_numbers() {
    let network = sine_network().to_kind(Kind::Double).unwrap();
    let (input, target) = waves([2, 3, 64, 48]);
    let expected = [0.0020409927865585598, 0.0036524272035900474];
    let of_piq = [0.0020411584079333966, 0.00365259255733092];
    for (loss, expected) in [(Dists::new(network.clone()), expected), (Dists::piq(network), of_piq)] {
        let found = loss.with_reduction(Reduction::None).forward(&input, &target);
        let expected = Tensor::from_slice(&expected).to_device(device());
        assert_close("golden", &found, &expected, 1e-6, Relative::ToLargest);
    }
}

/// piq's number, with hashed weights, in f64. 256 / 322 * 322 is rounded down to 255. f32 is off by 1e-6 in means and
/// variances, of which the loss is a part of 0.005.
#[test]
fn large_images_are_resized_as_in_piq() {
    let (input, target) = waves([1, 1, 322, 330]);
    let single = |images: Tensor| images.to_kind(Kind::Float);
    let found = Dists::piq(dists().network).forward(&single(input), &single(target));
    let expected = Tensor::from(0.004_636_636_f32).to_device(device());
    assert_close("resized", &found, &expected, 1e-3, Relative::ToLargest);
}

/// Every option.
fn variants() -> Vec<Dists> {
    let plain = in_double();
    vec![
        plain.clone(),
        Dists::piq(plain.network.clone()),
        plain.clone().with_reduction(Reduction::Sum).with_data_range(DataRange::Between(-0.5, 2.0)),
        plain.with_reduction(Reduction::None),
    ]
}

#[test]
fn streamed_it_is_that_of_the_graph() {
    let (input, target) = images(&[2, 3, 5, 6]);
    let ways = [Streaming::Auto, Streaming::Images(1), Streaming::Off, Streaming::Images(2)];
    for (loss, streaming) in variants().into_iter().zip(ways) {
        let in_graph = with_gradients(&loss.clone().with_reduction(Reduction::Sum), &input, &target);
        let loss = loss.with_streaming(streaming);
        let what = format!("{loss:?}");
        let features = loss.target_features(&leaf(&target)).unwrap();
        let (expected, gradient) = of_input(&loss, &input, &target);
        let factor = if loss.reduction == Reduction::Mean { 2.0 } else { 1.0 };
        assert_close(&what, &(expected.sum(None) * factor), &in_graph.0, 1e-12, Relative::ToLargest);
        assert_close(&what, &(&gradient * factor), &in_graph.1, 1e-10, Relative::ToLargest);
        let own = leaf(&input);
        let found = loss.forward_features(&own, &features);
        found.sum(None).backward();
        assert_close(&what, &found.detach(), &expected, 1e-12, Relative::ToLargest);
        assert_close(&what, &own.grad(), &gradient, 1e-10, Relative::ToLargest);
        let without = no_grad(|| loss.forward(&leaf(&input), &target));
        assert!(!without.requires_grad());
        assert_close(&what, &without, &expected, 1e-12, Relative::ToLargest);
    }
}

/// A feature in f16 or bf16 is off by half a unit in each of thirteen layers, which add up as a random walk does: √13 of
/// them. Means and variances average that out; what is left of it in each is at most twice that, relative to the largest
/// part that a channel can have, its weight: all weights together are 1.
#[test]
fn networks_of_reduced_precision() {
    let (input, target) = images(&[2, 3, 32, 32]);
    let (input, target) = (input.to_kind(Kind::Float), target.to_kind(Kind::Float));
    let single = dists();
    let (expected, direction) = of_input(&single, &input, &target);
    for (kind, unit) in [(Kind::Half, 2f64.powi(-11)), (Kind::BFloat16, 2f64.powi(-8))] {
        let loss = single.clone().with_network(single.network.to_kind(kind).unwrap());
        let (found, gradient) = of_input(&loss, &input, &target);
        assert_eq!((found.kind(), gradient.kind()), (Kind::Float, Kind::Float));
        let off = (value(&found) - value(&expected)).abs();
        assert!(off < 2.0 * 13f64.sqrt() * unit, "{kind:?}: {off}");
        let (a, e) = (gradient.flatten(0, -1), direction.flatten(0, -1));
        let cosine = value(&(a.dot(&e) / (a.norm() * e.norm())));
        // A share of the ReLUs like the error of the features turns, and takes twice its share: about four times the
        // error. Which of them turn is up to the processor: four times as many may.
        assert!(cosine > 1.0 - 16.0 * 13f64.sqrt() * unit, "{kind:?}: {cosine}");
    }
}

/// f16 holds neither the squares of such features nor the slopes where a map is nearly flat.
#[test]
fn images_of_any_contrast_in_f16() {
    let (input, target) = images(&[1, 3, 16, 16]);
    let loss = dists();
    let half = loss.clone().with_network(loss.network.to_kind(Kind::Half).unwrap());
    for contrast in [1e-4, 1.0, 255.0] {
        let of = |images: &Tensor| (images * contrast).to_kind(Kind::Float);
        let (found, gradient) = of_input(&half, &of(&input), &of(&target));
        for number in values(&found).into_iter().chain(values(&gradient)) {
            assert!(number.is_finite(), "{contrast}: {number}");
        }
    }
}

#[test]
fn second_derivatives_through_the_graph() {
    let (input, target) = images(&[1, 3, 3, 4]);
    let loss = in_double().with_streaming(Streaming::Off);
    let penalty = |input: &Tensor| {
        let loss = loss.forward(input, &target);
        Tensor::run_backward(&[loss], &[input], true, true).remove(0).square().sum(None)
    };
    let at = leaf(&input);
    penalty(&at).backward();
    let slopes = differences(&input, 1e-5, penalty);
    assert!(value(&slopes.abs().max()) > 0.0);
    assert_close("slopes", &at.grad(), &slopes, 1e-4, Relative::ToLargest);
}

/// Equal images cost nothing, in any kind; flat ones have finite gradients, and the loss is that of f64.
#[test]
fn equal_and_flat_images() {
    let shape = [1, 3, 24, 20];
    let flat = |number: f64| Tensor::full(shape, number, (Kind::Double, device()));
    let (single, double) = (dists(), in_double());
    for image in [images(&shape).0, flat(0.0), flat(0.5), flat(1.0)] {
        let image = image.to_kind(Kind::Float);
        for streaming in [Streaming::Auto, Streaming::Off] {
            let loss = single.clone().with_streaming(streaming);
            let (found, gradient) = of_input(&loss, &image, &image);
            assert_eq!(value(&found), 0.0);
            assert_eq!(value(&gradient.abs().max()), 0.0);
        }
    }
    for (first, second) in [(flat(0.0), flat(1.0)), (flat(0.3), flat(0.7)), (flat(0.5), images(&shape).0)] {
        let (expected, gradient) = of_input(&double, &first, &second);
        assert!(value(&expected) > 0.0 && values(&gradient).iter().all(|slope| slope.is_finite()));
        let float = |image: &Tensor| image.to_kind(Kind::Float);
        let (found, gradient) = of_input(&single, &float(&first), &float(&second));
        assert!(values(&gradient).iter().all(|slope| slope.is_finite()));
        // Thirteen layers add their roundings to the features.
        assert_close("flat", &found.to_kind(Kind::Double), &expected, 1e-3, Relative::ToLargest);
    }
}

#[test]
fn one_channel_is_repeated_to_three() {
    let (input, target) = images(&[2, 1, 8, 12]);
    let repeated = |images: &Tensor| images.repeat([1, 3, 1, 1]);
    for streaming in [Streaming::Auto, Streaming::Off] {
        let loss = in_double().with_streaming(streaming);
        let (expected, gradient) = of_input(&loss, &repeated(&input), &repeated(&target));
        let (found, found_gradient) = of_input(&loss, &input, &target);
        assert_close("value", &found, &expected, 1e-12, Relative::ToLargest);
        let sum = gradient.sum_dim_intlist([1i64].as_slice(), true, None);
        assert_close("gradient", &found_gradient, &sum, 1e-10, Relative::ToLargest);
    }
}

#[test]
fn what_dists_cannot_take() {
    let loss = dists();
    let image = zeros(&[1, 3, 8, 8]);
    for resize in [false, true] {
        let loss = loss.clone().with_resize(resize);
        for shape in [[1, 2, 8, 8], [1, 4, 300, 300]] {
            let expected = format!("`input` has shape {shape:?}, expected [N, C, H, W] with 1 or 3 channels");
            let error = loss.try_forward(&zeros(&shape), &zeros(&shape)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
    let message = |loss: &Dists| {
        let error = loss.try_forward(&image, &image).unwrap_err().to_string();
        assert_eq!(loss.check_options().unwrap_err().to_string(), error);
        error
    };
    assert_eq!(
        message(&loss.clone().with_reduction(Reduction::BatchMean)),
        "option `reduction` is batchmean, expected none, mean or sum"
    );
    assert_eq!(
        message(&loss.clone().with_streaming(Streaming::Images(0))),
        "option `streaming` is 0, expected at least one image at a time"
    );
    assert_eq!(
        message(&loss.clone().with_data_range(DataRange::Between(1.0, 1.0))),
        "option `data_range` is [1, 1], expected two finite numbers, the lower one first"
    );
    let vs = nn::VarStore::new(device());
    let other = Dists::new(Network::new(&vs.root(), &Architecture::VGG13));
    assert_eq!(
        message(&other),
        "option `network` is vgg13, expected vgg16, for which the weights were trained"
    );
}

#[test]
fn features_of_another_loss_or_of_other_images() {
    let loss = dists();
    let image = zeros(&[1, 3, 8, 8]);
    let taps = ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"].map(|tap| (Tap::new(tap), 1.0));
    let others = PerceptualLoss {
        taps: taps.into(),
        normalization: tch_losses::InputNormalization::ImageNet,
        ..PerceptualLoss::new(loss.network.clone())
    };
    let features = others.target_features(&image).unwrap();
    assert_eq!(
        loss.try_forward_features(&image, &features).unwrap_err().to_string(),
        "option `target features` is made by a loss on features alone, expected features with their images"
    );
    let features = loss.target_features(&image).unwrap();
    assert!(loss.try_forward_features(&zeros(&[1, 3, 8, 9]), &features).is_err());
    assert!(others.try_forward_features(&image, &features).is_ok());
    // The reduction is the comparison's own affair.
    let sum = loss.clone().with_reduction(Reduction::Sum);
    assert!(sum.try_forward_features(&image, &features).is_ok());
}

/// Features stay what they were when the caller's images change.
#[test]
fn target_features_do_not_share_memory_with_the_images() {
    let dists = Dists::new(hashed_network(Architecture::VGG16));
    let input = noise(1, &[1, 3, 16, 16], Kind::Float);
    let mut target = noise(2, &[1, 3, 16, 16], Kind::Float);
    let features = dists.target_features(&target).unwrap();
    let expected = dists.forward_features(&input, &features);
    let _ = target.fill_(0.5);
    assert_eq!(dists.forward_features(&input, &features), expected);
}
