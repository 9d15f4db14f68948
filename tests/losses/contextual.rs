//! The contextual loss on a network's features. Its comparison of features has tests beside the code.

use tch::{no_grad, Kind, Tensor};
use tch_losses::{
    Architecture, ContextualForm, ContextualLoss, DataRange, Error, Loss, Network, Streaming, Tap,
};

use crate::common::{assert_close, hashed_network, noise, value, values, Relative};
use crate::support::{differences, leaf, with_gradients, zeros};

fn network(kind: Kind) -> Network {
    hashed_network(Architecture::VGG11).to_kind(kind).unwrap()
}

/// On features of 99 and of 20 positions.
fn loss(kind: Kind) -> ContextualLoss {
    let taps = vec![(Tap::RELU1_1, 0.5), (Tap::RELU2_1, 2.0)];
    ContextualLoss { taps, ..ContextualLoss::new(network(kind)) }
}

/// From 0 to 1.
fn images(kind: Kind) -> (Tensor, Tensor) {
    let image = |seed| (noise(seed, &[3, 3, 9, 11], Kind::Double) * 0.5 + 0.5).to_kind(kind);
    (image(1), image(2))
}

/// The value, and the gradient with respect to the input alone.
fn streamed(loss: &ContextualLoss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let value = loss.forward(&input, target);
    value.backward();
    (value.detach(), input.grad())
}

fn losses() -> Vec<ContextualLoss> {
    vec![
        loss(Kind::Double),
        ContextualLoss { form: ContextualForm::Original, band_width: 0.2, ..loss(Kind::Double) },
        // Neither in order nor all different, one without weight.
        ContextualLoss {
            taps: vec![
                (Tap::RELU2_1, 1.0),
                (Tap::new("pool1"), 0.0),
                (Tap::new("conv1_1"), 2.0),
                (Tap::new("features.4"), 0.5),
            ],
            data_range: DataRange::Signed,
            ..loss(Kind::Double)
        },
    ]
}

/// The mean is that of the target's whole batch, however many images are compared at a time.
#[test]
fn streamed_losses_are_those_of_the_graph() {
    let (input, target) = images(Kind::Double);
    for loss in losses() {
        let (expected, expected_gradient, _) = with_gradients(&loss, &input, &target);
        let check = |what: &str, (found, gradient): (Tensor, Tensor)| {
            let what = format!("{what} {loss:?}");
            assert_close(&what, &found, &expected, 1e-10, Relative::ToLargest);
            assert_close(&what, &gradient, &expected_gradient, 1e-10, Relative::ToLargest);
        };
        for streaming in [Streaming::Auto, Streaming::Images(1), Streaming::Images(2), Streaming::Off] {
            let loss = ContextualLoss { streaming, ..loss.clone() };
            check("images", streamed(&loss, &input, &target));
            let features = loss.target_features(&target).unwrap();
            // Twice: the features are not used up.
            for _ in 0..2 {
                let input = leaf(&input);
                let value = loss.forward_features(&input, &features);
                value.backward();
                check("features", (value.detach(), input.grad()));
            }
            let without = no_grad(|| loss.forward(&leaf(&input), &leaf(&target)));
            assert!(!without.requires_grad());
            assert_close("no gradient", &without, &expected, 1e-10, Relative::ToLargest);
        }
        // One image at a time has another mean.
        let alone: Tensor =
            (0..3).map(|image| loss.forward(&input.narrow(0, image, 1), &target.narrow(0, image, 1))).sum();
        assert!((value(&alone) / 3.0 - value(&expected)).abs() > 1e-6 * value(&expected));
    }
}

#[test]
fn second_derivatives_through_the_graph() {
    let image = |seed| noise(seed, &[1, 3, 3, 4], Kind::Double) * 0.5 + 0.5;
    let (input, target) = (image(1), image(2));
    let loss =
        ContextualLoss { taps: vec![(Tap::RELU1_1, 1.0)], streaming: Streaming::Off, ..loss(Kind::Double) };
    let penalty = |input: &Tensor| {
        let loss = loss.forward(input, &target);
        Tensor::run_backward(&[loss], &[input], true, true).remove(0).square().sum(None)
    };
    let at = leaf(&input);
    penalty(&at).backward();
    let slopes = differences(&input, 1e-6, penalty);
    assert!(value(&slopes.abs().max()) > 0.0);
    assert_close("second derivative", &at.grad(), &slopes, 1e-4, Relative::ToLargest);
}

