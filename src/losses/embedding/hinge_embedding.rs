//! [`HingeEmbeddingLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::pointwise::{sum_of_elements, Pointwise};
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Draws the distances of similar pairs to 0, and those of dissimilar pairs past a margin.
///
/// ```text
/// l    = d                       where y = 1          d = input, y = target
///        max(0, margin - d)      where y = -1
/// loss = reduce(l)
/// ```
///
/// `input` holds a distance per pair, for instance the L1 distance of two embeddings.
/// [`CosineEmbeddingLoss`](crate::CosineEmbeddingLoss) takes the embeddings themselves and compares their
/// directions. [`TripletMarginLoss`](crate::TripletMarginLoss) compares two distances, so it needs no
/// absolute margin.
///
/// - **Shapes**: any, usually equal. `input` and `target` are broadcast, as in PyTorch. The loss is a scalar,
///   or has the common shape with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked. For another label both terms are added, as in PyTorch. The
///   mean of nothing is NaN.
/// - **Gradients**: to `input`; labels have none. At `d = margin` the gradient is -1, as in PyTorch.
/// - **Defaults**: `margin` 1, `reduction` mean.
/// - **Errors**: arguments that do not broadcast or are on different devices; a `target` that is neither of
///   the kind of `input` nor a signed integer; a `margin` that is not finite.
///
/// Source:
/// [`torch.nn.HingeEmbeddingLoss`](https://pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html);
/// R. Hadsell, S. Chopra and Y. LeCun, *Dimensionality reduction by learning an invariant mapping* (2006),
/// with squares.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{HingeEmbeddingLoss, Loss, Reduction};
///
/// let distance = Tensor::from_slice(&[0.25, 0.25, 3.0]);
/// let target = Tensor::from_slice(&[1i64, -1, -1]);
/// let loss = HingeEmbeddingLoss { reduction: Reduction::None, ..Default::default() };
/// // Similar and near, dissimilar and too near, dissimilar and far enough.
/// assert_eq!(loss.forward(&distance, &target), Tensor::from_slice(&[0.25, 0.75, 0.0]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HingeEmbeddingLoss {
    /// The distance from which on dissimilar pairs cost nothing.
    pub margin: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for HingeEmbeddingLoss {
    fn default() -> Self {
        HingeEmbeddingLoss { margin: 1.0, reduction: Reduction::Mean }
    }
}

setters!(HingeEmbeddingLoss { with_margin(margin: f64), with_reduction(reduction: Reduction) });

impl Pointwise for HingeEmbeddingLoss {
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(input.f_hinge_embedding_loss(target, self.margin, tch::Reduction::None)?)
    }

    fn elements_and_slopes(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let other_than = |label: f64| target.f_ne_scalar_out(&target.f_empty_like()?, label);
        let (similar, dissimilar) = (other_than(-1.0)?, other_than(1.0)?);
        let left = input.f_rsub_scalar(self.margin)?;
        let near = { left.f_ge_scalar_out(&left.f_empty_like()?, 0.0)? }.f_mul_(&dissimilar)?;
        // A choice, not a product: 0 times an infinite distance is not 0.
        let chosen =
            |tensor: &Tensor, side: &Tensor| tensor.f_where_scalarother(&side.f_to_kind(Kind::Bool)?, 0.0);
        let elements =
            chosen(&{ left }.f_clamp_min_(0.0)?, &dissimilar)?.f_add_(&chosen(input, &similar)?)?;
        Ok((elements, { similar }.f_sub_(&near)?))
    }
}

impl Loss for HingeEmbeddingLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::finite("margin", self.margin)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input", input)?;
        check::signs(("input", input), ("target", target))?;
        check::broadcast(&[("input", input), ("target", target)])?;
        let kind = input.kind();
        let alike = input.size() == target.size() && kind == accumulation_kind(kind);
        if self.reduction == Reduction::None || !alike {
            return Ok(input.f_hinge_embedding_loss(target, self.margin, self.reduction.torch())?);
        }
        // The slopes are constants, so that nothing is lost of second derivatives.
        let sum = sum_of_elements(self, input, &target.f_to_kind(kind)?, None)?;
        Ok(match self.reduction {
            Reduction::Mean => sum.f_div_scalar(input.numel() as f64)?,
            _ => sum,
        })
    }
}
