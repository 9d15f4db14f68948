//! How the elements of a loss become one number.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Error, Result};

/// How the elements of a loss become one number: PyTorch's `reduction`.
///
/// In an objective's file it is a word: `reduction = "sum"`.
///
/// - **Default**: [`Mean`](Self::Mean).
/// - **Errors**: a loss that does not define [`BatchMean`](Self::BatchMean) refuses it with
///   [`Error::Option`]. [`KlDivLoss`](crate::KlDivLoss) defines it, as in PyTorch, and so do
///   [`GaussianKlLoss`](crate::GaussianKlLoss), [`NormalKlLoss`](crate::NormalKlLoss),
///   [`DistillationLoss`](crate::DistillationLoss), [`AsymmetricLoss`](crate::AsymmetricLoss) and
///   [`PolyBinaryCrossEntropyLoss`](crate::PolyBinaryCrossEntropyLoss).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{L1Loss, Loss, Reduction};
///
/// let (input, target) = (Tensor::from_slice(&[1.0, 2.0]), Tensor::from_slice(&[1.0, 5.0]));
/// let sum = L1Loss::default().with_reduction(Reduction::Sum);
/// assert_eq!(sum.forward(&input, &target).double_value(&[]), 3.0);
/// // tch's own type is understood as well.
/// assert_eq!(Reduction::try_from(tch::Reduction::Sum)?, Reduction::Sum);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// No reduction: the loss has one value for each element, sample or place.
    None,
    /// The mean.
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// The sum, divided by the first size: the mean over the batch of each sample's sum.
    #[doc(alias = "batchmean")]
    BatchMean,
}

impl Reduction {
    /// All of them.
    pub const ALL: [Reduction; 4] = [Reduction::None, Reduction::Mean, Reduction::Sum, Reduction::BatchMean];

    /// For losses that do not define [`BatchMean`](Self::BatchMean).
    pub(crate) fn check_without_batch_mean(self) -> Result<()> {
        match self {
            Reduction::None | Reduction::Mean | Reduction::Sum => Ok(()),
            Reduction::BatchMean => Err(Error::Option {
                option: "reduction",
                given: self.to_string(),
                expected: "none, mean or sum".into(),
            }),
        }
    }

    /// What libtorch calls it. libtorch lacks [`BatchMean`](Self::BatchMean): it gives the sum, to be divided.
    pub(crate) fn torch(self) -> tch::Reduction {
        match self {
            Reduction::None => tch::Reduction::None,
            Reduction::Mean => tch::Reduction::Mean,
            Reduction::Sum | Reduction::BatchMean => tch::Reduction::Sum,
        }
    }
}

/// `sum / count`. The mean of nothing is NaN, and has the gradient 0, as in PyTorch's cross entropy.
pub(crate) fn mean_of_counted(sum: &Tensor, count: &Tensor) -> Result<Tensor> {
    let nothing = count.f_sub(count)?.f_div(count)?;
    // A division by 0 would make NaN of the gradient as well.
    let divisor = count.f_masked_fill(&count.f_eq(0.0)?, 1.0)?;
    Ok(sum.f_div(&divisor)?.f_add(&nothing.f_detach()?)?)
}

/// The reduced `values`, computed in their own kind and returned in `kind`. The options exclude
/// [`BatchMean`](Reduction::BatchMean).
pub(crate) fn reduce(values: &Tensor, reduction: Reduction, kind: Kind) -> Result<Tensor> {
    let reduced = match reduction {
        Reduction::None => values.shallow_clone(),
        Reduction::Mean => values.f_mean(None)?,
        Reduction::Sum | Reduction::BatchMean => values.f_sum(None)?,
    };
    Ok(reduced.f_to_kind(kind)?)
}

/// [`tch::Reduction::Other`] is an error.
impl TryFrom<tch::Reduction> for Reduction {
    type Error = Error;

    fn try_from(reduction: tch::Reduction) -> Result<Reduction> {
        match reduction {
            tch::Reduction::None => Ok(Reduction::None),
            tch::Reduction::Mean => Ok(Reduction::Mean),
            tch::Reduction::Sum => Ok(Reduction::Sum),
            tch::Reduction::Other(_) => Err(Error::Option {
                option: "reduction",
                given: format!("{reduction:?}"),
                expected: "None, Mean or Sum".into(),
            }),
        }
    }
}

/// PyTorch's word for it.
impl fmt::Display for Reduction {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Reduction::None => "none",
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
            Reduction::BatchMean => "batchmean",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_in_a_file_is_that_of_pytorch() {
        for reduction in Reduction::ALL {
            let word = serde_json::to_string(&reduction).unwrap();
            assert_eq!(word, format!("\"{reduction}\""));
            assert_eq!(serde_json::from_str::<Reduction>(&word).unwrap(), reduction);
        }
    }

    #[test]
    fn from_tch() {
        for known in [tch::Reduction::None, tch::Reduction::Mean, tch::Reduction::Sum] {
            assert_eq!(Reduction::try_from(known).unwrap().torch(), known);
        }
        let error = Reduction::try_from(tch::Reduction::Other(9)).unwrap_err();
        assert_eq!(error.to_string(), "option `reduction` is Other(9), expected None, Mean or Sum");
    }
}
