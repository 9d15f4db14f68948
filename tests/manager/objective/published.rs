//! Published objectives: their losses, weights and tags are the sources', and so are the numbers.

use super::*;

use tch_losses::manager::{cyclegan, esrgan, pix2pixhd, real_esrgan, stylegan2, GanSide};
use tch_losses::{GanLoss, GanMode, ListReduction, PerceptualPreset};

/// The name, the loss, the weight and the tags of each term.
fn terms(objective: &Objective) -> Vec<(&str, &str, f64, String)> {
    let mut terms = Vec::new();
    for (name, term) in &objective.losses {
        terms.push((name.as_str(), term.loss.name(), term.weight.value(0), term.tags.join(" ")));
    }
    terms
}

/// The same as the sources have it.
fn rows<const N: usize>(
    rows: [(&'static str, &'static str, f64, &str); N],
) -> Vec<(&'static str, &'static str, f64, String)> {
    rows.into_iter().map(|(name, loss, weight, tags)| (name, loss, weight, tags.into())).collect()
}

/// The side and the loss of a term.
fn gan(objective: &Objective, name: &str) -> (GanSide, GanLoss) {
    let LossSpec::GanLoss(spec) = &objective.losses[name].loss else { panic!("{name}") };
    (spec.side, spec.loss())
}

fn vgg(objective: &Objective) -> &PerceptualLossSpec {
    let LossSpec::PerceptualLoss(spec) = &objective.losses["G_VGG"].loss else { panic!() };
    assert_eq!((&spec.weights, spec.architecture), (&NetworkWeights::Pretrained, Architecture::VGG19));
    spec
}

#[test]
fn cyclegan_is_its_sources() {
    let objective = cyclegan();
    let expected = rows([
        ("G_GAN_A", "GanLoss", 1.0, "G"),
        ("G_GAN_B", "GanLoss", 1.0, "G"),
        ("G_CYCLE_A", "L1Loss", 10.0, "G cycle"),
        ("G_CYCLE_B", "L1Loss", 10.0, "G cycle"),
        ("G_IDT_A", "L1Loss", 5.0, "G identity"),
        ("G_IDT_B", "L1Loss", 5.0, "G identity"),
        ("D_GAN_A", "GanLoss", 1.0, "D"),
        ("D_GAN_B", "GanLoss", 1.0, "D"),
    ]);
    assert_eq!(terms(&objective), expected);
    // A whole step by hand: least squares, the discriminators' halved, cycles and identities by their weights.
    let mut manager = objective.build(device()).unwrap();
    let number = |number: f64| Tensor::from_slice(&[number]).to_device(device());
    let mut compute = |name: &str, first: f64, second: Option<f64>| {
        let (first, second) = (number(first), second.map(number));
        let loss = match &second {
            Some(second) => manager.compute(name, (&first, second)),
            None => manager.compute(name, &first),
        };
        value(&loss.unwrap())
    };
    assert_eq!(compute("G_GAN_A", 3.0, None), 4.0);
    assert_eq!(compute("G_GAN_B", 0.0, None), 1.0);
    assert_eq!(compute("G_CYCLE_A", 0.5, Some(0.25)), 2.5);
    assert_eq!(compute("G_CYCLE_B", 0.0, Some(-1.0)), 10.0);
    assert_eq!(compute("G_IDT_A", 0.5, Some(0.25)), 1.25);
    assert_eq!(compute("G_IDT_B", 0.0, Some(-1.0)), 5.0);
    assert_eq!(compute("D_GAN_A", 3.0, Some(2.0)), 0.5 * (4.0 + 4.0));
    assert_eq!(compute("D_GAN_B", 1.0, Some(1.0)), 0.5);
    assert_eq!(manager.last_total(&["G"]).unwrap(), 4.0 + 1.0 + 2.5 + 10.0 + 1.25 + 5.0);
    assert_eq!(manager.last_total(&["D"]).unwrap(), 4.5);
}

