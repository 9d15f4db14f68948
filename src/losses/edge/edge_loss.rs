//! [`EdgeLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::pyramid::{adjoint, detail};
use crate::base::gradient::{at_once, pieces, with_gradient, Wanted, PER_THREAD};
use crate::base::precision::{accumulation_kind, channel_mean};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::losses::map_of_elements;
use crate::{Loss, Reduction, Result};

/// MPRNet's edge loss: Charbonnier distance of the fine detail, as a Laplacian pyramid finds it.
///
/// ```text
/// B    = blur with k kᵀ, k = [0.05, 0.25, 0.4, 0.25, 0.05]   (each channel, the border repeated)
/// E(i) = i - B(4 B(i) in even rows and columns, 0 elsewhere)
/// loss = reduce(sqrt((E(input) - E(target))² + eps))
/// ```
///
/// It looks at detail with its sign, a few pixels wide, in each channel. [`Laplacian`](crate::Laplacian) looks at the
/// nearest neighbours alone. Flat regions cost little, whatever their colour, so combine it with a loss on pixels: MPRNet
/// adds 0.05 of it to [`CharbonnierLoss`](crate::CharbonnierLoss).
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1. The loss is a scalar, or `[N, C, H, W]` with
///   [`Reduction::None`].
/// - **Values**: any. Equal images cost `sqrt(eps)`, with a gradient of 0; nothing costs less. The loss is symmetric. f16
///   and bf16 are computed in f32.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Map**: the elements, averaged over the channels. Its mean is the loss.
/// - **Defaults**: `eps` 1e-6, `reduction` mean. MPRNet has the number 1e-3 and squares it.
/// - **Errors**: arguments that are not images of one shape, kind and device; an `eps` that is not positive and finite.
///
/// MPRNet takes images of three channels, and rounds the products `k kᵀ` to f32, which in f64 shows in the eighth digit; so
/// does this crate.
///
/// Source: S. W. Zamir et al., *Multi-Stage Progressive Image Restoration* (2021);
/// [`EdgeLoss` of MPRNet](https://github.com/swz30/MPRNet/blob/main/Deblurring/losses.py).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{EdgeLoss, Loss};
///
/// let fake = Tensor::rand([4, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([4, 3, 64, 64], (Kind::Float, Device::Cpu));
/// let loss = EdgeLoss::default().forward(&fake, &real);
/// loss.backward();
/// assert!(loss.double_value(&[]) > 1e-3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeLoss {
    /// The number added under the square root.
    pub eps: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for EdgeLoss {
    fn default() -> Self {
        EdgeLoss { eps: 1e-6, reduction: Reduction::Mean }
    }
}

setters!(EdgeLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl EdgeLoss {
    /// In f32 at least, in libtorch's graph.
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let difference = detail(&input.f_to_kind(kind)?.f_sub(&target.f_to_kind(kind)?)?)?;
        Ok(difference.f_square()?.f_add_scalar(self.eps)?.f_sqrt()?)
    }

    /// The sum of all elements, and into `gradient` its gradient with respect to `input`, a few planes at a time. All are
    /// `[N, 1, H, W]`.
    fn sum(&self, input: &Tensor, target: &Tensor, gradient: Option<&Tensor>) -> Result<Tensor> {
        let size = input.size();
        let mut sum = Tensor::f_zeros([0i64; 0], (input.kind(), input.device()))?;
        for (start, length) in pieces(size[0], at_once(input.device(), size[2] * size[3], PER_THREAD)) {
            let piece = |planes: &Tensor| planes.f_narrow(0, start, length);
            let mut difference = detail(&piece(input)?.f_sub(&piece(target)?)?)?;
            let root = difference.f_square()?.f_add_scalar_(self.eps)?.f_sqrt_()?;
            let _ = sum.f_add_(&root.f_sum(None)?)?;
            if let Some(gradient) = gradient {
                piece(gradient)?.f_copy_(&adjoint(&difference.f_div_(&root)?)?)?;
            }
        }
        Ok(sum)
    }
}

impl Loss for EdgeLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let wanted = Wanted::of(input, Some(target))?;
        if self.reduction == Reduction::None || wanted == Wanted::Graph {
            return reduce(&self.elements(input, target)?, self.reduction, input.kind());
        }
        let size = input.size();
        let kind = accumulation_kind(input.kind());
        let wide = input.f_to_kind(kind)?.f_reshape([size[0] * size[1], 1, size[2], size[3]])?;
        let (sum, gradient) = no_grad(|| -> Result<_> {
            let gradient = match wanted {
                Wanted::InputGradient => Some(wide.f_empty_like()?),
                Wanted::Value | Wanted::Graph => None,
            };
            let target = target.f_to_kind(kind)?.f_reshape(wide.size())?;
            Ok((self.sum(&wide.f_detach()?, &target, gradient.as_ref())?, gradient))
        })?;
        let factor = match self.reduction {
            Reduction::Mean => 1.0 / input.numel() as f64,
            _ => 1.0,
        };
        let mut loss = sum.f_mul_scalar(factor)?;
        if let Some(gradient) = gradient {
            loss = with_gradient(&loss, &wide, &gradient, factor)?;
        }
        Ok(loss.f_to_kind(input.kind())?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.elements(input, target))
    }

    /// The detail `E`, averaged over the channels, with its sign.
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image("image", image)?;
        Ok(Some(detail(&channel_mean(image)?)?.f_to_kind(image.kind())?))
    }
}
