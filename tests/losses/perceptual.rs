//! The loss on VGG19's features.
//!
//! Behind the layers of VGG19, each of which adds to the rounding, the bound is 1e-10 in f64.

use std::collections::HashMap;

use tch::{nn, Kind, Tensor};
use tch_losses::{
    Architecture, DataRange, Error, FeatureCriterion, InputNormalization, Loss, Network, PerceptualLoss,
    Pooling, Streaming, Tap,
};

use crate::common::{assert_close, device, noise, relus, value, vgg, Relative};
use crate::support::{images, leaf, refusal, with_gradients, zeros};

/// Each pixel takes from each tap the feature whose window it lies in.
#[test]
fn maps_of_features_are_enlarged_by_nearest_neighbours() {
    let (input, target) = images(Kind::Double);
    let vgg = vgg().to_kind(Kind::Double).unwrap();
    let taps = vec![(Tap::RELU1_2, 0.5), (Tap::RELU3_3, 3.0)];
    let loss = PerceptualLoss {
        taps: taps.clone(),
        criterion: FeatureCriterion::Mse,
        data_range: DataRange::Signed,
        normalization: InputNormalization::ImageNet,
        ..PerceptualLoss::new(vgg.clone())
    };
    let features = |images: &Tensor| {
        let channel = |values: [f64; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]).to_device(device());
        let unit = (images + 1.0) / 2.0;
        let normalised = (unit - channel([0.485, 0.456, 0.406])) / channel([0.229, 0.224, 0.225]);
        vgg.features(&normalised, &[Tap::RELU1_2, Tap::RELU3_3]).unwrap()
    };
    let enlarged = |maps: [Tensor; 2]| -> Tensor {
        let at = |map: &Tensor, n: i64, y: i64, x: i64| map.double_value(&[n, y, x]);
        let mut pixels = Vec::new();
        for n in 0..2 {
            for y in 0..8 {
                for x in 0..12 {
                    pixels.push(0.5 * at(&maps[0], n, y, x) + 3.0 * at(&maps[1], n, y / 4, x / 4));
                }
            }
        }
        Tensor::from_slice(&pixels).view([2, 1, 8, 12]).to_device(device())
    };
    let mean = |features: Tensor| features.mean_dim([1i64].as_slice(), false, None);

    let (of_input, of_target) = (features(&input), features(&target));
    let expected = enlarged([0, 1].map(|tap: usize| mean((&of_input[tap] - &of_target[tap]).square())));
    let map = loss.loss_map(&input, &target).unwrap().unwrap();
    assert_close("map", &map, &expected, 1e-10, Relative::ToLargest);
    let expected = enlarged([0, 1].map(|tap: usize| mean(of_input[tap].shallow_clone())));
    let response = loss.response(&input).unwrap().unwrap();
    assert_close("response", &response, &expected, 1e-10, Relative::ToLargest);
}

#[test]
fn features_of_reduced_precision_are_compared_in_f32() {
    // Differences past 256, whose squares f16 cannot hold. Images, weights and features are each rounded by half an
    // epsilon, 5e-4, of numbers up to three times the difference; the square doubles that: 9e-3 where all add up.
    let (input, target) =
        (noise(1, &[1, 3, 4, 4], Kind::Float) * 1e3, noise(2, &[1, 3, 4, 4], Kind::Float) * 1e3);
    let with = |kind| PerceptualLoss {
        taps: vec![(Tap::RELU1_1, 1.0)],
        criterion: FeatureCriterion::Mse,
        ..PerceptualLoss::new(vgg().to_kind(kind).unwrap())
    };
    let (half, single) = (with(Kind::Half), with(Kind::Float));
    let expected = single.forward(&input, &target);
    assert!(value(&expected) > 65504.0);
    assert_close("value", &half.forward(&input, &target), &expected, 1e-2, Relative::ToLargest);
    let expected = single.loss_map(&input, &target).unwrap().unwrap();
    assert_close(
        "map",
        &half.loss_map(&input, &target).unwrap().unwrap(),
        &expected,
        1e-2,
        Relative::ToLargest,
    );
}

/// A feature in bf16 is off by about 1 %: half an epsilon (0.4 %) in each of seven layers, which add up as a
/// random walk does. The value, a mean over thousands of features, averages that out. In the gradient, about one
/// in a hundred of the signs behind L1 and the ReLUs turns, and each changes its share by as much as twice: that
/// is 2 √0.01, a fifth of the gradient's norm, or a cosine of 0.98. Which signs turn is up to the processor, so the
/// median over several images is compared, with room for five times as many: 2 √0.05, a cosine of 0.9.
#[test]
fn a_network_in_reduced_precision_serves_f32_images() {
    let single = PerceptualLoss::new(vgg());
    let reduced = PerceptualLoss::new(single.network.to_kind(Kind::BFloat16).unwrap());
    assert_eq!((single.network.kind(), reduced.network.kind()), (Kind::Float, Kind::BFloat16));
    let mut cosines: Vec<f64> = (0..11)
        .map(|seed| {
            let images = |seed| noise(seed, &[1, 3, 8, 12], Kind::Float);
            let (input, target) = (images(2 * seed + 1), images(2 * seed + 2));
            let expected = with_gradients(&single, &input, &target);
            let actual = with_gradients(&reduced, &input, &target);
            assert_close("value", &actual.0, &expected.0, 2e-2, Relative::ToLargest);
            assert_eq!(actual.1.kind(), Kind::Float);
            let (a, e) = (actual.1.flatten(0, -1), expected.1.flatten(0, -1));
            value(&(a.dot(&e) / (a.norm() * e.norm())))
        })
        .collect();
    cosines.sort_by(f64::total_cmp);
    assert!(cosines[5] > 0.9, "{cosines:?}");
}

