//! What the losses of torch.nn refuse, with the message that says why.

mod common;

use common::{device, noise};
use tch::{nn, Device, Kind, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, BceLoss, Chunking, CrossEntropyLoss, Error,
    GaussianNllLoss, HuberLoss, KlDivLoss, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, NllLoss,
    PoissonNllLoss, Reduction, SmoothL1Loss, TernaryLoss, Variance,
};

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, device()))
}

fn classes(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Int64, device()))
}

/// The message of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.expect_err("bad input was accepted");
    assert!(!matches!(error, Error::Torch(_)), "libtorch's error, not ours: {error}");
    error.to_string()
}

fn with_reduction(reduction: Reduction) -> Vec<(Box<dyn Loss>, Tensor)> {
    vec![
        (Box::new(SmoothL1Loss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(HuberLoss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(BceLoss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(PoissonNllLoss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(CrossEntropyLoss { reduction, ..Default::default() }), classes(&[2])),
        (Box::new(NllLoss { reduction, ..Default::default() }), classes(&[2])),
    ]
}

/// Every two-tensor loss, and a target that suits an input of `[2, 3]`.
fn losses() -> Vec<(Box<dyn Loss>, Tensor)> {
    let mut losses = with_reduction(Reduction::Mean);
    losses.push((Box::new(KlDivLoss::default()), zeros(&[2, 3])));
    let vs = nn::VarStore::new(device());
    let linear = LinearCrossEntropyLoss::new(&vs.root(), 3, 4, Default::default()).unwrap();
    losses.push((Box::new(linear), classes(&[2])));
    losses
}

#[test]
fn what_is_good_is_accepted() {
    for (loss, target) in losses() {
        assert!(loss.try_forward(&zeros(&[2, 3]), &target).is_ok(), "{loss:?}");
    }
}

#[test]
fn reductions() {
    let expected = "option `reduction` is Other(9), expected None, Mean or Sum";
    for (loss, target) in with_reduction(Reduction::Other(9)) {
        assert_eq!(refusal(loss.try_forward(&zeros(&[2, 3]), &target)), expected);
    }
    let gaussian = GaussianNllLoss { reduction: Reduction::Other(9), ..Default::default() };
    let x = zeros(&[2]);
    assert_eq!(refusal(gaussian.try_forward(&x, &x, &x)), expected);
    let vs = nn::VarStore::new(device());
    let config = LinearCrossEntropyConfig { reduction: Reduction::Other(9), ..Default::default() };
    assert_eq!(refusal(LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config)), expected);
}

#[test]
fn undefined_sparse_and_misfit_kinds() {
    let input = zeros(&[2, 3]);
    for (loss, target) in losses() {
        assert_eq!(refusal(loss.try_forward(&Tensor::new(), &target)), "`input` is an undefined tensor");
        assert_eq!(refusal(loss.try_forward(&input, &Tensor::new())), "`target` is an undefined tensor");
        let sparse = input.to_sparse(None, None::<i64>, 0);
        let expected = "`input` is a sparse or mkldnn tensor, expected a dense one (`to_dense`)";
        assert_eq!(refusal(loss.try_forward(&sparse, &target)), expected);
        for kind in [Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
            let message = refusal(loss.try_forward(&input.to_kind(kind), &target));
            assert_eq!(
                message,
                format!("`input` has kind {kind:?}, expected Half, BFloat16, Float or Double")
            );
        }
        for kind in [Kind::Bool, Kind::ComplexFloat, Kind::Int] {
            let message = refusal(loss.try_forward(&input, &target.to_kind(kind)));
            assert!(message.starts_with(&format!("`target` has kind {kind:?}, expected ")), "{message}");
        }
    }
}

#[test]
fn shapes_of_values() {
    let input = zeros(&[2, 3]);
    for (loss, target) in losses().into_iter().filter(|(_, target)| target.is_floating_point()) {
        for shape in [vec![3], vec![1, 3], vec![3, 2], vec![]] {
            assert_eq!(
                refusal(loss.try_forward(&input, &zeros(&shape))),
                format!("`target` has shape {shape:?}, expected [2, 3], the shape of `input`")
            );
        }
        assert_eq!(
            refusal(loss.try_forward(&input, &target.to_kind(Kind::Double))),
            "`target` has kind Double, expected Float, the kind of `input`"
        );
    }
}

#[test]
fn thresholds_and_eps() {
    let x = zeros(&[3]);
    let numbers = [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-0.5, "-0.5")];
    for (value, given) in numbers {
        let number = |option| format!("option `{option}` is {given}, expected a finite number, 0 or more");
        let loss = SmoothL1Loss { beta: value, ..Default::default() };
        assert_eq!(refusal(loss.try_forward(&x, &x)), number("beta"));
        let loss = PoissonNllLoss { eps: value, ..Default::default() };
        assert_eq!(refusal(loss.try_forward(&x, &x)), number("eps"));
        let loss = GaussianNllLoss { eps: value, ..Default::default() };
        assert_eq!(refusal(loss.try_forward(&x, &x, &x)), number("eps"));
        assert_eq!(refusal(GaussianNllLoss::default().try_forward(&x, &x, value)), number("var"));
    }
    for (value, given) in numbers.into_iter().chain([(0.0, "0")]) {
        let loss = HuberLoss { delta: value, ..Default::default() };
        let expected = format!("option `delta` is {given}, expected a finite number greater than 0");
        assert_eq!(refusal(loss.try_forward(&x, &x)), expected);
    }
}

#[test]
fn label_smoothing() {
    for (value, given) in [(f64::NAN, "NaN"), (-0.1, "-0.1"), (1.5, "1.5")] {
        let expected = format!("option `label_smoothing` is {given}, expected a number in [0, 1]");
        let loss = CrossEntropyLoss { label_smoothing: value, ..Default::default() };
        assert_eq!(refusal(loss.try_forward(&zeros(&[2, 3]), &classes(&[2]))), expected);
        let vs = nn::VarStore::new(device());
        let config = LinearCrossEntropyConfig { label_smoothing: value, ..Default::default() };
        assert_eq!(refusal(LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config)), expected);
    }
}

#[test]
fn shapes_of_scores_and_classes() {
    let losses: [Box<dyn Loss>; 2] = [Box::new(CrossEntropyLoss::default()), Box::new(NllLoss::default())];
    for loss in losses {
        for shape in [vec![], vec![0], vec![2, 0], vec![2, 0, 4]] {
            assert_eq!(
                refusal(loss.try_forward(&zeros(&shape), &classes(&[2]))),
                format!(
                    "`input` has shape {shape:?}, expected [C], [N, C] or [N, C, d1, ..., dK] with at least one class"
                )
            );
        }
        let shapes = [
            (vec![4], vec![], vec![vec![1], vec![4]]),
            (vec![2, 3], vec![2], vec![vec![], vec![3], vec![1], vec![2, 1], vec![2, 3]]),
            (vec![2, 3, 4, 5], vec![2, 4, 5], vec![vec![2, 5, 4], vec![2, 1, 4, 5], vec![1, 4, 5], vec![2]]),
        ];
        for (scores, right, wrong) in shapes {
            assert!(loss.try_forward(&zeros(&scores), &classes(&right)).is_ok());
            for shape in wrong {
                assert_eq!(
                    refusal(loss.try_forward(&zeros(&scores), &classes(&shape))),
                    format!(
                        "`target` has shape {shape:?}, expected {right:?}, a class for each place of the scores \
                         {scores:?}"
                    )
                );
            }
        }
    }
    // Probabilities.
    let loss = CrossEntropyLoss::default();
    assert_eq!(
        refusal(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2]))),
        "`target` has shape [2], expected [2, 3], probabilities for each of the logits"
    );
    assert_eq!(
        refusal(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]).to_kind(Kind::Double))),
        "`target` has kind Double, expected Float, the kind of `input`"
    );
    assert_eq!(
        refusal(loss.try_forward(&zeros(&[2, 3]), &classes(&[2]).to_kind(Kind::Int))),
        "`target` has kind Int, expected Int64 or Uint8 for classes, Float for probabilities"
    );
    assert_eq!(
        refusal(NllLoss::default().try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))),
        "`target` has kind Float, expected Int64 or Uint8, classes"
    );
    let loss = CrossEntropyLoss { ignore_index: 0, ..Default::default() };
    assert_eq!(
        refusal(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))),
        "option `ignore_index` is 0, expected a negative number, for `target` holds probabilities, not classes"
    );
}

