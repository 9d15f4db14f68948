//! The perceptual loss with a style, with features of unit length, and as papers and libraries have it.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::networks::Pooling;
use tch_losses::{
    Architecture, DataRange, FeatureCriterion, GramNormalization, InputNormalization, Loss, Network,
    PerceptualLoss, PerceptualPreset, Streaming, Style, Tap,
};

use crate::common::{assert_close, device, hashed_network, noise, value, values, vgg, waves, Relative};
use crate::support::{leaf, refusal, with_gradients, zeros};

/// Weights that any program can compute: element `t` of the parameter `k` is `sin(0.7 t + length of k) √(2 / m)` for `m`
/// elements per output, and 100 for biases.
fn sine_network(architecture: Architecture) -> Network {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &architecture);
    for (name, mut parameter) in vs.variables() {
        let shape = parameter.size();
        let per_output = if shape.len() > 1 { shape[1..].iter().product::<i64>() } else { 100 };
        let index = Tensor::arange(parameter.numel() as i64, (Kind::Double, device()));
        let numbers = (index * 0.7 + name.len() as f64).sin() * (2.0 / per_output as f64).sqrt();
        no_grad(|| parameter.copy_(&numbers.view(shape.as_slice())));
    }
    network.to_kind(Kind::Double).unwrap()
}

/// What the packages give, whose means and deviations of ImageNet are rounded to f32: 1e-8 of them, which the differences
/// of features enlarge some tens of times.
fn assert_golden(loss: &PerceptualLoss, expected: f64) {
    let (input, target) = waves([2, 3, 64, 48]);
    let found = value(&loss.forward(&input, &target));
    assert!((found - expected).abs() < 1e-6 * expected, "{found}, expected {expected}: {loss:?}");
}

#[test]
fn numbers_of_basicsr() {
    let network = sine_network(Architecture::VGG19);
    let at = |tap: &'static str| PerceptualLoss {
        taps: vec![(Tap::new(tap), 1.0)],
        ..PerceptualLoss::preset(PerceptualPreset::Esrgan, network.clone()).unwrap()
    };
    assert_golden(&at("conv5_4"), 65645.425272148);
    assert_golden(&at("relu5_4"), 32819.66947682737);
    let real_esrgan = PerceptualLoss::preset(PerceptualPreset::RealEsrgan, network.clone()).unwrap();
    assert_golden(&real_esrgan, 76870.1788794937);
    let style = Some(Style::new(real_esrgan.taps.clone()));
    assert_golden(&PerceptualLoss { taps: vec![], style, ..real_esrgan }, 95092768.5645057);

    let criterion = FeatureCriterion::Frobenius;
    let frobenius = PerceptualLoss { criterion, ..at("conv3_4") };
    assert_golden(&frobenius, 203298.97547633978);
    let style = Some(Style { criterion, ..Style::new([(Tap::new("conv3_4"), 1.0)]) });
    assert_golden(&PerceptualLoss { taps: vec![], style, ..frobenius }, 4067004.891701243);
    assert_golden(&PerceptualLoss { data_range: DataRange::Signed, ..at("conv3_4") }, 221.80116066538866);
    let normalization = InputNormalization::None;
    assert_golden(&PerceptualLoss { normalization, ..at("conv3_4") }, 79.2808938041738);
}

#[test]
fn numbers_of_piq() {
    let network = sine_network(Architecture::VGG16);
    let content = PerceptualLoss::preset(PerceptualPreset::PiqContent, network.clone()).unwrap();
    assert_golden(&content, 9710095.502053447);
    assert_golden(&content.clone().with_normalize_features(true), 0.40104997336356096);
    assert_golden(&content.clone().with_network(network.with_pooling(Pooling::Average)), 774838.8791297327);
    let two = PerceptualLoss {
        taps: vec![(Tap::RELU1_2, 64.0), (Tap::RELU3_3, 0.5 * 256.0)],
        criterion: FeatureCriterion::L1,
        ..content
    };
    // Of two images.
    assert_golden(&two, (13851.196559731203 + 9787.709994802939) / 2.0);
    let style = PerceptualLoss::preset(PerceptualPreset::PiqStyle, network).unwrap();
    assert_golden(&style, 1622371530054058.2);
}

