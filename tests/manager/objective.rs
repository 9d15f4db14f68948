//! Objectives as data: round trips, what they build, and files that say something else.

use std::fs;

use tch::{Device, Kind, Reduction, Tensor};
use tch_losses::manager::{
    pix2pix, BceSpec, BceWithLogitsSpec, Lambdas, LossSpec, Objective, Ramp, Schedule, Subspec, TermSpec,
    VggPerceptualSpec, VggWeights,
};
use tch_losses::{
    BceLoss, BceWithLogitsLoss, CrossEntropyLoss, Error, FeatureCriterion, HingeEmbeddingLoss, HuberLoss,
    InputNormalization, KlDivLoss, KlDivReduction, L1Loss, Laplacian, Loss, MseLoss, MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss, MultiMarginLoss, NllLoss, PoissonNllLoss, SmoothL1Loss, Sobel, SoftMarginLoss,
    VggLayer, VggPerceptual,
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
        LossSpec::BceWithLogitsLoss(BceWithLogitsSpec {
            weight: Some(vec![1.0]),
            pos_weight: Some(vec![0.5, 2.0]),
            reduction: Reduction::Sum,
        }),
        Schedule::piecewise(0.0, [(2, 1.0), (5, 1e-300)]).unwrap(),
    );
    let vgg = VggPerceptualSpec {
        weights: VggWeights::File("weights/vgg19.safetensors".into()),
        taps: vec![(VggLayer::Relu5_4, 0.25), (VggLayer::Relu1_1, 4.0)],
        criterion: FeatureCriterion::Mse,
        normalization: InputNormalization::ImageNetFromSigned,
    };
    add("vgg", LossSpec::VggPerceptual(vgg), Schedule::constant(-0.1).unwrap());
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
    objective.losses["G_L1"].loss = LossSpec::L1Loss(L1Loss { reduction: Reduction::Other(7) });
    let error = objective.save(&path).unwrap_err().to_string();
    assert_eq!(error, "objective: losses.G_L1.options: a reduction that is not none, mean or sum");
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
    let list = BceSpec { weight: Some(vec![1.0, f32::NAN]), ..Default::default() };
    let cases = [
        (weight, "G_L1.weight: it is not finite"),
        (
            with(LossSpec::Sobel(Sobel { eps: f64::INFINITY, ..Default::default() })),
            "X.options.eps: inf is not a finite number, 0 or more",
        ),
        (with(LossSpec::BceLoss(list)), "X.options.weight: NaN is not a finite number"),
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
    assert_eq!(objective.losses["b"].loss, LossSpec::BceWithLogitsLoss(BceWithLogitsSpec::default()));
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
    let bce = BceWithLogitsLoss { weight: Some(weight), pos_weight: Some(pos_weight), reduction };
    let by_hand: [(&str, Tensor); 5] = [
        ("sobel", Sobel { eps: 0.5, reduction }.forward(&x, &y) * 2.0),
        ("l1", L1Loss { reduction }.forward(&x, &y)),
        ("mse", MseLoss { reduction }.forward(&x, &y)),
        ("laplacian", Laplacian { reduction }.forward(&x, &y)),
        ("bce", bce.forward(&x, &y)),
    ];
    for (name, expected) in by_hand {
        assert_eq!(value(&manager.compute_loss_xy(name, &x, &y).unwrap()), value(&expected), "{name}");
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
    let (weight, reduction) = (|| Some(tensor(&[0.5, 2.0, 1.0])), Reduction::Sum);
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
            Box::new(BceWithLogitsLoss { weight: weight(), pos_weight: Some(tensor(&[3.0])), reduction }),
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
            Box::new(KlDivLoss { log_target: true, reduction: KlDivReduction::Sum }),
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
        let actual = manager.compute_loss_xy("X", input, target).unwrap();
        assert_eq!(value(&actual), value(&loss.forward(input, target)), "{name}");
        // The options matter: with the defaults the number is another one.
        let mut manager =
            Objective::from_toml(&format!("[losses.X]\nloss = '{name}'")).unwrap().build(device()).unwrap();
        let default = manager.compute_loss_xy("X", input, target).unwrap();
        assert_ne!(value(&actual), value(&default), "{name}");
    }
}

