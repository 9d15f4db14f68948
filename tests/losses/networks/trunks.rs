//! The table of networks is torchvision's; taps lie where it has them; each layer computes what it computes.

use crate::common::hashed::hashed;
use crate::common::{
    assert_as_in_pytorch, assert_close, device, hashed_network, noise, Case, Fixture, Relative, Rounding,
};
use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::networks::{Extractor, Pooling};
use tch_losses::{Architecture, Network, Tap};

/// The cases of a kind, each with its network in f64 and its image.
fn cases<'a>(fixture: &'a Fixture, kind: &str) -> Vec<(&'a Case, Network, Tensor)> {
    let mut made: Vec<Network> = Vec::new();
    let cases = fixture.cases.iter().filter(|case| case.name.contains(kind) && case.loss == "trunk");
    let case = |case: &'a Case| {
        let option = |name: &str| case.options[name].clone();
        let architecture: Architecture = serde_json::from_value(option("trunk")).unwrap();
        let pooling: Pooling = serde_json::from_value(option("pooling")).unwrap();
        let size: [i64; 2] = serde_json::from_value(option("size")).unwrap();
        if !made.iter().any(|network| network.architecture() == architecture) {
            made.push(hashed_network(architecture));
        }
        let network = made.iter().find(|network| network.architecture() == architecture).unwrap();
        let kind = if case.dtype == "float64" { Kind::Double } else { Kind::Float };
        let network = network.with_pooling(pooling).to_kind(kind).unwrap();
        let images = hashed(4001, &[1, 3, size[0], size[1]], 1.0).to_kind(kind);
        (case, network, images.to_device(device()))
    };
    cases.map(case).collect()
}

/// What is recorded of a tensor, and which elements of it that are.
fn recorded(fixture: &Fixture, case: &Case, role: &str) -> (Tensor, i64) {
    let steps = (2..10000).map(|step| (format!("{role}.every{step}"), step));
    let mut roles = std::iter::once((role.to_owned(), 1)).chain(steps);
    roles.find_map(|(role, step)| Some((fixture.find(case, &role)?, step))).unwrap()
}