#[test]
fn pix2pixhd_is_its_sources() {
    let mut objective = pix2pixhd();
    let expected = rows([
        ("G_GAN", "GanLoss", 1.0, "G"),
        ("G_FEAT", "FeatureMatchingLoss", 10.0, "G"),
        ("G_VGG", "PerceptualLoss", 10.0, "G image"),
        ("D_GAN", "GanLoss", 1.0, "D"),
    ]);
    assert_eq!(terms(&objective), expected);
    assert_eq!((vgg(&objective).preset, vgg(&objective).taps.len()), (PerceptualPreset::Pix2PixHd, 5));
    objective.losses.shift_remove("G_VGG");
    // Two scales of two layers, each of one number.
    let mut manager = objective.build(device()).unwrap();
    let number = |number: f64| Tensor::from_slice(&[number]).to_device(device());
    let features = |numbers: [[f64; 2]; 2]| numbers.map(|scale| Vec::from(scale.map(number)));
    let (real, fake) = (features([[1.0, 2.0], [0.0, 1.0]]), features([[3.0, 0.5], [0.5, 3.0]]));
    let loss = |loss: tch_losses::Result<Tensor>| value(&loss.unwrap());
    // The sum over the scales; half of it for the discriminator.
    assert_eq!(loss(manager.compute("G_GAN", &fake)), 0.25 + 4.0);
    assert_eq!(loss(manager.compute("D_GAN", (&real, &fake))), 0.5 * ((1.0 + 0.0) + (0.25 + 9.0)));
    // lambda_feat * 4 / (n_layers + 1) / num_D of the first layers, where n_layers + 1 is 1.
    assert_eq!(loss(manager.compute("G_FEAT", (&fake, &real))), 10.0 * 4.0 / 2.0 * (2.0 + 0.5));
}

#[test]
fn esrgan_is_its_sources() {
    let objective = esrgan();
    let expected = rows([
        ("G_L1", "L1Loss", 0.01, "G image"),
        ("G_VGG", "PerceptualLoss", 1.0, "G image"),
        ("G_GAN", "RelativisticLoss", 0.005, "G"),
        ("D_GAN", "RelativisticLoss", 1.0, "D"),
    ]);
    assert_eq!(terms(&objective), expected);
    assert_eq!(vgg(&objective).preset, PerceptualPreset::Esrgan);
    assert_eq!(vgg(&objective).taps, [(Tap::new("conv5_4"), 1.0)]);
    let gans = without_vgg(&objective);
    let mut manager = gans.build(device()).unwrap();
    // As computed from the formulas, to ten digits behind the point.
    let [real, fake] = [[0.5, -1.2, 2.0], [-0.3, 0.8, -2.5]].map(|numbers| Tensor::from_slice(&numbers));
    let (real, fake) = (real.to_device(device()), fake.to_device(device()));
    let generator = value(&manager.compute("G_GAN", (&real, &fake)).unwrap());
    let discriminator = value(&manager.compute("D_GAN", (&real, &fake)).unwrap());
    assert!((generator - 0.005 * 1.5450869931).abs() < 1e-12, "{generator}");
    assert!((discriminator - (0.2222048882 + 0.2228821049)).abs() < 2e-10, "{discriminator}");
}

#[test]
fn real_esrgan_is_its_sources() {
    let objective = real_esrgan();
    let expected = rows([
        ("G_L1", "L1Loss", 1.0, "G image"),
        ("G_VGG", "PerceptualLoss", 1.0, "G image"),
        ("G_GAN", "GanLoss", 0.1, "G"),
        ("D_GAN", "GanLoss", 1.0, "D"),
    ]);
    assert_eq!(terms(&objective), expected);
    let taps = [("conv1_2", 0.1), ("conv2_2", 0.1), ("conv3_4", 1.0), ("conv4_4", 1.0), ("conv5_4", 1.0)];
    assert_eq!(vgg(&objective).taps, taps.map(|(tap, weight)| (Tap::new(tap), weight)));
    let vanilla = GanLoss { mode: GanMode::Vanilla, scales: ListReduction::Mean, ..GanLoss::default() };
    assert_eq!(gan(&objective, "G_GAN"), (GanSide::Generator, vanilla));
    assert_eq!(gan(&objective, "D_GAN"), (GanSide::Discriminator, vanilla));
    // Of zeros, each cross entropy is log 2.
    let mut manager = without_vgg(&objective).build(device()).unwrap();
    let zeros = Tensor::zeros([1, 1, 4, 4], (Kind::Double, device()));
    let log2 = std::f64::consts::LN_2;
    assert!((value(&manager.compute("G_GAN", &zeros).unwrap()) - 0.1 * log2).abs() < 1e-14);
    assert!((value(&manager.compute("D_GAN", (&zeros, &zeros)).unwrap()) - 2.0 * log2).abs() < 1e-14);
}

/// How many steps apart each loss is due.
fn steps(objective: &Objective) -> Vec<u64> {
    objective.losses.values().map(|term| term.every.steps()).collect()
}

