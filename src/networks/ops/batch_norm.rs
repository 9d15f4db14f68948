//! Batch norm of a frozen network: a factor and a shift for each channel.

use tch::Tensor;

use crate::base::precision::accumulation_kind;
use crate::Result;

/// What torchvision's `BatchNorm2d` adds to the variance.
const EPS: f64 = 1e-5;

/// The parameters, each `[C]`.
pub(in crate::networks) struct BatchNorm {
    pub weight: Tensor,
    pub bias: Tensor,
    pub running_mean: Tensor,
    pub running_var: Tensor,
}

impl BatchNorm {
    /// `(x - mean) / sqrt(var + eps) * weight + bias` of `[N, C, H, W]`. In the graph where there is one.
    pub(in crate::networks) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let BatchNorm { weight, bias, running_mean, running_var } = self;
        let (mean, variance) = (Some(running_mean), Some(running_var));
        // Nothing is learnt: the momentum has no effect.
        Ok(x.f_batch_norm(Some(weight), Some(bias), mean, variance, false, 0.0, EPS, false)?)
    }

    /// The gradient with respect to the input, from that with respect to the output.
    pub(in crate::networks) fn back(&self, gradient: &Tensor) -> Result<Tensor> {
        let (factor, _) = self.factor_and_shift()?;
        Ok(gradient.f_mul(&factor.f_view([1i64, -1, 1, 1].as_slice())?.f_to_kind(gradient.kind())?)?)
    }

    /// The same with other parameters, made of these.
    pub(super) fn map(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<BatchNorm> {
        Ok(BatchNorm {
            weight: change(&self.weight)?,
            bias: change(&self.bias)?,
            running_mean: change(&self.running_mean)?,
            running_var: change(&self.running_var)?,
        })
    }

    /// The same function as `factor * x + shift`, in f32 at least.
    pub(super) fn factor_and_shift(&self) -> Result<(Tensor, Tensor)> {
        let kind = accumulation_kind(self.weight.kind());
        let wide = |tensor: &Tensor| tensor.f_to_kind(kind);
        let deviation = wide(&self.running_var)?.f_add_scalar(EPS)?.f_sqrt()?;
        let factor = wide(&self.weight)?.f_div(&deviation)?;
        let shift = wide(&self.bias)?.f_sub(&wide(&self.running_mean)?.f_mul(&factor)?)?;
        Ok((factor, shift))
    }
}
