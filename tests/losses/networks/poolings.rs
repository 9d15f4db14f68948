//! Other poolings in place of the maxima.

use super::trunks::{in_graph, without_graph};
use crate::common::{assert_close, device, hashed_network, noise, values, Relative};
use tch::{no_grad, Kind, Tensor};
use tch_losses::networks::{Extractor, Pooling};
use tch_losses::{Architecture, Network, Tap};

const POOLINGS: [Pooling; 3] = [Pooling::Max, Pooling::Average, Pooling::L2];

#[test]
fn both_ways_agree_at_any_size() {
    let vgg = hashed_network(Architecture::VGG11).to_kind(Kind::Double).unwrap();
    for pooling in [Pooling::Average, Pooling::L2] {
        let network = vgg.with_pooling(pooling);
        for size in [[2, 3, 16, 17], [1, 3, 19, 18]] {
            let input = noise(1, &size, Kind::Double);
            let taps = ["pool1", "relu2_1", "conv3_2", "pool3", "relu4_1"].map(Tap::from);
            let slopes = || {
                let slope =
                    |(tap, seed)| noise(seed, &network.feature_size(tap, &size).unwrap(), Kind::Double);
                taps.iter().zip(2..).map(slope).collect::<Vec<_>>()
            };
            let expected = in_graph(&network, &input, &taps, slopes());
            let last = input.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            for input in [&input, &last] {
                let found = without_graph(&network, input, &taps, slopes());
                assert_close(&format!("{pooling:?} {size:?}"), &found, &expected, 1e-10, Relative::ToLargest);
            }
        }
    }
}

/// Sizes and least sizes are those of the pooling; images of any size have an L2 pooling.
#[test]
fn sizes_follow_the_pooling() {
    let vgg = hashed_network(Architecture::VGG11);
    let size =
        |pooling, size: [i64; 4]| vgg.with_pooling(pooling).feature_size(&"pool2".into(), &size).unwrap();
    for (pooling, expected) in [(Pooling::Max, [4, 5]), (Pooling::Average, [4, 5]), (Pooling::L2, [5, 6])] {
        assert_eq!(size(pooling, [2, 3, 18, 21]), [2, 128, expected[0], expected[1]], "{pooling:?}");
    }
    for (pooling, least) in [(Pooling::Max, 32), (Pooling::Average, 32), (Pooling::L2, 1)] {
        let network = vgg.with_pooling(pooling);
        assert_eq!(network.pooling(), pooling);
        let place = network.place(&"pool5".into()).unwrap();
        assert_eq!((place.least, place.stride, place.channels), (least, 32, 512));
        let features =
            |side| network.features(&noise(1, &[1, 3, side, side], Kind::Float), &["pool5".into()]);
        assert_eq!(features(least).unwrap()[0].size(), [1, 512, 1, 1]);
        if least > 1 {
            let error = features(least - 1).unwrap_err().to_string();
            assert!(error.ends_with("with H and W at least 32 to reach pool5"), "{error}");
        }
    }
    // The window of SqueezeNet's maxima reaches beyond the map, that of its averages does not.
    let squeezenet = hashed_network(Architecture::SQUEEZENET1_1);
    for (pooling, side) in [(Pooling::Max, 10), (Pooling::Average, 9), (Pooling::L2, 10)] {
        let network = squeezenet.with_pooling(pooling);
        assert_eq!(network.feature_size(&"pool1".into(), &[1, 3, 42, 42]).unwrap()[2..], [side, side]);
    }
}

/// The network that was there stays as it is, and both have the same parameters.
#[test]
fn parameters_are_shared() {
    let vgg = hashed_network(Architecture::VGG11);
    let image = noise(1, &[1, 3, 16, 16], Kind::Float);
    let features = |network: &Network| network.features(&image, &["relu2_1".into()]).unwrap().remove(0);
    let before = features(&vgg);
    let other = vgg.with_pooling(Pooling::L2);
    assert_ne!(features(&other), before);
    assert_eq!(features(&vgg), before);
    assert_eq!(features(&other.with_pooling(Pooling::Max)), before);
    // Clones and other kinds keep the pooling.
    assert_eq!((other.clone().pooling(), vgg.pooling()), (Pooling::L2, Pooling::Max));
    assert_eq!(features(&other.clone()), features(&other));
    assert_eq!(other.to_kind(Kind::BFloat16).unwrap().pooling(), Pooling::L2);
    assert!(format!("{other:?}").contains("pooling: L2"));
}

