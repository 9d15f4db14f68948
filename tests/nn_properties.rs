//! What holds for the losses of torch.nn, beyond the numbers that are recorded.
//!
//! Bounds: 1e-12 in f64 (4500 epsilons) and 1e-5 in f32 (84 epsilons) are for one number reached in two ways. Each way
//! takes some dozens of steps, of numbers of the same magnitude, and sums of some hundred numbers at most.

mod common;

use common::{assert_close, device, epsilon, few_roundings, noise, value, values, Relative};
use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, BceLoss, BceWithLogitsLoss, Chunking,
    CrossEntropyLoss, GaussianNllLoss, HuberLoss, KlDivLoss, LinearCrossEntropyConfig,
    LinearCrossEntropyLoss, Loss, NllLoss, PoissonNllLoss, Reduction, SmoothL1Loss, TernaryLoss,
};

fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}

fn classes(values: &[i64]) -> Tensor {
    Tensor::from_slice(values).to_device(device())
}

/// Every two-tensor loss without parameters, with an input and a target that it takes.
fn losses(kind: Kind) -> Vec<(Box<dyn Loss>, Tensor, Tensor)> {
    let (x, y) = (noise(1, &[4, 3], kind), noise(2, &[4, 3], kind));
    let (probability, other) = ((&x + 1.0) * 0.5, (&y + 1.0) * 0.5);
    let (log, distribution) = (x.log_softmax(1, None), y.softmax(1, None));
    let (target, weight) = (classes(&[0, 2, 1, 2]), || Some(noise(3, &[3], kind).abs()));
    vec![
        (Box::new(SmoothL1Loss { beta: 0.5, ..Default::default() }), x.copy(), y.copy()),
        (Box::new(HuberLoss { delta: 0.5, ..Default::default() }), x.copy(), y.copy()),
        (Box::new(BceLoss { weight: weight(), ..Default::default() }), probability, other.copy()),
        (Box::new(KlDivLoss::default()), log.copy(), distribution.copy()),
        (Box::new(PoissonNllLoss { full: true, ..Default::default() }), x.copy(), &other * 4.0),
        (Box::new(NllLoss { weight: weight(), ..Default::default() }), log, target.copy()),
        (
            Box::new(CrossEntropyLoss { weight: weight(), label_smoothing: 0.1, ..Default::default() }),
            x.copy(),
            target,
        ),
        (Box::new(CrossEntropyLoss { weight: weight(), ..Default::default() }), x, distribution),
    ]
}

#[test]
fn the_smooth_losses_lie_between_the_plain_ones() {
    let (input, target) = (noise(1, &[50], Kind::Double), noise(2, &[50], Kind::Double));
    let huber = |delta| value(&HuberLoss { delta, ..Default::default() }.forward(&input, &target));
    let smooth = |beta| value(&SmoothL1Loss { beta, ..Default::default() }.forward(&input, &target));
    let difference = &input - &target;
    let (mse, l1) = (value(&difference.square().mean(None)), value(&difference.abs().mean(None)));
    // Beyond the largest difference it is half the squared error; near 0, the absolute one, but for half the threshold.
    assert!((huber(2.0) - mse / 2.0).abs() < 1e-12 && (smooth(2.0) - mse / 4.0).abs() < 1e-12);
    assert!((huber(1e-9) / 1e-9 - l1).abs() < 1e-8 && (smooth(1e-9) - l1).abs() < 1e-8);
}

#[test]
fn maps_of_the_losses_on_images() {
    let (input, target) = (noise(1, &[2, 3, 4, 5], Kind::Double), noise(2, &[2, 3, 4, 5], Kind::Double));
    let (input, target) = ((input + 1.0) * 0.5, (target + 1.0) * 0.5);
    let weight = Some(noise(3, &[3, 1, 1], Kind::Double).abs());
    let losses: [Box<dyn Loss>; 4] = [
        Box::new(SmoothL1Loss { beta: 0.3, ..Default::default() }),
        Box::new(SmoothL1Loss { beta: 0.0, ..Default::default() }),
        Box::new(HuberLoss { delta: 0.3, ..Default::default() }),
        Box::new(BceLoss { weight, ..Default::default() }),
    ];
    for loss in losses {
        let map = loss.loss_map(&input, &target).unwrap();
        assert_eq!(map.size(), [2, 1, 4, 5], "{loss:?}");
        let mean = loss.forward(&input, &target);
        assert_close(&format!("{loss:?}"), &map.mean(None), &mean, 1e-12, Relative::ToLargest);
    }
}

