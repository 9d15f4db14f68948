//! Moving averages in a variable store.

use tch::{nn, Kind, Tensor};

use crate::Result;

/// The kind of an average in a store of this kind. Reduced precision would soon stop to move.
pub(crate) fn average_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    }
}

/// A new variable that is not trainable: a scalar. It is saved and loaded with the store.
pub(crate) fn average(path: &nn::Path, name: &str, initial: f64) -> Result<Tensor> {
    let options = (average_kind(path.kind()), path.device());
    Ok(path.add(name, Tensor::f_full([0i64; 0].as_slice(), initial, options)?, false))
}
