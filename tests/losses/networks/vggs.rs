//! Networks with batch norm, and what lies between their layers.

use crate::common::{assert_close, device, hashed_network, noise, value, values, Relative};
use tch::{nn, no_grad, Kind};
use tch_losses::networks::Extractor;
use tch_losses::{Architecture, FeatureCriterion, Loss, Network, PerceptualLoss, Streaming, Tap};

fn vgg11_bn() -> Network {
    hashed_network(Architecture::VGG11_BN)
}

#[test]
fn a_trace_without_slopes_gives_a_gradient_of_zero() {
    let network = vgg11_bn();
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let taps = [Tap::RELU1_1, Tap::RELU2_1];
    let gradient = no_grad(|| {
        network.pass(&image.size(), &taps)?.trace(&image, &mut |_, _| Ok(()))?.back(vec![None, None])
    });
    let gradient = gradient.unwrap();
    assert_eq!(gradient.size(), image.size());
    assert!(values(&gradient).iter().all(|value| *value == 0.0));
}

/// The perceptual loss takes its gradient the same way from any network and from taps between fused layers.
#[test]
fn the_perceptual_loss_with_taps_before_and_after_batch_norm_relu_and_pooling() {
    let network = vgg11_bn().to_kind(Kind::Double).unwrap();
    let taps = ["conv1_1", "relu1_1", "bn2_1", "pool2", "relu3_2", "features.13", "conv5_1"];
    let taps: Vec<(Tap, f64)> =
        taps.into_iter().zip(1..).map(|(tap, weight)| (tap.into(), f64::from(weight))).collect();
    let shape = [3, 3, 17, 22];
    let (input, target) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        let [streamed, graph] = [Streaming::Images(2), Streaming::Off].map(|streaming| {
            let taps = taps.clone();
            let loss = PerceptualLoss { taps, criterion, streaming, ..PerceptualLoss::new(network.clone()) };
            let input = input.detach().set_requires_grad(true);
            let value = loss.forward(&input, &target);
            value.backward();
            (value.detach(), input.grad())
        });
        assert!(value(&graph.0) > 0.0);
        assert_close("value", &streamed.0, &graph.0, 1e-10, Relative::ToLargest);
        assert_close("gradient", &streamed.1, &graph.1, 1e-10, Relative::ToLargest);
    }
}

#[test]
fn a_network_with_batch_norm_from_a_file() {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &Architecture::VGG11_BN);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg11_bn.safetensors");
    vs.save(&path).unwrap();
    let loaded = Network::from_file(&path, &Architecture::VGG11_BN, device()).unwrap();
    let image = noise(1, &[1, 3, 32, 32], Kind::Float);
    let features = |network: &Network| network.features(&image, &["pool5".into()]).unwrap().remove(0);
    // To the bit: the same operations on the same numbers.
    assert_eq!(features(&loaded), features(&network));
    // Another network has its parameters under other indices.
    let error = Network::from_file(&path, &Architecture::VGG11, device()).unwrap_err().to_string();
    assert!(error.ends_with("`features.3.weight` is missing"), "{error}");
}

/// In every kind, the fused layers are the unfused ones up to rounding.
#[test]
fn fusing_changes_nothing_but_rounding() {
    let single = vgg11_bn();
    let image = noise(1, &[2, 3, 16, 16], Kind::Float);
    let exact = single.to_kind(Kind::Double).unwrap();
    let exact = exact.features(&image, &[Tap::RELU2_1]).unwrap().remove(0);
    // Two convolutions. Weights, features and factors are each rounded by half an epsilon of numbers below
    // the largest.
    for (kind, tolerance) in
        [(Kind::Half, 5e-3), (Kind::BFloat16, 4e-2), (Kind::Float, 1e-6), (Kind::Double, 1e-14)]
    {
        let network = single.to_kind(kind).unwrap();
        let fused = network.features(&image, &[Tap::RELU2_1]).unwrap().remove(0);
        let apart = network
            .features(&image, &["conv1_1", "conv2_1", "bn2_1", "relu2_1"].map(Tap::new))
            .unwrap()
            .remove(3);
        for found in [fused, apart] {
            assert_eq!(found.kind(), kind);
            assert_close(
                &format!("{kind:?}"),
                &found.to_kind(Kind::Double),
                &exact,
                tolerance,
                Relative::ToLargest,
            );
        }
    }
}