#[test]
fn cross_entropy_of_a_distribution_with_itself_is_its_entropy() {
    let logits = noise(1, &[4, 5], Kind::Double) * 3.0;
    let (p, log_p) = (logits.softmax(1, None), logits.log_softmax(1, None));
    let entropy = -(&p * &log_p).sum(None) / 4.0;
    let own = CrossEntropyLoss::default().forward(&logits, &p);
    assert_close("cross entropy", &own, &entropy, 1e-12, Relative::ToLargest);
    let kl = KlDivLoss { reduction: Reduction::BatchMean, ..Default::default() };
    // A mean, with weights `p`, of the last digits of `log p`: some epsilons.
    assert!(value(&kl.forward(&log_p, &p)).abs() < 1e-14);
    assert_eq!(value(&KlDivLoss { log_target: true, ..kl }.forward(&log_p, &log_p)), 0.0);
}

#[test]
fn classes_are_distributions_with_one_class() {
    let (logits, target) = (noise(1, &[4, 3], Kind::Double), classes(&[0, 2, 1, 2]));
    for label_smoothing in [0.0, 0.3] {
        let loss = CrossEntropyLoss { label_smoothing, ..Default::default() };
        let one_hot = target.one_hot(3).to_kind(Kind::Double);
        let (of_classes, of_one_hot) = (loss.forward(&logits, &target), loss.forward(&logits, &one_hot));
        assert_close("one hot", &of_classes, &of_one_hot, 1e-12, Relative::ToLargest);
    }
}

#[test]
fn reduced_precision() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let rounded = losses(kind);
        for ((loss, input, target), (in_f32, ..)) in rounded.into_iter().zip(losses(Kind::Float)) {
            let single = |tensor: &Tensor| match tensor.is_floating_point() {
                true => tensor.to_kind(Kind::Float),
                false => tensor.copy(),
            };
            let actual = loss.forward(&input, &target);
            assert_eq!(actual.kind(), kind, "{loss:?}");
            let expected = in_f32.forward(&single(&input), &single(&target));
            let actual = actual.to_kind(Kind::Float);
            assert_close(&format!("{loss:?}"), &actual, &expected, few_roundings(kind), Relative::ToLargest);
        }
    }
}

/// 40000 places at about 2.3 each: their sum is beyond what f16 holds, their mean is not.
#[test]
fn a_smoothed_mean_does_not_overflow_in_half_precision() {
    let logits = Tensor::zeros([1, 10, 200, 200], (Kind::Half, device()));
    let target = Tensor::zeros([1, 200, 200], (Kind::Int64, device()));
    let loss = CrossEntropyLoss { label_smoothing: 0.1, ..Default::default() };
    let mean = value(&loss.forward(&logits, &target).to_kind(Kind::Float));
    // The distance of two neighbours in f16, at 2.3.
    assert!((mean - 10f64.ln()).abs() < 2f64.powi(-9), "{mean}");
}

#[test]
fn a_variance_that_is_too_small_can_grow_again() {
    let (input, target) = (Tensor::from(1.0).to_device(device()), Tensor::from(1.5).to_device(device()));
    let loss = GaussianNllLoss { eps: 0.1, ..Default::default() };
    let gradient_at = |var: f64| {
        let var = leaf(&Tensor::from(var).to_device(device()));
        loss.forward(&input, &target, &var).backward();
        assert!(value(&var) < 0.2, "the caller's variance was changed");
        value(&var.grad())
    };
    // (1/v - d²/v²) / 2 at v = eps, for the variances below it, too.
    let expected = (1.0 / 0.1 - 0.25 / 0.01) / 2.0;
    for var in [0.1, 0.01, 0.0] {
        assert!((gradient_at(var) - expected).abs() < 1e-9, "{var}: {}", gradient_at(var));
    }
}