/// Each criterion and each divisor on a small network; also on features of unit length.
fn styled(network: &Network) -> Vec<PerceptualLoss> {
    let taps = || vec![(Tap::new("relu1"), 0.5), (Tap::new("fire3"), 2.0)];
    let mut losses = Vec::new();
    for (criterion, gram) in [
        (FeatureCriterion::L1, GramNormalization::Elements),
        (FeatureCriterion::Mse, GramNormalization::Positions),
        (FeatureCriterion::Frobenius, GramNormalization::None),
        (FeatureCriterion::Charbonnier, GramNormalization::Positions),
    ] {
        for normalize_features in [false, true] {
            losses.push(PerceptualLoss {
                taps: vec![(Tap::new("fire2"), 1.5)],
                criterion,
                normalize_features,
                style: Some(Style { taps: taps(), criterion, gram }),
                ..PerceptualLoss::new(network.clone())
            });
        }
    }
    losses
}

fn squeezenet() -> Network {
    hashed_network(Architecture::SQUEEZENET1_1)
}

/// Value and the input's gradient, with the gradient inside forward unless the loss is in a graph.
fn with_gradient(loss: &PerceptualLoss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let value = loss.forward(&input, target);
    value.backward();
    (value.detach(), input.grad())
}

/// Streamed, each loss is the one of the graph: whatever the pieces, and with features of the target from before.
#[test]
fn streamed_losses_are_those_of_the_graph() {
    let network = squeezenet().to_kind(Kind::Double).unwrap();
    let (input, target) = (noise(1, &[3, 3, 17, 22], Kind::Double), noise(2, &[3, 3, 17, 22], Kind::Double));
    for loss in styled(&network) {
        let graph = loss.clone().with_streaming(Streaming::Off);
        let (expected, expected_gradient) = with_gradient(&graph, &input, &target);
        for streaming in [Streaming::Images(1), Streaming::Images(2)] {
            let loss = loss.clone().with_streaming(streaming);
            let (found, gradient) = with_gradient(&loss, &input, &target);
            assert_close(&format!("{loss:?}"), &found, &expected, 1e-11, Relative::ToLargest);
            assert_close(&format!("{loss:?}"), &gradient, &expected_gradient, 1e-10, Relative::ToLargest);
            let features = loss.target_features(&target).unwrap();
            let leaf = leaf(&input);
            let found = loss.forward_features(&leaf, &features);
            found.backward();
            assert_close(&format!("{loss:?}"), &found.detach(), &expected, 1e-11, Relative::ToLargest);
            assert_close(&format!("{loss:?}"), &leaf.grad(), &expected_gradient, 1e-10, Relative::ToLargest);
            let alone = no_grad(|| loss.forward(&input, &target));
            assert_close(&format!("{loss:?}"), &alone, &expected, 1e-11, Relative::ToLargest);
        }
    }
}

/// Of the fixtures, those have no gradient of the target.
#[test]
fn presets_are_the_same_in_a_graph() {
    let network = vgg().to_kind(Kind::Double).unwrap();
    let (input, target) = (noise(1, &[1, 3, 16, 16], Kind::Double), noise(2, &[1, 3, 16, 16], Kind::Double));
    for preset in [PerceptualPreset::HiFaceGan, PerceptualPreset::Gfpgan, PerceptualPreset::Gatys] {
        let loss = PerceptualLoss::preset(preset, network.clone()).unwrap();
        let (found, gradient) = with_gradient(&loss, &input, &target);
        let (expected, expected_gradient, of_target) = with_gradients(&loss, &input, &target);
        assert_close(&format!("{preset}"), &found, &expected, 1e-11, Relative::ToLargest);
        assert_close(&format!("{preset}"), &gradient, &expected_gradient, 1e-10, Relative::ToLargest);
        // The criteria are symmetric.
        let (_, gradient) = with_gradient(&loss, &target, &input);
        assert_close(&format!("{preset}"), &of_target, &gradient, 1e-10, Relative::ToLargest);
    }
}

