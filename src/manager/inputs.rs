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
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::manager::{LossManager, Term};
/// use tch_losses::CtcLoss;
///
/// let mut manager = LossManager::new();
/// manager.register("CTC", Term::sequence(CtcLoss::default()))?;
/// let log_probs = Tensor::zeros([2, 1, 3], (Kind::Double, Device::Cpu)).log_softmax(-1, None);
/// let targets = Tensor::from_slice2(&[[1i64]]);
/// let loss = manager.compute("CTC", (&log_probs, &targets, &[2], &[1]))?;
/// assert!((loss.double_value(&[]) - 3f64.ln()).abs() < 1e-12);
/// # Ok::<(), tch_losses::Error>(())
/// ```
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

/// The lengths are slices, arrays or `Vec`s.
impl<'a, A, B> From<(&'a Tensor, &'a Tensor, &'a A, &'a B)> for Inputs<'a>
where
    A: AsRef<[i64]> + ?Sized,
    B: AsRef<[i64]> + ?Sized,
{
    fn from(
        (inputs, targets, input_lengths, target_lengths): (&'a Tensor, &'a Tensor, &'a A, &'a B),
    ) -> Inputs<'a> {
        let (input_lengths, target_lengths) = (input_lengths.as_ref(), target_lengths.as_ref());
        Inputs::Sequences { inputs, targets, input_lengths, target_lengths }
    }
}

impl From<Tensor> for Inputs<'_> {
    fn from(value: Tensor) -> Self {
        Inputs::Value(value)
    }
}