#[test]
fn a_variance_as_a_number_is_one_everywhere() {
    let (input, target) = (noise(1, &[2, 3], Kind::Double), noise(2, &[2, 3], Kind::Double));
    let loss = GaussianNllLoss { full: true, eps: 0.01, ..Default::default() };
    for var in [0.0, 0.005, 0.01, 2.0] {
        let everywhere = loss.forward(&input, &target, &input.full_like(var));
        assert_eq!(loss.forward(&input, &target, var), everywhere, "{var}");
    }
}

#[test]
fn nothing_that_the_caller_passes_is_modified() {
    for (loss, input, target) in losses(Kind::Float) {
        let (input_before, target_before) = (input.copy(), target.copy());
        let input = leaf(&input);
        loss.forward(&input, &target).backward();
        assert_eq!((input.detach(), target), (input_before, target_before), "{loss:?}");
    }
    let var = Tensor::zeros([3], (Kind::Float, device()));
    let _ = GaussianNllLoss::default().forward(&var, &var, &var);
    assert_eq!(values(&var), [0.0; 3]);
}

#[test]
fn without_gradients_there_is_no_graph() {
    for (loss, input, target) in losses(Kind::Float) {
        assert!(!loss.forward(&input, &target).requires_grad(), "{loss:?}");
        let input = leaf(&input);
        assert!(loss.forward(&input, &target).requires_grad(), "{loss:?}");
        assert!(!no_grad(|| loss.forward(&input, &target)).requires_grad(), "{loss:?}");
    }
}

/// A linear loss of 3 features and 4 classes: its value, and the gradients of three times that with respect
/// to input, weight and bias.
fn linear(config: LinearCrossEntropyConfig, kind: Kind, target: &Tensor) -> [Tensor; 4] {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    let loss = LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config).unwrap();
    let (weight, bias) = (&loss.linear.ws, loss.linear.bs.as_ref().unwrap());
    no_grad(|| weight.shallow_clone().copy_(&noise(1, &weight.size(), kind)));
    no_grad(|| bias.shallow_clone().copy_(&noise(2, &bias.size(), kind)));
    let input = leaf(&noise(3, &[7, 3], kind));
    let value = loss.forward(&input, target);
    let tripled = &value * 3.0;
    let gradients = || Tensor::run_backward(&[&tripled], &[&input, weight, bias], true, false);
    let [first, again] = [gradients(), gradients()];
    assert_eq!(first, again, "a second backward is another one");
    let [to_input, to_weight, to_bias] = <[Tensor; 3]>::try_from(first).unwrap();
    [value.detach(), to_input, to_weight, to_bias]
}

/// Also with what PyTorch computes at once whatever its options: label smoothing, probabilities, several
/// places.
#[test]
fn pieces_add_up_to_the_whole() {
    let of_classes = classes(&[0, 3, 1, 9, 2, 9, 1]);
    let of_places = classes(&[0, 3, 1, 9, 2, 9, 1, 0, 0, 1, 2, 3, 3, 9]).view([7, 2]);
    let all_ignored = of_classes.full_like(9);
    let probabilities = noise(4, &[7, 4], Kind::Double).softmax(1, None);
    let several = noise(5, &[7, 4, 2], Kind::Double).softmax(1, None);
    for kind in [Kind::Double, Kind::Float, Kind::Half, Kind::BFloat16] {
        let (single, tolerance) = match kind {
            Kind::Double => (kind, 1e-12),
            Kind::Float => (kind, 1e-5),
            // The rounding of what goes in, and that of the result.
            kind => (Kind::Float, few_roundings(kind)),
        };
        for reduction in [Reduction::Mean, Reduction::Sum] {
            for (target, places) in [
                (&of_classes, vec![]),
                (&of_places, vec![2]),
                (&all_ignored, vec![]),
                (&probabilities, vec![]),
                (&several, vec![2]),
            ] {
                for (label_smoothing, weighted) in [(0.0, false), (0.0, true), (0.2, false), (0.2, true)] {
                    let with = |chunking, kind| {
                        let target = match target.is_floating_point() {
                            true => target.to_kind(kind),
                            false => target.copy(),
                        };
                        let config = LinearCrossEntropyConfig {
                            bias: true,
                            out_features: places.clone(),
                            weight: weighted.then(|| noise(6, &[4], kind).abs()),
                            ignore_index: (!target.is_floating_point()).then_some(9),
                            label_smoothing,
                            reduction,
                            chunking,
                        };
                        linear(config, kind, &target)
                    };
                    let whole = with(Chunking::Off, single);
                    for rows in [1, 3, 7] {
                        let pieces = with(Chunking::Rows(rows), kind);
                        for (own, other) in pieces.iter().zip(&whole) {
                            let what =
                                format!("{kind:?} {reduction:?} {places:?} {label_smoothing} {weighted}");
                            assert_eq!(own.kind(), kind, "{what}");
                            let own = own.to_kind(single);
                            assert_close(&what, &own, other, tolerance, Relative::ToLargest);
                        }
                    }
                }
            }
        }
    }
}