#[test]
fn stylegan2_is_its_sources() {
    let objective = stylegan2();
    let expected = rows([
        ("G_GAN", "GanLoss", 1.0, "G"),
        ("G_PATH", "PathLengthPenalty", 2.0, "G"),
        ("D_GAN", "GanLoss", 1.0, "D"),
        ("D_R1", "R1Penalty", 5.0, "D"),
    ]);
    assert_eq!(terms(&objective), expected);
    assert_eq!(steps(&objective), [1, 4, 1, 16]);
    for name in Objective::PUBLISHED.iter().filter(|name| **name != "stylegan2") {
        assert!(steps(&Objective::named(name).unwrap()).iter().all(|steps| *steps == 1), "{name}");
    }
    assert!(objective.build(device()).unwrap_err().to_string().contains("`Objective::build_in`"));
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(Kind::Double);
    let mut manager = objective.build_in(&vs.root()).unwrap();
    manager.begin_step(0, 0);
    let zeros = Tensor::zeros([2, 1], (Kind::Double, device()));
    let log2 = std::f64::consts::LN_2;
    assert!((value(&manager.compute("G_GAN", &zeros).unwrap()) - log2).abs() < 1e-14);
    assert!((value(&manager.compute("D_GAN", (&zeros, &zeros)).unwrap()) - 2.0 * log2).abs() < 1e-14);
    // 10 / 2 * 16 times the mean of 25 and 1.
    let gradient = Tensor::from_slice2(&[[3.0, 4.0], [0.0, 1.0]]).to_device(device());
    assert_eq!(value(&manager.compute("D_R1", &gradient).unwrap()), 80.0 * 13.0);
    // 2 * 4 times the mean of (5 - 0.03)² and (1 - 0.03)²: the average moves by a hundredth of 3 first.
    let path = value(&manager.compute("G_PATH", &gradient).unwrap());
    let by_hand = 8.0 * (4.97f64.powi(2) + 0.97f64.powi(2)) / 2.0;
    assert!((path - by_hand).abs() < 1e-12 * by_hand, "{path}");
    let due = |step: u64| {
        manager.begin_step(0, step);
        ["G_GAN", "G_PATH", "D_GAN", "D_R1"].map(|name| manager.is_due(name).unwrap())
    };
    assert_eq!([4, 15, 16].map(due), [[true, true, true, false], [true, false, true, false], [true; 4]]);
}

/// Without the loss whose network has to be fetched.
fn without_vgg(objective: &Objective) -> Objective {
    let mut objective = objective.clone();
    objective.losses.shift_remove("G_VGG");
    objective
}

#[test]
fn each_is_a_file_and_has_a_name() {
    assert_eq!(Objective::named("pix2pix").unwrap(), pix2pix(Subspec::Basic, &Lambdas::default()));
    assert_eq!(Objective::named("pix2pixhd").unwrap(), pix2pixhd());
    assert_eq!(Objective::named("cyclegan").unwrap(), cyclegan());
    assert_eq!(Objective::named("esrgan").unwrap(), esrgan());
    assert_eq!(Objective::named("real_esrgan").unwrap(), real_esrgan());
    assert_eq!(Objective::named("stylegan2").unwrap(), stylegan2());
    for name in Objective::PUBLISHED {
        let objective = Objective::named(name).unwrap();
        assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective, "{name}");
        assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective, "{name}");
        // Each has losses of both sides, and no other.
        let sides = objective.losses.values().map(|term| term.tags[0].as_str());
        assert!(sides.clone().all(|tag| tag == "G" || tag == "D"), "{name}");
        assert!(sides.clone().any(|tag| tag == "G") && sides.clone().any(|tag| tag == "D"), "{name}");
        assert!(objective.losses.iter().all(|(name, term)| name.starts_with(&term.tags[0])), "{name}");
        let vs = nn::VarStore::new(device());
        let manager = without_vgg(&objective).build_in(&vs.root()).unwrap();
        assert!(!manager.names(&["G"]).is_empty());
    }
}

#[test]
fn names_that_none_has() {
    for (name, near) in [
        ("CycleGAN", "cyclegan"),
        ("pix2pixHD", "pix2pixhd"),
        ("pix2pix_hd", "pix2pixhd"),
        ("realesrgan", "real_esrgan"),
    ] {
        let error = Objective::named(name).unwrap_err();
        assert!(matches!(error, Error::Objective(_)));
        let expected = format!("the published objectives: `{name}` is none of them, did you mean `{near}`?");
        assert_eq!(error.to_string(), expected);
    }
    let error = Objective::named("\u{1b}vae").unwrap_err().to_string();
    let expected = "the published objectives: `\\u{1b}vae` is none of them: there are `pix2pix`, `pix2pixhd`, `cyclegan`";
    assert!(error.starts_with(expected), "{error}");
}