#[test]
fn weights_of_classes() {
    let (input, target) = (zeros(&[2, 3]), classes(&[2]));
    let refusals = |weight: Tensor| {
        let vs = nn::VarStore::new(device());
        let copy = || Some(weight.shallow_clone());
        [
            refusal(CrossEntropyLoss { weight: copy(), ..Default::default() }.try_forward(&input, &target)),
            refusal(NllLoss { weight: copy(), ..Default::default() }.try_forward(&input, &target)),
            refusal(LinearCrossEntropyLoss::new(
                &vs.root(),
                5,
                3,
                LinearCrossEntropyConfig { weight: copy(), ..Default::default() },
            )),
        ]
    };
    for shape in [vec![], vec![1], vec![2], vec![4], vec![1, 3]] {
        for message in refusals(zeros(&shape)) {
            assert_eq!(
                message,
                format!("`weight` has shape {shape:?}, expected [3], a weight for each class")
            );
        }
    }
    for kind in [Kind::Double, Kind::Half] {
        for message in refusals(zeros(&[3]).to_kind(kind)) {
            assert!(
                message.starts_with(&format!("`weight` has kind {kind:?}, expected Float, ")),
                "{message}"
            );
        }
    }
    for message in refusals(zeros(&[3]).to_kind(Kind::Int64)) {
        assert_eq!(message, "`weight` has kind Int64, expected Half, BFloat16, Float or Double");
    }
    assert_eq!(refusals(Tensor::new()), ["`weight` is an undefined tensor"; 3]);
}

