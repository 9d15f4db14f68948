//! Bad input gives the error that names it.

use serde_json::{json, Value};
use tch::{Device, Kind, Tensor};
use tch_losses::manager::{LossSpec, Objective};
use tch_losses::Error;

use super::{for_each, Subject, WITH_BATCH_MEAN};

/// The error of the loss with one argument in another form; its map has the same, if there is one.
fn refusal(subject: &Subject, position: usize, other: Tensor) -> Error {
    let mut tensors = subject.tensors();
    let reduction = subject.reductions()[0];
    let is_image = tensors.iter().all(|tensor| tensor.dim() == 4 && tensor.is_floating_point());
    let has_map = is_image && subject.map(reduction, &tensors).unwrap().is_some();
    tensors[position] = other;
    let what = format!("{} bad `{}`", subject.name, subject.arguments[position].role);
    let Err(error) = subject.compute(reduction, &tensors) else { panic!("{what} was accepted") };
    if has_map {
        let Err(of_map) = subject.map(reduction, &tensors) else { panic!("{what} was accepted by the map") };
        assert_eq!(of_map.to_string(), error.to_string(), "{what}");
    }
    error
}

/// The name of the argument that an error is about.
fn argument_of(error: &Error) -> Option<&'static str> {
    match error {
        Error::Undefined { argument }
        | Error::Layout { argument }
        | Error::Shape { argument, .. }
        | Error::Kind { argument, .. }
        | Error::Device { argument, .. }
        | Error::Value { argument, .. } => Some(argument),
        _ => None,
    }
}

#[test]
fn what_is_no_tensor_for_a_loss() {
    for_each(|subject| {
        for (position, argument) in subject.arguments.iter().enumerate() {
            let role = argument.called();
            let error = refusal(subject, position, Tensor::new());
            let undefined = matches!(error, Error::Undefined { .. });
            assert!(undefined && argument_of(&error) == Some(role), "{}: {error}", subject.name);
            let tensor = &argument.tensor;
            let dims = tensor.dim() as i64;
            if dims > 0 {
                let error = refusal(subject, position, tensor.to_sparse_sparse_dim(dims));
                let sparse = matches!(error, Error::Layout { .. });
                assert!(sparse && argument_of(&error) == Some(role), "{}: {error}", subject.name);
            }
            // A mask may be one of truths.
            let kinds = [Kind::ComplexDouble, Kind::Bool];
            for kind in kinds.into_iter().take(if role == "mask" { 1 } else { 2 }) {
                let other = Tensor::zeros(tensor.size(), (kind, Device::Cpu)).to_device(tensor.device());
                let error = refusal(subject, position, other);
                let wrong = matches!(error, Error::Kind { given, .. } if given == kind);
                assert!(wrong && argument_of(&error) == Some(role), "{} {kind:?}: {error}", subject.name);
            }
        }
    });
}

/// Whatever shape an argument has, libtorch is never asked to compute what the loss does not define: its errors are
/// long, and about its own arguments.
#[test]
fn shapes_that_do_not_fit() {
    for_each(|subject| {
        for (position, argument) in subject.arguments.iter().enumerate() {
            let tensor = &argument.tensor;
            let others = [
                tensor
                    .unsqueeze(0)
                    .expand([2, 2].iter().chain(&tensor.size()).copied().collect::<Vec<_>>(), true),
                tensor.reshape([-1]).repeat([7]),
                tensor
                    .unsqueeze(-1)
                    .repeat(vec![1; tensor.dim()].into_iter().chain([5]).collect::<Vec<i64>>()),
            ];
            for other in others {
                let mut tensors = subject.tensors();
                tensors[position] = other.contiguous();
                let shape = tensors[position].size();
                if let Err(error) = subject.compute(subject.reductions()[0], &tensors) {
                    let what = format!("{} `{}` {shape:?}: {error}", subject.name, argument.role);
                    let typed =
                        matches!(error, Error::Shape { .. } | Error::Value { .. } | Error::Kind { .. });
                    assert!(typed, "{what}");
                }
            }
        }
    });
}

/// Options that may be infinite or negative; all others refuse that.
const WITHOUT_BOUNDS: [(&str, &str); 6] = [
    ("TripletMarginLoss", "p"),
    ("HingeEmbeddingLoss", "margin"),
    ("CosineEmbeddingLoss", "margin"),
    ("MarginRankingLoss", "margin"),
    ("MultiMarginLoss", "margin"),
    ("HlGaussLoss", "min_value"),
];

/// Each number among the options has a range: NaN is never in it, and infinities and large negative numbers only where
/// that is said here.
#[test]
fn options_out_of_their_range() {
    let mut checked = 0;
    for name in LossSpec::NAMES {
        let spec = LossSpec::named(name).unwrap();
        if spec.has_parameters() {
            continue;
        }
        let mut objective = Objective::default();
        objective.losses.insert("LOSS".into(), spec.into());
        let file: Value = serde_json::from_str(&objective.to_json().unwrap()).unwrap();
        let options = file["losses"]["LOSS"]["options"].as_object().unwrap();
        for (option, _) in options.iter().filter(|(_, value)| value.is_f64()) {
            let without_bounds = WITHOUT_BOUNDS.contains(&(name, option));
            for value in ["nan", "inf", "-inf", "-1e30"] {
                let text = format!("[losses.LOSS]\nloss = \"{name}\"\noptions = {{ {option} = {value} }}");
                let refused = Objective::from_toml(&text).is_err();
                let infinite_margin = value != "-1e30" && option == "margin";
                assert!(
                    refused || without_bounds && value != "nan" && !infinite_margin,
                    "{name} {option} = {value}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 14, "{checked}");
}

/// Only some losses define it.
#[test]
fn batch_means_are_refused() {
    for_each(|subject| {
        if !subject.recorded().has_reduction() || WITH_BATCH_MEAN.contains(&subject.loss()) {
            return;
        }
        let changed = subject.recorded().with("reduction", json!("batchmean"));
        let error = changed.try_objective().unwrap_err().to_string();
        let expected =
            "objective: losses.LOSS.options.reduction: given batchmean, expected none, mean or sum (line 1)";
        assert_eq!(error, expected, "{}", subject.name);
    });
}
