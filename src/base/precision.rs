//! Which kinds there are, and which to compute in.

use tch::{Kind, Tensor};

use crate::Result;

/// The kinds that [`is_floating`] accepts, in words.
pub(crate) const FLOATING: &str = "Half, BFloat16, Float or Double";

pub(crate) fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

pub(crate) fn is_integer(kind: Kind) -> bool {
    matches!(kind, Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64)
}

/// The kind to compute a loss in: sums of reduced precision add up too much rounding.
pub(crate) fn accumulation_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Half | Kind::BFloat16 => Kind::Float,
        kind => kind,
    }
}

/// The smallest normal number of the kind that a loss of this kind is computed in.
pub(crate) fn smallest_normal(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::MIN_POSITIVE,
        _ => f64::from(f32::MIN_POSITIVE),
    }
}

/// Mean over the channels `[N, C, H, W]`, kept as one channel, in [`accumulation_kind`].
pub(crate) fn channel_mean(image: &Tensor) -> Result<Tensor> {
    Ok(image.f_mean_dim([1i64].as_slice(), true, accumulation_kind(image.kind()))?)
}
