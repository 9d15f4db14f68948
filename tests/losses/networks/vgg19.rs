//! VGG19 against torchvision.

use std::collections::BTreeMap;

use tch::Tensor;
use tch_losses::{Architecture, Network, Tap};

use crate::common::{self, assert_as_in_pytorch, relus, vgg, Fixture, Rounding};

#[test]
fn the_hash_weights_are_those_of_the_fixtures() {
    let fixture = Fixture::load("networks");
    let parameters: BTreeMap<String, Tensor> = common::vgg_parameters().into_iter().collect();
    let cases = fixture.cases.iter().filter(|case| case.name.starts_with("weights."));
    let mut checked = 0;
    for case in cases {
        let name = case.name.strip_prefix("weights.").unwrap();
        for (role, parameter) in [("check", "weight"), ("check_bias", "bias")] {
            let own = parameters[&format!("{name}.{parameter}")].flatten(0, -1).narrow(0, 0, 8);
            assert_eq!(own, fixture.get(case, role).to_device(own.device()), "{} {role}", case.name);
            checked += 1;
        }
    }
    assert_eq!(checked, 32);
}

#[test]
fn vgg19_features_at_every_layer() {
    let fixture = Fixture::load("networks");
    let case = fixture.cases.iter().find(|case| case.name == "features.f32.1x3x16x16").unwrap();
    // Backwards, to see that the order asked for is kept.
    let layers: Vec<Tap> = relus().into_iter().rev().map(|(tap, _)| tap).collect();
    let vgg: Network = vgg();
    let features = vgg.features(&fixture.get(case, "input"), &layers).unwrap();
    for (layer, features) in layers.iter().zip(features) {
        let place = Architecture::VGG19.place(layer).unwrap();
        let side = 16 / place.stride;
        assert_eq!(features.size(), [1, place.channels, side, side]);
        let (actual, expected) = match fixture.find(case, &layer.to_string()) {
            Some(expected) => (features, expected),
            // The large ones are recorded in part.
            None => {
                (features.flatten(0, -1).slice(0, 0, None, 7), fixture.get(case, &format!("{layer}.every7")))
            }
        };
        let actual = actual.view(&expected.size()[..]);
        assert_as_in_pytorch(&layer.to_string(), &actual, &expected, Rounding::OfLarger);
    }
}