/// A feature is off by some half units of rounding, so is a product of two, and a square of those is twice that: together
/// less than 40 units. That is 0.02 for f16, 0.16 for bf16. Matrices of the former would not fit in f16.
#[test]
fn gram_matrices_of_reduced_precision_are_of_f32() {
    let single = squeezenet();
    let (input, target) =
        (noise(1, &[2, 3, 33, 35], Kind::Float) * 100.0, noise(2, &[2, 3, 33, 35], Kind::Float) * 50.0);
    let with = |kind| PerceptualLoss {
        taps: vec![],
        style: Some(Style {
            criterion: FeatureCriterion::Mse,
            gram: GramNormalization::None,
            ..Style::new([(Tap::new("relu1"), 1.0), (Tap::new("fire2"), 1.0)])
        }),
        ..PerceptualLoss::new(single.to_kind(kind).unwrap())
    };
    let (expected, direction) = with_gradient(&with(Kind::Float), &input, &target);
    assert!(value(&expected) > 65504f64.powi(2), "{}", value(&expected));
    for (kind, off) in [(Kind::Half, 0.02), (Kind::BFloat16, 0.16)] {
        let (found, gradient) = with_gradient(&with(kind), &input, &target);
        assert_close(&format!("{kind:?}"), &found, &expected, off, Relative::ToLargest);
        let (a, e) = (gradient.flatten(0, -1), direction.flatten(0, -1));
        // In units of their lengths, which may overflow.
        let (a, e) = (a.to_kind(Kind::Double), e.to_kind(Kind::Double));
        let cosine = value(&(a.dot(&e) / (a.norm() * e.norm())));
        assert!(cosine > 1.0 - off, "{kind:?}: {cosine}");
    }
}

/// Differences of the first derivatives, of a loss without kinks: behind a convolution.
#[test]
fn second_derivatives_without_streaming() {
    let network = squeezenet().to_kind(Kind::Double).unwrap();
    let (input, target) = (noise(1, &[1, 3, 7, 9], Kind::Double), noise(2, &[1, 3, 7, 9], Kind::Double));
    let direction = noise(3, &[1, 3, 7, 9], Kind::Double);
    let taps = || vec![(Tap::new("conv1"), 2.0)];
    for (criterion, normalize_features) in
        [(FeatureCriterion::Mse, false), (FeatureCriterion::Mse, true), (FeatureCriterion::Frobenius, false)]
    {
        let loss = PerceptualLoss {
            taps: taps(),
            criterion,
            normalize_features,
            style: Some(Style { criterion, ..Style::new(taps()) }),
            streaming: Streaming::Off,
            ..PerceptualLoss::new(network.clone())
        };
        let leaf_of_input = leaf(&input);
        let value = loss.forward(&leaf_of_input, &target);
        let first = Tensor::run_backward(&[value], &[&leaf_of_input], true, true).remove(0);
        let second = Tensor::run_backward(&[(first * &direction).sum(None)], &[&leaf_of_input], false, false)
            .remove(0);
        let step = 1e-5;
        let at = |sign: f64| with_gradient(&loss, &(&input + &direction * (sign * step)), &target).1;
        let expected = (at(1.0) - at(-1.0)) / (2.0 * step);
        // Differences have an error of step² and of the rounding over the step, 1e-11.
        assert_close(&format!("{loss:?}"), &second, &expected, 1e-6, Relative::ToLargest);
    }
}

#[test]
fn images_without_differences_or_detail() {
    let network = squeezenet();
    let picture = noise(1, &[2, 3, 17, 19], Kind::Float);
    let flat = |number: f64| picture.full_like(number);
    for loss in styled(&network) {
        for streaming in [Streaming::Auto, Streaming::Off] {
            let loss = loss.clone().with_streaming(streaming);
            for (input, target) in [
                (&picture, &picture),
                (&flat(0.3), &picture),
                (&picture, &flat(0.0)),
                (&flat(0.0), &flat(0.0)),
                (&flat(1.0), &flat(0.0)),
                (&flat(1.0), &flat(1.0)),
            ] {
                let (found, gradient) = with_gradient(&loss, input, target);
                let finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
                assert!(finite(&found) && finite(&gradient), "{loss:?}");
            }
            let same = with_gradient(&loss, &picture, &picture).0;
            // The root of a Charbonnier's 1e-12 is 1e-6; its weights add up to 4.
            assert!(value(&same) < 1e-5, "{loss:?}: {}", value(&same));
        }
    }
}

#[test]
fn what_a_style_has_not() {
    let network = squeezenet();
    let images = (noise(1, &[1, 3, 9, 9], Kind::Float), noise(2, &[1, 3, 9, 9], Kind::Float));
    let style = Style::new([(Tap::new("relu1"), 1.0)]);
    let loss = PerceptualLoss { taps: vec![(Tap::new("conv1"), 1.0)], ..PerceptualLoss::new(network) };
    assert!(loss.loss_map(&images.0, &images.1).unwrap().is_some());
    let content = value(&loss.forward(&images.0, &images.1));
    let both = loss.clone().with_style(style.clone());
    assert!(both.loss_map(&images.0, &images.1).unwrap().is_none());
    assert_eq!(both.response(&images.0).unwrap().unwrap().size(), [1, 1, 9, 9]);
    let alone = PerceptualLoss { taps: vec![], ..both.clone() };
    assert!(alone.loss_map(&images.0, &images.1).unwrap().is_none());
    // The parts add up.
    let sum = value(&both.forward(&images.0, &images.1));
    assert!((sum - content - value(&alone.forward(&images.0, &images.1))).abs() < 1e-5 * sum);
}

