//! LPIPS beyond the fixtures: on networks by formula, in every way through a batch, at the edges.

use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::{
    Architecture, DataRange, Error, Loss, Lpips, LpipsNorm, LpipsVersion, Network, Reduction, Streaming,
};

use crate::common::{assert_close, device, hashed_network, noise, value, values, Relative};

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);
const NETWORKS: [Architecture; 3] = [Architecture::ALEXNET, Architecture::VGG16, Architecture::SQUEEZENET1_1];

/// A network whose parameters are sines: the element `t` of the tensor `name` is `sin(0.7 t + length of the name) √(2 /
/// m)`, rounded to f32, where `m` is the number of weights of an output channel, or 100 of a bias.
fn sine_network(architecture: Architecture) -> Network {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &architecture);
    for (name, mut parameter) in vs.variables() {
        let shape = parameter.size();
        let summands = if shape.len() > 1 { shape[1..].iter().product::<i64>() as f64 } else { 100.0 };
        let elements = Tensor::arange(parameter.numel() as i64, DOUBLE);
        let sines = (elements * 0.7 + name.len() as f64).sin() * (2.0 / summands).sqrt();
        no_grad(|| parameter.copy_(&sines.view(shape.as_slice())));
    }
    network.to_kind(Kind::Double).unwrap()
}

/// Two images of a height and width that resemble each other, with values from 0 to 1.
fn waves([height, width]: [i64; 2]) -> (Tensor, Tensor) {
    let along = |length: i64, dim: i64| {
        let mut shape = [1, 1, 1, 1];
        shape[dim as usize] = length;
        Tensor::arange(length, DOUBLE).view(shape)
    };
    let (channel, row, column) = (along(3, 1), along(height, 2), along(width, 3));
    let input = ((&row + 1.0) * (&channel + 1.0) * 0.1 + &column * 0.07).sin() * 0.5 + 0.5;
    let target = (&input + (row * 0.3 - column * 0.2 + channel).cos() * 0.1).clamp(0.0, 1.0);
    (input.to_device(device()), target.to_device(device()))
}

/// Numbers that lpips 0.1.4 gave for these networks and images.
#[test]
fn the_numbers_of_lpips() {
    // Version 0.1, version 0.0, the mean of the spatial map.
    let expected = [
        [0.007140639549708462, 0.0041852098714229655, 0.007139199566381317],
        [0.0929081946005293, 0.016601061884626945, 0.09290819460052929],
        [0.021799232929667022, 0.01343524311174251, 0.02179951114325244],
    ];
    let (input, target) = waves([64, 64]);
    for (architecture, numbers) in NETWORKS.into_iter().zip(expected) {
        let loss = Lpips::new(sine_network(architecture)).with_data_range(DataRange::Unit);
        let old = loss.clone().with_version(LpipsVersion::V0_0);
        let map = loss.loss_map(&input, &target).unwrap().unwrap();
        assert_eq!(map.size(), [1, 1, 64, 64]);
        let found = [loss.forward(&input, &target), old.forward(&input, &target), map.mean(None)];
        for (own, expected) in found.iter().map(value).zip(numbers) {
            assert!((own - expected).abs() < 1e-10 * expected, "{architecture}: {own}, expected {expected}");
        }
    }
}

fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}

/// Value and gradient of the input; by libtorch's graph if the target requires a gradient.
fn step(loss: &Lpips, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let value = loss.forward(&input, target);
    // Different images weigh differently.
    let factors = Tensor::arange(value.numel() as i64, DOUBLE) + 1.0;
    (&value * factors.view(value.size().as_slice()).to_device(value.device())).sum(None).backward();
    (value.detach(), input.grad())
}

