//! What discriminators give as inputs: tensors, lists of scales, lists of features.

use tch::{Kind, Tensor};
use tch_losses::manager::{LossManager, Objective, Term};
use tch_losses::{
    Error, FeatureMatchingLoss, GanLoss, GanMode, L1Loss, ListReduction, Predictions, RelativisticLoss,
};

use crate::common::{device, noise, value};

fn scale(seed: i64, layers: i64) -> Vec<Tensor> {
    (0..layers).map(|layer| noise(seed + layer, &[2, layer + 1, 3, 2], Kind::Double)).collect()
}

fn manager() -> LossManager {
    let mut manager = LossManager::new();
    let gan = GanLoss::basicsr(GanMode::Hinge).with_scales(ListReduction::Sum);
    let feature_matching = FeatureMatchingLoss::default();
    let relativistic = RelativisticLoss::default();
    manager.register("G", Term::generator(gan)).unwrap();
    manager.register("D", Term::discriminator(gan)).unwrap();
    manager.register("F", Term::features(feature_matching).weight(10.0).tags(["features"])).unwrap();
    manager.register("RG", Term::generator(relativistic)).unwrap();
    manager.register("RD", Term::discriminator(relativistic)).unwrap();
    manager.register("L1", L1Loss::default()).unwrap();
    manager
}

/// Each form of a list.
#[test]
fn lists_have_many_forms() {
    let mut manager = manager();
    let (real, fake) = (scale(1, 2), scale(11, 2));
    let (real_slice, fake_slice) = (&real[..], &fake[..]);
    let arrays = |list: &[Tensor]| [list[0].shallow_clone(), list[1].shallow_clone()];
    let (real_array, fake_array) = (arrays(&real), arrays(&fake));
    let loss = manager.compute("G", &fake).unwrap();
    // -f for each scale.
    let by_hand: f64 = fake.iter().map(|outputs| -value(&outputs.mean(None))).sum();
    assert!((value(&loss) - by_hand).abs() < 1e-14);
    assert_eq!(manager.compute("G", fake_slice).unwrap(), loss);
    assert_eq!(manager.compute("G", &fake_array).unwrap(), loss);
    assert_eq!(manager.compute("G", Predictions::from(&fake)).unwrap(), loss);
    let loss = manager.compute("D", (&real, &fake)).unwrap();
    assert_eq!(manager.compute("D", (real_slice, &fake_array)).unwrap(), loss);
    assert_eq!(manager.compute("D", (&real_array, fake_slice)).unwrap(), loss);
    // The last layer of each scale, of which one is the only one.
    let with_features = |first: &Tensor, last: &Tensor| {
        vec![vec![first.zeros_like(), first.shallow_clone()], vec![last.shallow_clone()]]
    };
    let features = (with_features(&real[0], &real[1]), with_features(&fake[0], &fake[1]));
    assert_eq!(manager.compute("D", (&features.0, &features.1)).unwrap(), loss);
    assert_eq!(manager.compute("D", (&features.0[..], &fake)).unwrap(), loss);
    // A tensor and a list of one.
    let relativistic = RelativisticLoss::default();
    assert_eq!(manager.compute("RG", (&real, &fake)).unwrap(), relativistic.generator(&real, &fake));
    assert_eq!(
        manager.compute("RD", (&features.0, &fake)).unwrap(),
        relativistic.discriminator(&real, &fake)
    );
    let one = manager.compute("D", (&real[0], &fake[1])).unwrap();
    assert_eq!(manager.compute("D", (&real[0], &fake[1..])).unwrap(), one);
    assert_eq!(
        manager.compute("G", Predictions::One(&fake[0])).unwrap(),
        manager.compute("G", &fake[0]).unwrap()
    );
    let pair = (Predictions::One(&real[0]), Predictions::One(&fake[1]));
    assert_eq!(manager.compute("D", pair).unwrap(), one);
}

/// The records and the totals are those of any other loss.
#[test]
fn weights_records_and_totals() {
    let mut manager = manager();
    let (fake, real) = ([scale(1, 3), scale(5, 2)], [scale(11, 3), scale(15, 2)]);
    let loss = FeatureMatchingLoss::default().forward(&fake, &real);
    let total = manager.total(&["features"], (&fake, &real)).unwrap();
    assert_eq!(value(&total), 10.0 * value(&loss));
    let record = manager.last_records(&["features"]).unwrap()[0].clone();
    assert_eq!((&*record.name, record.value, record.weight), ("F", value(&loss), 10.0));
    assert!(manager.loss_maps(&["features"], (&fake, &real)).unwrap().is_empty());
    let error = manager.loss_map("F", (&fake, &real)).unwrap_err().to_string();
    assert_eq!(error, "the loss `F` has no loss map: its `loss_map` returns `None`");
    // Of two tensors are those that compare images.
    assert_eq!(manager.losses(&[]).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["L1"]);
}

