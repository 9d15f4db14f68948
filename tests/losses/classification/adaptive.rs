//! The adaptive soft max.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, LinearCrossEntropyConfig, LinearCrossEntropyLoss,
};

use crate::common::{assert_close, device, noise, value, values, Relative};
use crate::support::{indices, message_of, zeros};

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
    let config = AdaptiveLogSoftmaxConfig::new(64, 900, &[300, 600]).with_head_bias(true);
    AdaptiveLogSoftmaxWithLoss::new(&(vs.root() / "adaptive"), config).unwrap();
    let config = LinearCrossEntropyConfig::new(32, 200).with_bias(true).with_out_features(vec![3]);
    LinearCrossEntropyLoss::new(&(vs.root() / "loss"), config).unwrap();
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
    let config = AdaptiveLogSoftmaxConfig::new(8, 20, &[2, 6, 12]).with_div_value(2.0);
    let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), config).unwrap();
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
    // Clusters of one class: as likely as their cluster.
    let config = AdaptiveLogSoftmaxConfig::new(2, 3, &[1, 2]).with_div_value(1.0);
    let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), config).unwrap();
    for (_, mut parameter) in vs.variables() {
        let _ = no_grad(|| parameter.zero_());
    }
    let predicted = loss.predict(&noise(1, &[1, 2], Kind::Float)).unwrap();
    assert_eq!(values(&predicted), [0.0]);
}

#[test]
fn options_of_the_adaptive_soft_max() {
    let vs = nn::VarStore::new(device());
    let config = |features, cutoffs: &[i64]| AdaptiveLogSoftmaxConfig::new(features, 10, cutoffs);
    let new = |config| message_of(AdaptiveLogSoftmaxWithLoss::new(&vs.root(), config));
    for cutoffs in [vec![], vec![0, 5], vec![-1], vec![5, 5], vec![5, 3], vec![10], vec![3, 11]] {
        let expected =
            format!("option `cutoffs` is {cutoffs:?}, expected growing numbers from 1 to 9, one at least");
        assert_eq!(new(config(16, &cutoffs)), expected);
    }
    let expected = "option `in_features` is 0, expected a number of at least 1";
    assert_eq!(new(config(0, &[5])), expected);
    let expected = "option `div_value` is 4, expected one that leaves cluster 1 a feature of 15";
    assert_eq!(new(config(15, &[3, 5])), expected);
    for (div_value, given) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN")] {
        let expected = format!("option `div_value` is {given}, expected a finite number greater than 0");
        assert_eq!(new(config(16, &[5]).with_div_value(div_value)), expected);
    }
    assert!(vs.is_empty(), "a refusal left parameters behind");
}

#[test]
fn arguments_of_the_adaptive_soft_max() {
    let vs = nn::VarStore::new(device());
    let config = AdaptiveLogSoftmaxConfig::new(8, 10, &[3, 6]).with_div_value(2.0);
    let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), config).unwrap();
    let input = zeros(&[3, 8]);
    for shape in [vec![], vec![7], vec![3, 7], vec![1, 3, 8]] {
        let expected = format!("`input` has shape {shape:?}, expected [8] or [N, 8]");
        assert_eq!(message_of(loss.try_forward(&zeros(&shape), &indices(&[3]))), expected);
        assert_eq!(message_of(loss.log_prob(&zeros(&shape))), expected);
        assert_eq!(message_of(loss.predict(&zeros(&shape))), expected);
    }
    assert_eq!(message_of(loss.predict(&zeros(&[8]))), "`input` has shape [8], expected [N, 8]");
    for shape in [vec![], vec![2], vec![3, 1]] {
        let expected = format!("`target` has shape {shape:?}, expected [3], a class for each row of `input`");
        assert_eq!(message_of(loss.try_forward(&input, &indices(&shape))), expected);
    }
    assert_eq!(
        message_of(loss.try_forward(&input, &indices(&[3]).to_kind(Kind::Int))),
        "`target` has kind Int, expected Int64, classes"
    );
    assert_eq!(
        message_of(loss.try_forward(&input.to_kind(Kind::Double), &indices(&[3]))),
        "`input` has kind Double, expected Float, the kind of `head.weight`"
    );
    for (values, given) in [([0i64, 9, 10], "classes from 0 to 10"), ([-1, 2, 9], "classes from -1 to 9")] {
        let target = Tensor::from_slice(&values).to_device(device());
        let expected = format!("`target` holds {given}, expected 0 to 9");
        assert_eq!(message_of(loss.try_forward(&input, &target)), expected);
    }
}