/// Losses with each option on some network, and the size of their images.
fn losses() -> Vec<(Lpips, [i64; 2])> {
    let network = |architecture| hashed_network(architecture).to_kind(Kind::Double).unwrap();
    let squeeze = Lpips::new(network(Architecture::SQUEEZENET1_1));
    vec![
        (Lpips::new(network(Architecture::ALEXNET)), [47, 54]),
        (Lpips::torchmetrics(squeeze.network.clone()), [37, 44]),
        (squeeze.clone().with_version(LpipsVersion::V0_0).with_reduction(Reduction::None), [33, 25]),
        (squeeze.with_lpips(false).with_data_range(DataRange::Unit).with_reduction(Reduction::Sum), [17, 18]),
        (Lpips::piq(network(Architecture::VGG16)), [19, 17]),
    ]
}

#[test]
fn every_way_gives_the_loss_of_the_graph() {
    for (loss, [height, width]) in losses() {
        let images = |seed| noise(seed, &[3, 3, height, width], Kind::Double);
        let (input, target) = (images(1), images(2));
        let (expected, expected_gradient) = step(&loss, &input, &leaf(&target));
        for streaming in [Streaming::Auto, Streaming::Images(1), Streaming::Images(2), Streaming::Off] {
            let loss = loss.clone().with_streaming(streaming);
            let what = format!("{loss:?}");
            let (found, gradient) = step(&loss, &input, &target);
            assert_close(&what, &found, &expected, 1e-10, Relative::ToLargest);
            assert_close(&what, &gradient, &expected_gradient, 1e-10, Relative::ToLargest);
            let without_gradient = no_grad(|| loss.forward(&input, &target));
            assert_close(&what, &without_gradient, &expected, 1e-10, Relative::ToLargest);
            let features = loss.target_features(&target).unwrap();
            // Twice: the features are not used up.
            for _ in 0..2 {
                let input = leaf(&input);
                let found = loss.forward_features(&input, &features);
                found.sum(None).backward();
                assert_close(&what, &found.detach(), &expected, 1e-10, Relative::ToLargest);
                if loss.reduction != Reduction::None {
                    assert_close(&what, &input.grad(), &expected_gradient, 1e-10, Relative::ToLargest);
                }
            }
        }
        // The distance has no direction.
        let (swapped, input_gradient) = step(&loss, &target, &input);
        assert_close("swapped", &swapped, &expected, 1e-10, Relative::ToLargest);
        let target = leaf(&target);
        loss.forward(&input, &target).sum(None).backward();
        if loss.reduction != Reduction::None {
            assert_close("target", &target.grad(), &input_gradient, 1e-10, Relative::ToLargest);
        }
    }
}

#[test]
fn one_channel_is_three_equal_ones() {
    for version in [LpipsVersion::V0_0, LpipsVersion::V0_1] {
        let network = hashed_network(Architecture::SQUEEZENET1_1).to_kind(Kind::Double).unwrap();
        let loss = Lpips::new(network).with_version(version);
        let grey = |seed| noise(seed, &[2, 1, 20, 23], Kind::Double);
        let colour = |image: &Tensor| image.repeat([1, 3, 1, 1]);
        let (found, gradient) = step(&loss, &grey(1), &grey(2));
        let (expected, of_channels) = step(&loss, &colour(&grey(1)), &colour(&grey(2)));
        assert_close("value", &found, &expected, 1e-12, Relative::ToLargest);
        let summed = of_channels.sum_dim_intlist([1i64].as_slice(), true, Kind::Double);
        assert_close("gradient", &gradient, &summed, 1e-12, Relative::ToLargest);
    }
}

