//! The table of networks is torchvision's; taps lie where it has them; batch norm computes what it computes.

use crate::common::{
    assert_as_in_pytorch, assert_close, device, noise, uniform, value, values, Case, Fixture, Relative,
    Rounding,
};
use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::networks::Extractor;
use tch_losses::{Architecture, FeatureCriterion, Loss, Network, PerceptualLoss, Streaming, Tap};

/// In (-bound, bound), as the fixtures' script computes it.
fn hashed(stream: usize, shape: &[i64], bound: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let value = |i| ((2.0 * uniform(i as u32, stream as u32) - 1.0) * bound) as f32;
    Tensor::from_slice(&(0..count).map(value).collect::<Vec<_>>()).view(shape).to_device(device())
}

/// A VGG11 with batch norm and the fixtures' weights.
fn vgg11_bn() -> Network {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &Architecture::VGG11_BN);
    let mut count = 0;
    for (name, mut parameter) in vs.variables() {
        let parts: Vec<&str> = name.split('.').collect();
        let ["features", index, role] = parts[..] else { panic!("{name}") };
        let (index, shape) = (index.parse::<usize>().unwrap(), parameter.size());
        let numbers = |role, bound| hashed(2 * index + role + 1, &shape, bound);
        let values = match (role, shape.len()) {
            ("weight", 4) => numbers(0, (6.0 / (shape[1] * 9) as f64).sqrt()),
            ("weight", _) => numbers(0, 0.5) + 1.0,
            // The bias of a convolution, or of a batch norm.
            ("bias", _) if vs.variables().contains_key(&format!("features.{index}.running_var")) => {
                numbers(1, 0.1)
            }
            ("bias", _) => numbers(1, 0.05),
            ("running_mean", _) => numbers(2, 0.1),
            ("running_var", _) => numbers(3, 0.5) + 1.0,
            _ => panic!("{name}"),
        };
        no_grad(|| parameter.copy_(&values));
        count += 1;
    }
    assert_eq!(count, 8 * 6);
    network
}

fn cases<'a>(fixture: &'a Fixture, prefix: &'a str) -> impl Iterator<Item = &'a Case> {
    fixture.cases.iter().filter(move |case| case.name.starts_with(prefix))
}

#[test]
fn layers_and_parameters_are_those_of_torchvision() {
    let fixture = Fixture::load("networks");
    let mut checked = 0;
    for case in cases(&fixture, "layers.") {
        let name = case.name.strip_prefix("layers.").unwrap();
        let architecture = Architecture::ALL.into_iter().find(|one| one.name() == name).unwrap();
        let vs = nn::VarStore::new(device());
        let _network = Network::new(&vs.root(), &architecture);
        let own = vs.variables();
        let parameters = case.options["parameters"].as_object().unwrap();
        assert_eq!(own.len(), parameters.len(), "{name}");
        for (parameter, shape) in parameters {
            let shape: Vec<i64> = serde_json::from_value(shape.clone()).unwrap();
            assert_eq!(own[parameter].size(), shape, "{name} {parameter}");
        }
        // A tap for each layer, of its type, and by its index the same.
        let layers: Vec<String> = serde_json::from_value(case.options["layers"].clone()).unwrap();
        let taps = architecture.taps();
        assert_eq!(taps.len(), layers.len(), "{name}");
        for (index, (tap, layer)) in taps.iter().zip(layers).enumerate() {
            let role = match layer.as_str() {
                "Conv2d" => "conv",
                "BatchNorm2d" => "bn",
                "ReLU" => "relu",
                "MaxPool2d" => "pool",
                other => panic!("{other}"),
            };
            assert!(tap.as_str().starts_with(role), "{name} {index}: {tap} for {layer}");
            let place = architecture.place(tap).unwrap();
            assert_eq!(place.index, index, "{name} {tap}");
            assert_eq!(architecture.place(&format!("features.{index}").into()).unwrap(), place);
        }
        checked += 1;
    }
    assert_eq!(checked, Architecture::ALL.len());
}

/// The features of each layer: alone, where convolution, batch norm and ReLU are one, and together with all
/// others, where none are.
#[test]
fn features_at_every_layer_of_a_network_with_batch_norm() {
    let fixture = Fixture::load("networks");
    let single = vgg11_bn();
    let mut checked = 0;
    for case in cases(&fixture, "vgg11_bn.features.") {
        let input = fixture.get(case, "input");
        let network = single.to_kind(input.kind()).unwrap();
        let taps = Architecture::VGG11_BN.taps();
        let together = network.features(&input, &taps).unwrap();
        for (tap, found) in taps.iter().zip(&together) {
            let size = found.size();
            assert_eq!(network.feature_size(tap, &input.size()).unwrap(), size, "{tap}");
            let role = case_role(&fixture, case, tap);
            let expected = fixture.get(case, &role);
            let step = role.split_once(".every").map_or(1, |(_, step)| step.parse().unwrap());
            let alone = network.features(&input, std::slice::from_ref(tap)).unwrap().remove(0);
            let pass = network.pass(&input.size(), std::slice::from_ref(tap)).unwrap();
            let without_graph = no_grad(|| pass.features(&input)).unwrap().remove(0);
            for (way, found) in [("together", found), ("alone", &alone), ("without a graph", &without_graph)]
            {
                let found = found.flatten(0, -1).slice(0, 0, None, step).view(&expected.size()[..]);
                let what = format!("{} {tap} {way}", case.name);
                assert_as_in_pytorch(&what, &found, &expected, Rounding::OfLarger);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 2 * 29 * 3);
}

/// The role of a tap: its name, or that with `.everyN`.
fn case_role(fixture: &Fixture, case: &Case, tap: &Tap) -> String {
    let sampled = (1..1000).map(|step| format!("{tap}.every{step}"));
    let mut roles = std::iter::once(tap.to_string()).chain(sampled);
    roles.find(|role| fixture.find(case, role).is_some()).unwrap()
}

#[test]
fn gradients_through_a_network_with_batch_norm() {
    let fixture = Fixture::load("networks");
    let network = vgg11_bn().to_kind(Kind::Double).unwrap();
    let mut checked = 0;
    for case in cases(&fixture, "vgg11_bn.gradient.") {
        let taps: Vec<Tap> = serde_json::from_value(case.options["taps"].clone()).unwrap();
        let (input, expected) = (fixture.get(case, "input"), fixture.get(case, "grad_input"));
        let upstream = |tap: &Tap| {
            let index = network.place(tap).unwrap().index;
            let shape = network.feature_size(tap, &input.size()).unwrap();
            hashed(2 * (1000 + index) + 1, &shape, 1.0).to_kind(Kind::Double)
        };
        // In the graph.
        let leaf = input.detach().set_requires_grad(true);
        let features = network.features(&leaf, &taps).unwrap();
        let total: Tensor =
            taps.iter().zip(features).map(|(tap, found)| (found * upstream(tap)).sum(Kind::Double)).sum();
        total.backward();
        assert_as_in_pytorch(&case.name, &leaf.grad(), &expected, Rounding::OfLarger);
        // Without one.
        let gradient = no_grad(|| {
            let pass = network.pass(&input.size(), &taps)?;
            let slopes = taps.iter().map(|tap| Some(upstream(tap))).collect();
            let trace = pass.trace(&input, &mut |_, _| Ok(()))?;
            trace.back(slopes)
        });
        assert_as_in_pytorch(&case.name, &gradient.unwrap(), &expected, Rounding::OfLarger);
        checked += 1;
    }
    assert_eq!(checked, 4);
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
