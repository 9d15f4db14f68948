//! Numbers in the shape of a tensor, as a file has them.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::{Kind, Tensor};

use crate::{Error, Result};

/// In row-major order.
#[derive(Clone, PartialEq)]
pub(super) struct Numbers {
    pub shape: Vec<i64>,
    pub values: Vec<f64>,
}

impl Numbers {
    /// The numbers in `kind`, which has to hold them: f32 ends at 3.4e38.
    pub fn tensor(&self, option: &'static str, kind: Kind) -> Result<Tensor> {
        let tensor = Tensor::f_from_slice(&self.values)?.f_view(self.shape.as_slice())?.f_to_kind(kind)?;
        if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            let largest = self.values.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            let given = format!("{:?}", largest.unwrap_or(f64::NAN));
            return Err(Error::Option { option, given, expected: format!("numbers that {kind:?} holds") });
        }
        Ok(tensor)
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Nested { shape: &self.shape, values: &self.values }.serialize(serializer)
    }
}

/// Numbers as lists of lists.
struct Nested<'a> {
    shape: &'a [i64],
    values: &'a [f64],
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Some((&size, shape)) = self.shape.split_first() else {
            return serializer.serialize_f64(self.values[0]);
        };
        let mut list = serializer.serialize_seq(Some(size as usize))?;
        let length = self.values.len() / size.max(1) as usize;
        for values in self.values.chunks(length.max(1)) {
            list.serialize_element(&Nested { shape, values })?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct NumberOrList;
        impl<'de> Visitor<'de> for NumberOrList {
            type Value = Numbers;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a number or a list of numbers")
            }

            fn visit_f64<E>(self, value: f64) -> std::result::Result<Numbers, E> {
                Ok(Numbers { shape: Vec::new(), values: vec![value] })
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> std::result::Result<Numbers, E> {
                self.visit_f64(value as f64)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> std::result::Result<Numbers, E> {
                self.visit_f64(value as f64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Numbers, A::Error> {
                let Some(Numbers { mut shape, mut values }) = list.next_element()? else {
                    return Err(A::Error::custom("given an empty list, expected at least one number"));
                };
                let mut size = 1;
                while let Some(next) = list.next_element::<Numbers>()? {
                    if next.shape != shape {
                        return Err(A::Error::custom(
                            "given lists of different lengths, expected equal ones",
                        ));
                    }
                    values.extend(next.values);
                    size += 1;
                }
                shape.insert(0, size);
                Ok(Numbers { shape, values })
            }
        }
        deserializer.deserialize_any(NumberOrList)
    }
}
