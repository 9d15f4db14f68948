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
