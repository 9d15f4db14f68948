//! What the losses of torch.nn on values and classes refuse.

use tch::{nn, Kind, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, BceLoss, CrossEntropyLoss, GaussianNllLoss,
    HuberLoss, KlDivLoss, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, NllLoss, PoissonNllLoss,
    Reduction, SmoothL1Loss,
};

use crate::common::device;
use crate::support::{indices, message_of, zeros};

fn with_reduction(reduction: Reduction) -> Vec<(Box<dyn Loss>, Tensor)> {
    vec![
        (Box::new(SmoothL1Loss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(HuberLoss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(BceLoss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(PoissonNllLoss { reduction, ..Default::default() }), zeros(&[2, 3])),
        (Box::new(CrossEntropyLoss { reduction, ..Default::default() }), indices(&[2])),
        (Box::new(NllLoss { reduction, ..Default::default() }), indices(&[2])),
    ]
}

/// Every two-tensor loss, and a target that suits an input of `[2, 3]`.
fn losses() -> Vec<(Box<dyn Loss>, Tensor)> {
    let mut losses = with_reduction(Reduction::Mean);
    losses.push((Box::new(KlDivLoss::default()), zeros(&[2, 3])));
    let vs = nn::VarStore::new(device());
    let linear = LinearCrossEntropyLoss::new(&vs.root(), LinearCrossEntropyConfig::new(3, 4)).unwrap();
    losses.push((Box::new(linear), indices(&[2])));
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
    let expected = "option `reduction` is batchmean, expected none, mean or sum";
    for (loss, target) in with_reduction(Reduction::BatchMean) {
        assert_eq!(message_of(loss.try_forward(&zeros(&[2, 3]), &target)), expected);
    }
    let gaussian = GaussianNllLoss { reduction: Reduction::BatchMean, ..Default::default() };
    let x = zeros(&[2]);
    assert_eq!(message_of(gaussian.try_forward(&x, &x, &x)), expected);
    let vs = nn::VarStore::new(device());
    let config = LinearCrossEntropyConfig::new(3, 4).with_reduction(Reduction::BatchMean);
    assert_eq!(message_of(LinearCrossEntropyLoss::new(&vs.root(), config)), expected);
}

#[test]
fn undefined_sparse_and_misfit_kinds() {
    let input = zeros(&[2, 3]);
    for (loss, target) in losses() {
        assert_eq!(message_of(loss.try_forward(&Tensor::new(), &target)), "`input` is an undefined tensor");
        assert_eq!(message_of(loss.try_forward(&input, &Tensor::new())), "`target` is an undefined tensor");
        let sparse = input.to_sparse(None, None::<i64>, 0);
        let expected = "`input` is a sparse or mkldnn tensor, expected a dense one (`to_dense`)";
        assert_eq!(message_of(loss.try_forward(&sparse, &target)), expected);
        for kind in [Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
            let message = message_of(loss.try_forward(&input.to_kind(kind), &target));
            assert_eq!(
                message,
                format!("`input` has kind {kind:?}, expected Half, BFloat16, Float or Double")
            );
        }
        for kind in [Kind::Bool, Kind::ComplexFloat, Kind::Int] {
            let message = message_of(loss.try_forward(&input, &target.to_kind(kind)));
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
                message_of(loss.try_forward(&input, &zeros(&shape))),
                format!("`target` has shape {shape:?}, expected [2, 3], the shape of `input`")
            );
        }
        assert_eq!(
            message_of(loss.try_forward(&input, &target.to_kind(Kind::Double))),
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
        assert_eq!(message_of(loss.try_forward(&x, &x)), number("beta"));
        let loss = PoissonNllLoss { eps: value, ..Default::default() };
        assert_eq!(message_of(loss.try_forward(&x, &x)), number("eps"));
        let loss = GaussianNllLoss { eps: value, ..Default::default() };
        assert_eq!(message_of(loss.try_forward(&x, &x, &x)), number("eps"));
        assert_eq!(message_of(GaussianNllLoss::default().try_forward(&x, &x, value)), number("var"));
    }
    for (value, given) in numbers.into_iter().chain([(0.0, "0")]) {
        let loss = HuberLoss { delta: value, ..Default::default() };
        let expected = format!("option `delta` is {given}, expected a finite number greater than 0");
        assert_eq!(message_of(loss.try_forward(&x, &x)), expected);
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
    let loss =
        AdaptiveLogSoftmaxWithLoss::new(&vs.root(), AdaptiveLogSoftmaxConfig::new(4, 10, &[3])).unwrap();
    let expected = "`input` has shape [3], expected [4] or [N, 4]";
    assert_eq!(message(|| drop(loss.forward(&x, &indices(&[])))), expected);
}