/// Equal images cost nothing, and flat ones have finite gradients, whichever way the loss goes.
#[test]
fn images_without_detail() {
    let noise = noise(1, &[2, 3, 40, 33], Kind::Float);
    let flat = |value: f64| noise.full_like(value);
    for architecture in [Architecture::ALEXNET, Architecture::SQUEEZENET1_1] {
        for norm in [LpipsNorm::Original, LpipsNorm::Torchmetrics] {
            for streaming in [Streaming::Auto, Streaming::Off] {
                let loss = Lpips::new(hashed_network(architecture)).with_norm(norm).with_streaming(streaming);
                for image in [&noise, &flat(-1.0), &flat(0.0), &flat(1.0)] {
                    let (cost, gradient) = step(&loss, image, &image.copy());
                    assert_eq!((value(&cost), value(&gradient.abs().max())), (0.0, 0.0), "{loss:?}");
                    for other in [&noise, &flat(-1.0), &flat(0.25), &flat(1.0)] {
                        let (cost, gradient) = step(&loss, image, other);
                        assert!(value(&cost).is_finite(), "{loss:?}");
                        assert!(value(&gradient.abs().max()).is_finite(), "{loss:?}");
                    }
                }
            }
        }
    }
}

/// A network without biases gives a black image no features at all: the steepest point of the norm.
#[test]
fn pixels_without_features() {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &Architecture::ALEXNET);
    for (name, mut parameter) in vs.variables() {
        if name.ends_with("bias") {
            let _ = no_grad(|| parameter.zero_());
        }
    }
    // In version 0.0, images from -1 to 1 go in as they are.
    let loss = Lpips::new(network).with_version(LpipsVersion::V0_0);
    let (black, noise) =
        (Tensor::zeros([1, 3, 40, 40], (Kind::Float, device())), noise(1, &[1, 3, 40, 40], Kind::Float));
    for norm in [LpipsNorm::Original, LpipsNorm::Torchmetrics] {
        for streaming in [Streaming::Auto, Streaming::Off] {
            let loss = loss.clone().with_norm(norm).with_streaming(streaming);
            let (cost, gradient) = step(&loss, &black, &noise);
            assert!(value(&cost) > 0.0);
            assert_eq!(value(&gradient.abs().max()), 0.0, "{loss:?}");
            let (_, gradient) = step(&loss, &noise, &black);
            assert!(value(&gradient.abs().max()).is_finite(), "{loss:?}");
        }
    }
}

/// Norms and sums are f32 whatever the network's kind: the loss is off by what the features are.
#[test]
fn networks_of_half_kinds() {
    let images = |seed| noise(seed, &[2, 3, 48, 48], Kind::Float);
    let (input, target) = (images(1), images(2));
    for architecture in [Architecture::ALEXNET, Architecture::SQUEEZENET1_1] {
        let single = Lpips::new(hashed_network(architecture));
        let (expected, direction) = step(&single, &input, &target);
        for (kind, unit) in [(Kind::Half, 2f64.powi(-11)), (Kind::BFloat16, 2f64.powi(-8))] {
            // At most 17 convolutions lead to a tap. Each adds a rounding to the features, and as much again by the
            // roundings of its weights. The squares of differences double that.
            let off = 4.0 * 17f64.sqrt() * unit;
            for streaming in [Streaming::Auto, Streaming::Images(2)] {
                let network = single.network.to_kind(kind).unwrap();
                let loss = single.clone().with_network(network).with_streaming(streaming);
                let (found, gradient) = step(&loss, &input, &target);
                assert_close(&format!("{loss:?}"), &found, &expected, off, Relative::ToLargest);
                let (a, e) = (gradient.flatten(0, -1), direction.flatten(0, -1));
                let cosine = value(&(a.dot(&e) / (a.norm() * e.norm())));
                assert!(cosine > 1.0 - 2.0 * off, "{loss:?}: {cosine}");
            }
        }
    }
}

