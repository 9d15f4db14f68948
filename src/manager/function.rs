//! A loss of any number of tensors.

use std::fmt;

use tch::Tensor;

use super::adversarial::OfPredictions;
use super::Inputs;
use crate::{Loss, Result, SequenceLoss, TernaryLoss, UnaryLoss};

/// How the value of a term comes about.
pub(super) enum Function {
    Unary(Box<dyn UnaryLoss + Send>),
    Binary(Box<dyn Loss + Send>),
    Ternary(Box<dyn TernaryLoss + Send>),
    Sequence(Box<dyn SequenceLoss + Send>),
    Predictions(OfPredictions),
    Value,
}

impl Function {
    /// The loss of the inputs; `None` if the function takes other inputs.
    pub fn compute(&self, inputs: &Inputs) -> Option<Result<Tensor>> {
        match (self, inputs) {
            (Function::Unary(loss), Inputs::One(input)) => Some(loss.try_forward(input)),
            (Function::Binary(loss), Inputs::Two(input, target)) => Some(loss.try_forward(input, target)),
            (Function::Ternary(loss), Inputs::Three(first, second, third)) => {
                Some(loss.try_forward(first, second, third))
            }
            (
                Function::Sequence(loss),
                Inputs::Sequences { inputs, targets, input_lengths, target_lengths },
            ) => Some(loss.try_forward(inputs, targets, input_lengths, target_lengths)),
            (Function::Predictions(loss), _) => loss.compute(inputs),
            (Function::Value, Inputs::Value(value)) => Some(Ok(value.shallow_clone())),
            _ => None,
        }
    }

    /// Whether the loss's options are in their ranges.
    pub fn check_options(&self) -> Result<()> {
        match self {
            Function::Unary(loss) => loss.check_options(),
            Function::Binary(loss) => loss.check_options(),
            Function::Ternary(loss) => loss.check_options(),
            Function::Sequence(loss) => loss.check_options(),
            Function::Predictions(loss) => loss.check_options(),
            Function::Value => Ok(()),
        }
    }

    /// Whether the function takes these inputs.
    pub fn takes(&self, inputs: &Inputs) -> bool {
        match self {
            Function::Unary(_) => matches!(inputs, Inputs::One(_)),
            Function::Binary(_) => matches!(inputs, Inputs::Two(..)),
            Function::Ternary(_) => matches!(inputs, Inputs::Three(..)),
            Function::Sequence(_) => matches!(inputs, Inputs::Sequences { .. }),
            Function::Predictions(loss) => loss.takes(inputs),
            Function::Value => matches!(inputs, Inputs::Value(_)),
        }
    }

    /// The loss's map; `None` if it has no map, or takes other inputs.
    pub fn loss_map(&self, inputs: &Inputs) -> Result<Option<Tensor>> {
        match (self, inputs) {
            (Function::Unary(loss), Inputs::One(input)) => loss.loss_map(input),
            (Function::Binary(loss), Inputs::Two(input, target)) => loss.loss_map(input, target),
            (Function::Ternary(loss), Inputs::Three(first, second, third)) => {
                loss.loss_map(first, second, third)
            }
            _ => Ok(None),
        }
    }

    /// What it is computed from, for messages.
    pub fn in_words(&self) -> &'static str {
        match self {
            Function::Unary(_) => "a loss of one tensor: pass `&input`",
            Function::Binary(_) => "a loss of two tensors: pass `(&input, &target)`",
            Function::Ternary(_) => "a loss of three tensors: pass `(&first, &second, &third)`",
            Function::Sequence(_) => {
                "a loss of sequences: pass `(&inputs, &targets, &input_lengths, &target_lengths)`"
            }
            Function::Predictions(loss) => loss.in_words(),
            Function::Value => "computed by the training loop: pass the value itself, a `Tensor`",
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Function::Unary(loss) => loss.fmt(formatter),
            Function::Binary(loss) => loss.fmt(formatter),
            Function::Ternary(loss) => loss.fmt(formatter),
            Function::Sequence(loss) => loss.fmt(formatter),
            Function::Predictions(loss) => loss.fmt(formatter),
            Function::Value => formatter.write_str("a value that the training loop computes"),
        }
    }
}
