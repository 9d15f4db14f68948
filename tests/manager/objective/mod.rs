//! Objectives as data: round trips, what they build, and files that say something else.
//!
//! What an objective builds is the loss that its options make by hand. On the same numbers it computes the same, to the
//! last bit.

mod errors;
mod guide;
mod losses;
mod networks;
mod presets;
mod published;

use std::fs;

use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::manager::{
    pix2pix, Lambdas, LossSpec, LpipsSpec, NetworkWeights, NonFinite, Objective, PerceptualLossSpec, Ramp,
    Schedule, Subspec, TermSpec,
};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, Architecture, BceLoss, BceWithLogitsLoss, Chunking,
    CosineEmbeddingLoss, CrossEntropyLoss, CtcLoss, DataRange, Distance, Error, FeatureCriterion,
    GaussianNllLoss, HingeEmbeddingLoss, HuberLoss, InputNormalization, KlDivLoss, L1Loss, Laplacian,
    LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, LpipsNorm, LpipsVersion, MarginRankingLoss,
    MseLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, Network, NllLoss,
    PerceptualLoss, PoissonNllLoss, Reduction, SequenceLoss, SmoothL1Loss, Sobel, SoftMarginLoss, Streaming,
    Tap, TernaryLoss, TripletMarginLoss, TripletMarginWithDistanceLoss,
};

use crate::common::{device, noise, value, vgg_parameters};

fn names(objective: &Objective) -> Vec<&str> {
    objective.losses.keys().map(String::as_str).collect()
}

#[test]
fn pix2pix_is_the_references() {
    let lambdas = Lambdas { sobel: 10.0, laplacian: 15.0, l2: 3.0, vgg: 10.0, ..Default::default() };
    let basic = ["G_GAN", "G_L1", "D_real", "D_fake"];
    let extended = ["G_GAN", "G_L1", "G_L2", "G_SOBEL", "G_LAP", "D_real", "D_fake"];
    assert_eq!(names(&pix2pix(Subspec::Basic, &lambdas)), basic);
    assert_eq!(names(&pix2pix(Subspec::Extended, &lambdas)), extended);
    let with_vgg = pix2pix(Subspec::ExtendedVgg, &lambdas);
    assert_eq!(names(&with_vgg), ["G_GAN", "G_L1", "G_L2", "G_SOBEL", "G_LAP", "G_VGG", "D_real", "D_fake"]);
    assert_eq!(names(&pix2pix(Subspec::BasicVgg, &lambdas)), ["G_GAN", "G_L1", "G_VGG", "D_real", "D_fake"]);

    let manager = pix2pix(Subspec::Extended, &lambdas).build(device()).unwrap();
    let generator = [("G_GAN", 1.0), ("G_L1", 100.0), ("G_L2", 3.0), ("G_SOBEL", 10.0), ("G_LAP", 15.0)];
    assert_eq!(manager.weights(&["G"]), generator);
    assert_eq!(manager.weights(&["D"]), [("D_real", 1.0), ("D_fake", 1.0)]);
    let defaults = pix2pix(Subspec::Extended, &Lambdas::default()).build(device()).unwrap();
    assert!(defaults.weights(&["image"])[1..].iter().all(|(_, weight)| *weight == 0.0));
}

fn everything() -> Objective {
    let ramp = Ramp { start_epoch: 1, end_epoch: 9, initial_value: 0.1, target_value: 10.0 };
    let mut objective = pix2pix(Subspec::Basic, &Lambdas::default());
    let mut add = |name: &str, loss: LossSpec, weight: Schedule| {
        objective
            .losses
            .insert(name.into(), TermSpec { weight, tags: vec!["ä \"b\".c".into()], ..loss.into() });
    };
    add(
        "linear",
        LossSpec::Sobel(Sobel { eps: 1e-4, reduction: Reduction::Sum }),
        Schedule::linear(ramp).unwrap(),
    );
    add(
        "a name.with \"everything\"",
        LossSpec::Laplacian(Laplacian { reduction: Reduction::None }),
        Schedule::exponential(ramp).unwrap(),
    );
    add("cosine", LossSpec::MseLoss(MseLoss::default()), Schedule::cosine(ramp).unwrap().warm_up(3).unwrap());
    add("step", LossSpec::L1Loss(L1Loss::default()), Schedule::step(1.0, 0.1, 30).unwrap());
    add(
        "bce",
        LossSpec::BceWithLogitsLoss(BceWithLogitsLoss {
            weight: Some([1.0].into()),
            pos_weight: Some([0.5, 2.0].into()),
            reduction: Reduction::Sum,
        }),
        Schedule::piecewise(0.0, [(2, 1.0), (5, 1e-300)]).unwrap(),
    );
    let vgg = PerceptualLossSpec {
        weights: NetworkWeights::File("weights/vgg19.safetensors".into()),
        taps: vec![(Tap::RELU5_4, 0.25), ("features.15".into(), 4.0), ("conv3_2".into(), 0.5)],
        criterion: FeatureCriterion::Mse,
        data_range: DataRange::Signed,
        normalization: InputNormalization::ImageNet,
        kind: Kind::BFloat16,
        streaming: Streaming::Images(3),
        ..Default::default()
    };
    add("vgg", LossSpec::PerceptualLoss(vgg), Schedule::constant(-0.1).unwrap());
    let random = PerceptualLossSpec {
        weights: NetworkWeights::Random,
        seed: Some(-7),
        kind: Kind::Double,
        streaming: Streaming::Off,
        ..Default::default()
    };
    add("random", LossSpec::PerceptualLoss(random), Schedule::constant(1.0).unwrap());
    add(
        "pretrained",
        LossSpec::PerceptualLoss(PerceptualLossSpec::default()),
        Schedule::constant(1.0).unwrap(),
    );
    let lpips = LpipsSpec {
        net: Architecture::SQUEEZENET1_1,
        weights: NetworkWeights::Random,
        kind: Kind::Half,
        version: LpipsVersion::V0_0,
        lpips: false,
        norm: LpipsNorm::Torchmetrics,
        data_range: DataRange::Bytes,
        reduction: Reduction::Sum,
        streaming: Streaming::Images(2),
        ..Default::default()
    };
    add("lpips", LossSpec::Lpips(lpips), Schedule::constant(1.0).unwrap());
    objective
}