#[test]
fn the_network_is_frozen() {
    let vs = nn::VarStore::new(device());
    let loss = PerceptualLoss::new(Network::new(&vs.root(), &Architecture::VGG19));
    let before: HashMap<String, Tensor> =
        vs.variables().into_iter().map(|(name, parameter)| (name, parameter.copy())).collect();
    let (input, target) = images(Kind::Float);
    let (_, gradient, _) = with_gradients(&loss, &input, &target);
    assert!(value(&gradient.abs().sum(None)) > 0.0);
    for (name, parameter) in vs.variables() {
        assert!(!parameter.requires_grad() && !parameter.grad().defined(), "{name}");
        assert_eq!(parameter, before[&name], "{name}");
    }
}

#[test]
fn target_features_serve_many_inputs() {
    let (input, target) = images(Kind::Double);
    let loss = PerceptualLoss::new(vgg().to_kind(Kind::Double).unwrap());
    let features = loss.target_features(&leaf(&target)).unwrap();
    for input in [&input, &input.flip([3])] {
        let (expected, gradient, _) = with_gradients(&loss, input, &target);
        let input = leaf(input);
        let actual = loss.forward_features(&input, &features);
        actual.backward();
        assert_close("value", &actual.detach(), &expected, 1e-10, Relative::ToLargest);
        assert_close("gradient", &input.grad(), &gradient, 1e-10, Relative::ToLargest);
    }
    // Constants: an input that needs no gradient leaves no graph.
    assert!(!loss.forward_features(&input, &features).requires_grad());
}

#[test]
fn images_that_vgg19_cannot_take() {
    let vgg = vgg();
    let loss = PerceptualLoss::new(vgg.clone());
    for shape in [[1, 2, 8, 8], [1, 4, 8, 8]] {
        let expected = format!("`input` has shape {shape:?}, expected [N, C, H, W] with 1 or 3 channels");
        assert_eq!(refusal(&loss, &zeros(&shape), &zeros(&shape)), expected);
    }
    for shape in [[1, 1, 3, 8], [1, 3, 3, 8], [1, 3, 8, 3]] {
        let expected = format!(
            "`input` has shape {shape:?}, expected [N, {}, H, W] with H and W at least 4 to reach relu3_3",
            shape[1]
        );
        assert_eq!(refusal(&loss, &zeros(&shape), &zeros(&shape)), expected);
    }
    // The least size is that of the deepest layer asked for.
    for (layer, place) in relus() {
        let side = place.stride;
        assert_eq!(place.least, side, "{layer}");
        let taps = [layer.clone()];
        assert!(vgg.features(&zeros(&[1, 3, side, side]), &taps).is_ok(), "{layer}");
        if side > 1 {
            let error = vgg.features(&zeros(&[1, 3, side - 1, side]), &taps).unwrap_err();
            assert!(matches!(error, Error::Shape { argument: "images", .. }), "{layer}: {error}");
        }
    }
}

#[test]
fn options_of_the_perceptual_loss() {
    let image = zeros(&[1, 3, 8, 8]);
    let with = |taps: &[(Tap, f64)]| PerceptualLoss { taps: taps.into(), ..PerceptualLoss::new(vgg()) };
    let expected = "option `taps` is empty, expected at least one tap";
    assert_eq!(refusal(&with(&[]), &image, &image), expected);
    assert_eq!(with(&[]).response(&image).unwrap_err().to_string(), expected);
    assert_eq!(with(&[]).target_features(&image).unwrap_err().to_string(), expected);
    for (weight, given) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let loss = with(&[(Tap::RELU1_1, 1.0), (Tap::RELU1_2, weight)]);
        let expected = format!("option `taps` is {given}, expected a finite number, 0 or more");
        assert_eq!(refusal(&loss, &image, &image), expected);
    }
    let error = vgg().features(&image, &[]).unwrap_err();
    assert_eq!(error.to_string(), "option `taps` is empty, expected at least one tap");
    for name in ["relu6_1", "relu3_5", "bn1_1", "RELU1_1", "features.37", "features.01", ""] {
        let expected = format!(
            "option `taps` is {name:?}, expected a layer of vgg19: conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to \
             pool5 or features.0 to features.36"
        );
        let taps = [Tap::RELU1_1, Tap::from(name)];
        assert_eq!(vgg().features(&image, &taps).unwrap_err().to_string(), expected);
        let loss = with(&taps.map(|tap| (tap, 1.0)));
        assert_eq!(refusal(&loss, &image, &image), expected);
        assert_eq!(loss.target_features(&image).unwrap_err().to_string(), expected);
    }
    let error = vgg().to_kind(Kind::Int64).unwrap_err();
    assert_eq!(error.to_string(), "option `kind` is Int64, expected Half, BFloat16, Float or Double");
}

