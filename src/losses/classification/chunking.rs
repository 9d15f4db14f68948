//! How many logits are computed at once: [`Chunking`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::integer::div_ceil;
use crate::{Error, Result};

/// Whether a [`LinearCrossEntropyLoss`](crate::LinearCrossEntropyLoss) computes the logits of the whole batch at once.
///
/// In an objective's file: `"off"`, `"auto"`, `{ aspect_ratio = 4 }` or `{ rows = 256 }`.
#[doc(alias = "LinearCrossEntropyOptions")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chunking {
    /// All at once, as PyTorch with `options=None`.
    #[default]
    Off,
    /// `AspectRatio(2)`. PyTorch's `LinearCrossEntropyOptions()` chooses the same, except for f16 and bf16 on
    /// the CPU. For very many classes that is very few rows.
    Auto,
    /// The number of rows whose logits take as much memory as the whole `input`, rounded up to a power of
    /// two, and then divided by this number. PyTorch calls it `chunking_method="aspect_ratio:N"`.
    AspectRatio(i64),
    /// This number of rows. On the CPU, some hundreds are about as fast as all at once; a few are several
    /// times slower.
    #[doc(alias = "batch_chunk_size")]
    Rows(i64),
}

impl Chunking {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Chunking::AspectRatio(number) | Chunking::Rows(number) if number < 1 => Err(Error::Option {
                option: "chunking",
                given: number.to_string(),
                expected: "a number of at least 1".into(),
            }),
            _ => Ok(()),
        }
    }

    /// How many of the rows of `input` `[N, in_features]` go at once; `None` for all.
    pub(super) fn rows(self, input: &Tensor, classes: i64) -> Option<i64> {
        let divisor = match self {
            Chunking::Off => return None,
            Chunking::Rows(rows) => return Some(rows),
            Chunking::Auto => 2,
            Chunking::AspectRatio(divisor) => divisor,
        };
        let &[batch, features] = input.size().as_slice() else { return None };
        let ratio = div_ceil(classes, features);
        let rows = (div_ceil(batch, ratio) as u64).next_power_of_two() as i64;
        Some((rows / divisor).min(batch).max(1))
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::Chunking;

    /// What PyTorch's `LinearCrossEntropyOptions` chooses for batches of so many rows, features and classes.
    #[test]
    fn as_many_rows_as_in_pytorch() {
        let choices = [
            ((4096, 64, 8192), [16, 32, 10, 1]),
            ((7, 2, 4), [2, 4, 1, 1]),
            ((100, 16, 1000), [1, 2, 1, 1]),
            ((1, 8, 8), [1, 1, 1, 1]),
            ((10, 64, 8), [8, 10, 5, 1]),
            ((1000, 7, 50), [64, 128, 42, 1]),
        ];
        let methods =
            [Chunking::Auto, Chunking::AspectRatio(1), Chunking::AspectRatio(3), Chunking::AspectRatio(1000)];
        for ((batch, features, classes), expected) in choices {
            let input = Tensor::empty([batch, features], (Kind::Float, Device::Cpu));
            let own = methods.map(|method| method.rows(&input, classes).unwrap());
            assert_eq!(own, expected, "{batch} {features} {classes}");
            assert_eq!(Chunking::Off.rows(&input, classes), None);
        }
    }
}