#[test]
fn files_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for objective in [everything(), Objective::default(), pix2pix(Subspec::ExtendedVgg, &Lambdas::default())]
    {
        assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
        assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective);
        for name in ["objective.toml", "objective.json"] {
            let path = folder.path().join(name);
            objective.save(&path).unwrap();
            let read = Objective::from_file(&path).unwrap();
            assert_eq!(names(&read), names(&objective));
            assert_eq!(read, objective);
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_data_cannot_say_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objective.toml");
    fs::write(&path, "as it was").unwrap();
    let mut objective = pix2pix(Subspec::Basic, &Lambdas::default());
    objective.losses["G_L1"].weight = Schedule::custom(|_| 1.0);
    let error = objective.save(&path).unwrap_err().to_string();
    assert!(error.contains("Custom"), "{error}");
    objective.losses["G_L1"].weight = Schedule::constant(1.0).unwrap();
    let custom = TripletMarginWithDistanceLoss::default()
        .with_distance_function(Distance::custom(|a, b| Ok(a.f_dist(b)?)));
    objective.losses["G_L1"].loss = LossSpec::TripletMarginWithDistanceLoss(custom);
    let error = objective.save(&path).unwrap_err().to_string();
    assert_eq!(error, "objective: losses.G_L1.options: a custom distance cannot be written to a file");
    objective.losses["G_L1"].loss = LossSpec::L1Loss(L1Loss { reduction: Reduction::BatchMean });
    let error = objective.save(&path).unwrap_err().to_string();
    let message = "losses.G_L1.options.reduction: given batchmean, expected none, mean or sum";
    assert_eq!(error, format!("objective: {message}"));
    let sparse = Tensor::ones([3], (Kind::Float, device())).to_sparse(None, None::<i64>, 0);
    objective.losses["G_L1"].loss = LossSpec::NllLoss(NllLoss::default().with_weight(sparse));
    let error = objective.save(&path).unwrap_err().to_string();
    assert!(
        error.starts_with("objective: losses.G_L1.options: `weight` is a sparse or mkldnn tensor"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
}

/// JSON has `null` where it lacks a number, and `null` is a weight of 1.
#[test]
fn what_could_not_be_read_back_is_not_written() {
    let lambdas = Lambdas { l1: f64::NAN, ..Default::default() };
    let weight = pix2pix(Subspec::Basic, &lambdas);
    let with = |loss: LossSpec| {
        let mut objective = Objective::default();
        let weight = Schedule::constant(1.0).unwrap();
        objective.losses.insert("X".into(), TermSpec { weight, ..loss.into() });
        objective
    };
    let list = BceLoss::default().with_weight([1.0, f64::NAN]);
    let cases = [
        (weight, "G_L1.weight: given NaN, expected a finite number"),
        (
            with(LossSpec::Sobel(Sobel { eps: f64::INFINITY, ..Default::default() })),
            "X.options.eps: given inf, expected a finite number, 0 or more",
        ),
        (with(LossSpec::BceLoss(list)), "X.options.weight: given NaN, expected a finite number"),
    ];
    for (objective, message) in cases {
        for text in [objective.to_json(), objective.to_toml()] {
            assert_eq!(text.unwrap_err().to_string(), format!("objective: losses.{message}"));
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_error() {
    let objective = pix2pix(Subspec::Extended, &Lambdas::default());
    let toml = format!("\u{feff}{}", objective.to_toml().unwrap());
    assert_eq!(Objective::from_toml(&toml).unwrap(), objective);
    let json = format!("\u{feff}{}", objective.to_json().unwrap());
    assert_eq!(Objective::from_json(&json).unwrap(), objective);
}

#[test]
fn pytorchs_names_are_understood() {
    let text = r#"{ "losses": { "a": { "loss": "MSELoss" }, "b": { "loss": "BCEWithLogitsLoss" } } }"#;
    let objective = Objective::from_json(text).unwrap();
    assert_eq!(objective.losses["a"].loss, LossSpec::MseLoss(MseLoss::default()));
    assert_eq!(objective.losses["b"].loss, LossSpec::BceWithLogitsLoss(BceWithLogitsLoss::default()));
    assert_eq!(objective.losses["a"].weight, Schedule::constant(1.0).unwrap());
}

#[test]
fn files_that_cannot_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let error = Objective::from_file(folder.path().join("none.toml")).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    let error = Objective::from_file(folder.path().join("objective.yaml")).unwrap_err().to_string();
    assert!(
        error.ends_with("objective.yaml: the name of an objective's file ends in .toml or .json"),
        "{error}"
    );
    let unwritable = folder.path().join("file");
    fs::write(&unwritable, "").unwrap();
    let error = Objective::default().save(unwritable.join("objective.toml")).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}
