//! The cross entropies.

use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::{
    BceLoss, BceWithLogitsLoss, CrossEntropyLoss, KlDivLoss, LinearCrossEntropyConfig,
    LinearCrossEntropyLoss, Loss, NllLoss, Reduction, WeightTensor,
};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{indices, integers, leaf, message_of, zeros};

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
    let (logits, target) = (noise(1, &[4, 3], Kind::Double), integers(&[0, 2, 1, 2]));
    for label_smoothing in [0.0, 0.3] {
        let loss = CrossEntropyLoss { label_smoothing, ..Default::default() };
        let one_hot = target.one_hot(3).to_kind(Kind::Double);
        let (of_classes, of_one_hot) = (loss.forward(&logits, &target), loss.forward(&logits, &one_hot));
        assert_close("one hot", &of_classes, &of_one_hot, 1e-12, Relative::ToLargest);
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
fn classes_may_be_bytes() {
    for shape in [vec![3], vec![4, 3], vec![4, 3, 2], vec![2, 3, 2, 2], vec![1, 3, 2, 2, 1]] {
        let axis = i64::from(shape.len() > 1);
        let mut places = shape.clone();
        places.remove(axis as usize);
        let count: i64 = places.iter().product();
        let drawn: Vec<i64> = (0..count).map(|place| [0, 2, 1, 2][place as usize % 4]).collect();
        let target = integers(&drawn).view(&places[..]);
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

/// Weights that require a gradient get one, or are refused: never a gradient that is silently missing.
#[test]
fn weights_that_require_a_gradient() {
    let weight = || leaf(&(noise(3, &[3], Kind::Double).abs() + 0.1));
    let (x, y) = (noise(1, &[4, 3], Kind::Double), noise(2, &[4, 3], Kind::Double).softmax(1, None));
    let labels = integers(&[0, 2, 1, 2]);
    let refused: [(Box<dyn Loss>, &Tensor, &Tensor); 6] = [
        (Box::new(BceLoss { weight: Some(weight().into()), ..Default::default() }), &y, &y),
        (Box::new(BceWithLogitsLoss { weight: Some(weight().into()), ..Default::default() }), &x, &y),
        (Box::new(BceWithLogitsLoss { pos_weight: Some(weight().into()), ..Default::default() }), &x, &y),
        (Box::new(NllLoss { weight: Some(weight().into()), ..Default::default() }), &x, &labels),
        (Box::new(CrossEntropyLoss { weight: Some(weight().into()), ..Default::default() }), &x, &labels),
        (
            Box::new(CrossEntropyLoss {
                weight: Some(weight().into()),
                label_smoothing: 0.1,
                ..Default::default()
            }),
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
fn label_smoothing() {
    for (value, given) in [(f64::NAN, "NaN"), (-0.1, "-0.1"), (1.5, "1.5")] {
        let expected = format!("option `label_smoothing` is {given}, expected a number in [0, 1]");
        let loss = CrossEntropyLoss { label_smoothing: value, ..Default::default() };
        assert_eq!(message_of(loss.try_forward(&zeros(&[2, 3]), &indices(&[2]))), expected);
        let vs = nn::VarStore::new(device());
        let config = LinearCrossEntropyConfig::new(3, 4).with_label_smoothing(value);
        assert_eq!(message_of(LinearCrossEntropyLoss::new(&vs.root(), config)), expected);
    }
}

#[test]
fn shapes_of_scores_and_classes() {
    let losses: [Box<dyn Loss>; 2] = [Box::new(CrossEntropyLoss::default()), Box::new(NllLoss::default())];
    for loss in losses {
        for shape in [vec![], vec![0], vec![2, 0], vec![2, 0, 4]] {
            assert_eq!(
                message_of(loss.try_forward(&zeros(&shape), &indices(&[2]))),
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
            assert!(loss.try_forward(&zeros(&scores), &indices(&right)).is_ok());
            for shape in wrong {
                assert_eq!(
                    message_of(loss.try_forward(&zeros(&scores), &indices(&shape))),
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
        message_of(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2]))),
        "`target` has shape [2], expected [2, 3], probabilities for each of the logits"
    );
    assert_eq!(
        message_of(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]).to_kind(Kind::Double))),
        "`target` has kind Double, expected Float, the kind of `input`"
    );
    assert_eq!(
        message_of(loss.try_forward(&zeros(&[2, 3]), &indices(&[2]).to_kind(Kind::Int))),
        "`target` has kind Int, expected Int64 or Uint8 for classes, Float for probabilities"
    );
    assert_eq!(
        message_of(NllLoss::default().try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))),
        "`target` has kind Float, expected Int64 or Uint8, classes"
    );
    let loss = CrossEntropyLoss { ignore_index: 0, ..Default::default() };
    assert_eq!(
        message_of(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))),
        "option `ignore_index` is 0, expected a negative number, for `target` holds probabilities, not classes"
    );
}

