//! Options that are tensors.

mod numbers;

use std::cell::RefCell;
use std::fmt;

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::{Device, Kind, Tensor};

use numbers::Numbers;

use super::check;
use super::precision::{is_floating, is_integer, FLOATING};
use super::tensor::on_device;
use crate::{Error, Result};

/// A weight that is an option of a loss: numbers, or a tensor.
///
/// A loss brings it to the device and the kind of its input when it computes, and keeps the result for the next
/// call. So the same loss serves every device and kind. A tensor is shared, not copied: gradients flow to it where
/// the loss has some, and a later change in place counts.
///
/// It comes [from](From) a number, an array or `Vec` of numbers, or a tensor. In an objective's file it is a
/// number, a list, or a list of lists:
///
/// ```toml
/// options = { weight = [1.0, 0.5, 2.0], pos_weight = 3.0 }
/// ```
///
/// - **Errors**: at forward, a tensor that is undefined, sparse, boolean or complex, a shape that the loss does
///   not take, and numbers that the kind of the input does not hold; in [`check_options`](crate::Loss::check_options), numbers that are not finite.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{CrossEntropyLoss, Loss};
///
/// let weighted = CrossEntropyLoss::default().with_weight([10.0, 1.0, 1.0]);
/// let classes = Tensor::from_slice(&[0i64, 2]);
/// for kind in [Kind::Float, Kind::Double] {
///     let logits = Tensor::zeros([2, 3], (kind, Device::Cpu));
///     assert_eq!(weighted.forward(&logits, &classes).kind(), kind);
/// }
/// ```
pub struct WeightTensor {
    source: Source,
    /// What was placed last.
    placed: RefCell<Option<Placed>>,
}

enum Source {
    Numbers(Numbers),
    Tensor(Tensor),
}

struct Placed {
    tensor: Tensor,
    /// Counts the changes in place of the tensor that it was made of.
    version: i64,
}

impl WeightTensor {
    /// The tensor on the device and of the kind of `input`.
    pub(crate) fn placed(&self, argument: &'static str, input: &Tensor) -> Result<Tensor> {
        let (device, kind) = (input.device(), input.kind());
        let is_there = |tensor: &Tensor| tensor.device() == device && tensor.kind() == kind;
        if let Source::Tensor(tensor) = &self.source {
            check_tensor(argument, tensor)?;
            if is_there(tensor) {
                return Ok(tensor.shallow_clone());
            }
            if tensor.requires_grad() {
                return Ok(tensor.f_to_device(device)?.f_to_kind(kind)?);
            }
        }
        // A tensor made in libtorch's inference mode counts no changes: it is placed anew each time.
        let version = match &self.source {
            Source::Numbers(_) => Some(0),
            Source::Tensor(tensor) => tensor.f_internal_version().ok(),
        };
        if let Some(placed) = &*self.placed.borrow() {
            if Some(placed.version) == version && is_there(&placed.tensor) {
                return Ok(placed.tensor.shallow_clone());
            }
        }
        let tensor = match &self.source {
            Source::Numbers(numbers) => on_device(&numbers.tensor(argument, kind)?, device, kind)?,
            Source::Tensor(tensor) => on_device(tensor, device, kind)?,
        };
        let placed = version.map(|version| Placed { tensor: tensor.shallow_clone(), version });
        *self.placed.borrow_mut() = placed;
        Ok(tensor)
    }

    /// Checks what can be checked without waiting for a device: numbers that were given as such, and the kind of a
    /// tensor.
    pub(crate) fn check(&self, option: &'static str) -> Result<()> {
        self.check_each(option, check::finite)
    }

