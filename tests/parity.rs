//! Every loss against PyTorch: value and both gradients, as recorded in `tests/fixtures`.

mod common;

use std::collections::BTreeMap;

use common::{assert_as_in_pytorch, value, vgg, Case, Fixture, Options, Rounding};
use tch::{Kind, Tensor};
use tch_losses::networks::Place;
use tch_losses::{
    BceWithLogitsLoss, FeatureCriterion, InputNormalization, L1Loss, Laplacian, Loss, MseLoss, Sobel, Tap,
    VggPerceptual,
};

/// A gradient: what it is called, the loss's own, and PyTorch's.
type Gradient = (String, Tensor, Tensor);

/// The value of `loss` on the case's tensors is that of PyTorch. Returns the gradients.
fn check_value(fixture: &Fixture, case: &Case, loss: &dyn Loss, rounding: Rounding) -> Vec<Gradient> {
    let expected = |role| fixture.get(case, role);
    let mut gradients = Vec::new();
    // With a target that needs no gradient, as in training, some losses take another way.
    for constant_target in [false, true] {
        let name = |role| format!("{} {role}{}", case.name, if constant_target { " alone" } else { "" });
        let input = expected("input").detach().set_requires_grad(true);
        let target = expected("target").detach().set_requires_grad(!constant_target);
        let value = loss.forward(&input, &target);
        assert_as_in_pytorch(&name("value"), &value, &expected("value"), rounding);
        (value * expected("grad_output")).sum(None).backward();
        gradients.push((name("grad_input"), input.grad(), expected("grad_input")));
        if !constant_target {
            gradients.push((name("grad_target"), target.grad(), expected("grad_target")));
        }
    }
    gradients
}

/// Runs every case of a family through the loss that `build` makes of it; `counts` are what must have run.
/// Returns the gradients by case.
fn check_values(
    family: &str,
    counts: &[(&str, usize)],
    rounding: Rounding,
    mut build: impl FnMut(&Fixture, &Case, &mut Options) -> Box<dyn Loss>,
) -> Vec<Vec<Gradient>> {
    let fixture = Fixture::load(family);
    let mut run = BTreeMap::new();
    let mut gradients = Vec::new();
    for case in &fixture.cases {
        let mut options = Options::of(case);
        let loss = build(&fixture, case, &mut options);
        options.finish();
        gradients.push(check_value(&fixture, case, loss.as_ref(), rounding));
        *run.entry(case.loss.as_str()).or_insert(0) += 1;
    }
    assert_eq!(run, counts.iter().copied().collect());
    gradients
}

/// As [`check_values`], and the gradients are those of PyTorch.
fn check_family(
    family: &str,
    counts: &[(&str, usize)],
    rounding: Rounding,
    build: impl FnMut(&Fixture, &Case, &mut Options) -> Box<dyn Loss>,
) {
    for (name, own, expected) in check_values(family, counts, rounding, build).iter().flatten() {
        assert_as_in_pytorch(name, own, expected, rounding);
    }
}

/// Behind ReLUs, maxima and the sign of L1, a gradient is not continuous: where an activation is within
/// rounding of a kink, one processor takes this side and another that, and the gradient moves by about a
/// percent. Here are up to 300 000 activations of the magnitude of 1, so that one is within the rounding of
/// f64 (1e-14) of a kink once in some hundred million cases, but within that of f32 (1e-6) in every third case
/// of the largest size. In f64 all gradients have to agree, then; in f32 most of them, and the rest roughly.
fn assert_gradients_of_the_network(cases: &[Vec<Gradient>]) {
    let (double, single): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case[0].2.kind() == Kind::Double);
    for (name, own, expected) in double.into_iter().flatten() {
        assert_as_in_pytorch(name, own, expected, Rounding::OfLarger);
    }
    let error = |(name, own, expected): &Gradient| {
        assert_eq!((own.size(), own.kind()), (expected.size(), expected.kind()), "{name}");
        let error = value(&((own - expected).norm() / expected.norm()));
        // Ten activations on the other side.
        assert!(error < 0.1, "{name}: {error:e}");
        error
    };
    let errors = single.into_iter().map(|case| case.iter().map(error).fold(0.0, f64::max));
    let mut errors: Vec<f64> = errors.collect();
    errors.sort_by(f64::total_cmp);
    // Without a kink, the gradient is as exact as the features: rounding of 1e-6, and ten layers that add to it.
    let median = errors[errors.len() / 2];
    assert!(median < 1e-4, "{errors:?}");
}

#[test]
fn regression() {
    check_family("regression", &[("L1Loss", 52), ("MSELoss", 52)], Rounding::OfResult, |_, case, options| {
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
    check_family(
        "classification",
        &[("BCEWithLogitsLoss", 192)],
        Rounding::OfResult,
        |fixture, case, options| {
            assert_eq!(case.loss, "BCEWithLogitsLoss");
            Box::new(BceWithLogitsLoss {
                weight: fixture.find(case, "weight"),
                pos_weight: fixture.find(case, "pos_weight"),
                reduction: options.reduction(),
            })
        },
    );
}

#[test]
fn edge() {
    check_family("edge", &[("Sobel", 69), ("Laplacian", 63)], Rounding::OfLarger, |_, case, options| {
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
    let counts = [("VGGPerceptual", 13)];
    let gradients = check_values("perceptual", &counts, Rounding::OfLarger, |_, case, options| {
        assert_eq!(case.loss, "VGGPerceptual");
        let vgg = if case.dtype == "float64" { double.clone() } else { single.clone() };
        let taps: Vec<(String, f64)> = serde_json::from_value(options.take("taps").unwrap().clone()).unwrap();
        Box::new(VggPerceptual {
            taps: taps.into_iter().map(|(layer, weight)| (layer.into(), weight)).collect(),
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
    assert_gradients_of_the_network(&gradients);
}

/// The defaults are the reference's: the fixtures' default case spells out the options.
#[test]
fn the_defaults_of_the_perceptual_loss_are_those_of_the_reference() {
    let fixture = Fixture::load("perceptual");
    let case = fixture.cases.iter().find(|case| case.name == "vgg.f32.default.1x3x32x32").unwrap();
    check_value(&fixture, case, &VggPerceptual::new(vgg()), Rounding::OfLarger);
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
    let (layers, places): (Vec<Tap>, Vec<Place>) = common::relus().into_iter().rev().unzip();
    let features = vgg().features(&fixture.get(case, "input"), &layers).unwrap();
    for ((layer, place), features) in layers.iter().zip(places).zip(features) {
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
