//! Every loss against PyTorch: value and both gradients, as recorded in `tests/fixtures`.

mod common;

use std::collections::BTreeMap;

use common::{assert_close, tolerance, vgg, Case, Fixture, Options, Relative};
use tch::{Kind, Tensor};
use tch_losses::{
    BceWithLogitsLoss, FeatureCriterion, InputNormalization, L1Loss, Laplacian, Loss, MseLoss, Sobel, Vgg19,
    VggLayer, VggPerceptual,
};

/// Value and gradients of `loss` on the case's tensors are those of PyTorch.
fn check(fixture: &Fixture, case: &Case, loss: &dyn Loss, relative: Relative) {
    let leaf = |role| fixture.get(case, role).detach().set_requires_grad(true);
    let (input, target) = (leaf("input"), leaf("target"));
    let value = loss.forward(&input, &target);
    let expected = |role| fixture.get(case, role);
    let tolerance = tolerance(case);
    assert_close(&format!("{} value", case.name), &value, &expected("value"), tolerance, relative);
    (value * expected("grad_output")).sum(None).backward();
    for (role, actual) in [("grad_input", input.grad()), ("grad_target", target.grad())] {
        assert_close(&format!("{} {role}", case.name), &actual, &expected(role), tolerance, relative);
    }
    // With a target that needs no gradient, as in training, some losses take another way.
    let (input, target) = (leaf("input"), expected("target").detach());
    let value = loss.forward(&input, &target);
    assert_close(&format!("{} value alone", case.name), &value, &expected("value"), tolerance, relative);
    (value * expected("grad_output")).sum(None).backward();
    let what = format!("{} grad_input alone", case.name);
    assert_close(&what, &input.grad(), &expected("grad_input"), tolerance, relative);
}

/// Runs every case of a family through the loss that `build` makes of it; `counts` are what must have run.
fn check_family(
    family: &str,
    counts: &[(&str, usize)],
    relative: Relative,
    mut build: impl FnMut(&Fixture, &Case, &mut Options) -> Box<dyn Loss>,
) {
    let fixture = Fixture::load(family);
    let mut run = BTreeMap::new();
    for case in &fixture.cases {
        let mut options = Options::of(case);
        let loss = build(&fixture, case, &mut options);
        options.finish();
        check(&fixture, case, loss.as_ref(), relative);
        *run.entry(case.loss.as_str()).or_insert(0) += 1;
    }
    assert_eq!(run, counts.iter().copied().collect());
}

#[test]
fn regression() {
    let relative = Relative::ToElement { floor: 1e-6 };
    check_family("regression", &[("L1Loss", 52), ("MSELoss", 52)], relative, |_, case, options| {
        let reduction = options.reduction();
        match case.loss.as_str() {
            "L1Loss" => Box::new(L1Loss { reduction }),
            "MSELoss" => Box::new(MseLoss { reduction }),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn classification() {
    let relative = Relative::ToElement { floor: 1e-6 };
    check_family("classification", &[("BCEWithLogitsLoss", 192)], relative, |fixture, case, options| {
        assert_eq!(case.loss, "BCEWithLogitsLoss");
        Box::new(BceWithLogitsLoss {
            weight: fixture.find(case, "weight"),
            pos_weight: fixture.find(case, "pos_weight"),
            reduction: options.reduction(),
        })
    });
}

#[test]
fn edge() {
    check_family("edge", &[("Sobel", 69), ("Laplacian", 63)], Relative::ToLargest, |_, case, options| {
        let reduction = options.reduction();
        match case.loss.as_str() {
            "Sobel" => {
                let eps = options.take("eps").map_or(Sobel::default().eps, |eps| eps.as_f64().unwrap());
                Box::new(Sobel { reduction, eps })
            }
            "Laplacian" => Box::new(Laplacian { reduction }),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn perceptual() {
    let single = vgg();
    let double = single.to_kind(Kind::Double).unwrap();
    check_family("perceptual", &[("VGGPerceptual", 13)], Relative::ToLargest, |_, case, options| {
        assert_eq!(case.loss, "VGGPerceptual");
        let vgg = if case.dtype == "float64" { double.clone() } else { single.clone() };
        let taps: Vec<(String, f64)> = serde_json::from_value(options.take("taps").unwrap().clone()).unwrap();
        Box::new(VggPerceptual {
            taps: taps.into_iter().map(|(layer, weight)| (layer.parse().unwrap(), weight)).collect(),
            criterion: match options.take("criterion").and_then(|value| value.as_str()) {
                Some("l1") => FeatureCriterion::L1,
                Some("mse") => FeatureCriterion::Mse,
                other => panic!("criterion {other:?}"),
            },
            normalization: match options.take("normalization").and_then(|value| value.as_str()) {
                Some("none") => InputNormalization::None,
                Some("imagenet_from_unit") => InputNormalization::ImageNetFromUnit,
                Some("imagenet_from_signed") => InputNormalization::ImageNetFromSigned,
                other => panic!("normalization {other:?}"),
            },
            ..VggPerceptual::new(vgg)
        })
    });
}

/// The defaults are the reference's: the fixtures' default case spells out the options.
#[test]
fn the_defaults_of_the_perceptual_loss_are_those_of_the_reference() {
    let fixture = Fixture::load("perceptual");
    let case = fixture.cases.iter().find(|case| case.name == "vgg.f32.default.1x3x32x32").unwrap();
    check(&fixture, case, &VggPerceptual::new(vgg()), Relative::ToLargest);
}

#[test]
fn the_hash_weights_are_those_of_the_fixtures() {
    let fixture = Fixture::load("vgg");
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
    let fixture = Fixture::load("vgg");
    let case = fixture.cases.iter().find(|case| case.name == "features.f32.1x3x16x16").unwrap();
    // Backwards, to see that the order asked for is kept.
    let layers: Vec<VggLayer> = VggLayer::ALL.into_iter().rev().collect();
    let vgg: Vgg19 = vgg();
    let features = vgg.features(&fixture.get(case, "input"), &layers).unwrap();
    for (layer, features) in layers.iter().zip(features) {
        let side = 16 / layer.stride();
        assert_eq!(features.size(), [1, layer.channels(), side, side]);
        let (actual, expected) = match fixture.find(case, &layer.to_string()) {
            Some(expected) => (features, expected),
            // The large ones are recorded in part.
            None => {
                (features.flatten(0, -1).slice(0, 0, None, 7), fixture.get(case, &format!("{layer}.every7")))
            }
        };
        let actual = actual.view(&expected.size()[..]);
        assert_close(&layer.to_string(), &actual, &expected, tolerance(case), Relative::ToLargest);
    }
}
