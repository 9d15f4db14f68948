//! Objectives as data: round trips, what they build, and files that say something else.
//!
//! What an objective builds is the loss that its options make by hand. On the same numbers it computes the same, to the
//! last bit.

use std::fs;

use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::manager::{
    pix2pix, Lambdas, LossSpec, NonFinite, Objective, Ramp, Schedule, Subspec, TermSpec, VggPerceptualSpec,
    VggWeights,
};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, Architecture, BceLoss, BceWithLogitsLoss, Chunking,
    CosineEmbeddingLoss, CrossEntropyLoss, CtcLoss, Distance, Error, FeatureCriterion, GaussianNllLoss,
    HingeEmbeddingLoss, HuberLoss, InputNormalization, KlDivLoss, L1Loss, Laplacian,
    LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, MarginRankingLoss, MseLoss, MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss, MultiMarginLoss, Network, NllLoss, PoissonNllLoss, Reduction, SequenceLoss,
    SmoothL1Loss, Sobel, SoftMarginLoss, Streaming, Tap, TernaryLoss, TripletMarginLoss,
    TripletMarginWithDistanceLoss, VggPerceptual,
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
        objective.losses.insert(name.into(), TermSpec { loss, weight, tags: vec!["ä \"b\".c".into()] });
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
    let vgg = VggPerceptualSpec {
        weights: VggWeights::File("weights/vgg19.safetensors".into()),
        taps: vec![(Tap::RELU5_4, 0.25), ("features.15".into(), 4.0), ("conv3_2".into(), 0.5)],
        criterion: FeatureCriterion::Mse,
        normalization: InputNormalization::ImageNetFromSigned,
        kind: Kind::BFloat16,
        streaming: Streaming::Images(3),
        ..Default::default()
    };
    add("vgg", LossSpec::VggPerceptual(vgg), Schedule::constant(-0.1).unwrap());
    let random = VggPerceptualSpec {
        weights: VggWeights::Random,
        seed: Some(-7),
        kind: Kind::Double,
        streaming: Streaming::Off,
        ..Default::default()
    };
    add("random", LossSpec::VggPerceptual(random), Schedule::constant(1.0).unwrap());
    add(
        "pretrained",
        LossSpec::VggPerceptual(VggPerceptualSpec::default()),
        Schedule::constant(1.0).unwrap(),
    );
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
    let message = "losses.G_L1.options.reduction: given BatchMean, expected None, Mean or Sum";
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
    let with = |loss| {
        let mut objective = Objective::default();
        let weight = Schedule::constant(1.0).unwrap();
        objective.losses.insert("X".into(), TermSpec { loss, weight, tags: vec![] });
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

/// What is built computes what the same loss by hand does.
#[test]
fn the_options_arrive() {
    let text = r#"
        [losses.sobel]
        loss = "Sobel"
        weight = 2
        options = { eps = 0.5, reduction = "sum" }
        [losses.l1]
        loss = "L1Loss"
        options = { reduction = "sum" }
        [losses.mse]
        loss = "MseLoss"
        options = { reduction = "sum" }
        [losses.laplacian]
        loss = "Laplacian"
        options = { reduction = "sum" }
        [losses.bce]
        loss = "BceWithLogitsLoss"
        options = { weight = [0.5], pos_weight = [1, 2, 3, 4, 5, 6, 7, 8], reduction = "sum" }
    "#;
    let mut manager = Objective::from_toml(text).unwrap().build(device()).unwrap();
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let reduction = Reduction::Sum;
    let pos_weight = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).to_device(device());
    let weight = Tensor::from_slice(&[0.5f32]).to_device(device());
    let bce =
        BceWithLogitsLoss { weight: Some(weight.into()), pos_weight: Some(pos_weight.into()), reduction };
    let by_hand: [(&str, Tensor); 5] = [
        ("sobel", Sobel { eps: 0.5, reduction }.forward(&x, &y) * 2.0),
        ("l1", L1Loss { reduction }.forward(&x, &y)),
        ("mse", MseLoss { reduction }.forward(&x, &y)),
        ("laplacian", Laplacian { reduction }.forward(&x, &y)),
        ("bce", bce.forward(&x, &y)),
    ];
    for (name, expected) in by_hand {
        assert_eq!(value(&manager.compute(name, (&x, &y)).unwrap()), value(&expected), "{name}");
    }
}