/// Values are libtorch's to check, on the CPU with an error.
#[test]
fn classes_and_probabilities_out_of_range() {
    let on_cpu = |tensor: Tensor| tensor.to_device(Device::Cpu);
    let input = on_cpu(zeros(&[2, 3]));
    for class in [-1i64, 3] {
        let target = Tensor::from_slice(&[0, class]);
        let losses: [Box<dyn Loss>; 3] = [
            Box::new(CrossEntropyLoss::default()),
            Box::new(CrossEntropyLoss { label_smoothing: 0.1, ..Default::default() }),
            Box::new(NllLoss::default()),
        ];
        for loss in losses {
            let error = loss.try_forward(&input, &target).unwrap_err();
            assert_eq!(error.to_string(), format!("Internal torch error: Target {class} is out of bounds."));
        }
    }
    for (input, target) in [(1.5, 0.5), (-0.5, 0.5), (0.5, 1.5)] {
        let result =
            BceLoss::default().try_forward(&Tensor::from_slice(&[input]), &Tensor::from_slice(&[target]));
        assert!(result.unwrap_err().to_string().contains("should be between 0 and 1"));
    }
}

#[test]
fn gaussian_shapes() {
    let loss = GaussianNllLoss::default();
    let input = zeros(&[2, 3, 4]);
    let good = zeros(&[2, 3, 4]) + 1.0;
    for shape in [vec![3, 4], vec![2, 1, 1], vec![1, 1, 1], vec![2, 3], vec![], vec![4, 3, 2]] {
        assert_eq!(
            refusal(loss.try_forward(&input, &zeros(&shape), &good)),
            format!("`target` has shape {shape:?}, expected [2, 3, 4], the shape of `input`, or that with one size of 1")
        );
        if shape != [2, 3] {
            assert_eq!(
                refusal(loss.try_forward(&input, &good, &zeros(&shape))),
                format!(
                    "`var` has shape {shape:?}, expected [2, 3, 4], the shape of `input`, or that with one size of 1 or \
                     without the last"
                )
            );
        }
    }
    let double = good.to_kind(Kind::Double);
    let expected = |name| format!("`{name}` has kind Double, expected Float, the kind of `input`");
    assert_eq!(refusal(loss.try_forward(&input, &double, &good)), expected("target"));
    assert_eq!(refusal(loss.try_forward(&input, &good, &double)), expected("var"));
    assert_eq!(
        refusal(loss.try_forward(&input, &good, Variance::Tensor(&Tensor::new()))),
        "`var` is an undefined tensor"
    );
}