#[test]
fn target_features_of_another_making() {
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let loss = PerceptualLoss::new(vgg());
    let features = loss.target_features(&image).unwrap();
    let refused =
        |loss: &PerceptualLoss, image: &Tensor| loss.try_forward_features(image, &features).unwrap_err();

    let other_taps = PerceptualLoss { taps: vec![(Tap::RELU1_2, 1.0)], ..loss.clone() };
    assert!(matches!(refused(&other_taps, &image), Error::Option { option: "target features", .. }));
    let normalization = InputNormalization::ImageNet;
    let other_range = PerceptualLoss { normalization, ..loss.clone() };
    assert!(matches!(refused(&other_range, &image), Error::Option { option: "target features", .. }));
    // A batch of two against the features of one would be broadcast.
    for shape in [[1, 3, 8, 9], [2, 3, 8, 8]] {
        let other_size = noise(1, &shape, Kind::Float);
        assert!(matches!(refused(&loss, &other_size), Error::Option { option: "target features", .. }));
    }
    let other_kind = PerceptualLoss { network: loss.network.to_kind(Kind::Double).unwrap(), ..loss.clone() };
    assert!(matches!(refused(&other_kind, &image), Error::Kind { argument: "target features", .. }));
    // Other poolings make other features.
    let other_pooling =
        PerceptualLoss { network: loss.network.with_pooling(Pooling::Average), ..loss.clone() };
    assert!(matches!(refused(&other_pooling, &image), Error::Option { option: "target features", .. }));
    // Without a normalisation, the range of values does not matter.
    let other_values = PerceptualLoss { data_range: DataRange::Signed, ..loss.clone() };
    assert!(other_values.try_forward_features(&image, &features).is_ok());
    // The weights and the criterion are the comparison's own affair.
    let other_weights = PerceptualLoss {
        taps: loss.taps.iter().map(|(tap, _)| (tap.clone(), 0.5)).collect(),
        criterion: FeatureCriterion::Mse,
        ..loss.clone()
    };
    assert!(other_weights.try_forward_features(&image, &features).is_ok());
}

/// As LPIPS does with images of one channel.
#[test]
fn one_channel_is_repeated_to_three() {
    let gray = |seed| noise(seed, &[2, 1, 8, 12], Kind::Double);
    let (input, target) = (gray(1), gray(2));
    let repeated = |images: &Tensor| images.repeat([1, 3, 1, 1]);
    let network = vgg().to_kind(Kind::Double).unwrap();
    for streaming in [Streaming::Auto, Streaming::Off] {
        let loss = PerceptualLoss {
            data_range: DataRange::Signed,
            normalization: InputNormalization::ImageNet,
            streaming,
            ..PerceptualLoss::new(network.clone())
        };
        let (expected, gradient, _) = with_gradients(&loss, &repeated(&input), &repeated(&target));
        let (found, found_gradient, _) = with_gradients(&loss, &input, &target);
        assert_close("value", &found, &expected, 1e-12, Relative::ToLargest);
        let sum = gradient.sum_dim_intlist([1i64].as_slice(), true, None);
        assert_close("gradient", &found_gradient, &sum, 1e-10, Relative::ToLargest);
        let map = |input: &Tensor, target: &Tensor| loss.loss_map(input, target).unwrap().unwrap();
        let expected = map(&repeated(&input), &repeated(&target));
        assert_close("map", &map(&input, &target), &expected, 1e-12, Relative::ToLargest);
        let features = loss.target_features(&target).unwrap();
        assert_close("cached", &loss.forward_features(&input, &features), &found, 1e-12, Relative::ToLargest);
    }
}

/// Where all channels of a place are 0, unit vectors are steep, but what they would say never reaches the image.
#[test]
fn unit_vectors_of_black_parts_leave_a_gradient_in_f16() {
    let (input, target) =
        (noise(1, &[1, 3, 16, 16], Kind::Float).abs(), noise(2, &[1, 3, 16, 16], Kind::Float).abs());
    let _ = input.narrow(3, 0, 8).fill_(0.0);
    let with = |kind| PerceptualLoss {
        taps: vec![(Tap::RELU1_1, 1.0)],
        criterion: FeatureCriterion::Mse,
        normalize_features: true,
        ..PerceptualLoss::new(vgg().to_kind(kind).unwrap())
    };
    let norm = |kind| value(&with_gradients(&with(kind), &input, &target).1.norm());
    let (half, single) = (norm(Kind::Half), norm(Kind::Float));
    assert!(single > 0.0 && (half - single).abs() < 0.1 * single, "{half} {single}");
}
