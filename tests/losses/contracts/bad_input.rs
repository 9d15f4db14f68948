//! Bad input gives the error that names it.

use serde_json::json;
use tch::{Device, Kind, Tensor};
use tch_losses::Error;

use super::{for_each, Subject};

/// The error of the loss with one argument in another form.
fn refusal(subject: &Subject, position: usize, other: Tensor) -> Error {
    let mut tensors = subject.tensors();
    tensors[position] = other;
    match subject.compute(subject.reductions()[0], &tensors) {
        Ok(_) => panic!("{}: bad `{}` was accepted", subject.name, subject.arguments[position].role),
        Err(error) => error,
    }
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
            let role = argument.role.as_str();
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
            for kind in [Kind::Bool, Kind::ComplexDouble] {
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

/// Each number among the options has to be one.
#[test]
fn options_that_are_no_numbers() {
    for_each(|subject| {
        let numbers = subject.case.options.iter().filter(|(_, value)| value.is_f64());
        for (option, _) in numbers {
            let changed = subject.recorded().with(option, json!("nan"));
            assert!(changed.try_objective().is_err(), "{}: {option} = \"nan\" was accepted", subject.name);
        }
    });
}

/// Only the Kullback-Leibler divergence defines it.
#[test]
fn batch_means_are_refused() {
    for_each(|subject| {
        if !subject.recorded().has_reduction() || subject.loss() == "KlDivLoss" {
            return;
        }
        let changed = subject.recorded().with("reduction", json!("batchmean"));
        let error = changed.try_objective().unwrap_err().to_string();
        let expected =
            "objective: losses.LOSS.options.reduction: given BatchMean, expected None, Mean or Sum (line 1)";
        assert_eq!(error, expected, "{}", subject.name);
    });
}