/// With chunking, reduced precision is computed in f32: one row, too, and what goes through at once.
#[test]
fn pieces_of_reduced_precision_are_computed_in_f32() {
    // Logits of some tens, which bf16 holds to a quarter only, and f16 to a 32nd.
    let (features, several) = (noise(1, &[3, 16], Kind::Float) * 8.0, classes(&[1, 2, 0]));
    let row = features.select(0, 0);
    for kind in [Kind::Half, Kind::BFloat16] {
        let probabilities = noise(4, &[3, 4], Kind::Float).softmax(1, None).to_kind(kind);
        let in_kind = |tensor: &Tensor| tensor.to_kind(kind);
        let subjects = [
            ("one row", in_kind(&row), classes(&[1]).squeeze(), None),
            ("probabilities of one row", in_kind(&row), probabilities.select(0, 0), None),
            ("a batch", in_kind(&features), several.copy(), None),
            ("a batch at once, for the target", in_kind(&features), leaf(&probabilities), None),
            (
                "with class weights",
                in_kind(&row),
                classes(&[1]).squeeze(),
                Some(in_kind(&noise(5, &[4], kind).abs())),
            ),
        ];
        for (what, input, target, weight) in subjects {
            // The loss, and its gradients with respect to input, weight and bias.
            let results = |kind: Kind, chunking| {
                let cast = |tensor: &Tensor| match tensor.is_floating_point() {
                    true => tensor.to_kind(kind),
                    false => tensor.shallow_clone(),
                };
                let mut vs = nn::VarStore::new(device());
                vs.set_kind(kind);
                let weight = weight.as_ref().map(cast);
                let config = LinearCrossEntropyConfig { bias: true, weight, chunking, ..Default::default() };
                let loss = LinearCrossEntropyLoss::new(&vs.root(), 16, 4, config).unwrap();
                let (ws, bs) = (&loss.linear.ws, loss.linear.bs.as_ref().unwrap());
                no_grad(|| {
                    ws.shallow_clone().copy_(&(noise(2, &[4, 16], Kind::Half) * 2.0).to_kind(Kind::BFloat16))
                });
                no_grad(|| bs.shallow_clone().copy_(&noise(3, &[4], Kind::Half).to_kind(Kind::BFloat16)));
                let input = leaf(&cast(&input));
                let value = loss.forward(&input, &cast(&target));
                value.backward();
                [value.detach(), input.grad(), ws.grad(), bs.grad()]
            };
            let exact = results(Kind::Double, Chunking::Off);
            for (own, exact) in results(kind, Chunking::Rows(2)).iter().zip(&exact) {
                assert_eq!(own.kind(), kind, "{what}");
                // One rounding at the end, of half an epsilon; those of f32 are lost in the other half.
                let own = own.to_kind(Kind::Double);
                let tiny = Relative::ToElement { floor: 1e-3 };
                assert_close(&format!("{what} {kind:?}"), &own, exact, epsilon(kind), tiny);
            }
        }
    }
}

