//! Networks in a file: where their weights are from, their seed and their kind.

use super::*;

#[test]
fn networks_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    let parameters = vgg_parameters();
    Tensor::write_safetensors(&parameters, &path).unwrap();
    let spec = |taps: &[(Tap, f64)]| {
        let weights = NetworkWeights::File(path.clone());
        let loss = PerceptualLossSpec { weights, taps: taps.into(), ..Default::default() };
        TermSpec::from(LossSpec::PerceptualLoss(loss))
    };
    let mut objective = Objective::default();
    objective.losses.insert("shallow".into(), spec(&[(Tap::RELU1_1, 2.0)]));
    objective.losses.insert("deep".into(), spec(&[(Tap::RELU2_2, 1.0)]));
    let mut manager = objective.build(device()).unwrap();
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let by_hand = |taps: &[(Tap, f64)]| {
        value(
            &PerceptualLoss { taps: taps.into(), ..PerceptualLoss::new(crate::common::vgg()) }
                .forward(&x, &y),
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
    Objective::from_toml(&format!("[losses.X]\nloss = 'PerceptualLoss'\noptions = {{ {options} }}")).unwrap()
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
    // Nor the biases of AlexNet.
    let alexnet = "architecture = 'alexnet', weights = 'random', taps = { conv1 = 1 }";
    let of_alexnet = compute(alexnet);
    tch::manual_seed(2);
    assert_eq!(compute(alexnet), of_alexnet);
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
        let by_hand = value(&PerceptualLoss::new(network.to_kind(kind).unwrap()).forward(&x, &y));
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
        let LossSpec::PerceptualLoss(spec) = &objective.losses["X"].loss else { panic!() };
        assert_eq!(spec.streaming, streaming);
        let manager = objective.build(device()).unwrap();
        assert!(format!("{manager:?}").contains(&format!("streaming: {streaming:?}")));
    }
    assert_eq!(
        vgg_options("weights = 'random', kind = 'half'"),
        vgg_options("weights = 'random', kind = 'f16'")
    );
}

#[test]
fn taps_are_any_layers() {
    let objective = vgg_options("weights = 'random', taps = { 'features.8' = 2, conv1_2 = 0.5 }");
    let LossSpec::PerceptualLoss(spec) = &objective.losses["X"].loss else { panic!() };
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
fn other_architectures() {
    let objective =
        vgg_options("architecture = 'vgg11_bn', weights = 'random', taps = { bn2_1 = 1, relu3_2 = 0.5 }");
    assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
    let mut manager = objective.build(device()).unwrap();
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    assert!(value(&manager.compute("X", (&x, &y)).unwrap()) > 0.0);
    let message = |options: &str| {
        let text = format!("[losses.X]\nloss = 'PerceptualLoss'\noptions = {{ {options} }}");
        Objective::from_toml(&text).unwrap_err().to_string()
    };
    let cases = [
        (
            "architecture = 'vgg_19'",
            "architecture: `vgg_19` is not known, did you mean `vgg19`? There are `vgg11`, `vgg11_bn`",
        ),
        (
            "architecture = 'vgg11', weights = 'random'",
            "taps: given \"relu1_2\", expected a layer of vgg11: conv1_1 to conv5_2, relu1_1 to relu5_2",
        ),
    ];
    for (options, expected) in cases {
        let message = message(options);
        assert!(message.contains(&format!("losses.X.options.{expected}")), "{message}");
    }
}
