//! Weights of another kind or on another device: they are brought to those of the input.

use tch::{nn, no_grad, Device, Kind, Tensor};
use tch_losses::{
    BceLoss, BceWithLogitsLoss, CrossEntropyLoss, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss,
    MultiLabelSoftMarginLoss, MultiMarginLoss, NllLoss, WeightTensor,
};

use crate::common::{device, noise, value};
use crate::support::{integers, leaf, vector};

const VALUES: [f64; 3] = [0.5, 2.0, 3.0];

/// Every loss with a weight, and a pair that it takes. `kind` is that of the input.
fn weighted(weight: &WeightTensor, kind: Kind) -> Vec<(Box<dyn Loss>, Tensor, Tensor)> {
    let (scores, other) = (noise(1, &[4, 3], kind), noise(2, &[4, 3], kind));
    let (probable, target) = (scores.sigmoid(), other.sigmoid());
    let classes = || integers(&[0, 2, 1, 2]);
    let some = || Some(weight.clone());
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    let config = LinearCrossEntropyConfig { weight: some(), ..LinearCrossEntropyConfig::new(3, 3) };
    let linear = LinearCrossEntropyLoss::new(&vs.root(), config).unwrap();
    no_grad(|| linear.linear.ws.shallow_clone().copy_(&noise(3, &[3, 3], kind)));
    vec![
        (Box::new(BceLoss { weight: some(), ..Default::default() }), probable, target.copy()),
        (Box::new(BceWithLogitsLoss { weight: some(), ..Default::default() }), scores.copy(), target.copy()),
        (
            Box::new(BceWithLogitsLoss { pos_weight: some(), ..Default::default() }),
            scores.copy(),
            target.copy(),
        ),
        (Box::new(CrossEntropyLoss { weight: some(), ..Default::default() }), scores.copy(), classes()),
        (
            Box::new(CrossEntropyLoss { weight: some(), label_smoothing: 0.1, ..Default::default() }),
            scores.copy(),
            classes(),
        ),
        (Box::new(NllLoss { weight: some(), ..Default::default() }), scores.log_softmax(1, None), classes()),
        (Box::new(linear), scores.copy(), classes()),
        (Box::new(MultiMarginLoss { weight: some(), ..Default::default() }), scores.copy(), classes()),
        (Box::new(MultiLabelSoftMarginLoss { weight: some(), ..Default::default() }), scores, target),
    ]
}

fn value_and_gradient(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let value = loss.forward(&input, target);
    value.backward();
    (value.detach(), input.grad())
}

/// The values have exact counterparts in every kind, but for the half in integers.
#[test]
fn a_weight_of_another_kind_is_as_good_as_one_that_was_converted() {
    let whole = vector(&[1.0, 2.0, 3.0]);
    let tensor = vector(&VALUES);
    for kind in [Kind::Float, Kind::Double] {
        let others: [(WeightTensor, Tensor); 7] = [
            (VALUES.into(), tensor.copy()),
            ((&tensor).into(), tensor.copy()),
            (tensor.to_kind(Kind::Float).into(), tensor.copy()),
            (tensor.to_kind(Kind::Half).into(), tensor.copy()),
            (tensor.to_device(Device::Cpu).into(), tensor.copy()),
            (whole.to_kind(Kind::Int64).into(), whole.copy()),
            (whole.to_kind(Kind::Uint8).into(), whole.copy()),
        ];
        for (other, converted) in others {
            let converted = converted.to_kind(kind).into();
            let pairs = weighted(&other, kind).into_iter().zip(weighted(&converted, kind));
            for ((loss, input, target), (expected, ..)) in pairs {
                let actual = value_and_gradient(loss.as_ref(), &input, &target);
                assert_eq!(actual.0.kind(), kind, "{loss:?}");
                assert_eq!(actual, value_and_gradient(expected.as_ref(), &input, &target), "{loss:?}");
            }
        }
    }
}

/// Where a weight of the input's kind gets a gradient, so does one of another; where it is refused, so is the other.
#[test]
fn gradients_reach_a_weight_of_another_kind() {
    for (own, kind) in [(Kind::Float, Kind::Double), (Kind::Double, Kind::Float)] {
        let count = weighted(&VALUES.into(), kind).len();
        for index in 0..count {
            let with = |weight_kind| {
                let weight = leaf(&vector(&VALUES).to_kind(weight_kind));
                let (loss, input, target) = weighted(&(&weight).into(), kind).swap_remove(index);
                let result = loss.try_forward(&input, &target);
                let name = format!("{loss:?}");
                (name, weight, result)
            };
            let ((name, weight, result), (_, same, expected)) = (with(own), with(kind));
            match (result, expected) {
                (Ok(loss), Ok(expected)) => {
                    loss.backward();
                    expected.backward();
                    assert_eq!(weight.grad().kind(), own, "{name}");
                    assert!(value(&weight.grad().abs().sum(None)) > 0.0, "{name}");
                    assert_eq!(weight.grad(), same.grad().to_kind(own), "{name}");
                }
                (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected.to_string(), "{name}"),
                (result, expected) => panic!("{name}: {result:?}, expected {expected:?}"),
            }
        }
    }
}

/// The weight is kept in the kind of the last input, and a change of the tensor counts all the same.
#[test]
fn one_loss_serves_every_kind() {
    let weight = vector(&VALUES);
    let loss = CrossEntropyLoss::default().with_weight(&weight);
    let classes = integers(&[0, 2, 1, 2]);
    for round in 0..3 {
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Float] {
            let scores = noise(1, &[4, 3], kind);
            let expected = CrossEntropyLoss::default().with_weight(weight.to_kind(kind));
            let expected = expected.forward(&scores, &classes);
            assert_eq!(loss.forward(&scores, &classes), expected, "{kind:?}, round {round}");
        }
        let _ = weight.shallow_clone().g_add_(&vector(&[1.0, 0.0, -0.5]));
    }
}
