//! [`R1Penalty`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{input_gradient, GradientNorm};
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Result, UnaryLoss};

/// R1: the squared gradient of a discriminator at real images. At fake images, it is R2.
///
/// ```text
/// g    = d Σ discriminator(x) / d x          at the images x
/// loss = factor * mean over the samples (Σ g²)
/// ```
///
/// With [`GradientNorm::Pixel`] it is `mean over the pixels (Σ over the channels g²)`, which is smaller by the number of
/// pixels of an image.
///
/// [`penalty`](Self::penalty) takes the discriminator as a function. As a [`UnaryLoss`], and in an objective's file,
/// the loss takes the gradient, which [`input_gradient`] computes: for R2, at fake images.
///
/// The references differ in the factor. The constructors have what is inside their functions:
///
/// | constructor | norm | factor | also |
/// |---|---|---|---|
/// | [`basicsr`](Self::basicsr) | sample | 1 | KAIR, rosinality's StyleGAN2, GAN_stability |
/// | [`stylegan2`](Self::stylegan2) | sample | ½ | StyleGAN2-ADA, StyleGAN3, R3GAN, SinCUT, StudioGAN |
/// | [`mmgen`](Self::mmgen) | pixel | 1 | |
///
/// **Lazy regularisation** takes the penalty in every k-th step only, times k. The weight `γ` of the papers belongs to
/// the factor ½, so that one step of k adds `γ / 2 * k * mean(Σ g²)`. For `γ = 10` and `k = 16`:
///
/// - BasicSR multiplies by `r1_reg_weight / 2 * net_d_reg_every`, which is 10 / 2 * 16: a weight of 80 for `basicsr()`.
/// - StyleGAN2 multiplies by `r1_gamma / 2` inside and by the interval outside: a weight of 10 * 16 = 160 for
///   `stylegan2()`. The sum is the same.
/// - GAN_stability has a `reg_param` of 10 without the half and without an interval: `γ = 20`, a weight of 10 for
///   `basicsr()` in each step.
///
/// With lazy regularisation, StyleGAN2 also changes Adam for the discriminator: the learning rate is multiplied by
/// `c = k / (k + 1)`, and the betas are raised to the power `c`.
///
/// A step of a discriminator:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{GanLoss, R1Penalty};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let hidden = nn::linear(vs.root() / "hidden", 3, 8, Default::default());
/// let last = nn::linear(vs.root() / "last", 8, 1, Default::default());
/// let discriminator = |x: &Tensor| last.forward(&hidden.forward(x).tanh());
/// let mut optimizer = nn::Adam::default().build(&vs, 2e-3)?;
/// let (gamma, interval) = (10.0, 16);
///
/// for step in 0..32 {
///     let [real, fake] = [0, 1].map(|_| Tensor::rand([4, 3], (Kind::Float, Device::Cpu)));
///     let mut loss = GanLoss::stylegan2().discriminator(&discriminator(&real), &discriminator(&fake));
///     if step % interval == 0 {
///         loss += R1Penalty::stylegan2().penalty(discriminator, &real) * (gamma * interval as f64);
///     }
///     optimizer.backward_step(&loss);
/// }
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// - **Shapes**: images `[N, ...]`, with `Pixel` `[N, C, ...]`. The discriminator's outputs have any shape: their sum
///   counts. The loss is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32, except for the discriminator itself; a result beyond 65504 is
///   infinite in f16. The mean of nothing is NaN.
/// - **Gradients**: to the discriminator's parameters. The images are constants: nothing reaches the generator.
/// - **Defaults**: `norm` sample, `factor` 1.
/// - **Errors**: those of [`input_gradient`]; a `factor` that is not positive and finite.
///
/// Source: L. Mescheder et al., *Which training methods for GANs do actually converge?* (2018); its
/// [code](https://github.com/LMescheder/GAN_stability/blob/master/gan_training/train.py); [`r1_penalty` of
/// BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/gan_loss.py).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{R1Penalty, UnaryLoss};
///
/// // The gradients of two samples.
/// let gradient = Tensor::from_slice2(&[[3.0, 4.0], [0.0, 1.0]]);
/// assert_eq!(R1Penalty::default().forward(&gradient).double_value(&[]), (25.0 + 1.0) / 2.0);
/// assert_eq!(R1Penalty::stylegan2().forward(&gradient).double_value(&[]), (25.0 + 1.0) / 4.0);
/// ```
#[doc(alias = "R2Penalty")]
#[doc(alias = "r1_penalty")]
#[doc(alias = "d_r1_loss")]
#[doc(alias = "r1_gradient_penalty_loss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct R1Penalty {
    /// Over what the squared gradient is summed before the mean.
    pub norm: GradientNorm,
    /// What the loss is multiplied by.
    pub factor: f64,
}

impl Default for R1Penalty {
    fn default() -> Self {
        R1Penalty { norm: GradientNorm::Sample, factor: 1.0 }
    }
}

setters!(R1Penalty { with_norm(norm: GradientNorm), with_factor(factor: f64) });

impl R1Penalty {
    /// `r1_penalty` of [BasicSR](https://github.com/XPixelGroup/BasicSR): the defaults. Its weight,
    /// `10 / 2 * net_d_reg_every`, is not in it.
    pub fn basicsr() -> Self {
        R1Penalty::default()
    }

    /// [StyleGAN2](https://github.com/NVlabs/stylegan2-ada-pytorch): half of it. Its weight, `r1_gamma` times the
    /// interval, is not in it.
    pub fn stylegan2() -> Self {
        R1Penalty::default().with_factor(0.5)
    }

    /// `r1_gradient_penalty_loss` of [mmgeneration](https://github.com/open-mmlab/mmgeneration) with its default
    /// `norm_mode`.
    pub fn mmgen() -> Self {
        R1Penalty::default().with_norm(GradientNorm::Pixel)
    }

    /// The penalty of a discriminator at images: real ones for R1, fake ones for R2.
    ///
    /// # Panics
    /// Where [`try_penalty`](Self::try_penalty) returns an error, with the error's message.
    #[track_caller]
    pub fn penalty(&self, discriminator: impl FnOnce(&Tensor) -> Tensor, images: &Tensor) -> Tensor {
        or_panic(self.try_penalty(discriminator, images))
    }

    /// As [`penalty`](Self::penalty), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    pub fn try_penalty(
        &self,
        discriminator: impl FnOnce(&Tensor) -> Tensor,
        images: &Tensor,
    ) -> Result<Tensor> {
        self.check_options()?;
        self.norm.check("images", images)?;
        self.try_forward(&input_gradient(discriminator, images)?)
    }
}

/// Of the discriminator's gradient.
impl UnaryLoss for R1Penalty {
    fn check_options(&self) -> Result<()> {
        check::positive("factor", self.factor)
    }

    fn try_forward(&self, gradient: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        self.norm.check("gradient", gradient)?;
        let wide = gradient.f_to_kind(accumulation_kind(gradient.kind()))?;
        Ok(self.norm.mean_square(&wide, self.factor)?.f_to_kind(gradient.kind())?)
    }
}
