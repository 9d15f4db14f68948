//! [`GradientPenalty`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::points::{broadcast_weights, matching_noise, random_noise, random_weights};
use super::{input_gradient, GradientNorm, PenaltyPoints};
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, Result, UnaryLoss};

/// Gradient penalty of a discriminator: WGAN-GP, 0-GP, DRAGAN.
///
/// ```text
/// g    = d Σ discriminator(x) / d x          at the points x
/// loss = factor * mean((‖g + eps‖ - target)²)
/// ```
///
/// [`PenaltyPoints`] says where the points are, [`GradientNorm`] over what the length is taken: by default it is one
/// length for each sample. The norm over `dim = 1` of a gradient `[N, C, H, W]`, a frequent mistake, is one length
/// for each pixel; `norm_except_dim(2, 1)` is one for each channel of the whole batch.
///
/// [`penalty`](Self::penalty) takes the discriminator as a function. As a [`UnaryLoss`], and in an objective's file, the
/// loss takes the gradient, which [`input_gradient`] computes; where the
/// gradient is taken is up to the caller: `points`, `noise_scale` and `unbiased` do nothing there.
///
/// A step of a discriminator:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{GanLoss, GanMode, GradientPenalty};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let hidden = nn::linear(vs.root() / "hidden", 3, 8, Default::default());
/// let last = nn::linear(vs.root() / "last", 8, 1, Default::default());
/// let discriminator = |x: &Tensor| last.forward(&hidden.forward(x).tanh());
/// let mut optimizer = nn::Adam { beta1: 0.0, ..Default::default() }.build(&vs, 1e-4)?;
/// let wgan = GanLoss::default().with_mode(GanMode::Wgan);
///
/// let [real, fake] = [0, 1].map(|_| Tensor::rand([4, 3], (Kind::Float, Device::Cpu)));
/// let loss = wgan.discriminator(&discriminator(&real), &discriminator(&fake));
/// let penalty = GradientPenalty::wgan_gp().penalty(discriminator, &real, &fake);
/// optimizer.backward_step(&(loss + penalty));
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// CycleGAN's and pix2pix's own `--gan_mode wgangp` never calls its penalty: it trains without one.
///
/// - **Shapes**: points `[N, ...]`, with `Pixel` `[N, C, ...]`; `real` and `fake` alike with `Mixed`. The discriminator's
///   outputs have any shape: their sum counts, so a map of more patches has a larger gradient. The loss is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32, except for the discriminator itself. The mean of nothing is NaN.
/// - **Gradients**: to the discriminator's parameters. The points are constants: nothing reaches the generator. They are
///   finite where `g` is 0. Without `eps` they are 0 there.
/// - **Defaults**: `points` mixed, `norm` sample, `target` 1, `eps` 0, `factor` 1, `noise_scale` 0.5, `unbiased` false.
/// - **Errors**: those of [`input_gradient`]; `real` and `fake` of different shapes, kinds or devices with `Mixed`; a
///   `factor` that is not positive; other options that are negative or not finite.
///
/// The discriminator must treat each image on its own: with a batch norm, the gradient is one of the whole batch.
/// Instance norm and layer norm are fine.
///
/// The constructors have the factors that the references multiply by:
///
/// | constructor | points | norm | target | eps | factor |
/// |---|---|---|---|---|---|
/// | [`wgan_gp`](Self::wgan_gp) | mixed | sample | 1 | 0 | 10 |
/// | [`cyclegan`](Self::cyclegan) | mixed | sample | 1 | 1e-16 | 10 |
/// | [`basicsr`](Self::basicsr) | mixed | pixel | 1 | 0 | 1 |
/// | [`zero_centered`](Self::zero_centered) | mixed | sample | 0 | 0 | 1 |
/// | [`dragan`](Self::dragan) | perturbed | sample | 1 | 0 | 10 |
///
/// Source: [`cal_gradient_penalty` of
/// pytorch-CycleGAN-and-pix2pix](https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix/blob/master/models/networks.py);
/// I. Gulrajani et al., *Improved training of Wasserstein GANs* (2017); N. Kodali et al., *On convergence and stability
/// of GANs* (2017); H. Thanh-Tung et al., *Improving generalization and stability of generative adversarial networks*
/// (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GradientNorm, GradientPenalty, UnaryLoss};
///
/// // Of one image with one channel and two pixels: a length of 5, or of 3 and of 4.
/// let gradient = Tensor::from_slice(&[3.0, 4.0]).view([1, 1, 1, 2]);
/// let penalty = GradientPenalty::default();
/// assert_eq!(penalty.forward(&gradient).double_value(&[]), 16.0);
/// let pixels = penalty.with_norm(GradientNorm::Pixel);
/// assert_eq!(pixels.forward(&gradient).double_value(&[]), (4.0 + 9.0) / 2.0);
/// ```
#[doc(alias = "WGAN-GP")]
#[doc(alias = "DRAGAN")]
#[doc(alias = "cal_gradient_penalty")]
#[doc(alias = "gradient_penalty_loss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientPenalty {
    /// Where the gradient is taken.
    pub points: PenaltyPoints,
    /// Over what the length of the gradient is taken.
    pub norm: GradientNorm,
    /// The length that costs nothing: `constant` in CycleGAN, `k` in DRAGAN.
    pub target: f64,
    /// What is added to each element of the gradient. CycleGAN's 1e-16 matters only where all elements are 0.
    pub eps: f64,
    /// What the loss is multiplied by: `lambda_gp`.
    pub factor: f64,
    /// How far points may be from the real images, in standard deviations: `c` in DRAGAN. Only for `Perturbed`.
    pub noise_scale: f64,
    /// Whether the standard deviation is the unbiased one, StudioGAN's. Only for `Perturbed`.
    pub unbiased: bool,
}