#[test]
fn wrong_inputs_say_what_to_pass() {
    let mut manager = manager();
    let x = noise(1, &[2, 3], Kind::Double);
    let (scales, features) = (scale(1, 2), vec![scale(1, 2)]);
    let generator =
        "the generator's side of a GAN: pass `&fake`, the discriminator's outputs for the fake images, a \
                     tensor or a list";
    let discriminator =
        "the discriminator's side of a GAN: pass `(&real, &fake)`, the discriminator's outputs, tensors or lists";
    let relativistic =
        "a side of a relativistic GAN: pass `(&real, &fake)`, the discriminator's outputs, tensors or lists";
    let matching =
        "a loss of features: pass `(&fake, &real)`, each a list of scales, which are lists of tensors";
    let pair = "a loss of two tensors: pass `(&input, &target)`";
    let errors = [
        (manager.compute("G", (&x, &x)), "G", generator),
        (manager.compute("G", (&scales, &scales)), "G", generator),
        (manager.compute("G", x.copy()), "G", generator),
        (manager.compute("D", &x), "D", discriminator),
        (manager.compute("D", &features), "D", discriminator),
        (manager.compute("D", (&x, &x, &x)), "D", discriminator),
        (manager.compute("RG", &x), "RG", relativistic),
        (manager.compute("RD", &scales), "RD", relativistic),
        (manager.compute("F", (&x, &x)), "F", matching),
        (manager.compute("F", (&scales, &scales)), "F", matching),
        (manager.compute("F", &features), "F", matching),
        (manager.compute("F", (&features, &x)), "F", matching),
        (manager.compute("L1", (&scales, &scales)), "L1", pair),
        (manager.total(&[], (&features, &features)), "G", generator),
    ];
    for (result, name, words) in errors {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Manager(_)), "{error}");
        assert_eq!(error.to_string(), format!("the loss `{name}` is {words}"));
    }
    // What the loss itself refuses, under its own argument's name.
    let none: Vec<Tensor> = Vec::new();
    let cases = [
        (manager.compute("G", &none), "`fake` holds no scale, expected one scale at least"),
        (manager.compute("D", (&scales, &x)), "`fake` holds 1 scale, expected 2, as many as `real`"),
        (
            manager.compute("F", (&features, &[scale(1, 3)])),
            "`real` holds 3 layers in scale 0, expected 2, as many as `fake`",
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
    assert!(manager.history("G").unwrap().is_empty(), "nothing of it is recorded");
}

#[test]
fn bad_options_are_refused_at_once() {
    let mut manager = LossManager::new();
    let gan = GanLoss::default().with_real_label(2.0);
    for term in [Term::generator(gan), Term::discriminator(gan)] {
        let error = manager.register("X", term).unwrap_err().to_string();
        assert_eq!(error, "option `real_label` is 2, expected a number in [0, 1] for the mode vanilla");
    }
    let term = Term::generator(RelativisticLoss::default().with_mode(GanMode::Wgan));
    assert!(manager.register("X", term).unwrap_err().to_string().starts_with("option `mode` is wgan"));
    let error = manager.register("X", Term::features(FeatureMatchingLoss::default().with_factor(-1.0)));
    assert_eq!(
        error.unwrap_err().to_string(),
        "option `factor` is -1, expected a finite number greater than 0"
    );
}

#[test]
fn feature_matching_can_be_in_a_file() {
    let text = "
        [losses.F]
        loss = 'FeatureMatchingLoss'
        options = { criterion = 'mse', exclude_last = false, scales = 'sum', layers = 'mean', factor = 4 }
        weight = 10
    ";
    let objective = Objective::from_toml(text).unwrap();
    assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
    assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective);
    let by_hand = FeatureMatchingLoss {
        criterion: tch_losses::FeatureCriterion::Mse,
        exclude_last: false,
        scales: ListReduction::Sum,
        layers: ListReduction::Mean,
        factor: 4.0,
    };
    let (fake, real) = (vec![scale(1, 3), scale(5, 2)], vec![scale(11, 3), scale(15, 2)]);
    let mut manager = objective.build(device()).unwrap();
    let loss = manager.compute("F", (&fake, &real)).unwrap();
    assert_eq!(value(&loss), 10.0 * value(&by_hand.forward(&fake, &real)));
    for (options, message) in [
        ("criterion = 'frobenius'", "criterion: given frobenius, expected l1 or mse"),
        ("factor = 0", "factor: given 0, expected a finite number greater than 0"),
        ("scales = 'none'", "scales: `none` is not known: there are `mean`, `sum`"),
    ] {
        let text = format!("[losses.F]\nloss = 'FeatureMatchingLoss'\noptions = {{ {options} }}");
        let error = Objective::from_toml(&text).unwrap_err().to_string();
        assert_eq!(error, format!("objective: losses.F.options.{message} (line 3)"));
    }
}