#[test]
fn a_negative_variance() {
    let input = zeros(&[3]);
    let var = Tensor::from_slice(&[1f32, -1e-9, 0.0]).to_device(device());
    let result = GaussianNllLoss::default().try_forward(&input, &input, &var);
    if device() == Device::Cpu {
        assert_eq!(refusal(result), "`var` holds negative values, expected 0 or more");
    } else {
        assert!(result.unwrap().double_value(&[]).is_nan());
    }
}

#[test]
fn options_of_the_linear_loss() {
    let vs = nn::VarStore::new(device());
    let new = |features, classes, config| {
        refusal(LinearCrossEntropyLoss::new(&vs.root(), features, classes, config))
    };
    let at_least_1 = |option| format!("option `{option}` is 0, expected a number of at least 1");
    assert_eq!(new(0, 4, Default::default()), at_least_1("in_features"));
    assert_eq!(new(3, 0, Default::default()), at_least_1("num_classes"));
    let config = LinearCrossEntropyConfig { out_features: vec![2, 0], ..Default::default() };
    assert_eq!(new(3, 4, config), at_least_1("out_features"));
    for (chunking, given) in [(Chunking::Rows(0), "Rows(0)"), (Chunking::AspectRatio(-1), "AspectRatio(-1)")]
    {
        let config = LinearCrossEntropyConfig { chunking, ..Default::default() };
        assert_eq!(
            new(3, 4, config),
            format!("option `chunking` is {given}, expected a number of at least 1")
        );
    }
}

#[test]
fn arguments_of_the_linear_loss() {
    let vs = nn::VarStore::new(device());
    let new = |config| LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config).unwrap();
    for chunking in [Chunking::Off, Chunking::Rows(2)] {
        let loss = new(LinearCrossEntropyConfig { chunking, ..Default::default() });
        for shape in [vec![], vec![4], vec![2, 4], vec![2, 2, 3]] {
            let expected = format!("`input` has shape {shape:?}, expected [3] or [N, 3]");
            assert_eq!(refusal(loss.try_forward(&zeros(&shape), &classes(&[2]))), expected);
        }
        assert_eq!(
            refusal(loss.try_forward(&zeros(&[2, 3]).to_kind(Kind::Double), &classes(&[2]))),
            "`input` has kind Double, expected Float, the kind of `linear.weight`"
        );
        for shape in [vec![2], vec![], vec![4]] {
            assert_eq!(
                refusal(loss.try_forward(&zeros(&[3, 3]), &classes(&shape))),
                format!(
                    "`target` has shape {shape:?}, expected [3], a class for each place of the scores [3, 4]"
                )
            );
        }
        assert_eq!(
            refusal(loss.try_forward(&zeros(&[3, 3]), &zeros(&[2, 4]))),
            "`target` has shape [2, 4], expected [3, 4], probabilities for each of the logits"
        );
        let loss = new(LinearCrossEntropyConfig { ignore_index: Some(-1), chunking, ..Default::default() });
        assert_eq!(
            refusal(loss.try_forward(&zeros(&[3, 3]), &zeros(&[3, 4]))),
            "option `ignore_index` is -1, expected None, for `target` holds probabilities, not classes"
        );
        let out_features = vec![2];
        let loss = new(LinearCrossEntropyConfig { out_features, chunking, ..Default::default() });
        assert_eq!(
            refusal(loss.try_forward(&zeros(&[3]), &classes(&[2]))),
            "`input` has shape [3], expected [N, 3]"
        );
        assert_eq!(
            refusal(loss.try_forward(&zeros(&[5, 3]), &classes(&[5]))),
            "`target` has shape [5], expected [5, 2], a class for each place of the scores [5, 4, 2]"
        );
    }
    let chunking = Chunking::Rows(2);
    let loss = new(LinearCrossEntropyConfig { reduction: Reduction::None, chunking, ..Default::default() });
    let result = || loss.try_forward(&noise(1, &[3, 3], Kind::Float), &classes(&[3]));
    assert_eq!(
        refusal(result()),
        "option `chunking` is Rows(2), expected Off, for with the reduction None the gradients' scale is not known in \
         forward"
    );
    assert_eq!(tch::no_grad(result).unwrap().size(), [3]);
}

