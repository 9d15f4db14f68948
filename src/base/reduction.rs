//! Arithmetic that the losses share.

use tch::{Kind, Reduction, Tensor};

use crate::Result;

/// The kind to compute a loss in: reduced-precision kinds sum up too much rounding.
pub(crate) fn accumulation_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Half | Kind::BFloat16 => Kind::Float,
        kind => kind,
    }
}

/// Mean over the channels `[N, C, H, W]`, kept as one channel, in [`accumulation_kind`].
pub(crate) fn channel_mean(image: &Tensor) -> Result<Tensor> {
    Ok(image.f_mean_dim([1i64].as_slice(), true, accumulation_kind(image.kind()))?)
}

/// The reduced `values`, computed in their own kind and returned in `kind`.
pub(crate) fn reduce(values: &Tensor, reduction: Reduction, kind: Kind) -> Result<Tensor> {
    let reduced = match reduction {
        Reduction::Mean => values.f_mean(None)?,
        Reduction::Sum => values.f_sum(None)?,
        Reduction::None | Reduction::Other(_) => values.shallow_clone(),
    };
    Ok(reduced.f_to_kind(kind)?)
}

/// A reduction in a file: by PyTorch's name.
pub(crate) mod name {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Error as _, Serializer};
    use tch::Reduction;

    pub fn serialize<S: Serializer>(reduction: &Reduction, serializer: S) -> Result<S::Ok, S::Error> {
        match reduction {
            Reduction::None => serializer.serialize_str("none"),
            Reduction::Mean => serializer.serialize_str("mean"),
            Reduction::Sum => serializer.serialize_str("sum"),
            Reduction::Other(_) => Err(S::Error::custom("a reduction that is not none, mean or sum")),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reduction, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Reduction::None),
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            other => {
                Err(D::Error::custom(format!("unknown reduction `{other}`, expected none, mean or sum")))
            }
        }
    }
}