#[test]
fn options_have_their_ranges() {
    let cases = [
        ("SmoothL1Loss", "beta = -1", "beta: -1 is not a finite number, 0 or more"),
        ("HuberLoss", "delta = 0", "delta: 0 is not a finite number greater than 0"),
        ("CrossEntropyLoss", "label_smoothing = 1.5", "label_smoothing: 1.5 is not a number in [0, 1]"),
        ("PoissonNllLoss", "eps = -1", "eps: -1 is not a finite number, 0 or more"),
        ("HingeEmbeddingLoss", "margin = inf", "margin: null, or a number that is not finite"),
        ("MultiMarginLoss", "p = 3", "p: 3 is not 1 or 2"),
        ("NllLoss", "weight = nan", "weight: null, or a number that is not finite"),
        ("BceLoss", "weight = [1, inf]", "weight[1]: null, or a number that is not finite"),
        // More than `f32` has.
        ("NllLoss", "weight = [1, 1e39]", "weight: inf is not a finite number"),
        (
            "KlDivLoss",
            "reduction = 'batch'",
            "reduction: unknown variant `batch`, expected one of `none`, `batchmean`, `mean`, `sum`",
        ),
    ];
    for (name, options, message) in cases {
        let text = format!("[losses.X]\nloss = '{name}'\noptions = {{ {options} }}");
        let error = Objective::from_toml(&text).unwrap_err().to_string();
        assert_eq!(error, format!("objective: losses.X.options.{message}"));
    }
}

