//! [`ByolLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// Negative cosine similarity: BYOL and SimSiam predict the embedding of one view from the other.
///
/// ```text
/// cos     = p · z / (max(|p|, eps) · max(|z|, eps))
/// l       = -cos, or 2 - 2 · cos with squared_distance
/// loss    = reduce(l)
/// ```
///
/// `p` is the prediction of the online network for one view. `z` is the projection of the target network for the other
/// view, in this order. The projection is a constant. `2 - 2 · cos` is the squared distance of the two directions.
///
/// Each view is predicted from the other, and the caller adds the two losses. BYOL adds them, SimSiam takes their mean:
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{ByolLoss, Loss};
///
/// let [p_0, p_1, z_0, z_1] = [0; 4].map(|_| Tensor::rand([8, 128], (Kind::Float, Device::Cpu)));
/// let (p_0, p_1) = (p_0.set_requires_grad(true), p_1.set_requires_grad(true)); // of a network
/// let simsiam = ByolLoss::default();
/// let loss = (simsiam.forward(&p_0, &z_1) + simsiam.forward(&p_1, &z_0)) * 0.5;
/// loss.backward();
/// ```
///
/// - **Shapes**: `[N, D]`, or any with the features in the last axis, equal. The loss is a scalar, or has the shape without
///   the last axis with [`Reduction::None`].
/// - **Values**: any. `l` is from -1 to 1, or from 0 to 4. Vectors of zeros have a cosine of 0. f16 and bf16 are computed in
///   f32. The mean of nothing is NaN.
/// - **Gradients**: to `prediction`. If the loss is reduced, forward computes the gradient, and second derivatives come out
///   as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `squared_distance` false, `eps` 1e-8, `reduction` mean: lightly's. [`ByolLoss::byol`] is the paper's.
/// - **Errors**: arguments of different shapes, without features, of different kinds or devices; an `eps` that is not
///   positive and finite; the reduction [`BatchMean`](Reduction::BatchMean).
///
/// Source: [`NegativeCosineSimilarity` of
/// lightly](https://docs.lightly.ai/self-supervised-learning/lightly.loss.html); J.-B. Grill et al., [*Bootstrap your own
/// latent*](https://arxiv.org/abs/2006.07733) (2020); X. Chen and K. He, [*Exploring simple Siamese representation
/// learning*](https://arxiv.org/abs/2011.10566) (2020).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{ByolLoss, Loss};
///
/// let (prediction, target) = (Tensor::from_slice2(&[[3.0, 4.0]]), Tensor::from_slice2(&[[2.0, 0.0]]));
/// let loss = |loss: ByolLoss| loss.forward(&prediction, &target).double_value(&[]);
/// assert!((loss(ByolLoss::default()) - -0.6).abs() < 1e-12);
/// assert!((loss(ByolLoss::byol()) - 0.8).abs() < 1e-12);
/// ```
#[doc(alias = "NegativeCosineSimilarity")]
#[doc(alias = "SimSiam")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ByolLoss {
    /// Whether the loss is the squared distance of the directions, instead of the negative cosine.
    pub squared_distance: bool,
    /// The least length that a vector is divided by.
    pub eps: f64,
    /// How the losses of the vectors are reduced.
    pub reduction: Reduction,
}

impl Default for ByolLoss {
    fn default() -> Self {
        ByolLoss { squared_distance: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

setters!(ByolLoss {
    with_squared_distance(squared_distance: bool), with_eps(eps: f64), with_reduction(reduction: Reduction)
});

impl ByolLoss {
    /// The paper's, `2 - 2 · cos`: the squared distance of the directions.
    pub fn byol() -> Self {
        ByolLoss { squared_distance: true, ..Default::default() }
    }

    /// The loss of a cosine is `offset - factor * cos`: `(offset, factor)`.
    fn line(&self) -> (f64, f64) {
        if self.squared_distance {
            (2.0, 2.0)
        } else {
            (0.0, 1.0)
        }
    }

    /// The sum of the losses of rows, and its gradient with respect to `prediction`.
    fn sum_and_gradient(&self, prediction: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let length = |rows: &Tensor| rows.f_norm_scalaropt_dim(2, [-1i64].as_slice(), true);
        let (own, other) = (length(prediction)?, length(target)?);
        let own_divisor = own.f_clamp_min(self.eps)?;
        // Divided one after the other: the product of two lengths may be beyond the kind.
        let direction = target.f_div(&other.f_clamp_min(self.eps)?)?;
        let products = direction.f_mul(prediction)?.f_sum_dim_intlist([-1i64].as_slice(), true, None)?;
        let cosines = products.f_div(&own_divisor)?;
        let (offset, factor) = self.line();
        let rows = prediction.size()[0] as f64;
        let sum = cosines.f_sum(None)?.f_mul_scalar(-factor)?.f_add_scalar(offset * rows)?;
        // As in libtorch, the length has its slope below eps, too; that of no length is 0.
        let no_length = own.f_eq(0.0)?;
        let along = cosines.f_div(&own_divisor)?.f_div(&own.f_masked_fill(&no_length, 1.0)?)?;
        let along = along.f_masked_fill(&no_length, 0.0)?.f_mul_scalar(factor)?;
        let mut gradient = direction.f_mul(&own_divisor.f_reciprocal()?.f_mul_scalar(-factor)?)?;
        let _ = gradient.f_addcmul_(prediction, &along)?;
        Ok((sum, gradient))
    }
}

/// Of the predictions for one view and the projections of the other.
impl Loss for ByolLoss {
    fn check_options(&self) -> Result<()> {
        check::positive("eps", self.eps)?;
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("prediction", prediction)?;
        let shape = prediction.size();
        let Some(&features @ 1..) = shape.last() else {
            let expected = "[..., D] with D at least 1".into();
            return Err(Error::Shape { argument: "prediction", given: shape, expected });
        };
        check::partners(("prediction", prediction), ("target", target))?;
        check::same_shape(("prediction", prediction), ("target", target))?;
        let kind = accumulation_kind(prediction.kind());
        let (wide, constant) = (prediction.f_to_kind(kind)?, target.f_detach()?.f_to_kind(kind)?);
        let in_graph = self.reduction == Reduction::None || wide.numel() == 0;
        if in_graph || Wanted::of(&wide, None)? == Wanted::Value {
            let (offset, factor) = self.line();
            let cosines = Tensor::f_cosine_similarity(&wide, &constant, -1, self.eps)?;
            let losses = cosines.f_mul_scalar(-factor)?.f_add_scalar(offset)?;
            return reduce(&losses, self.reduction, prediction.kind());
        }
        let rows = |tensor: &Tensor| tensor.f_reshape([-1, features].as_slice());
        let sum = sum_of_rows(&rows(&wide)?, &[rows(&constant)?], &|prediction, constants| {
            self.sum_and_gradient(prediction, &constants[0])
        })?;
        let share = match self.reduction {
            Reduction::Mean => features as f64 / wide.numel() as f64,
            _ => 1.0,
        };
        Ok(sum.f_mul_scalar(share)?.f_to_kind(prediction.kind())?)
    }
}
