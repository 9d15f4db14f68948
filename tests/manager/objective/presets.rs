//! Presets of the perceptual loss in a file: all options by one name, each of which may be said otherwise.

use super::*;

use tch_losses::networks::Pooling;
use tch_losses::{GramNormalization, PerceptualPreset, Style};

fn spec(options: &str) -> PerceptualLossSpec {
    let text = format!("[losses.X]\nloss = 'PerceptualLoss'\noptions = {{ {options} }}");
    let objective = Objective::from_toml(&text).unwrap();
    assert_eq!(Objective::from_toml(&objective.to_toml().unwrap()).unwrap(), objective);
    assert_eq!(Objective::from_json(&objective.to_json().unwrap()).unwrap(), objective);
    let LossSpec::PerceptualLoss(spec) = &objective.losses["X"].loss else { panic!() };
    spec.clone()
}

fn message(options: &str) -> String {
    let text = format!("[losses.X]\nloss = 'PerceptualLoss'\noptions = {{ {options} }}");
    let error = Objective::from_toml(&text).unwrap_err().to_string();
    error.strip_prefix("objective: losses.X.options.").unwrap().strip_suffix(" (line 3)").unwrap().to_owned()
}

#[test]
fn presets_by_name() {
    let names = [
        "nectargan",
        "esrgan",
        "real_esrgan",
        "gfpgan",
        "srgan",
        "pix2pixhd",
        "spade",
        "hifacegan",
        "johnson",
        "gatys",
        "piq_content",
        "piq_style",
    ];
    assert_eq!(PerceptualPreset::ALL.map(|preset| preset.to_string()), names);
    for preset in PerceptualPreset::ALL {
        let weights = NetworkWeights::Random;
        let expected = PerceptualLossSpec { weights, ..PerceptualLossSpec::preset(preset) };
        assert_eq!(spec(&format!("preset = '{preset}', weights = 'random'")), expected);
    }
    assert_eq!(spec("weights = 'random'"), spec("preset = 'nectargan', weights = 'random'"));
    assert_eq!(spec(""), PerceptualLossSpec::default());
}

#[test]
fn other_options_override_the_preset() {
    let plain = PerceptualLossSpec::preset(PerceptualPreset::Gfpgan);
    let given = spec("preset = 'gfpgan', style = 'none', data_range = 'unit', pooling = 'average'");
    let (style, data_range, pooling) = (None, DataRange::Unit, Pooling::Average);
    assert_eq!(given, PerceptualLossSpec { style, data_range, pooling, ..plain.clone() });
    let given = spec("style = { gram = 'positions', taps = { conv1_1 = 2 } }, preset = 'gfpgan'");
    let gram = GramNormalization::Positions;
    let style = Some(Style { gram, ..Style::new([("conv1_1".into(), 2.0)]) });
    assert_eq!(given, PerceptualLossSpec { style, ..plain });
    let given = spec("preset = 'gatys', normalization = 'imagenet'");
    assert_eq!(given.weights, NetworkWeights::Pretrained);
}

#[test]
fn a_summary_tells_the_preset_and_what_differs() {
    let text =
        "[losses.X]\nloss = 'PerceptualLoss'\noptions = { preset = 'real_esrgan', data_range = 'signed' }";
    let told = Objective::from_toml(text).unwrap().to_string();
    let options: Vec<&str> =
        told.lines().skip(1).map(str::trim).take_while(|line| !line.is_empty()).collect();
    assert_eq!(options, ["preset = \"real_esrgan\"", "data_range = \"signed\""]);
    let told = Objective::from_toml("[losses.X]\nloss = 'PerceptualLoss'").unwrap().to_string();
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn presets_and_styles_that_are_none() {
    let cases = [
        (
            "preset = 'realesrgan'",
            "preset: `realesrgan` is not known, did you mean `real_esrgan`? There are `nectargan`, `esrgan`, \
             `real_esrgan`, `gfpgan`, `srgan`, `pix2pixhd`, `spade`, `hifacegan`, `johnson`, `gatys`, `piq_content`, \
             `piq_style`",
        ),
        ("preset = 'gatys'", "weights: given pretrained, expected the path of a file: the VGG19 of gatys was trained with Caffe"),
        (
            "style = 'gram'",
            "style: given the text \"gram\", expected \"none\" or a table { taps = .., criterion = .., gram = .. }",
        ),
        (
            "style = true",
            "style: given true, expected \"none\" or a table { taps = .., criterion = .., gram = .. }",
        ),
        ("style = {}", "style: `taps` is missing"),
        ("style = { taps = {} }", "style.taps: given empty, expected at least one tap"),
        (
            "style = { taps = { relu1_1 = nan } }",
            "style.taps: given NaN, expected a finite number, 0 or more",
        ),
        (
            "style = { layers = { relu1_1 = 1 } }",
            "style.layers: there is no such option, did you mean `taps`? There are `taps`, `criterion`, `gram`",
        ),
        (
            "style = { taps = { relu1_1 = 1 }, gram = 'chw' }",
            "style.gram: `chw` is not known: there are `elements`, `positions`, `none`",
        ),
        ("normalize_features = 1", "normalize_features: given the number 1, expected true or false"),
        ("pooling = 'avg'", "pooling: `avg` is not known, did you mean `average`? There are `max`, `average`, `l2`"),
        (
            "preset = 'johnson', architecture = 'vgg11', weights = 'random'",
            "style.taps: given \"relu1_2\", expected a layer of vgg11: conv1_1 to conv5_2, relu1_1 to relu5_2, pool1 \
             to pool5 or features.0 to features.20",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(message(options), expected);
    }
}

/// Of a network that two losses share, one has other poolings.
#[test]
fn poolings_of_a_file() {
    let (x, y) = (noise(1, &[1, 3, 8, 8], Kind::Float), noise(2, &[1, 3, 8, 8], Kind::Float));
    let text = "
        [losses]
        A = { loss = 'PerceptualLoss', options = { architecture = 'vgg11', weights = 'random', taps = { relu2_1 = 1 }, pooling = 'average' } }
        M = { loss = 'PerceptualLoss', options = { architecture = 'vgg11', weights = 'random', taps = { relu2_1 = 1 } } }
    ";
    let mut manager = Objective::from_toml(text).unwrap().build(device()).unwrap();
    let [average, max] = ["A", "M"].map(|name| value(&manager.compute(name, (&x, &y)).unwrap()));
    assert!(average > 0.0 && average != max);
}