/// Each with every option away from its default, by PyTorch's name.
#[test]
fn all_losses_of_two_tensors_can_be_in_a_file() {
    let tensor = |values: &[f32]| Tensor::from_slice(values).to_device(device());
    let scores = noise(1, &[4, 3], Kind::Float);
    let other = noise(2, &[4, 3], Kind::Float);
    let (likely, target) = (scores.sigmoid(), other.sigmoid());
    let classes = Tensor::from_slice(&[0i64, 2, 1, 2]).to_device(device());
    let multi =
        Tensor::from_slice(&[0i64, -1, 0, 2, 1, -1, 1, -1, 0, 0, 1, 2]).view([4, 3]).to_device(device());
    let signs = other.sign();
    let (weight, reduction) = (|| Some(tensor(&[0.5, 2.0, 1.0]).into()), Reduction::Sum);
    let log_likely = scores.log_softmax(1, Kind::Float);
    type Case<'a> = (&'a str, &'a str, Box<dyn Loss>, &'a Tensor, &'a Tensor);
    let cases: [Case; 15] = [
        ("L1Loss", "", Box::new(L1Loss { reduction }), &scores, &other),
        ("MSELoss", "", Box::new(MseLoss { reduction }), &scores, &other),
        ("SmoothL1Loss", "beta = 0.25", Box::new(SmoothL1Loss { beta: 0.25, reduction }), &scores, &other),
        ("HuberLoss", "delta = 0.25", Box::new(HuberLoss { delta: 0.25, reduction }), &scores, &other),
        (
            "BCELoss",
            "weight = [0.5, 2, 1]",
            Box::new(BceLoss { weight: weight(), reduction }),
            &likely,
            &target,
        ),
        (
            "BCEWithLogitsLoss",
            "weight = [0.5, 2, 1], pos_weight = [3]",
            Box::new(BceWithLogitsLoss {
                weight: weight(),
                pos_weight: Some(tensor(&[3.0]).into()),
                reduction,
            }),
            &scores,
            &target,
        ),
        (
            "CrossEntropyLoss",
            "weight = [0.5, 2, 1], ignore_index = 1, label_smoothing = 0.1",
            Box::new(CrossEntropyLoss { weight: weight(), ignore_index: 1, label_smoothing: 0.1, reduction }),
            &scores,
            &classes,
        ),
        (
            "NLLLoss",
            "weight = [0.5, 2, 1], ignore_index = 1",
            Box::new(NllLoss { weight: weight(), ignore_index: 1, reduction }),
            &log_likely,
            &classes,
        ),
        (
            "KLDivLoss",
            "log_target = true",
            Box::new(KlDivLoss { log_target: true, reduction: Reduction::Sum }),
            &log_likely,
            &other,
        ),
        (
            "PoissonNLLLoss",
            "log_input = false, full = true, eps = 0.01",
            Box::new(PoissonNllLoss { log_input: false, full: true, eps: 0.01, reduction }),
            &likely,
            &target,
        ),
        (
            "HingeEmbeddingLoss",
            "margin = 0.5",
            Box::new(HingeEmbeddingLoss { margin: 0.5, reduction }),
            &scores,
            &signs,
        ),
        ("SoftMarginLoss", "", Box::new(SoftMarginLoss { reduction }), &scores, &signs),
        (
            "MultiMarginLoss",
            "p = 2, margin = 0.5, weight = [0.5, 2, 1]",
            Box::new(MultiMarginLoss { p: 2, margin: 0.5, weight: weight(), reduction }),
            &scores,
            &classes,
        ),
        ("MultiLabelMarginLoss", "", Box::new(MultiLabelMarginLoss { reduction }), &scores, &multi),
        (
            "MultiLabelSoftMarginLoss",
            "weight = [0.5, 2, 1]",
            Box::new(MultiLabelSoftMarginLoss { weight: weight(), reduction }),
            &scores,
            &target,
        ),
    ];
    for (name, options, loss, input, target) in cases {
        let comma = if options.is_empty() { "" } else { ", " };
        let text = format!("[losses.X]\nloss = '{name}'\noptions = {{ reduction = 'sum'{comma}{options} }}");
        let objective = Objective::from_toml(&text).unwrap();
        assert_eq!(objective.losses["X"].loss.name().to_lowercase(), name.to_lowercase());
        assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
        let mut manager = objective.build(device()).unwrap();
        let actual = manager.compute("X", (input, target)).unwrap();
        assert_eq!(value(&actual), value(&loss.forward(input, target)), "{name}");
        // The options matter: with the defaults the number is another one.
        let mut manager =
            Objective::from_toml(&format!("[losses.X]\nloss = '{name}'")).unwrap().build(device()).unwrap();
        let default = manager.compute("X", (input, target)).unwrap();
        assert_ne!(value(&actual), value(&default), "{name}");
    }
}

#[test]
fn options_have_their_ranges() {
    let cases = [
        ("SmoothL1Loss", "beta = -1", "beta: given -1, expected a finite number, 0 or more"),
        ("HuberLoss", "delta = 0", "delta: given 0, expected a finite number greater than 0"),
        (
            "CrossEntropyLoss",
            "label_smoothing = 1.5",
            "label_smoothing: given 1.5, expected a number in [0, 1]",
        ),
        (
            "CrossEntropyLoss",
            "label_smoothing = nan",
            "label_smoothing: given NaN, expected a number in [0, 1]",
        ),
        ("PoissonNllLoss", "eps = -1", "eps: given -1, expected a finite number, 0 or more"),
        ("HingeEmbeddingLoss", "margin = inf", "margin: given inf, expected a finite number"),
        ("MultiMarginLoss", "p = 3", "p: given 3, expected 1 or 2"),
        ("MultiMarginLoss", "margin = nan", "margin: given NaN, expected a finite number"),
        ("NllLoss", "weight = nan", "weight: given NaN, expected a finite number"),
        ("BceLoss", "weight = [1, inf]", "weight: given inf, expected a finite number"),
        ("NllLoss", "weight = []", "weight: given an empty list, expected at least one number"),
        ("BceLoss", "weight = [[1, 2], []]", "weight[1]: given an empty list, expected at least one number"),
        (
            "BceLoss",
            "weight = [[1, 2], [3]]",
            "weight: given lists of different lengths, expected equal ones",
        ),
        ("BceLoss", "weight = [[1, nan]]", "weight: given NaN, expected a finite number"),
        (
            "LinearCrossEntropyLoss",
            "num_classes = 3",
            "in_features: given 0, expected a number of at least 1",
        ),
        ("TripletMarginLoss", "p = nan", "p: given NaN, expected the degree of a norm"),
        (
            "TripletMarginLoss",
            "p = 'two'",
            "p: given the text \"two\", expected a number, \"inf\" or \"-inf\"",
        ),
        ("TripletMarginLoss", "margin = 0", "margin: given 0, expected a finite number greater than 0"),
        (
            "TripletMarginWithDistanceLoss",
            "distance_function = 'l1'",
            "distance_function: given the text \"l1\", expected \"pairwise\", \"cosine\" or \"chebyshev\"",
        ),
        ("GaussianNllLoss", "eps = -1", "eps: given -1, expected a finite number, 0 or more"),
        ("Sobel", "reduction = 'batchmean'", "reduction: given BatchMean, expected None, Mean or Sum"),
        ("CtcLoss", "reduction = 'batchmean'", "reduction: given BatchMean, expected None, Mean or Sum"),
        (
            "VggPerceptual",
            "streaming = 0",
            "streaming: given Images(0), expected at least one image at a time",
        ),
        ("VggPerceptual", "seed = 1", "seed: given 1, expected none: only `weights = \"random\"` has a seed"),
        ("VggPerceptual", "taps = { relu1_1 = inf }", "taps: given inf, expected a finite number, 0 or more"),
    ];
    for (name, options, message) in cases {
        let text = format!("[losses.X]\nloss = '{name}'\noptions = {{ {options} }}");
        let error = Objective::from_toml(&text).unwrap_err().to_string();
        assert_eq!(error, format!("objective: losses.X.options.{message} (line 3)"));
    }
    // Which numbers the weight's kind holds is known when there is an input.
    let text = "[losses.X]\nloss = 'NllLoss'\noptions = { weight = [1, 1e39] }";
    let mut manager = Objective::from_toml(text).unwrap().build(device()).unwrap();
    let classes = Tensor::from_slice(&[0i64]).to_device(device());
    let error = manager.compute("X", (&noise(1, &[1, 2], Kind::Float), &classes)).unwrap_err();
    assert_eq!(error.to_string(), "option `weight` is 1e39, expected numbers that Float holds");
    assert!(manager.compute("X", (&noise(1, &[1, 2], Kind::Double), &classes)).is_ok());
}

