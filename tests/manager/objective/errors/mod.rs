//! What a file may not say, with the place and what is accepted.

mod names;

use super::*;

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
        ("Sobel", "reduction = 'batchmean'", "reduction: given batchmean, expected none, mean or sum"),
        ("CtcLoss", "reduction = 'batchmean'", "reduction: given batchmean, expected none, mean or sum"),
        ("ContextualLoss", "band_width = 0", "band_width: given 0, expected a finite number greater than 0"),
        ("ContextualLoss", "taps = {}", "taps: given empty, expected at least one tap"),
        ("PerceptualLoss", "streaming = 0", "streaming: given 0, expected at least one image at a time"),
        (
            "PerceptualLoss",
            "seed = 1",
            "seed: given 1, expected none: only `weights = \"random\"` has a seed",
        ),
        (
            "PerceptualLoss",
            "taps = { relu1_1 = inf }",
            "taps: given inf, expected a finite number, 0 or more",
        ),
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
             `every`, `tags`, `options` (line 3)".into(),
        ),
        (
            format!("{sobel}lambda = 1"),
            "losses.G.lambda: a loss has no such field, did you mean `weight`? There are `loss`, `weight`, `schedule`, \
             `every`, `tags`, `options` (line 3)".into(),
        ),
        (
            format!("{sobel}colour = 1"),
            "losses.G.colour: a loss has no such field: there are `loss`, `weight`, `schedule`, `every`, `tags`, `options` \
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
        ("PerceptualLoss", "{ kind = 'int8' }", "options.kind: given the text \"int8\", expected f16, bf16, f32 or f64"),
        (
            "PerceptualLoss",
            "{ streaming = false }",
            "options.streaming: given false, expected \"auto\", \"off\" or the number of images at a time",
        ),
        (
            "PerceptualLoss",
            "{ streaming = -1 }",
            "options.streaming: given the number -1, expected \"auto\", \"off\" or the number of images at a time",
        ),
        (
            "PerceptualLoss",
            "{ weights = 'Pretraind' }",
            "options.weights: given the text \"Pretraind\", did you mean `pretrained`? A file of that name is written \"./Pretraind\"",
        ),
        (
            "PerceptualLoss",
            "{ weights = 'DEFAULT' }",
            "options.weights: given the text \"DEFAULT\", did you mean `pretrained`? A file of that name is written \"./DEFAULT\"",
        ),
        (
            "PerceptualLoss",
            "{ layers = {} }",
            "options.layers: there is no such option, did you mean `taps`? There are `preset`, `architecture`, `pooling`, `weights`, \
             `seed`, `kind`, `taps`, `criterion`, `normalize_features`, `style`, `data_range`, `normalization`, `streaming`",
        ),
        (
            "PerceptualLoss",
            "{ taps = ['relu1_1'] }",
            "options.taps: given a list of 1, expected a table of weights by tap, such as { relu1_2 = 1.0 }",
        ),
        ("PerceptualLoss", "{ taps = { relu9_1 = 1 } }", "options.taps: given \"relu9_1\", expected a layer of vgg19: conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to pool5 or features.0 to features.36"),
        ("PerceptualLoss", "{ taps = {} }", "options.taps: given empty, expected at least one tap"),
        ("PerceptualLoss", "{ taps = { relu1_1 = -1 } }", "options.taps: given -1, expected a finite number, 0 or more"),
        ("LPIPS", "{ net = 'alexx' }", "options.net: `alexx` is not known, did you mean `alex`? There are `alex`, `vgg`, `squeeze`"),
        ("LPIPS", "{ seed = 1 }", "options.seed: given 1, expected none: only `weights = \"random\"` has a seed"),
        ("LPIPS", "{ reduction = 'batchmean' }", "options.reduction: given batchmean, expected none, mean or sum"),
        ("PerceptualLoss", "{ criterion = 'l2' }", "options.criterion: `l2` is not known, did you mean `mse`? There are `l1`, `mse`, `frobenius`, `charbonnier`"),
        (
            "PerceptualLoss",
            "{ normalization = 'image_net' }",
            "options.normalization: `image_net` is not known, did you mean `imagenet`? There are `none`, `unit`, `signed`, `imagenet`, `lpips`, `caffe`",
        ),
    ];
    for (loss, options, message) in cases {
        let text = format!("[losses.G]\nloss = '{loss}'\n\noptions = {options}");
        assert_eq!(problem(Objective::from_toml, &text), format!("losses.G.{message} (line 4)"));
    }
}
