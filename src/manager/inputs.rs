//! What a loss of the manager is computed from.

use tch::{Device, Kind, Tensor};

use crate::{Predictions, Result};

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
/// | `&fake`: a tensor, a list of scales, or a list of the features of each scale | [`Term::generator`](super::Term::generator) |
/// | `(&real, &fake)`: two of these | [`Term::discriminator`](super::Term::discriminator) |
/// | `(&fake, &real)`: two lists of features | [`Term::features`](super::Term::features) |
/// | `value` | [`Term::value`](super::Term::value) |
///
/// A list is what [`Predictions`] come from: a reference to a `Vec`, a slice or an array.
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
    /// What a discriminator gives, as a list.
    Predictions(Predictions<'a>),
    /// What a discriminator gives twice; a list is at least one of them.
    TwoPredictions(Predictions<'a>, Predictions<'a>),
    /// A loss that the training loop has computed itself.
    Value(Tensor),
}

impl Inputs<'_> {
    /// The sum of no losses of these inputs.
    pub(super) fn zero(&self) -> Result<Tensor> {
        let first = match self {
            Inputs::One(first) | Inputs::Two(first, _) | Inputs::Three(first, ..) => Some(*first),
            Inputs::Sequences { inputs, .. } => Some(*inputs),
            Inputs::Predictions(given) | Inputs::TwoPredictions(given, _) => match given {
                Predictions::One(outputs) => Some(*outputs),
                Predictions::Scales(scales) => scales.first(),
                Predictions::Features(scales) => scales.iter().flatten().next(),
            },
            Inputs::Value(value) => Some(value),
        };
        let (kind, device) = match first {
            Some(first) if first.defined() => (first.kind(), first.device()),
            _ => (Kind::Float, Device::Cpu),
        };
        let floating = matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double);
        Ok(Tensor::f_zeros([0i64; 0], (if floating { kind } else { Kind::Float }, device))?)
    }
}

impl<'a> From<&'a Tensor> for Inputs<'a> {
    fn from(input: &'a Tensor) -> Inputs<'a> {
        Inputs::One(input)
    }
}

impl<'a> From<Predictions<'a>> for Inputs<'a> {
    fn from(given: Predictions<'a>) -> Inputs<'a> {
        match given {
            Predictions::One(input) => Inputs::One(input),
            list => Inputs::Predictions(list),
        }
    }
}

/// Lists come as they do to [`Predictions`].
macro_rules! from_lists {
    ($($list:ty [$($size:tt)*];)*) => {$(
        impl<'a $($size)*> From<&'a $list> for Inputs<'a> {
            fn from(list: &'a $list) -> Inputs<'a> {
                Predictions::from(list).into()
            }
        }
    )*};
}

from_lists! {
    [Tensor] [];
    Vec<Tensor> [];
    [Tensor; N] [, const N: usize];
    [Vec<Tensor>] [];
    Vec<Vec<Tensor>> [];
    [Vec<Tensor>; N] [, const N: usize];
}

/// Two references to tensors, or to lists.
impl<'a, A: Into<Predictions<'a>>, B: Into<Predictions<'a>>> From<(A, B)> for Inputs<'a> {
    fn from((first, second): (A, B)) -> Inputs<'a> {
        match (first.into(), second.into()) {
            (Predictions::One(input), Predictions::One(target)) => Inputs::Two(input, target),
            (first, second) => Inputs::TwoPredictions(first, second),
        }
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