#[test]
fn networks_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    let parameters = vgg_parameters();
    Tensor::write_safetensors(&parameters, &path).unwrap();
    let spec = |taps: &[(Tap, f64)]| {
        let weights = VggWeights::File(path.clone());
        let loss = VggPerceptualSpec { weights, taps: taps.into(), ..Default::default() };
        TermSpec {
            loss: LossSpec::VggPerceptual(loss),
            weight: Schedule::constant(1.0).unwrap(),
            tags: vec![],
        }
    };
    let mut objective = Objective::default();
    objective.losses.insert("shallow".into(), spec(&[(Tap::RELU1_1, 2.0)]));
    objective.losses.insert("deep".into(), spec(&[(Tap::RELU2_2, 1.0)]));
    let mut manager = objective.build(device()).unwrap();
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let by_hand = |taps: &[(Tap, f64)]| {
        value(
            &VggPerceptual { taps: taps.into(), ..VggPerceptual::new(crate::common::vgg()) }.forward(&x, &y),
        )
    };
    let shallow = manager.compute("shallow", (&x, &y)).unwrap();
    assert_eq!(value(&shallow), by_hand(&[(Tap::RELU1_1, 2.0)]));
    let deep = manager.compute("deep", (&x, &y)).unwrap();
    assert_eq!(value(&deep), by_hand(&[(Tap::RELU2_2, 1.0)]));

    fs::remove_file(&path).unwrap();
    let error = objective.build(Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

fn vgg_options(options: &str) -> Objective {
    Objective::from_toml(&format!("[losses.X]\nloss = 'VggPerceptual'\noptions = {{ {options} }}")).unwrap()
}

#[test]
fn random_networks_have_a_seed_of_their_own() {
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let compute =
        |options: &str| value(&vgg_options(options).build(device()).unwrap().compute("X", (&x, &y)).unwrap());
    let nine = compute("weights = 'random', seed = 9");
    tch::manual_seed(1); // which has nothing to do with it
    assert_eq!(compute("weights = 'random', seed = 9"), nine);
    assert_ne!(compute("weights = 'random', seed = -9"), nine);
    assert_eq!(compute("weights = 'random'"), compute("weights = 'random', seed = 0"));
    // Weights of this size keep the magnitude from layer to layer, where one has as many channels as the one before.
    // The channels grow from 3 to 512, for a factor sqrt(3 / 512) in all, and what two images differ in shrinks
    // somewhat faster. Weights of half or double the size would make 2^-16 or 2^16 of it.
    let (x, y) = (noise(1, &[1, 3, 32, 32], Kind::Float), noise(2, &[1, 3, 32, 32], Kind::Float));
    let mut manager = vgg_options("weights = 'random', taps = { relu5_4 = 1 }").build(device()).unwrap();
    let deep = value(&manager.compute("X", (&x, &y)).unwrap());
    assert!((1e-5..0.5).contains(&deep), "{deep}");
}

#[test]
fn networks_compute_in_the_kind_of_the_file() {
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    Tensor::write_safetensors(&vgg_parameters(), &path).unwrap();
    let network = Network::from_file(&path, &Architecture::VGG19, device()).unwrap();
    let weights = path.to_str().unwrap();
    let mut values = Vec::new();
    for (names, kind) in [
        (&["f32", "float32", "float"][..], Kind::Float),
        (&["bf16", "bfloat16", "torch.bfloat16"], Kind::BFloat16),
        (&["f64", "double"], Kind::Double),
    ] {
        let by_hand = value(&VggPerceptual::new(network.to_kind(kind).unwrap()).forward(&x, &y));
        for name in names {
            let objective = vgg_options(&format!("weights = '{weights}', kind = '{name}'"));
            let computed = objective.build(device()).unwrap().compute("X", (&x, &y)).unwrap();
            assert_eq!(value(&computed), by_hand, "{name}");
        }
        values.push(by_hand);
    }
    assert!(values[0] != values[1], "the kind matters");
    for (given, streaming) in
        [("'auto'", Streaming::Auto), ("'off'", Streaming::Off), ("5", Streaming::Images(5))]
    {
        let objective = vgg_options(&format!("weights = 'random', streaming = {given}"));
        let LossSpec::VggPerceptual(spec) = &objective.losses["X"].loss else { panic!() };
        assert_eq!(spec.streaming, streaming);
        let manager = objective.build(device()).unwrap();
        assert!(format!("{manager:?}").contains(&format!("streaming: {streaming:?}")));
    }
    assert_eq!(
        vgg_options("weights = 'random', kind = 'half'"),
        vgg_options("weights = 'random', kind = 'f16'")
    );
}

/// What the text is refused with, without the name of the origin.
#[track_caller]
fn problem(read: fn(&str) -> tch_losses::Result<Objective>, text: &str) -> String {
    let error = read(text).unwrap_err().to_string();
    error.strip_prefix("objective: ").unwrap().to_owned()
}

/// Each with the path of the field and the line.
#[test]
fn errors_say_where() {
    let sobel = "[losses.G]\nloss = 'Sobel'\n";
    let kinds = "`constant`, `linear`, `exponential`, `cosine`, `step`, `piecewise`, `warm_up`";
    let ends = "start_epoch = 1, end_epoch = 2, initial_value = 0";
    let cases = [
        // The whole.
        ("".into(), "`losses` is missing: write [losses.NAME] for each loss (line 1)".into()),
        ("losses = 3".into(), "losses: given the number 3, expected a table of losses by name, [losses.NAME] (line 1)".into()),
        ("[[losses]]\nloss = 'Sobel'".into(), "losses: given a list of 1, expected a table of losses by name, [losses.NAME] (line 1)".into()),
        ("losses = {}\nlambda = 3".into(), "lambda: losses stand in the table `losses`: write [losses.NAME] (line 2)".into()),
        ("\n[G_L1]\nloss = 'L1Loss'".into(), "G_L1: losses stand in the table `losses`: write [losses.G_L1] (line 2)".into()),
        ("[loss.G_L1]\nloss = 'L1Loss'".into(), "loss: losses stand in the table `losses`: write [losses.G_L1] (line 1)".into()),
        ("[losses.G\n".into(), "unclosed table, expected `]` (line 1)".into()),
        (format!("{sobel}weight = 1\nweight = 2"), "duplicate key (line 4)".into()),
        // A loss.
        ("[losses]\nG = 3".into(), "losses.G: given the number 3, expected a table that describes a loss (line 2)".into()),
        ("[losses.G]\nweight = 1".into(), "losses.G: `loss` is missing: write, for instance, loss = \"L1Loss\" (line 1)".into()),
        ("[losses.G]\ntype = 'L1Loss'".into(), "losses.G: `loss` is missing: write `loss` instead of `type` (line 2)".into()),
        ("[losses.G]\nloss = 1".into(), "losses.G.loss: given the number 1, expected a text in quotes (line 2)".into()),
        (
            format!("{sobel}wieght = 1"),
            "losses.G.wieght: a loss has no such field, did you mean `weight`? There are `loss`, `weight`, `schedule`, \
             `tags`, `options` (line 3)".into(),
        ),
        (
            format!("{sobel}lambda = 1"),
            "losses.G.lambda: a loss has no such field, did you mean `weight`? There are `loss`, `weight`, `schedule`, \
             `tags`, `options` (line 3)".into(),
        ),
        (
            format!("{sobel}colour = 1"),
            "losses.G.colour: a loss has no such field: there are `loss`, `weight`, `schedule`, `tags`, `options` \
             (line 3)".into(),
        ),
        (format!("{sobel}eps = 1"), "losses.G.eps: this is an option of the loss: write options = { eps = .. } (line 3)".into()),
        // Weights and tags.
        (format!("{sobel}weight = '1'"), "losses.G.weight: given the text \"1\", expected a number (line 3)".into()),
        (format!("{sobel}weight = true"), "losses.G.weight: given true, expected a number (line 3)".into()),
        (format!("{sobel}weight = 1979-05-27"), "losses.G.weight: given the date 1979-05-27, expected a number (line 3)".into()),
        (format!("{sobel}weight = nan"), "losses.G.weight: given NaN, expected a finite number (line 3)".into()),
        (
            format!("{sobel}weight = [1, 2]"),
            "losses.G.weight: given a list of 2, expected a number; the `weight` of classes goes into `options` (line 3)".into(),
        ),
        (
            format!("{sobel}weight = {{ constant = 1 }}"),
            "losses.G.weight: given a table, expected a number; a weight that changes is a `schedule` (line 3)".into(),
        ),
        (
            format!("{sobel}schedule = {{ constant = 1 }}\nweight = 1"),
            "losses.G.schedule: there is a `weight`, too: choose one (line 3)".into(),
        ),
        (format!("{sobel}tags = ['G', 1]"), "losses.G.tags[1]: given the number 1, expected a text in quotes (line 3)".into()),
        (format!("{sobel}tags = {{}}"), "losses.G.tags: given a table, expected a list (line 3)".into()),
        // Schedules.
        (
            format!("{sobel}schedule = 3"),
            "losses.G.schedule: given the number 3, expected a table such as { linear = { .. } }; a number alone is a \
             `weight` (line 3)".into(),
        ),
        (
            format!("{sobel}schedule = 'linear'"),
            "losses.G.schedule: `linear` needs its values: { linear = { start_epoch = .., end_epoch = .., initial_value \
             = .., target_value = .. } } (line 3)".into(),
        ),
        (format!("{sobel}schedule = 'constant'"), "losses.G.schedule: `constant` needs its values: { constant = .. } (line 3)".into()),
        (format!("{sobel}schedule = {{}}"), format!("losses.G.schedule: given an empty table, expected just one of {kinds} (line 3)")),
        (
            format!("{sobel}schedule = {{ {ends} }}"),
            format!("losses.G.schedule: given start_epoch, end_epoch, initial_value, expected just one of {kinds} (line 3)"),
        ),
        (format!("{sobel}schedule = {{ fade = 1 }}"), format!("losses.G.schedule: `fade` is not known: there are {kinds} (line 3)")),
        (
            format!("{sobel}schedule = {{ warmup = 1 }}"),
            format!("losses.G.schedule: `warmup` is not known, did you mean `warm_up`? There are {kinds} (line 3)"),
        ),
        (format!("{sobel}schedule = {{ linear = {{ {ends} }} }}"), "losses.G.schedule.linear: `target_value` is missing (line 3)".into()),
        (
            format!("{sobel}schedule.linear = 3"),
            "losses.G.schedule.linear: given the number 3, expected a table { start_epoch = .., end_epoch = .., \
             initial_value = .., target_value = .. } (line 3)".into(),
        ),
        (
            format!("{sobel}schedule = {{ warm_up = {{ epochs = 1, then = {{ step = {{ gamma = 'x' }} }} }} }}"),
            "losses.G.schedule.warm_up.then.step.gamma: given the text \"x\", expected a number (line 3)".into(),
        ),
        (
            format!("{sobel}\nschedule.step = {{ initial_value = 1, gamma = 1, step_size = 0 }}"),
            "losses.G.schedule: option `step_size` is 0, expected 1 or more (line 4)".into(),
        ),
        (
            format!("{sobel}schedule.step = {{ initial_value = 1, gamma = 1, step_size = -1 }}"),
            "losses.G.schedule.step.step_size: given the number -1, expected a whole number, 0 or more (line 3)".into(),
        ),
        (
            format!("{sobel}schedule.piecewise = {{ initial_value = 1, milestones = [\n[2, 1],\n3] }}"),
            "losses.G.schedule.piecewise.milestones[1]: given the number 3, expected a list of 2 in brackets (line 5)".into(),
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objective.toml");
    for (text, message) in cases {
        let (text, message): (String, String) = (text, message);
        assert_eq!(problem(Objective::from_toml, &text), message, "{text}");
        fs::write(&path, &text).unwrap();
        let error = Objective::from_file(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {message}", path.display()));
    }
}

#[test]
fn errors_in_options_say_what_is_accepted() {
    let cases = [
        ("Sobel", "'eps'", "options: given the text \"eps\", expected a table { reduction = .., eps = .. }"),
        ("Sobel", "{ eps = 'x' }", "options.eps: given the text \"x\", expected a number"),
        ("Sobel", "{ eps = [1] }", "options.eps: given a list of 1, expected a number"),
        ("Sobel", "{ epsilon = 1 }", "options.epsilon: there is no such option, did you mean `eps`? There are `reduction`, `eps`"),
        ("L1Loss", "{ size_average = true }", "options.size_average: there is no such option, did you mean `reduction`? There is `reduction`"),
        ("Sobel", "{ reduction = 'avg' }", "options.reduction: `avg` is not known: there are `none`, `mean`, `sum`, `batchmean`"),
        ("Sobel", "{ reduction = 1 }", "options.reduction: given the number 1, expected one of `none`, `mean`, `sum`, `batchmean`"),
        (
            "KLDivLoss",
            "{ reduction = 'batch_mean' }",
            "options.reduction: `batch_mean` is not known, did you mean `batchmean`? There are `none`, `mean`, `sum`, `batchmean`",
        ),
        ("KLDivLoss", "{ reduction = { sum = 1 } }", "options.reduction: `sum` takes no values: write \"sum\""),
        ("KLDivLoss", "{ log_target = 1 }", "options.log_target: given the number 1, expected true or false"),
        ("CrossEntropyLoss", "{ ignore_index = 1.5 }", "options.ignore_index: given the number 1.5, expected a whole number"),
        (
            "CrossEntropyLoss",
            "{ smoothing = 0.1 }",
            "options.smoothing: there is no such option, did you mean `label_smoothing`? There are `weight`, \
             `ignore_index`, `label_smoothing`, `reduction`",
        ),
        ("BCEWithLogitsLoss", "{ pos_weight = [1, 'x'] }", "options.pos_weight[1]: given the text \"x\", expected a number or a list of numbers"),
        ("BCEWithLogitsLoss", "{ pos_weight = {} }", "options.pos_weight: given a table, expected a number or a list of numbers"),
        ("VggPerceptual", "{ kind = 'int8' }", "options.kind: given the text \"int8\", expected f16, bf16, f32 or f64"),
        (
            "VggPerceptual",
            "{ streaming = false }",
            "options.streaming: given false, expected \"auto\", \"off\" or the number of images at a time",
        ),
        (
            "VggPerceptual",
            "{ streaming = -1 }",
            "options.streaming: given the number -1, expected \"auto\", \"off\" or the number of images at a time",
        ),
        (
            "VggPerceptual",
            "{ weights = 'Pretraind' }",
            "options.weights: given the text \"Pretraind\", did you mean `pretrained`? A file of that name is written \"./Pretraind\"",
        ),
        (
            "VggPerceptual",
            "{ weights = 'DEFAULT' }",
            "options.weights: given the text \"DEFAULT\", did you mean `pretrained`? A file of that name is written \"./DEFAULT\"",
        ),
        (
            "VggPerceptual",
            "{ layers = {} }",
            "options.layers: there is no such option, did you mean `taps`? There are `weights`, `seed`, `kind`, `taps`, \
             `criterion`, `normalization`, `streaming`",
        ),
        (
            "VggPerceptual",
            "{ taps = ['relu1_1'] }",
            "options.taps: given a list of 1, expected a table of weights by tap, such as { relu1_2 = 1.0 }",
        ),
        ("VggPerceptual", "{ taps = { relu9_1 = 1 } }", "options.taps: given \"relu9_1\", expected a layer of vgg19: conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to pool5 or features.0 to features.36"),
        ("VggPerceptual", "{ taps = {} }", "options.taps: given empty, expected at least one tap"),
        ("VggPerceptual", "{ taps = { relu1_1 = -1 } }", "options.taps: given -1, expected a finite number, 0 or more"),
        ("VggPerceptual", "{ criterion = 'l2' }", "options.criterion: `l2` is not known, did you mean `mse`? There are `l1`, `mse`"),
        (
            "VggPerceptual",
            "{ normalization = 'imagenet' }",
            "options.normalization: `imagenet` is not known, did you mean `imagenet_from_unit`? There are `none`, \
             `imagenet_from_unit`, `imagenet_from_signed`",
        ),
    ];
    for (loss, options, message) in cases {
        let text = format!("[losses.G]\nloss = '{loss}'\n\noptions = {options}");
        assert_eq!(problem(Objective::from_toml, &text), format!("losses.G.{message} (line 4)"));
    }
}

#[test]
fn losses_by_another_name() {
    let list = "L1Loss, MseLoss, SmoothL1Loss, HuberLoss, Sobel, Laplacian, VggPerceptual, BceLoss, BceWithLogitsLoss, \
                CrossEntropyLoss, NllLoss, LinearCrossEntropyLoss, AdaptiveLogSoftmaxWithLoss, SoftMarginLoss, \
                MultiMarginLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, HingeEmbeddingLoss, MarginRankingLoss, \
                CosineEmbeddingLoss, TripletMarginLoss, TripletMarginWithDistanceLoss, KlDivLoss, PoissonNllLoss, \
                GaussianNllLoss, CtcLoss";
    let problem = |name: &str| {
        let text = format!("[losses.G]\nloss = {name:?}");
        let problem = problem(Objective::from_toml, &text);
        problem.strip_prefix("losses.G.loss: ").unwrap().strip_suffix(" (line 2)").unwrap().to_owned()
    };
    for (name, meant) in [
        ("Sobl", "Sobel"),
        ("sobel", "Sobel"),
        ("laplace", "Laplacian"),
        ("L1", "L1Loss"),
        ("l1_loss", "L1Loss"),
        ("MSE", "MseLoss"),
        ("L2Loss", "MseLoss"),
        ("torch.nn.MSELoss", "MseLoss"),
        ("nn.L1Loss", "L1Loss"),
        ("BCE", "BceLoss"),
        ("BCEWithLogits", "BceWithLogitsLoss"),
        ("binary_cross_entropy_with_logits", "BceWithLogitsLoss"),
        ("NLL", "NllLoss"),
        ("cross_entropy", "CrossEntropyLoss"),
        ("SmoothL1", "SmoothL1Loss"),
        ("KLDiv", "KlDivLoss"),
        ("VGG", "VggPerceptual"),
        ("VGGLoss", "VggPerceptual"),
        ("Perceptual", "VggPerceptual"),
    ] {
        assert_eq!(problem(name), format!("`{name}` is no loss, did you mean `{meant}`?"));
    }
    for name in ["SSIM", "Dice", "", "x", "Wasserstein"] {
        assert_eq!(problem(name), format!("`{name}` is no loss, expected one of {list}"));
    }
    for (name, meant) in [
        ("TripletLoss", "TripletMarginLoss"),
        ("MarginRanking", "MarginRankingLoss"),
        ("nn.GaussianNLL", "GaussianNllLoss"),
        ("CTC", "CtcLoss"),
        ("LinearCrossEntropy", "LinearCrossEntropyLoss"),
    ] {
        assert_eq!(problem(name), format!("`{name}` is no loss, did you mean `{meant}`?"));
    }
}

/// Each with every option away from its default, by PyTorch's name.
#[test]
fn losses_of_three_tensors_can_be_in_a_file() {
    let [a, p, n] = [1, 2, 3].map(|seed| noise(seed, &[4, 3], Kind::Float));
    let (signs, sign, var) = (n.sign(), n.select(1, 0).sign(), n.square());
    let reduction = Reduction::Sum;
    type Case<'a> = (&'a str, &'a str, Box<dyn TernaryLoss>, [&'a Tensor; 3]);
    let triplet = TripletMarginLoss { margin: 0.5, p: f64::INFINITY, eps: 0.01, swap: true, reduction };
    let with_distance = |distance_function| TripletMarginWithDistanceLoss {
        distance_function,
        margin: 0.5,
        swap: true,
        reduction,
    };
    let cases: [Case; 6] = [
        (
            "MarginRankingLoss",
            "margin = 0.5",
            Box::new(MarginRankingLoss { margin: 0.5, reduction }),
            [&a, &p, &signs],
        ),
        (
            "CosineEmbeddingLoss",
            "margin = -0.5",
            Box::new(CosineEmbeddingLoss { margin: -0.5, reduction }),
            [&a, &p, &sign],
        ),
        (
            "TripletMarginLoss",
            "margin = 0.5, p = 'inf', eps = 0.01, swap = true",
            Box::new(triplet),
            [&a, &p, &n],
        ),
        (
            "TripletMarginWithDistanceLoss",
            "distance_function = 'cosine', margin = 0.5, swap = true",
            Box::new(with_distance(Distance::Cosine)),
            [&a, &p, &n],
        ),
        (
            "TripletMarginWithDistanceLoss",
            "distance_function = 'chebyshev', margin = 0.5, swap = true",
            Box::new(with_distance(Distance::Chebyshev)),
            [&a, &p, &n],
        ),
        (
            "GaussianNLLLoss",
            "full = true, eps = 0.5",
            Box::new(GaussianNllLoss { full: true, eps: 0.5, reduction }),
            [&a, &p, &var],
        ),
    ];
    for (name, options, loss, [first, second, third]) in cases {
        let text = format!("[losses.X]\nloss = '{name}'\noptions = {{ reduction = 'sum', {options} }}");
        let objective = Objective::from_toml(&text).unwrap();
        assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
        assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective);
        let compute = |objective: Objective| {
            let mut manager = objective.build(device()).unwrap();
            value(&manager.compute("X", (first, second, third)).unwrap())
        };
        let actual = compute(objective);
        assert_eq!(actual, value(&loss.forward(first, second, third)), "{name}");
        // The options matter: with the defaults the number is another one.
        let default = Objective::from_toml(&format!("[losses.X]\nloss = '{name}'")).unwrap();
        assert_ne!(actual, compute(default), "{name}");
    }
}

#[test]
fn ctc_can_be_in_a_file() {
    let text = "[losses.X]\nloss = 'CTCLoss'\n\
                options = { blank = 2, zero_infinity = true, reduction = 'sum' }";
    let objective = Objective::from_toml(text).unwrap();
    assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
    let log_probs = noise(1, &[5, 2, 3], Kind::Float).log_softmax(-1, Kind::Float);
    let targets = Tensor::from_slice(&[0i64, 1, 0, 0]).view([2, 2]).to_device(device());
    // The second target is too long for its frames.
    let lengths = (&[5i64, 2][..], &[2i64, 2][..]);
    let compute = |objective: Objective| {
        let mut manager = objective.build(device()).unwrap();
        manager.set_non_finite(NonFinite::Ignore);
        value(&manager.compute("X", (&log_probs, &targets, lengths.0, lengths.1)).unwrap())
    };
    let by_hand = CtcLoss { blank: 2, zero_infinity: true, reduction: Reduction::Sum };
    let actual = compute(objective);
    assert_eq!(actual, value(&by_hand.forward(&log_probs, &targets, lengths.0, lengths.1)));
    assert!(actual > 0.0 && actual.is_finite());
    let default = Objective::from_toml("[losses.X]\nloss = 'CtcLoss'").unwrap();
    assert_ne!(actual, compute(default));
}

/// Two variable stores with the same numbers, by the names of the parameters.
fn copy_parameters(from: &nn::VarStore, prefix: &str, to: &nn::VarStore) {
    let from = from.variables();
    assert_eq!(from.len(), to.len());
    for (name, mut parameter) in to.variables() {
        no_grad(|| parameter.copy_(&from[&format!("{prefix}.{name}")]));
    }
}

#[test]
fn losses_with_parameters_can_be_in_a_file() {
    let input = noise(1, &[5, 8], Kind::Float);
    let places = Tensor::from_slice(&[0i64, 2, 1, 3, 2, 1, 0, 3, 1, 2]).view([5, 2]).to_device(device());
    let classes = places.select(1, 1); // one of each cluster
    let linear = LinearCrossEntropyConfig {
        in_features: 8,
        num_classes: 4,
        out_features: vec![2],
        bias: true,
        weight: Some([0.5, 2.0, 1.0, 3.0].into()),
        ignore_index: Some(1),
        label_smoothing: 0.1,
        reduction: Reduction::Sum,
        chunking: Chunking::Rows(2),
    };
    let adaptive = AdaptiveLogSoftmaxConfig {
        div_value: 2.0,
        head_bias: true,
        ..AdaptiveLogSoftmaxConfig::new(8, 5, &[2, 3])
    };
    type Make<'a> = Box<dyn Fn(&nn::Path) -> Box<dyn Loss> + 'a>;
    let cases: [(&str, &str, Make, &Tensor); 2] = [
        (
            "LinearCrossEntropyLoss",
            "in_features = 8, num_classes = 4, out_features = [2], bias = true, weight = [0.5, 2, 1, 3], \
             ignore_index = 1, label_smoothing = 0.1, reduction = 'sum', chunking = { rows = 2 }",
            Box::new(|vs| Box::new(LinearCrossEntropyLoss::new(vs, linear.clone()).unwrap())),
            &places,
        ),
        (
            "AdaptiveLogSoftmaxWithLoss",
            "in_features = 8, n_classes = 5, cutoffs = [2, 3], div_value = 2, head_bias = true",
            Box::new(|vs| Box::new(AdaptiveLogSoftmaxWithLoss::new(vs, adaptive.clone()).unwrap())),
            &classes,
        ),
    ];
    for (name, options, make, target) in cases {
        let text = format!("[losses.'A.B']\nloss = '{name}'\noptions = {{ {options} }}");
        let objective = Objective::from_toml(&text).unwrap();
        assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
        let [vs, by_hand] = [0, 1].map(|_| nn::VarStore::new(device()));
        let mut manager = objective.build_in(&vs.root()).unwrap();
        let loss = make(&by_hand.root());
        copy_parameters(&vs, "A_B", &by_hand);
        let computed = manager.compute("A.B", (&input, target)).unwrap();
        assert_eq!(value(&computed), value(&loss.forward(&input, target)), "{name}");
        // The parameters are the store's, to be trained.
        computed.backward();
        assert!(vs.trainable_variables().iter().all(|parameter| parameter.grad().defined()), "{name}");

        let error = objective.build(device()).unwrap_err().to_string();
        let message =
            format!("`{name}` has parameters: use `Objective::build_in`, which takes a variable store");
        assert_eq!(error, format!("objective: losses.A.B.loss: {message}"));
    }
}

/// A number, a list and lists of lists, as the shapes that they are.
#[test]
fn weights_have_the_shapes_of_their_lists() {
    let (x, y) = (noise(1, &[2, 3], Kind::Float), noise(2, &[2, 3], Kind::Float).sigmoid());
    for (text, shape, values) in [
        ("2", vec![], vec![2f32]),
        ("[2.5]", vec![1], vec![2.5]),
        ("[1, 2.5, 3]", vec![3], vec![1.0, 2.5, 3.0]),
        ("[[1], [2]]", vec![2, 1], vec![1.0, 2.0]),
        ("[[1, 2, 3], [4, 5, 6.5]]", vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5]),
    ] {
        let text = format!("[losses.X]\nloss = 'BCEWithLogitsLoss'\noptions = {{ weight = {text} }}");
        let objective = Objective::from_toml(&text).unwrap();
        assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
        assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective);
        let weight = Tensor::from_slice(&values).view(&shape[..]).to_device(device());
        let by_hand = BceWithLogitsLoss::default().with_weight(weight).forward(&x, &y);
        let computed = objective.build(device()).unwrap().compute("X", (&x, &y)).unwrap();
        assert_eq!(value(&computed), value(&by_hand), "{text}");
    }
}

