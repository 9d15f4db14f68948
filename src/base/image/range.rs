//! [`DataRange`].

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::accumulation_kind;
use crate::{Error, Result};

/// The range of an image's values: what libraries call `data_range`, `max_val` or `L`.
///
/// A loss with this option converts the images to `[0, 1]` itself. Values beyond the range are legal: nothing is
/// clamped, and no value is looked at, as that would wait for a CUDA device.
///
/// In an objective's file it is a word or two numbers: `data_range = "signed"`, `data_range = [0, 1023]`.
///
/// - **Default**: [`Unit`](Self::Unit).
/// - **Errors**: [`Between`](Self::Between) with numbers that are not finite, or of which the second is not the larger.
///
/// ```
/// use tch_losses::DataRange;
///
/// assert_eq!(DataRange::default(), DataRange::Unit);
/// // Two numbers make a range. The output of a 10-bit camera:
/// assert_eq!(DataRange::from((0.0, 1023.0)), DataRange::Between(0.0, 1023.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "Form", from = "Form")]
pub enum DataRange {
    /// From 0 to 1.
    #[default]
    Unit,
    /// From -1 to 1, as the output of a tanh.
    Signed,
    /// From 0 to 255.
    Bytes,
    /// From the first number to the second.
    Between(f64, f64),
}

impl DataRange {
    /// The lowest and the highest value.
    fn ends(self) -> (f64, f64) {
        match self {
            DataRange::Unit => (0.0, 1.0),
            DataRange::Signed => (-1.0, 1.0),
            DataRange::Bytes => (0.0, 255.0),
            DataRange::Between(lowest, highest) => (lowest, highest),
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        let (lowest, highest) = self.ends();
        match (highest - lowest).is_finite() && lowest < highest {
            true => Ok(()),
            false => Err(Error::Option {
                option: "data_range",
                given: self.to_string(),
                expected: "two finite numbers, the lower one first".into(),
            }),
        }
    }

    /// The images with values from 0 to 1, in [`accumulation_kind`].
    pub(crate) fn to_unit(self, images: &Tensor) -> Result<Tensor> {
        let images = images.f_to_kind(accumulation_kind(images.kind()))?;
        match self.ends() {
            (0.0, 1.0) => Ok(images),
            (0.0, highest) => Ok(images.f_mul_scalar(1.0 / highest)?),
            (lowest, highest) => Ok(images.f_sub_scalar(lowest)?.f_mul_scalar(1.0 / (highest - lowest))?),
        }
    }

    /// The images with values from -1 to 1, in [`accumulation_kind`].
    pub(crate) fn to_signed(self, images: &Tensor) -> Result<Tensor> {
        match self.ends() {
            (-1.0, 1.0) => Ok(images.f_to_kind(accumulation_kind(images.kind()))?),
            _ => Ok(self.to_unit(images)?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?),
        }
    }

    /// The slope of [`to_unit`](Self::to_unit).
    pub(crate) fn slope(self) -> f64 {
        let (lowest, highest) = self.ends();
        1.0 / (highest - lowest)
    }
}

impl From<(f64, f64)> for DataRange {
    fn from((lowest, highest): (f64, f64)) -> DataRange {
        DataRange::Between(lowest, highest)
    }
}

/// The word or the numbers in a file.
impl fmt::Display for DataRange {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DataRange::Unit => formatter.write_str("unit"),
            DataRange::Signed => formatter.write_str("signed"),
            DataRange::Bytes => formatter.write_str("bytes"),
            DataRange::Between(lowest, highest) => write!(formatter, "[{lowest}, {highest}]"),
        }
    }
}

/// How a file has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"unit\", \"signed\", \"bytes\" or two numbers")]
enum Form {
    Word(Word),
    Numbers(f64, f64),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Unit,
    Signed,
    Bytes,
}

impl From<DataRange> for Form {
    fn from(range: DataRange) -> Form {
        match range {
            DataRange::Unit => Form::Word(Word::Unit),
            DataRange::Signed => Form::Word(Word::Signed),
            DataRange::Bytes => Form::Word(Word::Bytes),
            DataRange::Between(lowest, highest) => Form::Numbers(lowest, highest),
        }
    }
}

impl From<Form> for DataRange {
    fn from(form: Form) -> DataRange {
        match form {
            Form::Word(Word::Unit) => DataRange::Unit,
            Form::Word(Word::Signed) => DataRange::Signed,
            Form::Word(Word::Bytes) => DataRange::Bytes,
            Form::Numbers(lowest, highest) => DataRange::Between(lowest, highest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_word_or_two_numbers() {
        for (range, text) in [
            (DataRange::Unit, "\"unit\""),
            (DataRange::Signed, "\"signed\""),
            (DataRange::Bytes, "\"bytes\""),
            (DataRange::Between(-0.5, 3.0), "[-0.5,3.0]"),
        ] {
            assert_eq!(serde_json::to_string(&range).unwrap(), text);
            assert_eq!(serde_json::from_str::<DataRange>(text).unwrap(), range);
        }
        let error = serde_json::from_str::<DataRange>("\"byte\"").unwrap_err().to_string();
        assert_eq!(error, "expected \"unit\", \"signed\", \"bytes\" or two numbers");
    }

    #[test]
    fn ranges_that_are_none() {
        for (lowest, highest) in
            [(1.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (-1e308, 1e308)]
        {
            let error = DataRange::Between(lowest, highest).check().unwrap_err().to_string();
            assert!(error.starts_with("option `data_range` is ["), "{error}");
        }
        assert!([DataRange::Unit, DataRange::Signed, DataRange::Bytes]
            .iter()
            .all(|range| range.check().is_ok()));
    }

    #[test]
    fn conversion_to_unit() {
        for (range, given) in [
            (DataRange::Unit, [0.0, 0.25, 1.0]),
            (DataRange::Signed, [-1.0, -0.5, 1.0]),
            (DataRange::Bytes, [0.0, 63.75, 255.0]),
            (DataRange::Between(2.0, 4.0), [2.0, 2.5, 4.0]),
        ] {
            let unit = range.to_unit(&Tensor::from_slice(&given)).unwrap();
            for (own, expected) in Vec::<f64>::try_from(unit).unwrap().into_iter().zip([0.0, 0.25, 1.0]) {
                assert!((own - expected).abs() < 1e-15, "{range}: {own}");
            }
            assert!((range.slope() * (given[2] - given[0]) - 1.0).abs() < 1e-15);
        }
    }
}
