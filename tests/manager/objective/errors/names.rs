//! Losses by other names, JSON, and names that cannot be shown or shared.

use super::*;

#[test]
fn losses_by_another_name() {
    let list = LossSpec::NAMES.join(", ");
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
        ("VGG", "PerceptualLoss"),
        ("VGGLoss", "PerceptualLoss"),
        ("Perceptual", "PerceptualLoss"),
        ("SSIM", "SsimLoss"),
        ("Dice", "DiceLoss"),
        ("R2Penalty", "R1Penalty"),
        ("DeepImageStructureAndTextureSimilarity", "Dists"),
        ("LearnedPerceptualImagePatchSimilarity", "Lpips"),
    ] {
        assert_eq!(problem(name), format!("`{name}` is no loss, did you mean `{meant}`?"));
    }
    for name in ["Kuwahara", "", "x", "Wasserstein"] {
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
          `weight`? There are `loss`, `weight`, `schedule`, `every`, `tags`, `options` (line 2)",
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

/// Sizes of layers that are not there, or that no memory holds, are errors before anything is made.
#[test]
fn sizes_of_layers() {
    let cases = [
        (
            "LinearCrossEntropyLoss",
            "num_classes = 3",
            "in_features: given 0, expected a number of at least 1",
        ),
        (
            "LinearCrossEntropyLoss",
            "in_features = 2, num_classes = 3, weight = [1, 2]",
            ": `weight` has shape [2], expected [3], a weight for each class",
        ),
        (
            "LinearCrossEntropyLoss",
            "in_features = 2, num_classes = 3, out_features = [9223372036854775807, 4]",
            "out_features: given [9223372036854775807, 4], expected fewer outputs",
        ),
        (
            "AdaptiveLogSoftmaxWithLoss",
            "in_features = 2, n_classes = -9223372036854775808, cutoffs = 1",
            "n_classes: given -9223372036854775808, expected a number of at least 1",
        ),
        (
            "AdaptiveLogSoftmaxWithLoss",
            "in_features = 2, n_classes = 4, cutoffs = 1, div_value = 1e-300",
            "div_value: given 0.",
        ),
    ];
    for (loss, options, expected) in cases {
        let text = format!("[losses.X]\nloss = '{loss}'\noptions = {{ {options} }}");
        let message = Objective::from_toml(&text).unwrap_err().to_string();
        let expected = format!("losses.X.options.{expected}").replace("options.:", "options:");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn parameters_have_a_place_of_their_own() {
    let linear = "loss = 'LinearCrossEntropyLoss'\noptions = { in_features = 2, num_classes = 3 }";
    let objective =
        Objective::from_toml(&format!("[losses.'A.B']\n{linear}\n[losses.A_B]\n{linear}")).unwrap();
    let vs = tch::nn::VarStore::new(device());
    let message = objective.build_in(&vs.root()).unwrap_err().to_string();
    let expected =
        "objective: losses.A_B: another loss has its parameters under `A_B`, too: choose another name";
    assert_eq!(message, expected);
}