    /// The same with another check of each number.
    pub(crate) fn check_each(
        &self,
        option: &'static str,
        check: fn(&'static str, f64) -> Result<()>,
    ) -> Result<()> {
        match &self.source {
            Source::Numbers(Numbers { values, .. }) if values.is_empty() => {
                Err(Error::Option { option, given: "empty".into(), expected: "at least one number".into() })
            }
            Source::Numbers(numbers) => numbers.values.iter().try_for_each(|value| check(option, *value)),
            Source::Tensor(tensor) => check_tensor(option, tensor),
        }
    }

    pub(crate) fn size(&self) -> Vec<i64> {
        match &self.source {
            Source::Numbers(numbers) => numbers.shape.clone(),
            Source::Tensor(tensor) => tensor.size(),
        }
    }

    pub(crate) fn requires_grad(&self) -> bool {
        match &self.source {
            Source::Numbers(_) => false,
            Source::Tensor(tensor) => tensor.requires_grad(),
        }
    }

    fn numbers(&self) -> Result<Numbers> {
        match &self.source {
            Source::Numbers(numbers) => Ok(numbers.clone()),
            Source::Tensor(tensor) => {
                check_tensor("weight", tensor)?;
                let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
                let flat = flat.f_contiguous()?.f_view([-1i64].as_slice())?;
                Ok(Numbers { shape: tensor.size(), values: flat.try_into()? })
            }
        }
    }
}

fn check_tensor(argument: &'static str, tensor: &Tensor) -> Result<()> {
    check::dense(argument, tensor)?;
    let given = tensor.f_kind()?;
    if !is_floating(given) && !is_integer(given) {
        return Err(Error::Kind { argument, given, expected: format!("{FLOATING} or an integer") });
    }
    Ok(())
}

/// The option's tensor for `input`, if the option is set.
pub(crate) fn placed(
    argument: &'static str,
    weight: Option<&WeightTensor>,
    input: &Tensor,
) -> Result<Option<Tensor>> {
    weight.map(|weight| weight.placed(argument, input)).transpose()
}

/// [`WeightTensor::check`] of an option that may not be set.
pub(crate) fn check_weight(option: &'static str, weight: Option<&WeightTensor>) -> Result<()> {
    weight.map_or(Ok(()), |weight| weight.check(option))
}

impl From<Numbers> for WeightTensor {
    fn from(numbers: Numbers) -> WeightTensor {
        WeightTensor { source: Source::Numbers(numbers), placed: RefCell::new(None) }
    }
}

/// Shares the tensor.
impl From<Tensor> for WeightTensor {
    fn from(tensor: Tensor) -> WeightTensor {
        WeightTensor { source: Source::Tensor(tensor), placed: RefCell::new(None) }
    }
}

/// Shares the tensor.
impl From<&Tensor> for WeightTensor {
    fn from(tensor: &Tensor) -> WeightTensor {
        tensor.shallow_clone().into()
    }
}

impl From<&[f64]> for WeightTensor {
    fn from(values: &[f64]) -> WeightTensor {
        values.to_vec().into()
    }
}

impl From<Vec<f64>> for WeightTensor {
    fn from(values: Vec<f64>) -> WeightTensor {
        Numbers { shape: vec![values.len() as i64], values }.into()
    }
}

impl<const N: usize> From<[f64; N]> for WeightTensor {
    fn from(values: [f64; N]) -> WeightTensor {
        values.to_vec().into()
    }
}

/// The same number everywhere: a tensor without dimensions.
impl From<f64> for WeightTensor {
    fn from(value: f64) -> WeightTensor {
        Numbers { shape: Vec::new(), values: vec![value] }.into()
    }
}

/// Shares a tensor.
impl Clone for WeightTensor {
    fn clone(&self) -> WeightTensor {
        match &self.source {
            Source::Numbers(numbers) => numbers.clone().into(),
            Source::Tensor(tensor) => tensor.into(),
        }
    }
}

/// The same shape and the same numbers, whatever the kind and the device.
impl PartialEq for WeightTensor {
    fn eq(&self, other: &WeightTensor) -> bool {
        match (self.numbers(), other.numbers()) {
            (Ok(own), Ok(other)) => own == other,
            _ => false,
        }
    }
}

impl fmt::Debug for WeightTensor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match &self.source {
            Source::Numbers(Numbers { shape, values }) if shape.len() == 1 => values.fmt(formatter),
            Source::Numbers(Numbers { shape, values }) => write!(formatter, "{values:?} as {shape:?}"),
            Source::Tensor(tensor) => tensor.fmt(formatter),
        }
    }
}