/// Each sum of products in a loop.
#[test]
fn gram_matrices_by_hand() {
    let network = squeezenet().to_kind(Kind::Double).unwrap();
    let tap = Tap::new("conv1");
    let (input, target) = (noise(1, &[2, 3, 5, 9], Kind::Double), noise(2, &[2, 3, 5, 9], Kind::Double));
    let matrices = |images: &Tensor| -> Vec<f64> {
        let features = network.features(images, std::slice::from_ref(&tap)).unwrap().remove(0);
        let size = features.size();
        assert_eq!(size, [2, 64, 2, 4]);
        let of = |n: i64, c: i64| values(&features.get(n).get(c));
        let mut found = Vec::new();
        for n in 0..2 {
            let rows: Vec<Vec<f64>> = (0..64).map(|c| of(n, c)).collect();
            for a in &rows {
                found.extend(rows.iter().map(|b| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()));
            }
        }
        found
    };
    let (own, other) = (matrices(&input), matrices(&target));
    let differences = || own.iter().zip(&other).map(|(own, other)| own - other);
    for (gram, divisor) in [
        (GramNormalization::Elements, 64.0 * 8.0),
        (GramNormalization::Positions, 8.0),
        (GramNormalization::None, 1.0),
    ] {
        let count = (2 * 64 * 64) as f64;
        let sum_of_squares: f64 = differences().map(|own| (own / divisor).powi(2)).sum();
        for (criterion, expected) in [
            (FeatureCriterion::L1, differences().map(|own| (own / divisor).abs()).sum::<f64>() / count),
            (FeatureCriterion::Mse, sum_of_squares / count),
            (FeatureCriterion::Frobenius, sum_of_squares.sqrt()),
        ] {
            let style = Some(Style { criterion, gram, ..Style::new([(tap.clone(), 3.0)]) });
            let loss = PerceptualLoss { taps: vec![], style, ..PerceptualLoss::new(network.clone()) };
            let found = value(&loss.forward(&input, &target));
            assert!((found - 3.0 * expected).abs() < 1e-10 * found, "{criterion:?} {gram:?}");
        }
    }
}

#[test]
fn options_of_style_and_presets() {
    let image = zeros(&[1, 3, 8, 8]);
    let vgg = vgg();
    let with = |taps: &[(Tap, f64)]| PerceptualLoss {
        taps: vec![],
        style: Some(Style::new(taps)),
        ..PerceptualLoss::new(vgg.clone())
    };
    let expected = "option `style.taps` is empty, expected at least one tap";
    assert_eq!(refusal(&with(&[]), &image, &image), expected);
    assert_eq!(with(&[]).target_features(&image).unwrap_err().to_string(), expected);
    let expected = "option `style.taps` is -1, expected a finite number, 0 or more";
    assert_eq!(refusal(&with(&[(Tap::RELU1_1, -1.0)]), &image, &image), expected);
    let expected =
        "option `style.taps` is \"relu9_1\", expected a layer of vgg19: conv1_1 to conv5_4, relu1_1 to \
                    relu5_4, pool1 to pool5 or features.0 to features.36";
    assert_eq!(refusal(&with(&["relu9_1".into()].map(|tap| (tap, 1.0))), &image, &image), expected);
    // A style serves for taps.
    assert!(with(&[(Tap::RELU1_1, 1.0)]).try_forward(&image, &image).is_ok());
    let deep = with(&[(Tap::RELU5_1, 1.0)]);
    let expected =
        "`input` has shape [1, 3, 8, 8], expected [N, 3, H, W] with H and W at least 16 to reach relu5_1";
    assert_eq!(refusal(&deep, &image, &image), expected);

    let error =
        PerceptualLoss::preset(PerceptualPreset::Esrgan, hashed_network(Architecture::VGG11)).unwrap_err();
    let expected = "option `taps` is \"conv5_4\", expected a layer of vgg11: ";
    assert!(error.to_string().starts_with(expected), "{error}");
    let error = PerceptualLoss::pretrained_preset(PerceptualPreset::Gatys, device()).unwrap_err();
    let expected = "option `preset` is gatys, expected one on a network of torchvision's: this VGG19 was trained with Caffe";
    assert_eq!(error.to_string(), expected);
}