#[test]
fn weights_of_classes() {
    let (input, target) = (zeros(&[2, 3]), indices(&[2]));
    let refusals = |weight: Tensor| {
        let vs = nn::VarStore::new(device());
        let copy = || Some(WeightTensor::from(&weight));
        [
            message_of(
                CrossEntropyLoss { weight: copy(), ..Default::default() }.try_forward(&input, &target),
            ),
            message_of(NllLoss { weight: copy(), ..Default::default() }.try_forward(&input, &target)),
            message_of(LinearCrossEntropyLoss::new(
                &vs.root(),
                LinearCrossEntropyConfig { weight: copy(), ..LinearCrossEntropyConfig::new(5, 3) },
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
    for kind in [Kind::Bool, Kind::ComplexFloat] {
        for message in refusals(zeros(&[3]).to_kind(kind)) {
            assert_eq!(
                message,
                format!("`weight` has kind {kind:?}, expected Half, BFloat16, Float or Double or an integer")
            );
        }
    }
    for message in refusals(zeros(&[3]).to_sparse(None, None::<i64>, 0)) {
        assert_eq!(message, "`weight` is a sparse or mkldnn tensor, expected a dense one (`to_dense`)");
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
fn bce_weights() {
    let logits = zeros(&[2, 3]);
    let with = |weight: Option<Tensor>, pos_weight: Option<Tensor>| {
        let [weight, pos_weight] = [weight, pos_weight].map(|weight| weight.map(WeightTensor::from));
        let of_probabilities = BceLoss { weight: weight.clone(), ..Default::default() };
        let of_probabilities = of_probabilities.try_forward(&logits, &logits);
        let loss = BceWithLogitsLoss { weight, pos_weight, ..Default::default() };
        let loss = loss.try_forward(&logits, &logits).map_err(|error| error.to_string());
        match of_probabilities {
            Ok(_) => {}
            Err(error) => assert_eq!(loss.as_ref().unwrap_err(), &error.to_string()),
        }
        loss
    };
    for shape in [vec![], vec![3], vec![1], vec![2, 1], vec![2, 3]] {
        assert!(with(Some(zeros(&shape)), Some(zeros(&shape))).is_ok(), "{shape:?}");
    }
    for shape in [vec![2], vec![4], vec![1, 2, 3], vec![5, 3], vec![0]] {
        let expected = |name| {
            format!(
                "`{name}` has shape {shape:?}, expected a shape that broadcasts to [2, 3], the shape of `input`"
            )
        };
        assert_eq!(with(Some(zeros(&shape)), None).unwrap_err(), expected("weight"));
        assert_eq!(with(None, Some(zeros(&shape))).unwrap_err(), expected("pos_weight"));
    }
    assert_eq!(with(Some(Tensor::new()), None).unwrap_err(), "`weight` is an undefined tensor");
    // Any real kind, as in PyTorch.
    for kind in [Kind::Double, Kind::Half, Kind::Int64, Kind::Uint8] {
        let weight = || Some(zeros(&[3]).to_kind(kind));
        assert!(with(weight(), weight()).is_ok(), "{kind:?}");
    }
    for kind in [Kind::Bool, Kind::ComplexFloat] {
        let expected = |name| {
            format!("`{name}` has kind {kind:?}, expected Half, BFloat16, Float or Double or an integer")
        };
        assert_eq!(with(Some(zeros(&[3]).to_kind(kind)), None).unwrap_err(), expected("weight"));
        assert_eq!(with(None, Some(zeros(&[3]).to_kind(kind))).unwrap_err(), expected("pos_weight"));
    }
}