#[test]
fn options_of_the_adaptive_soft_max() {
    let vs = nn::VarStore::new(device());
    let new = |features, cutoffs: &[i64], config| {
        refusal(AdaptiveLogSoftmaxWithLoss::new(&vs.root(), features, 10, cutoffs, config))
    };
    for cutoffs in [vec![], vec![0, 5], vec![-1], vec![5, 5], vec![5, 3], vec![10], vec![3, 11]] {
        let expected =
            format!("option `cutoffs` is {cutoffs:?}, expected growing numbers from 1 to 9, one at least");
        assert_eq!(new(16, &cutoffs, Default::default()), expected);
    }
    let expected = "option `in_features` is 0, expected a number of at least 1";
    assert_eq!(new(0, &[5], Default::default()), expected);
    let expected = "option `div_value` is 4, expected one that leaves cluster 1 a feature of 15";
    assert_eq!(new(15, &[3, 5], Default::default()), expected);
    for (div_value, given) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN")] {
        let config = AdaptiveLogSoftmaxConfig { div_value, ..Default::default() };
        let expected = format!("option `div_value` is {given}, expected a finite number greater than 0");
        assert_eq!(new(16, &[5], config), expected);
    }
    assert!(vs.is_empty(), "a refusal left parameters behind");
}

#[test]
fn arguments_of_the_adaptive_soft_max() {
    let vs = nn::VarStore::new(device());
    let loss = AdaptiveLogSoftmaxWithLoss::new(
        &vs.root(),
        8,
        10,
        &[3, 6],
        AdaptiveLogSoftmaxConfig { div_value: 2.0, ..Default::default() },
    )
    .unwrap();
    let input = zeros(&[3, 8]);
    for shape in [vec![], vec![7], vec![3, 7], vec![1, 3, 8]] {
        let expected = format!("`input` has shape {shape:?}, expected [8] or [N, 8]");
        assert_eq!(refusal(loss.try_forward(&zeros(&shape), &classes(&[3]))), expected);
        assert_eq!(refusal(loss.log_prob(&zeros(&shape))), expected);
        assert_eq!(refusal(loss.predict(&zeros(&shape))), expected);
    }
    assert_eq!(refusal(loss.predict(&zeros(&[8]))), "`input` has shape [8], expected [N, 8]");
    for shape in [vec![], vec![2], vec![3, 1]] {
        let expected = format!("`target` has shape {shape:?}, expected [3], a class for each row of `input`");
        assert_eq!(refusal(loss.try_forward(&input, &classes(&shape))), expected);
    }
    assert_eq!(
        refusal(loss.try_forward(&input, &classes(&[3]).to_kind(Kind::Int))),
        "`target` has kind Int, expected Int64, classes"
    );
    assert_eq!(
        refusal(loss.try_forward(&input.to_kind(Kind::Double), &classes(&[3]))),
        "`input` has kind Double, expected Float, the kind of `head.weight`"
    );
    for (values, given) in [([0i64, 9, 10], "classes from 0 to 10"), ([-1, 2, 9], "classes from -1 to 9")] {
        let target = Tensor::from_slice(&values).to_device(device());
        let expected = format!("`target` holds {given}, expected 0 to 9");
        assert_eq!(refusal(loss.try_forward(&input, &target)), expected);
    }
}

#[test]
fn forward_panics_with_the_message_of_the_error() {
    fn message(call: impl FnOnce()) -> String {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }
    let x = zeros(&[3]);
    let gaussian = GaussianNllLoss::default();
    let expected = "option `var` is -1, expected a finite number, 0 or more";
    assert_eq!(message(|| drop(gaussian.forward(&x, &x, -1.0))), expected);
    let vs = nn::VarStore::new(device());
    let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), 4, 10, &[3], Default::default()).unwrap();
    let expected = "`input` has shape [3], expected [4] or [N, 4]";
    assert_eq!(message(|| drop(loss.forward(&x, &classes(&[])))), expected);
}
