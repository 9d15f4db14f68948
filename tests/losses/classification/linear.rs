//! The cross entropy behind a linear layer, at once and in pieces.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{Chunking, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, Reduction};

use crate::common::{assert_close, device, epsilon, few_roundings, noise, value, Relative};
use crate::support::{indices, integers, leaf, message_of, zeros};

/// A linear loss of 3 features and 4 classes: its value, and the gradients of three times that with respect
/// to input, weight and bias.
fn linear(config: LinearCrossEntropyConfig, kind: Kind, target: &Tensor) -> [Tensor; 4] {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    let loss = LinearCrossEntropyLoss::new(&vs.root(), config).unwrap();
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
    let of_classes = integers(&[0, 3, 1, 9, 2, 9, 1]);
    let of_places = integers(&[0, 3, 1, 9, 2, 9, 1, 0, 0, 1, 2, 3, 3, 9]).view([7, 2]);
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
                            in_features: 3,
                            num_classes: 4,
                            bias: true,
                            out_features: places.clone(),
                            weight: weighted.then(|| noise(6, &[4], kind).abs().into()),
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
    let (features, several) = (noise(1, &[3, 16], Kind::Float) * 8.0, integers(&[1, 2, 0]));
    let row = features.select(0, 0);
    for kind in [Kind::Half, Kind::BFloat16] {
        let probabilities = noise(4, &[3, 4], Kind::Float).softmax(1, None).to_kind(kind);
        let in_kind = |tensor: &Tensor| tensor.to_kind(kind);
        let subjects = [
            ("one row", in_kind(&row), integers(&[1]).squeeze(), None),
            ("probabilities of one row", in_kind(&row), probabilities.select(0, 0), None),
            ("a batch", in_kind(&features), several.copy(), None),
            ("a batch at once, for the target", in_kind(&features), leaf(&probabilities), None),
            (
                "with class weights",
                in_kind(&row),
                integers(&[1]).squeeze(),
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
                let weight = weight.as_ref().map(|weight| cast(weight).into());
                let config = LinearCrossEntropyConfig {
                    bias: true,
                    weight,
                    chunking,
                    ..LinearCrossEntropyConfig::new(16, 4)
                };
                let loss = LinearCrossEntropyLoss::new(&vs.root(), config).unwrap();
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

#[test]
fn pieces_have_gradients_only_where_one_is_needed() {
    let vs = nn::VarStore::new(device());
    let config = || LinearCrossEntropyConfig::new(3, 4).with_bias(true).with_chunking(Chunking::Rows(2));
    let loss = LinearCrossEntropyLoss::new(&vs.root(), config()).unwrap();
    let (input, target) = (noise(1, &[5, 3], Kind::Float), integers(&[0, 1, 2, 3, 0]));
    assert!(!no_grad(|| loss.forward(&leaf(&input), &target)).requires_grad());
    loss.forward(&input, &target).backward();
    assert!(!input.grad().defined() && loss.linear.ws.grad().defined());
    // A frozen layer under a trainable input.
    let mut frozen = nn::VarStore::new(device());
    let loss = LinearCrossEntropyLoss::new(&frozen.root(), config()).unwrap();
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
        (noise(1, &[5, 3], Kind::Float), integers(&[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]).view([5, 2]));
    let places = |chunking| {
        let config = LinearCrossEntropyConfig::new(3, 4)
            .with_out_features(vec![2])
            .with_reduction(Reduction::None)
            .with_chunking(chunking);
        let loss = LinearCrossEntropyLoss::new(&vs.root(), config).unwrap();
        no_grad(|| loss.linear.ws.shallow_clone().copy_(&noise(2, &[8, 3], Kind::Float)));
        no_grad(|| loss.forward(&input, &target))
    };
    let (pieces, whole) = (places(Chunking::Rows(2)), places(Chunking::Off));
    assert_close("places", &pieces, &whole, 1e-5, Relative::ToLargest);
}

#[test]
fn options_of_the_linear_loss() {
    let vs = nn::VarStore::new(device());
    let new = |config| message_of(LinearCrossEntropyLoss::new(&vs.root(), config));
    let at_least_1 = |option| format!("option `{option}` is 0, expected a number of at least 1");
    assert_eq!(new(LinearCrossEntropyConfig::new(0, 4)), at_least_1("in_features"));
    assert_eq!(new(LinearCrossEntropyConfig::new(3, 0)), at_least_1("num_classes"));
    let config = LinearCrossEntropyConfig::new(3, 4).with_out_features(vec![2, 0]);
    assert_eq!(new(config), at_least_1("out_features"));
    for (chunking, given) in [(Chunking::Rows(0), "0"), (Chunking::AspectRatio(-1), "-1")] {
        let config = LinearCrossEntropyConfig::new(3, 4).with_chunking(chunking);
        assert_eq!(new(config), format!("option `chunking` is {given}, expected a number of at least 1"));
    }
}

#[test]
fn arguments_of_the_linear_loss() {
    let vs = nn::VarStore::new(device());
    let config = || LinearCrossEntropyConfig::new(3, 4);
    let new = |config| LinearCrossEntropyLoss::new(&vs.root(), config).unwrap();
    for chunking in [Chunking::Off, Chunking::Rows(2)] {
        let loss = new(config().with_chunking(chunking));
        for shape in [vec![], vec![4], vec![2, 4], vec![2, 2, 3]] {
            let expected = format!("`input` has shape {shape:?}, expected [3] or [N, 3]");
            assert_eq!(message_of(loss.try_forward(&zeros(&shape), &indices(&[2]))), expected);
        }
        assert_eq!(
            message_of(loss.try_forward(&zeros(&[2, 3]).to_kind(Kind::Double), &indices(&[2]))),
            "`input` has kind Double, expected Float, the kind of `linear.weight`"
        );
        for shape in [vec![2], vec![], vec![4]] {
            assert_eq!(
                message_of(loss.try_forward(&zeros(&[3, 3]), &indices(&shape))),
                format!(
                    "`target` has shape {shape:?}, expected [3], a class for each place of the scores [3, 4]"
                )
            );
        }
        assert_eq!(
            message_of(loss.try_forward(&zeros(&[3, 3]), &zeros(&[2, 4]))),
            "`target` has shape [2, 4], expected [3, 4], probabilities for each of the logits"
        );
        let loss = new(config().with_ignore_index(-1).with_chunking(chunking));
        assert_eq!(
            message_of(loss.try_forward(&zeros(&[3, 3]), &zeros(&[3, 4]))),
            "option `ignore_index` is -1, expected None, for `target` holds probabilities, not classes"
        );
        let loss = new(config().with_out_features(vec![2]).with_chunking(chunking));
        assert_eq!(
            message_of(loss.try_forward(&zeros(&[3]), &indices(&[2]))),
            "`input` has shape [3], expected [N, 3]"
        );
        assert_eq!(
            message_of(loss.try_forward(&zeros(&[5, 3]), &indices(&[5]))),
            "`target` has shape [5], expected [5, 2], a class for each place of the scores [5, 4, 2]"
        );
    }
    let loss = new(config().with_reduction(Reduction::None).with_chunking(Chunking::Rows(2)));
    let result = || loss.try_forward(&noise(1, &[3, 3], Kind::Float), &indices(&[3]));
    assert_eq!(
        message_of(result()),
        "option `chunking` is Rows(2), expected Off, for with the reduction None the gradients' scale is not known in \
         forward"
    );
    assert_eq!(tch::no_grad(result).unwrap().size(), [3]);
}