/// Weights that require a gradient get one, or are refused: never a gradient that is silently missing.
#[test]
fn weights_that_require_a_gradient() {
    let weight = || leaf(&(noise(3, &[3], Kind::Double).abs() + 0.1));
    let (x, y) = (noise(1, &[4, 3], Kind::Double), noise(2, &[4, 3], Kind::Double).softmax(1, None));
    let labels = classes(&[0, 2, 1, 2]);
    let refused: [(Box<dyn Loss>, &Tensor, &Tensor); 6] = [
        (Box::new(BceLoss { weight: Some(weight()), ..Default::default() }), &y, &y),
        (Box::new(BceWithLogitsLoss { weight: Some(weight()), ..Default::default() }), &x, &y),
        (Box::new(BceWithLogitsLoss { pos_weight: Some(weight()), ..Default::default() }), &x, &y),
        (Box::new(NllLoss { weight: Some(weight()), ..Default::default() }), &x, &labels),
        (Box::new(CrossEntropyLoss { weight: Some(weight()), ..Default::default() }), &x, &labels),
        (
            Box::new(CrossEntropyLoss { weight: Some(weight()), label_smoothing: 0.1, ..Default::default() }),
            &x,
            &labels,
        ),
    ];
    for (loss, input, target) in refused {
        let error = loss.try_forward(input, target).unwrap_err().to_string();
        assert!(error.contains("not differentiable with respect to argument"), "{loss:?}: {error}");
        assert!(no_grad(|| loss.try_forward(input, target)).is_ok(), "{loss:?}");
    }
}

#[test]
fn classes_may_be_bytes() {
    for shape in [vec![3], vec![4, 3], vec![4, 3, 2], vec![2, 3, 2, 2], vec![1, 3, 2, 2, 1]] {
        let axis = i64::from(shape.len() > 1);
        let mut places = shape.clone();
        places.remove(axis as usize);
        let count: i64 = places.iter().product();
        let drawn: Vec<i64> = (0..count).map(|place| [0, 2, 1, 2][place as usize % 4]).collect();
        let target = classes(&drawn).view(&places[..]);
        let input = noise(1, &shape, Kind::Double).log_softmax(axis, None);
        let losses: [Box<dyn Loss>; 3] = [
            Box::new(NllLoss { ignore_index: 1, ..Default::default() }),
            Box::new(CrossEntropyLoss { ignore_index: 1, ..Default::default() }),
            Box::new(CrossEntropyLoss { label_smoothing: 0.1, ..Default::default() }),
        ];
        for loss in losses {
            let of_bytes = loss.forward(&input, &target.to_kind(Kind::Uint8));
            assert_eq!(of_bytes, loss.forward(&input, &target), "{loss:?} {shape:?}");
        }
    }
}

#[test]
fn pieces_have_gradients_only_where_one_is_needed() {
    let vs = nn::VarStore::new(device());
    let config =
        || LinearCrossEntropyConfig { bias: true, chunking: Chunking::Rows(2), ..Default::default() };
    let loss = LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config()).unwrap();
    let (input, target) = (noise(1, &[5, 3], Kind::Float), classes(&[0, 1, 2, 3, 0]));
    assert!(!no_grad(|| loss.forward(&leaf(&input), &target)).requires_grad());
    loss.forward(&input, &target).backward();
    assert!(!input.grad().defined() && loss.linear.ws.grad().defined());
    // A frozen layer under a trainable input.
    let mut frozen = nn::VarStore::new(device());
    let loss = LinearCrossEntropyLoss::new(&frozen.root(), 3, 4, config()).unwrap();
    frozen.freeze();
    let input = leaf(&input);
    loss.forward(&input, &target).backward();
    assert!(input.grad().defined() && !loss.linear.ws.grad().defined());
    // A target that needs a gradient gets it.
    let probabilities = leaf(&noise(2, &[5, 4], Kind::Float).softmax(1, None));
    loss.forward(&input, &probabilities).backward();
    assert!(value(&probabilities.grad().abs().sum(None)) > 0.0);
}

/// Per place, in pieces, without gradients: an evaluation.
#[test]
fn pieces_without_a_reduction() {
    let vs = nn::VarStore::new(device());
    let (input, target) =
        (noise(1, &[5, 3], Kind::Float), classes(&[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]).view([5, 2]));
    let places = |chunking| {
        let (reduction, out_features) = (Reduction::None, vec![2]);
        let config = LinearCrossEntropyConfig { out_features, reduction, chunking, ..Default::default() };
        let loss = LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config).unwrap();
        no_grad(|| loss.linear.ws.shallow_clone().copy_(&noise(2, &[8, 3], Kind::Float)));
        no_grad(|| loss.forward(&input, &target))
    };
    let (pieces, whole) = (places(Chunking::Rows(2)), places(Chunking::Off));
    assert_close("places", &pieces, &whole, 1e-5, Relative::ToLargest);
}

