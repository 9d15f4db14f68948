//! What a loss in a file computes: what its options make by hand.

use super::*;

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
        let message = format!(
            "`{name}` has parameters or a state: use `Objective::build_in`, which takes a variable store"
        );
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