impl Serialize for WeightTensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let numbers = self.numbers().map_err(S::Error::custom)?;
        // JSON has no NaN: `null` could not be read back.
        if let Some(value) = numbers.values.iter().find(|value| !value.is_finite()) {
            return Err(S::Error::custom(format!("given {value} in a weight, expected finite numbers")));
        }
        numbers.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WeightTensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Numbers::deserialize(deserializer).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(kind: Kind) -> Tensor {
        Tensor::zeros([1], (kind, Device::Cpu))
    }

    #[test]
    fn numbers_and_tensors_take_the_kind_of_the_input() {
        let tensor = Tensor::from_slice(&[1.0f64, 0.5]);
        for weight in [WeightTensor::from([1.0, 0.5]), WeightTensor::from(&tensor)] {
            for kind in [Kind::Float, Kind::Float, Kind::Double, Kind::Half, Kind::Float] {
                let placed = weight.placed("weight", &like(kind)).unwrap();
                assert_eq!(placed, tensor.to_kind(kind), "{weight:?}");
            }
        }
    }

    #[test]
    fn a_placed_weight_is_kept() {
        for weight in [WeightTensor::from([1.0, 0.5]), Tensor::from_slice(&[1.0f64, 0.5]).into()] {
            let place = || weight.placed("weight", &like(Kind::Float)).unwrap().data_ptr();
            assert_eq!(place(), place());
        }
    }

    #[test]
    fn a_tensor_is_shared() {
        let mut tensor = Tensor::from_slice(&[1.0f64, 0.5]);
        let weight = WeightTensor::from(&tensor);
        for kind in [Kind::Double, Kind::Float] {
            let _ = tensor.fill_(2.0);
            assert_eq!(weight.placed("weight", &like(kind)).unwrap(), tensor.to_kind(kind));
            let _ = tensor.fill_(3.0);
            assert_eq!(weight.placed("weight", &like(kind)).unwrap(), tensor.to_kind(kind));
        }
        let leaf = tensor.detach().set_requires_grad(true);
        let placed = WeightTensor::from(&leaf).placed("weight", &like(Kind::Float)).unwrap();
        placed.sum(None).backward();
        assert_eq!(leaf.grad(), Tensor::from_slice(&[1.0f64, 1.0]));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["2.5", "[1.0,0.5]", "[[[1.0]],[[0.5]]]", "[[1.0,2.0],[3.0,4.0]]"] {
            let weight: WeightTensor = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&weight).unwrap(), text);
            let placed = weight.placed("weight", &like(Kind::Double)).unwrap();
            assert_eq!(serde_json::to_string(&WeightTensor::from(placed)).unwrap(), text);
        }
        let weight: WeightTensor = serde_json::from_str("[[1,2],[3,4]]").unwrap();
        assert_eq!(weight, Tensor::from_slice2(&[[1i64, 2], [3, 4]]).into());
        for text in ["[]", "[[1.0],[2.0,3.0]]", "[1.0,[2.0]]", "\"a\"", "null"] {
            assert!(serde_json::from_str::<WeightTensor>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_weight_that_is_not_finite_is_not_written() {
        let error = serde_json::to_string(&WeightTensor::from(Tensor::from(f64::NAN))).unwrap_err();
        assert_eq!(error.to_string(), "given NaN in a weight, expected finite numbers");
    }

    #[test]
    fn what_is_no_weight() {
        let message =
            |weight: WeightTensor| weight.placed("weight", &like(Kind::Float)).unwrap_err().to_string();
        assert_eq!(message(Tensor::new().into()), "`weight` is an undefined tensor");
        let expected = "`weight` has kind Bool, expected Half, BFloat16, Float or Double or an integer";
        assert_eq!(message(Tensor::from(true).into()), expected);
        let expected = "option `weight` is -1e39, expected numbers that Float holds";
        assert_eq!(message([1.0, -1e39].into()), expected);
        let error = WeightTensor::from([1.0, f64::NAN]).check("weight").unwrap_err();
        assert_eq!(error.to_string(), "option `weight` is NaN, expected a finite number");
    }
}