impl Default for GradientPenalty {
    fn default() -> Self {
        GradientPenalty {
            points: PenaltyPoints::Mixed,
            norm: GradientNorm::Sample,
            target: 1.0,
            eps: 0.0,
            factor: 1.0,
            noise_scale: 0.5,
            unbiased: false,
        }
    }
}

setters!(GradientPenalty {
    with_points(points: PenaltyPoints), with_norm(norm: GradientNorm), with_target(target: f64),
    with_eps(eps: f64), with_factor(factor: f64), with_noise_scale(noise_scale: f64), with_unbiased(unbiased: bool)
});

impl GradientPenalty {
    /// The paper's, and StudioGAN's: the defaults with its weight, 10.
    pub fn wgan_gp() -> Self {
        GradientPenalty::default().with_factor(10.0)
    }

    /// `cal_gradient_penalty` of [pytorch-CycleGAN-and-pix2pix](https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix)
    /// and CUT, `lambda_gp` included. It takes the gradient by all that the discriminator sees: for pix2pix, `real` and
    /// `fake` are the pairs, concatenated.
    pub fn cyclegan() -> Self {
        GradientPenalty::wgan_gp().with_eps(1e-16)
    }

    /// `gradient_penalty_loss` of [BasicSR](https://github.com/XPixelGroup/BasicSR) and KAIR, and mmgen's default: a
    /// length for each pixel. A weight is not in it.
    pub fn basicsr() -> Self {
        GradientPenalty::default().with_norm(GradientNorm::Pixel)
    }

    /// 0-GP, `wgangp0` of [GAN_stability](https://github.com/LMescheder/GAN_stability): any length costs. Its weight,
    /// 10, is not in it.
    #[doc(alias = "0-GP")]
    #[doc(alias = "wgangp0")]
    pub fn zero_centered() -> Self {
        GradientPenalty::default().with_target(0.0)
    }

    /// [DRAGAN](https://github.com/kodalinaveen3/DRAGAN) with its weight, 10, and its factor of 0.5, which is meant to
    /// be tuned. StudioGAN's `cal_dra_penalty` is `unbiased`, and has a factor of 1.
    pub fn dragan() -> Self {
        GradientPenalty::wgan_gp().with_points(PenaltyPoints::Perturbed)
    }

    /// The penalty of a discriminator for real and fake images, at points drawn by libtorch's generator
    /// ([`manual_seed`](tch::manual_seed)).
    ///
    /// Where one of the two is not looked at ([`PenaltyPoints`]), any tensor will do, such as the other one.
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    /// use tch_losses::GradientPenalty;
    ///
    /// let real = Tensor::rand([4, 3], (Kind::Float, Device::Cpu));
    /// tch::manual_seed(7);
    /// let penalty = GradientPenalty::dragan().penalty(Tensor::sin, &real, &real);
    /// tch::manual_seed(7); // the same points: first the weights, then the noise
    /// let [weights, noise] = [1, 3].map(|size| Tensor::rand([4, size], (Kind::Float, Device::Cpu)));
    /// let same = GradientPenalty::dragan();
    /// let same = same.try_penalty_with(Tensor::sin, &real, &real, Some(&weights), Some(&noise))?;
    /// assert_eq!(penalty, same);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    ///
    /// # Panics
    /// Where [`try_penalty`](Self::try_penalty) returns an error, with the error's message.
    #[track_caller]
    pub fn penalty(
        &self,
        discriminator: impl FnOnce(&Tensor) -> Tensor,
        real: &Tensor,
        fake: &Tensor,
    ) -> Tensor {
        or_panic(self.try_penalty(discriminator, real, fake))
    }

    /// As [`penalty`](Self::penalty), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`] that names it.
    pub fn try_penalty(
        &self,
        discriminator: impl FnOnce(&Tensor) -> Tensor,
        real: &Tensor,
        fake: &Tensor,
    ) -> Result<Tensor> {
        let images = self.checked(real, fake)?.1;
        let weights = self.points.has_weights().then(|| random_weights(images)).transpose()?;
        let noise = (self.points == PenaltyPoints::Perturbed).then(|| random_noise(images)).transpose()?;
        self.at(discriminator, &self.place(real, fake, weights, noise)?)
    }

