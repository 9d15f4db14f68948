//! What a loss of the manager is computed from.

use tch::Tensor;

/// What [`LossManager::compute`](super::LossManager::compute) computes a loss from.
///
/// It comes [from](From) a reference to a tensor, a tuple of references, or a value that is a loss already:
///
/// | given | for a term made with |
/// |---|---|
/// | `&input` | [`Term::unary`](super::Term::unary) |
/// | `(&input, &target)` | [`Term::new`](super::Term::new) |
/// | `(&anchor, &positive, &negative)` | [`Term::ternary`](super::Term::ternary) |
/// | `(&log_probs, &targets, &[12, 9], &[4, 3])` | [`Term::sequence`](super::Term::sequence) |
/// | `value` | [`Term::value`](super::Term::value) |
#[derive(Debug)]
pub enum Inputs<'a> {
    /// One tensor.
    One(&'a Tensor),
    /// An input and a target.
    Two(&'a Tensor, &'a Tensor),
    /// Three tensors, in the loss's order.
    Three(&'a Tensor, &'a Tensor, &'a Tensor),
    /// Inputs and targets of different lengths.
    Sequences {
        /// The inputs.
        inputs: &'a Tensor,
        /// The targets.
        targets: &'a Tensor,
        /// How much of each input counts.
        input_lengths: &'a [i64],
        /// How much of each target counts.
        target_lengths: &'a [i64],
    },
    /// A loss that the training loop has computed itself.
    Value(Tensor),
}

impl<'a> From<&'a Tensor> for Inputs<'a> {
    fn from(input: &'a Tensor) -> Inputs<'a> {
        Inputs::One(input)
    }
}

impl<'a> From<(&'a Tensor, &'a Tensor)> for Inputs<'a> {
    fn from((input, target): (&'a Tensor, &'a Tensor)) -> Inputs<'a> {
        Inputs::Two(input, target)
    }
}

impl<'a> From<(&'a Tensor, &'a Tensor, &'a Tensor)> for Inputs<'a> {
    fn from((first, second, third): (&'a Tensor, &'a Tensor, &'a Tensor)) -> Inputs<'a> {
        Inputs::Three(first, second, third)
    }
}

impl<'a> From<(&'a Tensor, &'a Tensor, &'a [i64], &'a [i64])> for Inputs<'a> {
    fn from(given: (&'a Tensor, &'a Tensor, &'a [i64], &'a [i64])) -> Inputs<'a> {
        let (inputs, targets, input_lengths, target_lengths) = given;
        Inputs::Sequences { inputs, targets, input_lengths, target_lengths }
    }
}

impl From<Tensor> for Inputs<'_> {
    fn from(value: Tensor) -> Self {
        Inputs::Value(value)
    }
}
