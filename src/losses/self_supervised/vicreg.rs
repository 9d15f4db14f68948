//! [`VicRegLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::views::{check_views, diagonal_and_rest};
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Loss, Result};

/// VICReg: two views are alike (invariance), each feature varies (variance), and no two features vary together
/// (covariance).
///
/// ```text
/// invariance  = mean (z_a - z_b)²
/// variance    = mean relu(1 - sqrt(var(z) + eps))           over the features, mean of both views
/// covariance  = Σ(i ≠ j) cov(z)[i, j]² / D                  sum of both views
/// loss        = lambda_param · invariance + mu_param · variance + nu_param · covariance
/// ```
///
/// `z_a` and `z_b` are the projections of two augmentations of the same images. Variances and covariances are those over
/// the batch, divided by N - 1.
///
/// - **Shapes**: `[N, D]`, equal, N at least 2. The loss is a scalar. It is one of the whole batch, so it has no
///   reduction.
/// - **Values**: any. The arguments can be exchanged. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, of any order.
/// - **Defaults**: `lambda_param` 25, `mu_param` 25, `nu_param` 1, `eps` 1e-4: lightly's and the authors'.
/// - **Errors**: arguments of other or different shapes, of different kinds or devices; negative weights; an `eps` that is
///   not positive.
///
/// For projections of many features, more than twice as many as samples, the matrix `[D, D]` is not computed: the sum of
/// its squares follows from a matrix `[N, N]`.
///
/// Source: [`VICRegLoss` of lightly](https://docs.lightly.ai/self-supervised-learning/lightly.loss.html); A. Bardes et al.,
/// [*VICReg: variance-invariance-covariance regularization for self-supervised
/// learning*](https://arxiv.org/abs/2105.04906) (2021).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, VicRegLoss};
///
/// // Views that are alike, of two features that vary enough, and together: a covariance of 4, on both sides of the
/// // diagonal, in both views.
/// let views = Tensor::from_slice2(&[[1.0, 2.0], [-1.0, -2.0]]);
/// let loss = VicRegLoss::default().forward(&views, &views);
/// assert!((loss.double_value(&[]) - 2.0 * (2.0 * 4.0 * 4.0) / 2.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VicRegLoss {
    /// The weight of the invariance.
    pub lambda_param: f64,
    /// The weight of the variance.
    pub mu_param: f64,
    /// The weight of the covariance.
    pub nu_param: f64,
    /// What is added to the variance under the root.
    pub eps: f64,
}

impl Default for VicRegLoss {
    fn default() -> Self {
        VicRegLoss { lambda_param: 25.0, mu_param: 25.0, nu_param: 1.0, eps: 1e-4 }
    }
}

setters!(VicRegLoss {
    with_lambda_param(lambda_param: f64), with_mu_param(mu_param: f64), with_nu_param(nu_param: f64), with_eps(eps: f64)
});

impl VicRegLoss {
    /// The share of the variance and of the covariance of one view.
    fn of_view(&self, view: &Tensor) -> Result<Tensor> {
        let (samples, features) = (view.size()[0] as f64, view.size()[1] as f64);
        let centred = view.f_sub(&view.f_mean_dim([0i64].as_slice(), true, None)?)?;
        let (variances, covariances) = diagonal_and_rest(&centred, None, samples - 1.0)?;
        let deviations = variances.f_add_scalar(self.eps)?.f_sqrt()?;
        let variance = deviations.f_neg()?.f_add_scalar(1.0)?.f_relu()?.f_mean(None)?;
        let covariance = covariances.f_mul_scalar(self.nu_param / features)?;
        Ok(variance.f_mul_scalar(0.5 * self.mu_param)?.f_add(&covariance)?)
    }
}

/// Of the projections of two views.
impl Loss for VicRegLoss {
    fn check_options(&self) -> Result<()> {
        check::non_negative("lambda_param", self.lambda_param)?;
        check::non_negative("mu_param", self.mu_param)?;
        check::non_negative("nu_param", self.nu_param)?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, z_a: &Tensor, z_b: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_views(z_a, z_b)?;
        let kind = accumulation_kind(z_a.kind());
        let (wide_a, wide_b) = (z_a.f_to_kind(kind)?, z_b.f_to_kind(kind)?);
        let invariance = wide_a.f_mse_loss(&wide_b, tch::Reduction::Mean)?.f_mul_scalar(self.lambda_param)?;
        let of_views = self.of_view(&wide_a)?.f_add(&self.of_view(&wide_b)?)?;
        Ok(invariance.f_add(&of_views)?.f_to_kind(z_a.kind())?)
    }
}