#[test]
fn errors_in_json_say_where() {
    let cases = [
        ("", "the text ends where a value is expected (line 1)"),
        ("[]", "given a list of 0, expected a table with the table `losses` (line 1)"),
        (
            "{\"losses\": {\"a\": {\"loss\": \"Sobel\"},\n\"a\": {\"loss\": \"Sobel\"}}}",
            "`a` is there twice (line 2)",
        ),
        ("{\"losses\": {}}\n x", "given more text after the end of the value (line 2)"),
        (
            "{\"losses\": {\"a\":\n{\"loss\": \"Sobel\",\n\"options\": {\"eps\":\n[]}}}}",
            "losses.a.options.eps: given a list of 0, expected a number (line 4)",
        ),
        (
            "{\"losses\": {\"a\": {\"loss\": \"Sobel\", \"weight\": null}}}",
            "losses.a.weight: given null, expected a number (line 1)",
        ),
        (
            "{\"losses\": {\n\"a\": {\"loss\": \"Sobel\", \"weight\": 1e999}}}",
            "given a number that is too large (line 2)",
        ),
        (
            "{\"losses\": {\"a\": {\"loss\": \"Sobel\",\n\"weight\": 1,}}}",
            "expected the name of a field, in double quotes (line 2)",
        ),
        (
            "{\"losses\": {\n\"a\": {\"loss\": \"\\ud800\"}}}",
            "given half a character: `\\ud800` to `\\udfff` come in pairs (line 2)",
        ),
        (
            "{\"losses\": {\n\"a\": {\"lambda\": 1, \"loss\": \"Sobel\"}}}",
            "losses.a.lambda: a loss has no such field, did you mean \
          `weight`? There are `loss`, `weight`, `schedule`, `tags`, `options` (line 2)",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(problem(Objective::from_json, text), message, "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = problem(Objective::from_json, &format!("{{\"losses\": {deep}}}"));
    assert!(error.contains("in each other"), "{error}");
}

/// A name may have anything in it; what a terminal would obey is shown.
#[test]
fn control_characters_of_a_file_are_shown() {
    let obeyed = |text: &str| text.contains(|c: char| c.is_control() || c == '\u{202e}');
    let names = r#""\u001b[31m\n\u202e""#;
    for text in [
        format!("[losses.{names}]\nloss = 'L1Loss'\n{names} = 1"),
        format!("[losses.{names}]\nloss = {names}"),
        format!("[losses.G]\nloss = 'L1Loss'\nweight = {names}"),
        format!("[losses.G]\nloss = 'L1Loss'\noptions = {{ {names} = 1 }}"),
        format!("[losses.G]\nloss = 'L1Loss'\noptions = {{ reduction = {names} }}"),
        format!("[losses.G]\nloss = 'L1Loss'\nschedule = {names}"),
        format!("[losses.G]\nloss = 'L1Loss'\nschedule = {{ {names} = 1, a = 2 }}"),
        format!("{names} = 1"),
    ] {
        let message = problem(Objective::from_toml, &text);
        assert!(message.contains(r"\u{1b}[31m\n\u{202e}") && !obeyed(&message), "{message:?}");
    }
    let objective =
        Objective::from_toml(&format!("[losses.{names}]\nloss = 'L1Loss'\ntags = {names}")).unwrap();
    assert!(
        objective.to_string().lines().all(|line| !obeyed(line)) && objective.to_string().lines().count() == 3
    );
    let mut manager = objective.build(device()).unwrap();
    let x = noise(1, &[3], Kind::Float);
    let evil = "\u{1b}[31m\n\u{202e}";
    let _ = manager.compute(evil, (&x, &x)).unwrap();
    for text in [
        manager.format_losses(&[], 2).unwrap(),
        manager.format_weights(&[], 2),
        manager.compute("X", (&x, &x)).unwrap_err().to_string(),
        manager.compute(&format!("{evil}{evil}"), (&x, &x)).unwrap_err().to_string(),
        manager.compute(evil, (&x, &x, &x)).unwrap_err().to_string(),
        manager.register(evil, L1Loss::default()).unwrap_err().to_string(),
        manager.last_total(&["X"]).unwrap_err().to_string(),
    ] {
        assert!(text.contains(r"\u{1b}[31m\n\u{202e}") && !obeyed(&text), "{text:?}");
    }
    let loss = x.copy() * f64::NAN;
    let _ = manager.compute(evil, (&loss, &x)).unwrap();
    let error = manager.flush().unwrap_err().to_string();
    assert!(error.contains(r"\u{1b}[31m\n\u{202e}") && !obeyed(&error), "{error:?}");
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    let one =
        "[losses.X]\nloss = 'BCEWithLogitsLoss'\ntags = 'G'\noptions = { pos_weight = 2, weight = 0.5 }";
    let list = "[losses.X]\nloss = 'BCEWithLogitsLoss'\ntags = ['G']\noptions = { pos_weight = [2.0], weight = [0.5] }";
    let [one, list] = [one, list].map(|text| Objective::from_toml(text).unwrap());
    assert_eq!(one.losses["X"].tags, list.losses["X"].tags);
    let (x, y) = (noise(1, &[4, 3], Kind::Float), noise(2, &[4, 3], Kind::Float).sigmoid());
    let computed = one.build(device()).unwrap().compute("X", (&x, &y)).unwrap();
    assert_eq!(computed, list.build(device()).unwrap().compute("X", (&x, &y)).unwrap());
    // PyTorch's definition, in f64. Twelve terms of f32, each of a few roundings of 2^-24 of at most the largest term.
    let (x, y) = (x.to_kind(Kind::Double), y.to_kind(Kind::Double));
    let no = -&y + 1.0;
    let by_hand = (&y * x.log_sigmoid() * 2.0 + no * (-&x).log_sigmoid()) * -0.5;
    assert!((value(&computed) - value(&by_hand.mean(Kind::Double))).abs() < 1e-5 * value(&by_hand.max()));
}

#[test]
fn taps_are_any_layers() {
    let objective = vgg_options("weights = 'random', taps = { 'features.8' = 2, conv1_2 = 0.5 }");
    let LossSpec::VggPerceptual(spec) = &objective.losses["X"].loss else { panic!() };
    let taps = vec![(Tap::new("features.8"), 2.0), (Tap::new("conv1_2"), 0.5)];
    assert_eq!(spec.taps, taps);
    // Told as a file has it.
    let told = objective.to_string();
    let line = told.lines().find_map(|line| line.trim().strip_prefix("taps = ")).unwrap();
    let again = vgg_options(&format!("weights = 'random', taps = {line}"));
    assert_eq!(again, objective, "{told}");
    // The layer of the index is relu2_2.
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let by_name = vgg_options("weights = 'random', taps = { relu2_2 = 2, conv1_2 = 0.5 }");
    let [first, second] = [&objective, &by_name]
        .map(|objective| value(&objective.build(device()).unwrap().compute("X", (&x, &y)).unwrap()));
    assert_eq!(first, second);
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
