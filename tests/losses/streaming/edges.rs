//! Equal, flat and infinite images, maps of any size, and errors on the way.

use super::*;

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
