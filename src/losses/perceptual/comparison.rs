//! What a loss on features is made of.

use tch::{with_grad, Tensor};

use crate::base::precision::accumulation_kind;
use crate::Result;

/// A comparison of the features of two batches at one tap.
///
/// It has a number for each image. So a batch can be compared in pieces.
pub(super) trait Comparison {
    /// What the numbers are divided by, for features `[N, C, h, w]` of this size.
    fn count(&self, feature_size: &[i64]) -> f64;

    /// The numbers `[N]` of whole batches before that division, in libtorch's graph and in
    /// [`accumulation_kind`].
    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor>;

    /// The same for a piece of a batch, without a graph. With a `share` also the gradient of `share` times their sum
    /// with respect to `own`.
    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let Some(share) = share else { return Ok((self.sums(own, &other.features)?, None)) };
        let own = own.f_detach()?.f_to_kind(accumulation_kind(own.kind()))?.f_set_requires_grad(true)?;
        with_grad(|| {
            let sums = self.sums(&own, &other.features)?;
            let slopes =
                Tensor::f_run_backward(&[sums.f_sum(None)?.f_mul_scalar(share)?], &[&own], false, false)?;
            Ok((sums.f_detach()?, slopes.into_iter().next()))
        })
    }

    /// What becomes of the images' numbers in the loss.
    fn across_images(&self) -> AcrossImages {
        AcrossImages::Reduced
    }

    /// Whether a piece of a batch needs to know something about the target's whole batch.
    fn needs_whole_target(&self) -> bool {
        false
    }

    /// What that is, from the target's features; `None` where a piece needs nothing.
    fn statistics(&self, target: &Tensor) -> Result<Option<Tensor>> {
        let _ = target;
        Ok(None)
    }

    /// Whether gradients can be of any magnitude. If not, they are at most 1 before the `share`.
    fn is_unbounded(&self) -> bool;

    /// Where in the features the numbers come from, `[N, 1, h, w]`, in [`accumulation_kind`]; `None` where they have no
    /// place.
    fn map(&self, own: &Tensor, other: &Tensor) -> Result<Option<Tensor>>;

    /// A map in the size of the images.
    fn enlarged(&self, map: &Tensor, size: &[i64]) -> Result<Tensor> {
        Ok(map.f_upsample_nearest2d(size, None, None)?)
    }
}

/// What becomes of the numbers of the images of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcrossImages {
    /// The reduction of the loss.
    Reduced,
    /// The root of their sum: they are the squares of a norm over the whole batch.
    Norm,
}

/// The target's features of a piece.
pub(super) struct Other<'a> {
    pub features: Tensor,
    /// Whether nothing else needs them, so that they may be overwritten.
    pub is_free: bool,
    /// What [`Comparison::statistics`] says of the whole batch.
    pub statistics: Option<&'a Tensor>,
}

/// The sum `[N]` of the elements of each image `[N, C, H, W]`, in [`accumulation_kind`].
pub(super) fn sum_of_images(elements: &Tensor) -> Result<Tensor> {
    let kind = accumulation_kind(elements.kind());
    Ok(match elements.size()[0] {
        // All elements in one go are summed by all threads.
        1 => elements.f_sum(kind)?.f_view([1i64].as_slice())?,
        _ => elements.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, kind)?,
    })
}