/// A feature is off by half a unit in the last place, 2^-12 or 2^-9 of it, in each of two or three layers, and the
/// distances of close ones by twice that of a number ten times as large: some hundredths, or some tenths. The mean over
/// the positions averages most of that out; the gradient keeps its direction.
#[test]
fn networks_of_reduced_precision() {
    let (input, target) = images(Kind::Float);
    let exact = loss(Kind::Float);
    let (expected, direction) = streamed(&exact, &input, &target);
    for (kind, off, least) in [(Kind::Half, 0.02, 0.95), (Kind::BFloat16, 0.15, 0.7)] {
        for weight in [1e-6, 1.0, 1e6] {
            let taps = exact.taps.iter().map(|(tap, own)| (tap.clone(), own * weight)).collect();
            let loss = ContextualLoss { taps, ..loss(kind) };
            let (found, gradient) = streamed(&loss, &input, &target);
            let what = format!("{kind:?} {weight}");
            assert_close(&what, &(found / weight), &expected, off, Relative::ToLargest);
            let (a, e) = (gradient.flatten(0, -1) / weight, direction.flatten(0, -1));
            let cosine = value(&(a.dot(&e) / (a.norm() * e.norm())));
            assert!(cosine > least, "{what}: {cosine}");
        }
    }
}

/// An image is most like itself; a gradient is a number, whatever the image.
#[test]
fn identical_and_flat_images() {
    let (input, target) = images(Kind::Float);
    for form in [ContextualForm::Pytorch, ContextualForm::Original] {
        let loss = ContextualLoss { form, ..loss(Kind::Float) };
        let best = value(&loss.forward(&target, &target));
        // The sum of the taps' -ln(1 + 1e-5), and rounding of the 99 similarities' mean.
        assert!(best.abs() < 1e-4, "{best}");
        assert!(value(&loss.forward(&input, &target)) > 0.1);
        let flat = [0.0, 0.5, 1.0].map(|level| target.full_like(level));
        for input in [&target].into_iter().chain(&flat) {
            for target in [&target, input] {
                let (found, gradient) = streamed(&loss, input, target);
                assert!(value(&found).is_finite());
                assert!(values(&gradient).into_iter().all(f64::is_finite));
                let (found, gradient, of_target) = with_gradients(&loss, input, target);
                assert!(value(&found).is_finite());
                assert!(values(&gradient).into_iter().chain(values(&of_target)).all(f64::is_finite));
            }
        }
    }
}

#[test]
fn options_and_images() {
    let image = zeros(&[1, 3, 8, 8]);
    let loss = loss(Kind::Float);
    for (band_width, given) in [(0.0, "0"), (-0.5, "-0.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let loss = ContextualLoss { band_width, ..loss.clone() };
        let expected = format!("option `band_width` is {given}, expected a finite number greater than 0");
        assert_eq!(loss.try_forward(&image, &image).unwrap_err().to_string(), expected);
        assert_eq!(loss.check_options().unwrap_err().to_string(), expected);
        assert_eq!(loss.target_features(&image).unwrap_err().to_string(), expected);
        assert_eq!(loss.response(&image).unwrap_err().to_string(), expected);
    }
    let message =
        |loss: &ContextualLoss, image: &Tensor| loss.try_forward(image, image).unwrap_err().to_string();
    let expected = "option `taps` is empty, expected at least one tap";
    assert_eq!(message(&loss.clone().with_taps(vec![]), &image), expected);
    let expected = "option `streaming` is 0, expected at least one image at a time";
    assert_eq!(message(&loss.clone().with_streaming(Streaming::Images(0)), &image), expected);
    // VGG11 has no third convolution in its third block.
    assert!(matches!(
        ContextualLoss::new(network(Kind::Float)).try_forward(&image, &image),
        Err(Error::Option { option: "taps", .. })
    ));
    let expected =
        "`input` has shape [1, 3, 1, 8], expected [N, 3, H, W] with H and W at least 2 to reach relu2_1";
    assert_eq!(message(&loss, &zeros(&[1, 3, 1, 8])), expected);
    assert_eq!(
        loss.target_features(&zeros(&[1, 3, 1, 8])).unwrap_err().to_string(),
        expected.replace("input", "target")
    );
    let expected = "`input` has shape [1, 2, 8, 8], expected [N, C, H, W] with 1 or 3 channels";
    assert_eq!(message(&loss, &zeros(&[1, 2, 8, 8])), expected);
    assert!(loss.loss_map(&image, &image).unwrap().is_none());

    // The band width and the form are the comparison's own affair, the data range is not.
    let features = loss.target_features(&image).unwrap();
    let other = ContextualLoss { band_width: 0.1, form: ContextualForm::Original, ..loss.clone() };
    assert!(other.try_forward_features(&image, &features).is_ok());
    let other = loss.clone().with_data_range(DataRange::Bytes);
    let error = other.try_forward_features(&image, &features).unwrap_err();
    assert!(matches!(error, Error::Option { option: "target features", .. }), "{error}");
}
