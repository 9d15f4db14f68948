//! The presets against their sources, as `scripts/fixtures/gan_presets.py` has them: value and gradients.

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;
use tch_losses::manager::{GanLossSpec, GanSide, LossManager, LossSpec, Objective, Term};
use tch_losses::{FeatureCriterion, FeatureMatchingLoss, GanLoss, GanMode};

use crate::common::{assert_as_in_pytorch, device, Case, Fixture, Rounding};
use crate::support::leaf;

/// The tensors of a case by their places, and as lists.
struct Leaves {
    by_place: BTreeMap<String, Tensor>,
    real: Vec<Vec<Tensor>>,
    fake: Vec<Vec<Tensor>>,
}

fn leaves(fixture: &Fixture, case: &Case) -> Leaves {
    let named = |place: &String| (place.clone(), leaf(&fixture.get(case, place)));
    let by_place: BTreeMap<String, Tensor> = case.arguments.iter().map(named).collect();
    let list = |side: &str| {
        let mut scales: Vec<Vec<Tensor>> = Vec::new();
        while by_place.contains_key(&format!("{side}_{}_0", scales.len())) {
            let of_scale = |layer: usize| by_place.get(&format!("{side}_{}_{layer}", scales.len()));
            scales.push((0..).map_while(of_scale).map(Tensor::shallow_clone).collect());
        }
        scales
    };
    let (real, fake) = (list("real"), list("fake"));
    Leaves { by_place, real, fake }
}

/// The value is the recorded one, and so are the gradients that there are.
fn check(fixture: &Fixture, case: &Case, name: &str, loss: &Tensor, leaves: &Leaves) {
    assert_as_in_pytorch(&case.name, loss, &fixture.get(case, name).reshape([0i64; 0]), Rounding::OfResult);
    loss.backward();
    let mut gradients = 0;
    for (place, leaf) in &leaves.by_place {
        let what = format!("{} {name} {place}", case.name);
        match fixture.find(case, &format!("grad_{name}_{place}")) {
            Some(expected) => {
                assert_as_in_pytorch(&what, &leaf.grad(), &expected, Rounding::OfResult);
                gradients += 1;
            }
            None => assert!(!leaf.grad().defined(), "{what}"),
        }
    }
    assert!(gradients > 0, "{} {name}", case.name);
}

fn gan(case: &Case) -> GanLoss {
    let mode: GanMode = serde_json::from_value(case.options["mode"].clone()).unwrap();
    let preset = match case.loss.as_str() {
        "pix2pix" => GanLoss::pix2pix(),
        "cyclegan" => GanLoss::cyclegan(),
        "basicsr" => GanLoss::basicsr(mode),
        "pix2pixhd" => GanLoss::pix2pixhd(),
        "spade" => GanLoss::spade(),
        "stylegan2" => GanLoss::stylegan2(),
        "imaginaire" => GanLoss::imaginaire(mode),
        "studiogan" => GanLoss::studiogan(mode),
        "monai" => GanLoss::monai(mode),
        other => panic!("{other}"),
    };
    assert_eq!(preset.mode, mode, "{}", case.name);
    preset
}

/// The same by the name of a manager's loss, which an objective's file describes.
fn by_name(gan: GanLoss, side: &str, case: &Case, leaves: &Leaves) -> Tensor {
    let mut objective = Objective::default();
    for (name, side) in [("generator", GanSide::Generator), ("discriminator", GanSide::Discriminator)] {
        let spec = GanLossSpec::new(side, gan);
        objective.losses.insert(name.into(), LossSpec::GanLoss(spec).into());
    }
    let objective = Objective::from_toml(&objective.to_toml().unwrap()).unwrap();
    let mut manager = objective.build(device()).unwrap();
    let Leaves { real, fake, .. } = leaves;
    let scales =
        |list: &[Vec<Tensor>]| -> Vec<Tensor> { list.iter().map(|s| s[0].shallow_clone()).collect() };
    let (real_scales, fake_scales) = (scales(real), scales(fake));
    let loss = match (side, case.options["given"].as_str().unwrap()) {
        ("generator", "one") => manager.compute(side, &fake[0][0]),
        ("generator", "scales") => manager.compute(side, &fake_scales),
        ("generator", _) => manager.compute(side, fake),
        (_, "one") => manager.compute(side, (&real[0][0], &fake[0][0])),
        (_, "scales") => manager.compute(side, (&real_scales, &fake_scales)),
        _ => manager.compute(side, (real, fake)),
    };
    loss.unwrap()
}

#[test]
fn gans() {
    let fixture = Fixture::load("gan_presets");
    let mut tested = BTreeSet::new();
    for case in fixture.cases.iter().filter(|case| case.options.contains_key("given")) {
        let gan = gan(case);
        for side in ["discriminator", "generator"] {
            let leaves = leaves(&fixture, case);
            let scales =
                |list: &[Vec<Tensor>]| list.iter().map(|scale| scale[0].shallow_clone()).collect::<Vec<_>>();
            let loss = match (side, case.options["given"].as_str().unwrap()) {
                ("generator", "one") => gan.generator(&leaves.fake[0][0]),
                ("generator", "scales") => gan.generator(&scales(&leaves.fake)),
                ("generator", _) => gan.generator(&leaves.fake),
                (_, "one") => gan.discriminator(&leaves.real[0][0], &leaves.fake[0][0]),
                (_, "scales") => gan.discriminator(&scales(&leaves.real), &scales(&leaves.fake)),
                _ => gan.discriminator(&leaves.real, &leaves.fake),
            };
            check(&fixture, case, side, &loss, &leaves);
            assert_eq!(by_name(gan, side, case, &leaves), loss, "{} {side}", case.name);
        }
        tested.insert(case.loss.as_str());
    }
    assert_eq!(tested.len(), 9);
}

#[test]
fn feature_matching() {
    let fixture = Fixture::load("gan_presets");
    let mut tested = 0;
    for case in fixture.cases.iter().filter(|case| case.options.contains_key("criterion")) {
        let loss = match case.loss.as_str() {
            "pix2pixhd" => FeatureMatchingLoss::pix2pixhd(),
            "spade" => FeatureMatchingLoss::spade(),
            "imaginaire" => FeatureMatchingLoss::imaginaire(),
            other => panic!("{other}"),
        };
        let criterion: FeatureCriterion = serde_json::from_value(case.options["criterion"].clone()).unwrap();
        let leaves = leaves(&fixture, case);
        let value = loss.with_criterion(criterion).forward(&leaves.fake, &leaves.real);
        check(&fixture, case, "value", &value, &leaves);
        let mut manager = LossManager::new();
        manager.register("G_FEAT", Term::features(loss.with_criterion(criterion))).unwrap();
        assert_eq!(manager.compute("G_FEAT", (&leaves.fake, &leaves.real)).unwrap(), value);
        tested += 1;
    }
    assert_eq!(tested, 4);
}