#[test]
fn networks_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    let parameters = vgg_parameters();
    Tensor::write_safetensors(&parameters, &path).unwrap();
    let spec = |taps: &[(VggLayer, f64)]| {
        let weights = VggWeights::File(path.clone());
        let loss = VggPerceptualSpec { weights, taps: taps.into(), ..Default::default() };
        TermSpec {
            loss: LossSpec::VggPerceptual(loss),
            weight: Schedule::constant(1.0).unwrap(),
            tags: vec![],
        }
    };
    let mut objective = Objective::default();
    objective.losses.insert("shallow".into(), spec(&[(VggLayer::Relu1_1, 2.0)]));
    objective.losses.insert("deep".into(), spec(&[(VggLayer::Relu2_2, 1.0)]));
    let mut manager = objective.build(device()).unwrap();
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let by_hand = |taps: &[(VggLayer, f64)]| {
        value(
            &VggPerceptual { taps: taps.into(), ..VggPerceptual::new(crate::common::vgg()) }.forward(&x, &y),
        )
    };
    let shallow = manager.compute_loss_xy("shallow", &x, &y).unwrap();
    assert_eq!(value(&shallow), by_hand(&[(VggLayer::Relu1_1, 2.0)]));
    let deep = manager.compute_loss_xy("deep", &x, &y).unwrap();
    assert_eq!(value(&deep), by_hand(&[(VggLayer::Relu2_2, 1.0)]));

    fs::remove_file(&path).unwrap();
    let error = objective.build(Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

/// Each with the path of the field, and the line where the text is at hand.
#[test]
fn errors_say_where() {
    let sobel = "[losses.G]\nloss = 'Sobel'\n";
    let vgg = "[losses.G]\nloss = 'VggPerceptual'\n";
    let cases = [
        (String::new(), "missing field `losses` (line 1)"),
        ("losses = 3".into(), "losses: invalid type: integer `3`, expected a table of losses by name (line 1)"),
        ("losses = {}\nlambda = 3".into(), "lambda: unknown field `lambda`, expected `losses` (line 2)"),
        ("[losses]\nG = 3".into(), "losses.G: invalid type: integer `3`, expected a table that describes a loss (line 2)"),
        ("[losses.G]\nweight = 1".into(), "losses.G: missing field `loss` (line 1)"),
        ("[losses.G]\nloss = 1".into(), "losses.G.loss: invalid type: integer `1`, expected a string (line 2)"),
        (
            "[losses.G]\nloss = 'Sobl'".into(),
            "losses.G.loss: `Sobl` is no loss, expected one of L1Loss, MseLoss, SmoothL1Loss, HuberLoss, BceLoss, \
             BceWithLogitsLoss, CrossEntropyLoss, NllLoss, KlDivLoss, PoissonNllLoss, HingeEmbeddingLoss, \
             SoftMarginLoss, MultiMarginLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, Sobel, Laplacian, \
             VggPerceptual",
        ),
        (
            format!("{sobel}wieght = 1"),
            "losses.G.wieght: unknown field `wieght`, expected one of `loss`, `weight`, `schedule`, `tags`, `options` \
             (line 3)",
        ),
        (format!("{sobel}weight = '1'"), "losses.G.weight: invalid type: string \"1\", expected f64 (line 3)"),
        (format!("{sobel}weight = nan"), "losses.G.weight: it is not finite"),
        (format!("{sobel}weight = 1\nweight = 2"), "duplicate key (line 4)"),
        (format!("{sobel}tags = 'G'"), "losses.G.tags: invalid type: string \"G\", expected a sequence (line 3)"),
        (format!("{sobel}options = {{ eps = -1 }}"), "losses.G.options.eps: -1 is not a finite number, 0 or more"),
        (format!("{sobel}options = {{ eps = 'x' }}"), "losses.G.options.eps: invalid type: string \"x\", expected f64"),
        (
            format!("{sobel}options = {{ epsilon = 1 }}"),
            "losses.G.options.epsilon: unknown field `epsilon`, expected `reduction` or `eps`",
        ),
        (
            format!("{sobel}options = {{ reduction = 'avg' }}"),
            "losses.G.options.reduction: unknown reduction `avg`, expected none, mean or sum",
        ),
        (
            format!("{sobel}schedule = {{ constant = 1 }}\nweight = 1"),
            "losses.G.schedule: there is a `weight`, too: choose one",
        ),
        (
            format!("{sobel}schedule = {{ ramp = 1 }}"),
            "losses.G.schedule: unknown variant `ramp`, expected one of `constant`, `linear`, `exponential`, `cosine`, \
             `step`, `piecewise`, `warm_up` (line 3)",
        ),
        (
            format!("{sobel}schedule = {{ warm_up = {{ epochs = 1, then = {{ step = {{ gamma = 'x' }} }} }} }}"),
            "losses.G.schedule.warm_up.then.step.gamma: invalid type: string \"x\", expected f64 (line 3)",
        ),
        (
            format!("{sobel}\nschedule.step = {{ initial_value = 1, gamma = 1, step_size = 0 }}"),
            "losses.G.schedule: option `step_size` is 0, expected 1 or more (line 4)",
        ),
        (
            format!("{vgg}options = {{ taps = {{ relu9_1 = 1 }} }}"),
            "losses.G.options.taps: option `layer` is \"relu9_1\", expected relu1_1 to relu5_4",
        ),
        (format!("{vgg}options = {{ taps = {{}} }}"), "losses.G.options.taps: empty is not at least one tap"),
        (
            format!("{vgg}options = {{ taps = {{ relu1_1 = -1 }} }}"),
            "losses.G.options.taps: -1 is not a finite number, 0 or more",
        ),
        (
            "[losses.G]\nloss = 'BceWithLogitsLoss'\noptions = { pos_weight = [1, 'x'] }".into(),
            "losses.G.options.pos_weight[1]: invalid type: string \"x\", expected f32",
        ),
        ("[losses.G\n".into(), "unclosed table, expected `]` (line 1)"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objective.toml");
    for (text, message) in cases {
        let error = Objective::from_toml(&text).unwrap_err();
        assert_eq!(error.to_string(), format!("objective: {message}"), "{text}");
        fs::write(&path, &text).unwrap();
        let error = Objective::from_file(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {message}", path.display()));
    }
}

#[test]
fn errors_in_json_say_where() {
    let cases = [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "invalid length 0, expected a table with the table `losses` at line 1 column 2"),
        (
            r#"{"losses": {"a": {"loss": "Sobel"}, "a": {"loss": "Sobel"}}}"#,
            "losses: two losses are named `a` at line 1 column 59",
        ),
        (r#"{"losses": {}} x"#, "trailing characters at line 1 column 16"),
        (
            r#"{"losses": {"a": {"loss": "Sobel", "options": {"eps": []}}}}"#,
            "losses.a.options.eps: invalid type: sequence, expected f64",
        ),
        (
            r#"{"losses": {"a": {"loss": "Sobel", "weight": [1]}}}"#,
            "losses.a.weight: invalid type: sequence, expected f64 at line 1 column 45",
        ),
    ];
    for (text, message) in cases {
        let error = Objective::from_json(text).unwrap_err().to_string();
        assert_eq!(error, format!("objective: {message}"), "{text}");
    }
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