#[test]
fn layers_and_parameters_are_those_of_torchvision() {
    let fixture = Fixture::load("networks");
    let mut checked = 0;
    for case in fixture.cases.iter().filter(|case| case.name.starts_with("layers.")) {
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
                "Fire" => "fire",
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
fn features_at_every_layer() {
    let fixture = Fixture::load("networks");
    let mut checked = 0;
    for (case, network, input) in cases(&fixture, ".features.") {
        let taps = network.architecture().taps();
        let together = network.features(&input, &taps).unwrap();
        for (tap, found) in taps.iter().zip(&together) {
            let size = found.size();
            assert_eq!(network.feature_size(tap, &input.size()).unwrap(), size, "{} {tap}", case.name);
            let (expected, step) = recorded(&fixture, case, tap.as_str());
            let alone = network.features(&input, std::slice::from_ref(tap)).unwrap().remove(0);
            let pass = network.pass(&input.size(), std::slice::from_ref(tap)).unwrap();
            let without_graph = no_grad(|| pass.features(&input)).unwrap().remove(0);
            for (way, found) in [("together", found), ("alone", &alone), ("without a graph", &without_graph)]
            {
                let found = found.flatten(0, -1).slice(0, 0, None, step).view(&expected.size()[..]);
                let what = format!("{} {tap} {way}", case.name);
                assert_as_in_pytorch(&what, &found, &expected, Rounding::OfLarger);
            }
            checked += 1;
        }
    }
    // vgg11_bn, vgg11 twice, AlexNet twice, SqueezeNet twice.
    assert_eq!(checked, 2 * (29 + 2 * 21 + 2 * 13 + 2 * 13));
}

#[test]
fn gradients() {
    let fixture = Fixture::load("networks");
    let mut checked = 0;
    for (case, network, input) in cases(&fixture, ".gradient.") {
        let taps: Vec<Tap> = serde_json::from_value(case.options["taps"].clone()).unwrap();
        let (expected, step) = recorded(&fixture, case, "grad_input");
        let upstream = |tap: &Tap| {
            let index = network.place(tap).unwrap().index;
            let shape = network.feature_size(tap, &input.size()).unwrap();
            hashed(2 * (1000 + index) + 1, &shape, 1.0).to_kind(Kind::Double).to_device(device())
        };
        let slopes = || taps.iter().map(upstream).collect::<Vec<_>>();
        for (way, gradient) in [
            ("in the graph", in_graph(&network, &input, &taps, slopes())),
            ("without one", without_graph(&network, &input, &taps, slopes())),
        ] {
            let found = gradient.flatten(0, -1).slice(0, 0, None, step);
            let what = format!("{} {way}", case.name);
            assert_as_in_pytorch(&what, &found, &expected.flatten(0, -1), Rounding::OfLarger);
        }
        checked += 1;
    }
    assert_eq!(checked, 16);
}

/// The gradient of the sum of the products of features and slopes, by libtorch.
pub fn in_graph(network: &Network, input: &Tensor, taps: &[Tap], slopes: Vec<Tensor>) -> Tensor {
    let leaf = input.detach().set_requires_grad(true);
    let features = network.features(&leaf, taps).unwrap();
    let products = features.into_iter().zip(slopes).map(|(features, slope)| features * slope);
    let total: Tensor = products.map(|product| product.sum(Kind::Double)).sum();
    total.backward();
    leaf.grad()
}

/// The same in closed form.
pub fn without_graph(network: &Network, input: &Tensor, taps: &[Tap], slopes: Vec<Tensor>) -> Tensor {
    let gradient = no_grad(|| {
        let pass = network.pass(&input.size(), taps)?;
        let trace = pass.trace(input, &mut |_, _| Ok(()))?;
        trace.back(slopes.into_iter().map(Some).collect())
    });
    gradient.unwrap()
}

/// At sizes whose windows do and do not end at the border, for several images, and for images whose channels
/// are last in memory.
#[test]
fn both_ways_agree_at_any_size() {
    for architecture in [Architecture::ALEXNET, Architecture::SQUEEZENET1_1] {
        let network = hashed_network(architecture).to_kind(Kind::Double).unwrap();
        let taps = architecture.taps();
        let least = architecture.place(taps.last().unwrap()).unwrap().least;
        for (height, width) in [(least, least + 1), (least + 2, 64), (50, 47)] {
            let (height, width) = (height.max(least), width.max(least));
            let input = noise(1, &[2, 3, height, width], Kind::Double);
            let slopes = || {
                let slope = |(tap, seed)| {
                    noise(seed, &network.feature_size(tap, &input.size()).unwrap(), Kind::Double)
                };
                taps.iter().zip(2..).map(slope).collect::<Vec<_>>()
            };
            let expected = in_graph(&network, &input, &taps, slopes());
            let last = input.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            for input in [&input, &last] {
                let found = without_graph(&network, input, &taps, slopes());
                let what = format!("{architecture} {height}x{width}");
                assert_close(&what, &found, &expected, 1e-10, Relative::ToLargest);
            }
        }
    }
}

/// In reduced precision, features and gradients are those of f64 up to rounding.
#[test]
fn other_kinds_are_near() {
    for architecture in [Architecture::ALEXNET, Architecture::SQUEEZENET1_1] {
        let network = hashed_network(architecture);
        let input = noise(1, &[2, 3, 65, 70], Kind::Float);
        // Before a ReLU, so that no kink is crossed.
        let taps = ["conv1".into()];
        let slopes = |kind| vec![noise(2, &network.feature_size(&taps[0], &input.size()).unwrap(), kind)];
        let exact = network.to_kind(Kind::Double).unwrap();
        let gradient = in_graph(&exact, &input, &taps, slopes(Kind::Double)).to_kind(Kind::Double);
        let deep = architecture.taps().pop().unwrap();
        let features = exact.features(&input, std::slice::from_ref(&deep)).unwrap().remove(0);
        // Each of at most nine layers after the other rounds weights and features by half an epsilon.
        for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::Half, 2e-2), (Kind::BFloat16, 2e-1)] {
            let network = network.to_kind(kind).unwrap();
            let what = format!("{architecture} {kind:?}");
            let found = network.features(&input, std::slice::from_ref(&deep)).unwrap().remove(0);
            assert_eq!(found.kind(), kind);
            let found = found.to_kind(Kind::Double);
            assert_close(&what, &found, &features, tolerance, Relative::ToLargest);
            let found = without_graph(&network, &input, &taps, slopes(kind)).to_kind(Kind::Double);
            assert_close(&what, &found, &gradient, tolerance, Relative::ToLargest);
        }
    }
}

/// The gradient in the graph has a gradient itself: finite differences tell the same.
#[test]
fn second_derivatives_in_the_graph() {
    for (architecture, pooling, tap) in [
        (Architecture::SQUEEZENET1_1, Pooling::Max, "fire3"),
        (Architecture::SQUEEZENET1_1, Pooling::L2, "fire3"),
        (Architecture::VGG11, Pooling::L2, "relu3_1"),
    ] {
        let network = hashed_network(architecture).with_pooling(pooling).to_kind(Kind::Double).unwrap();
        let input = noise(1, &[1, 3, 18, 17], Kind::Double);
        let direction = noise(2, &[1, 3, 18, 17], Kind::Double);
        let gradient = |input: &Tensor, create_graph| {
            let features = network.features(input, &[tap.into()]).unwrap().remove(0);
            // Not linear in the features: its second derivative is not only that of the poolings.
            let value = features.square().sum(Kind::Double);
            Tensor::run_backward(&[value], &[input], true, create_graph).remove(0)
        };
        let leaf = input.detach().set_requires_grad(true);
        let slope = (gradient(&leaf, true) * &direction).sum(Kind::Double);
        let second = Tensor::run_backward(&[slope], &[&leaf], false, false).remove(0);
        // So small a step crosses no kink of a ReLU.
        let step = 1e-7;
        let moved =
            |step: f64| gradient(&(&input + step * &direction).set_requires_grad(true), false).detach();
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        // The difference loses half of the digits.
        assert_close(tap, &second, &expected, 1e-5, Relative::ToLargest);
    }
}