    /// The penalty at points that are given by their random numbers, for exact results.
    ///
    /// `weights` are the numbers `a` of `Mixed` and `Perturbed`, one for each sample: `[N]` or `[N, 1, ...]`. `noise` are
    /// the numbers `u` of `Perturbed`, of the shape of `real`. What the points do not need is not looked at.
    ///
    /// # Errors
    /// As [`try_penalty`](Self::try_penalty); numbers that are needed and not given, or of another shape or device.
    ///
    /// ```
    /// use tch::Tensor;
    /// use tch_losses::GradientPenalty;
    ///
    /// let (real, fake) = (Tensor::from_slice2(&[[2.0]]), Tensor::from_slice2(&[[0.0]]));
    /// let weights = Tensor::from_slice(&[0.75]);
    /// // At 0.75 * 2, the square has the slope 3.
    /// let penalty = GradientPenalty::default();
    /// let loss = penalty.try_penalty_with(Tensor::square, &real, &fake, Some(&weights), None)?;
    /// assert_eq!(loss.double_value(&[]), 4.0);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn try_penalty_with(
        &self,
        discriminator: impl FnOnce(&Tensor) -> Tensor,
        real: &Tensor,
        fake: &Tensor,
        weights: Option<&Tensor>,
        noise: Option<&Tensor>,
    ) -> Result<Tensor> {
        let images = self.checked(real, fake)?;
        let needed = |argument: &'static str, numbers: Option<&Tensor>| match numbers {
            Some(numbers) => Ok(numbers.shallow_clone()),
            None => Err(Error::Undefined { argument }),
        };
        let weights = match self.points.has_weights() {
            true => Some(broadcast_weights(&needed("weights", weights)?, images)?),
            false => None,
        };
        let noise = match self.points {
            PenaltyPoints::Perturbed => Some(matching_noise(&needed("noise", noise)?, images)?),
            _ => None,
        };
        self.at(discriminator, &self.place(real, fake, weights, noise)?)
    }

    /// The images of which there is one for each point, after all checks.
    fn checked<'a>(&self, real: &'a Tensor, fake: &'a Tensor) -> Result<(&'static str, &'a Tensor)> {
        self.check_options()?;
        let (argument, images) = self.points.images(real, fake);
        self.norm.check(argument, images)?;
        if self.points == PenaltyPoints::Mixed {
            check::partners(("real", real), ("fake", fake))?;
            check::same_shape(("real", real), ("fake", fake))?;
        }
        Ok((argument, images))
    }

    /// The points for checked images and their random numbers, which are in the kind to compute in.
    fn place(
        &self,
        real: &Tensor,
        fake: &Tensor,
        weights: Option<Tensor>,
        noise: Option<Tensor>,
    ) -> Result<Tensor> {
        let images = self.points.images(real, fake).1.f_detach()?;
        let wide = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(accumulation_kind(images.kind()));
        Ok(match (weights, noise) {
            (Some(weights), Some(noise)) => {
                let real = wide(real)?;
                let step = real.f_std(self.unbiased)?.f_mul_scalar(self.noise_scale)?;
                real.f_add(&step.f_mul(&noise)?.f_mul(&weights)?)?.f_to_kind(images.kind())?
            }
            (Some(weights), None) => {
                let rest = weights.f_neg()?.f_add_scalar(1.0)?;
                let mixed = weights.f_mul(&wide(real)?)?.f_add(&rest.f_mul(&wide(fake)?)?)?;
                mixed.f_to_kind(images.kind())?
            }
            (None, _) => images,
        })
    }

    fn at(&self, discriminator: impl FnOnce(&Tensor) -> Tensor, points: &Tensor) -> Result<Tensor> {
        self.try_forward(&input_gradient(discriminator, points)?)
    }
}

/// Of the discriminator's gradient.
impl UnaryLoss for GradientPenalty {
    fn check_options(&self) -> Result<()> {
        check::non_negative("target", self.target)?;
        check::non_negative("eps", self.eps)?;
        check::positive("factor", self.factor)?;
        check::non_negative("noise_scale", self.noise_scale)
    }

    fn try_forward(&self, gradient: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        self.norm.check("gradient", gradient)?;
        let mut wide = gradient.f_to_kind(accumulation_kind(gradient.kind()))?;
        if self.eps > 0.0 {
            wide = wide.f_add_scalar(self.eps)?;
        }
        // Without a target the root is not needed, and has no second derivative at 0.
        let loss = match self.target == 0.0 {
            true => self.norm.mean_square(&wide, self.factor)?,
            false => {
                let excess = self.norm.lengths(&wide)?.f_sub_scalar(self.target)?;
                excess.f_square()?.f_mean(None)?.f_mul_scalar(self.factor)?
            }
        };
        Ok(loss.f_to_kind(gradient.kind())?)
    }
}