/// What PyTorch's `nn.Linear` does: uniform within `1 / sqrt(in_features)`, the bias, too.
fn assert_starts_as_in_pytorch(name: &str, parameter: &Tensor, features: i64) {
    let bound = 1.0 / (features as f64).sqrt();
    let largest = value(&parameter.abs().max());
    // Of 256 draws or more, one is beyond 0.9 of the bound, but for one run in 10^11.
    assert!(largest <= bound && largest > 0.9 * bound, "{name}: {largest} of {bound}");
    // The deviation of a uniform distribution, within ten standard errors.
    let (deviation, expected) = (value(&parameter.std(true)), bound / 3f64.sqrt());
    let error = 10.0 * 0.45 / (parameter.numel() as f64).sqrt();
    assert!((deviation / expected - 1.0).abs() < error, "{name}: {deviation} for {expected}");
}

#[test]
fn parameters_have_the_names_and_the_beginnings_of_pytorch() {
    let vs = nn::VarStore::new(device());
    let config = AdaptiveLogSoftmaxConfig { head_bias: true, ..Default::default() };
    AdaptiveLogSoftmaxWithLoss::new(&(vs.root() / "adaptive"), 64, 900, &[300, 600], config).unwrap();
    let config = LinearCrossEntropyConfig { bias: true, out_features: vec![3], ..Default::default() };
    LinearCrossEntropyLoss::new(&(vs.root() / "loss"), 32, 200, config).unwrap();
    let expected = [
        ("adaptive.head.bias", vec![302], 64),
        ("adaptive.head.weight", vec![302, 64], 64),
        ("adaptive.tail.0.0.weight", vec![16, 64], 64),
        ("adaptive.tail.0.1.weight", vec![300, 16], 16),
        ("adaptive.tail.1.0.weight", vec![4, 64], 64),
        ("adaptive.tail.1.1.weight", vec![300, 4], 4),
        ("loss.linear.bias", vec![600], 32),
        ("loss.linear.weight", vec![600, 32], 32),
    ];
    let variables = vs.variables();
    assert_eq!(variables.len(), expected.len());
    for (name, shape, features) in expected {
        let parameter = &variables[name];
        assert_eq!(parameter.size(), shape, "{name}");
        assert_starts_as_in_pytorch(name, parameter, features);
    }
    assert_eq!(vs.trainable_variables().len(), 8);
}

#[test]
fn the_likeliest_class_is_that_of_the_greatest_log_probability() {
    let vs = nn::VarStore::new(device());
    let config = AdaptiveLogSoftmaxConfig { div_value: 2.0, ..Default::default() };
    let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), 8, 20, &[2, 6, 12], config).unwrap();
    for (seed, (_, mut parameter)) in vs.variables().into_iter().enumerate() {
        no_grad(|| parameter.copy_(&(noise(seed as i64, &parameter.size(), Kind::Float) * 3.0)));
    }
    let input = noise(40, &[200, 8], Kind::Float) * 2.0;
    let log_prob = loss.log_prob(&input).unwrap();
    let total = log_prob.exp().sum_dim_intlist([1i64].as_slice(), false, None);
    assert_close("total", &total, &total.ones_like(), 1e-5, Relative::ToLargest);
    let predicted = loss.predict(&input).unwrap();
    // Of 200 rows none has its two greatest within the rounding of each other.
    assert_eq!(predicted, log_prob.argmax(1, false));
    assert!(value(&predicted.max()) >= 12.0 && value(&predicted.min()) < 2.0, "not all clusters are tried");
    // What forward gives for a class is what log_prob has for it.
    for class in [0, 1, 2, 5, 6, 11, 12, 19] {
        let result = loss.forward(&input, &predicted.full_like(class));
        assert_close("output", &result.output, &log_prob.select(1, class), 1e-5, Relative::ToLargest);
    }
}

#[test]
fn of_classes_that_are_as_likely_the_first_is_predicted() {
    let vs = nn::VarStore::new(device());
    let config = AdaptiveLogSoftmaxConfig { div_value: 1.0, ..Default::default() };
    // Clusters of one class: as likely as their cluster.
    let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), 2, 3, &[1, 2], config).unwrap();
    for (_, mut parameter) in vs.variables() {
        let _ = no_grad(|| parameter.zero_());
    }
    let predicted = loss.predict(&noise(1, &[1, 2], Kind::Float)).unwrap();
    assert_eq!(values(&predicted), [0.0]);
}