/// By hand: a flat map has its own value inside, and less at the border, where zeros are.
#[test]
fn of_flat_maps() {
    let vgg = hashed_network(Architecture::VGG11).to_kind(Kind::Double).unwrap();
    let taps = ["relu1_1", "pool1"].map(Tap::from);
    for (pooling, corner) in [(Pooling::Max, 1.0), (Pooling::Average, 1.0), (Pooling::L2, 0.75)] {
        let network = vgg.with_pooling(pooling);
        let features = network.features(&Tensor::zeros([1, 3, 8, 8], (Kind::Double, device())), &taps);
        let [map, pooled] = &features.unwrap()[..] else { panic!() };
        let expected = map.slice(2, 0, None, 2).slice(3, 0, None, 2).contiguous();
        // Three quarters of the window's weights lie in the map at a border on one side: of the norm, the root.
        let _ = expected.select(2, 0).g_mul_scalar_(f64::sqrt(corner));
        let _ = expected.select(3, 0).g_mul_scalar_(f64::sqrt(corner));
        assert_close(
            "flat",
            pooled,
            &(expected.square() + epsilon(pooling)).sqrt(),
            1e-12,
            Relative::ToLargest,
        );
    }
}

/// What is added below the root.
fn epsilon(pooling: Pooling) -> f64 {
    if pooling == Pooling::L2 {
        1e-12
    } else {
        0.0
    }
}

/// Where all features of a channel are zero, the gradient is finite.
#[test]
fn gradients_of_black_maps_are_finite() {
    let vgg = hashed_network(Architecture::VGG11);
    let taps = ["relu1_1", "pool2"].map(Tap::from);
    for pooling in POOLINGS {
        for kind in [Kind::Double, Kind::Float, Kind::BFloat16, Kind::Half] {
            let network = vgg.with_pooling(pooling).to_kind(kind).unwrap();
            // Of a black image, the channels whose bias is negative.
            let black = Tensor::zeros([1, 3, 12, 12], (kind, device()));
            let map = network.features(&black, &taps).unwrap().remove(0);
            assert!(values(&map.amax([0, 2, 3], false)).contains(&0.0));
            let slopes = || {
                let slope = |tap| noise(2, &network.feature_size(tap, &black.size()).unwrap(), kind);
                taps.iter().map(slope).collect::<Vec<_>>()
            };
            for gradient in [
                without_graph(&network, &black, &taps, slopes()),
                in_graph(&network, &black, &taps, slopes()),
            ] {
                assert!(values(&gradient).into_iter().all(f64::is_finite), "{pooling:?} {kind:?}");
            }
        }
    }
}

/// In half kinds, squares and roots are those of f32: features whose squares overflow in f16 have a norm.
#[test]
fn half_kinds_are_near() {
    let vgg = hashed_network(Architecture::VGG11);
    let image = noise(1, &[2, 3, 20, 22], Kind::Float) * 1000.0;
    let taps = [Tap::from("pool1")];
    for pooling in POOLINGS {
        let network = vgg.with_pooling(pooling);
        let exact = network.to_kind(Kind::Double).unwrap();
        let expected = exact.features(&image, &taps).unwrap().remove(0);
        assert!(values(&expected).into_iter().fold(0.0, f64::max) > 300.0);
        // A convolution and a pooling, each rounded by half an epsilon.
        for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::Half, 5e-3), (Kind::BFloat16, 4e-2)] {
            let network = network.to_kind(kind).unwrap();
            let graph = network.features(&image, &taps).unwrap().remove(0);
            let pass = network.pass(&image.size(), &taps).unwrap();
            let plain = no_grad(|| pass.features(&image)).unwrap().remove(0);
            for found in [graph, plain] {
                assert_eq!(found.kind(), kind);
                let what = format!("{pooling:?} {kind:?}");
                assert_close(&what, &found.to_kind(Kind::Double), &expected, tolerance, Relative::ToLargest);
            }
        }
    }
}

/// Its gradient has no step where a ReLU has its kink, unless all else under the window is zero as well: that
/// of f64 can be compared.
#[test]
fn the_gradient_of_l2_pooling_in_other_kinds_is_near() {
    let network = hashed_network(Architecture::VGG11).with_pooling(Pooling::L2);
    let image = noise(1, &[2, 3, 20, 22], Kind::Float) * 1000.0;
    let taps = [Tap::from("pool1")];
    let size = network.feature_size(&taps[0], &image.size()).unwrap();
    let exact = network.to_kind(Kind::Double).unwrap();
    let expected = in_graph(&exact, &image, &taps, vec![noise(2, &size, Kind::Double)]);
    for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
        let network = network.to_kind(kind).unwrap();
        for way in [in_graph, without_graph] {
            let found = way(&network, &image, &taps, vec![noise(2, &size, kind)]);
            let off = (found - &expected).square().sum(Kind::Double) / expected.square().sum(Kind::Double);
            // As of one wrong pixel in four hundred.
            assert!(off.sqrt().double_value(&[]) < 0.05, "{kind:?}");
        }
    }
}
