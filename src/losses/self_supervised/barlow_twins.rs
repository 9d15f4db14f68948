//! [`BarlowTwinsLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::views::{check_views, diagonal_and_rest};
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Loss, Result};

/// What is added to the variance of a feature.
const EPS: f64 = 1e-5;

/// Barlow Twins: each feature is the same in both views, and no two features say the same.
///
/// ```text
/// z       = (z - mean(z)) / sqrt(var(z) + 1e-5)          of each feature over the batch, of both views
/// c[i, j] = Σn z_a[n, i] · z_b[n, j] / N
/// loss    = Σi (c[i, i] - 1)² + lambda_param · Σ(i ≠ j) c[i, j]²
/// ```
///
/// `z_a` and `z_b` are the projections of two augmentations of the same images. The variance is the biased one.
///
/// - **Shapes**: `[N, D]`, equal, N at least 2. The loss is a scalar. It is one of the whole batch, so it has no
///   reduction.
/// - **Values**: any. The arguments can be exchanged. A feature that is constant costs 1. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, of any order.
/// - **Defaults**: `lambda_param` 0.005, lightly's. The authors' code has 0.0051.
/// - **Errors**: arguments of other or different shapes, of different kinds or devices; a negative `lambda_param`.
///
/// For projections of many features, more than twice as many as samples, the matrix `[D, D]` is not computed: the sum of
/// its squares follows from two matrices `[N, N]`. With 256 samples of 8192 features, that is a sixteenth of the work.
///
/// Source: [`BarlowTwinsLoss` of lightly](https://docs.lightly.ai/self-supervised-learning/lightly.loss.html); J. Zbontar
/// et al., [*Barlow Twins: self-supervised learning via redundancy reduction*](https://arxiv.org/abs/2103.03230) (2021).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{BarlowTwinsLoss, Loss};
///
/// // Two features that are the same in both views, and the same as each other: both correlations beside the diagonal are 1.
/// let views = Tensor::from_slice2(&[[100.0, 200.0], [-100.0, -200.0]]);
/// let loss = BarlowTwinsLoss::default().with_lambda_param(0.5).forward(&views, &views);
/// assert!((loss.double_value(&[]) - 2.0 * 0.5).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BarlowTwinsLoss {
    /// The weight of the correlations between different features. In the paper: λ.
    pub lambda_param: f64,
}

impl Default for BarlowTwinsLoss {
    fn default() -> Self {
        BarlowTwinsLoss { lambda_param: 5e-3 }
    }
}

setters!(BarlowTwinsLoss { with_lambda_param(lambda_param: f64) });

/// Of the projections of two views.
impl Loss for BarlowTwinsLoss {
    fn check_options(&self) -> Result<()> {
        check::non_negative("lambda_param", self.lambda_param)
    }

    fn try_forward(&self, z_a: &Tensor, z_b: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_views(z_a, z_b)?;
        let (standard_a, standard_b) = (standardized(z_a)?, standardized(z_b)?);
        let samples = z_a.size()[0] as f64;
        let (diagonal, rest) = diagonal_and_rest(&standard_a, Some(&standard_b), samples)?;
        let own = diagonal.f_sub_scalar(1.0)?.f_square()?.f_sum(None)?;
        Ok(own.f_add(&rest.f_mul_scalar(self.lambda_param)?)?.f_to_kind(z_a.kind())?)
    }
}

/// Each feature with the mean 0 and the variance 1 over the batch.
fn standardized(views: &Tensor) -> Result<Tensor> {
    let views = views.f_to_kind(accumulation_kind(views.kind()))?;
    let (momentum, with_cudnn) = (0.1, false);
    Ok(views.f_batch_norm::<Tensor>(None, None, None, None, true, momentum, EPS, with_cudnn)?)
}