/// The curvature along a direction, against differences of gradients.
#[test]
fn second_derivatives() {
    for norm in [LpipsNorm::Original, LpipsNorm::Torchmetrics] {
        let network = hashed_network(Architecture::SQUEEZENET1_1).to_kind(Kind::Double).unwrap();
        let loss = Lpips::new(network).with_norm(norm).with_streaming(Streaming::Off);
        let images = |seed| noise(seed, &[1, 3, 17, 19], Kind::Double);
        let (input, target, direction) = (images(1), images(2), images(3));
        let gradient = |input: &Tensor, keep: bool| {
            Tensor::run_backward(&[loss.forward(input, &target)], &[input], keep, keep).remove(0)
        };
        let at = leaf(&input);
        (gradient(&at, true) * &direction).sum(None).backward();
        let moved = |step: f64| gradient(&leaf(&(&input + &direction * step)), false);
        let step = 1e-6;
        let slopes = (moved(step) - moved(-step)) / (2.0 * step);
        assert!(value(&slopes.abs().max()) > 0.0);
        assert_close(&format!("{norm:?}"), &at.grad(), &slopes, 1e-4, Relative::ToLargest);
    }
}

/// Where the sizes of the features divide those of the images, the map's mean is the loss.
#[test]
fn the_map_of_whole_factors() {
    let loss = Lpips::new(hashed_network(Architecture::VGG16).to_kind(Kind::Double).unwrap());
    let images = |seed| noise(seed, &[2, 3, 32, 16], Kind::Double);
    let (input, target) = (images(1), images(2));
    let map = loss.loss_map(&input, &target).unwrap().unwrap();
    assert_eq!(map.size(), [2, 1, 32, 16]);
    let of_images = loss.clone().with_reduction(Reduction::None).forward(&input, &target);
    assert_eq!(of_images.size(), [2]);
    let means = map.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Double);
    assert_close("means", &means, &of_images, 1e-12, Relative::ToLargest);
    assert!(values(&map).iter().all(|value| *value >= 0.0));
}

#[test]
fn what_is_refused() {
    let error = |loss: &Lpips, shape: &[i64]| {
        let image = Tensor::zeros(shape, (Kind::Float, device()));
        loss.try_forward(&image, &image).unwrap_err().to_string()
    };
    let vs = nn::VarStore::new(device());
    let loss = |architecture| Lpips::new(Network::new(&(vs.root() / "network"), &architecture));
    let deepest = ["relu5", "relu5_3", "fire9"];
    let mut losses = Vec::new();
    for ((architecture, least), tap) in NETWORKS.into_iter().zip([31, 16, 17]).zip(deepest) {
        let loss = loss(architecture);
        let message = error(&loss, &[1, 3, 64, least - 1]);
        let expected = format!("[N, 3, H, W] with H and W at least {least} to reach {tap}");
        assert!(message.ends_with(&expected), "{message}");
        let image = Tensor::zeros([1, 3, least, least], (Kind::Float, device()));
        assert_eq!(value(&loss.forward(&image, &image)), 0.0);
        losses.push(loss);
    }
    let alex = &losses[0];
    let message = error(alex, &[1, 2, 64, 64]);
    assert!(message.ends_with("[N, C, H, W] with 1 or 3 channels"), "{message}");
    let message = error(&alex.clone().with_reduction(Reduction::BatchMean), &[1, 3, 64, 64]);
    assert_eq!(message, "option `reduction` is batchmean, expected none, mean or sum");
    let message = error(&alex.clone().with_streaming(Streaming::Images(0)), &[1, 3, 64, 64]);
    assert_eq!(message, "option `streaming` is 0, expected at least one image at a time");
    let message = error(&alex.clone().with_data_range((1.0, 1.0).into()), &[1, 3, 64, 64]);
    assert!(message.starts_with("option `data_range`"), "{message}");
    let message = error(&loss(Architecture::VGG11), &[1, 3, 64, 64]);
    assert_eq!(message, "option `network` is vgg11, expected alexnet, vgg16 or squeezenet1_1");

    let image = Tensor::zeros([1, 3, 64, 64], (Kind::Float, device()));
    let features = alex.target_features(&image).unwrap();
    for other in
        [alex.clone().with_version(LpipsVersion::V0_0), alex.clone().with_data_range(DataRange::Unit)]
    {
        let error = other.try_forward_features(&image, &features).unwrap_err();
        assert!(matches!(error, Error::Option { option: "target features", .. }), "{error}");
    }
}
