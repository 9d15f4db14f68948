//! [`PathLengthPenalty`].

use serde::{Deserialize, Serialize};
use tch::{nn, Tensor};

use crate::base::average::average;
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, Result, UnaryLoss};

/// The options of a [`PathLengthPenalty`]. The defaults are StyleGAN2's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PathLengthConfig {
    /// How far the average moves towards the mean of the lengths at each call.
    pub decay: f64,
}

impl Default for PathLengthConfig {
    fn default() -> Self {
        PathLengthConfig { decay: 0.01 }
    }
}

setters!(PathLengthConfig { with_decay(decay: f64) });

impl PathLengthConfig {
    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check(&self) -> Result<()> {
        check::fraction("decay", self.decay)
    }
}

/// Path length regularisation: a step of a latent code changes a generator's image by the same length everywhere.
///
/// ```text
/// J         = d sum(images * noise) / d latents / sqrt(H * W)    [N, L, D]
/// length[n] = sqrt(mean over L of the sum over D of J[n]²)
/// a         = average + decay * (mean(length) - average)
/// value     = mean((length - a)²),  average ← a
/// ```
///
/// `images` `[N, C, H, W]` are what a generator made of `latents`: `[N, L, D]`, a code for each of its layers, or
/// `[N, D]`, one code. The noise is standard normal, from libtorch's generator. The generator minimises the value. StyleGAN2
/// computes it every 4 steps, for half of the batch, and multiplies it by 2 and by 4:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{PathLengthConfig, PathLengthPenalty};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let mapping = nn::linear(vs.root() / "mapping", 8, 8, Default::default());
/// let synthesis = nn::conv_transpose2d(vs.root() / "synthesis", 16, 3, 4, Default::default());
/// // Two codes of 8 numbers are the 16 channels of an image of one pixel.
/// let generator = |latents: &Tensor| synthesis.forward(&latents.reshape([-1, 16, 1, 1])).tanh();
///
/// // Its average is saved with the generator.
/// let path_length = PathLengthPenalty::new(&(vs.root() / "path_length"), PathLengthConfig::default())?;
/// let mut optimizer = nn::Adam::default().build(&vs, 2e-3)?;
/// let (batch, every) = (8, 4);
/// for step in 0..8 {
///     // ... the step of the GAN, then:
///     if step % every == 0 {
///         let latents = mapping.forward(&Tensor::randn([batch / 2, 2, 8], (Kind::Float, Device::Cpu)));
///         let images = generator(&latents);
///         let penalty = path_length.penalty(&images, &latents);
///         optimizer.backward_step(&(penalty * 2.0 * every as f64));
///     }
/// }
/// println!("mean length {:.4}", path_length.average().double_value(&[]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Every call moves the average, also within an evaluation. As in StyleGAN2, the average moves before it is used, and
/// the gradient flows through the part that is new.
///
/// As a [`UnaryLoss`], the penalty takes J itself, from [`jacobian`](Self::jacobian) or
/// [`jacobian_with`](Self::jacobian_with). A file names it so, and [`lengths`](Self::lengths) are the lengths for a log.
/// [`Objective::build_in`](crate::manager::Objective::build_in) takes the variable store.
///
/// - **Shapes**: as above, nothing empty. The value is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32, except for the generator's own derivatives. A length that is not finite
///   stays in the average.
/// - **Gradients**: to all that J depends on, the generator's parameters. They are finite where J is 0, where the
///   references have NaN.
/// - **State**: `ema.length` in the variable store, not trainable: it is saved and loaded with it. It starts at 0, and
///   is f64 in a store of f64, otherwise f32. A store that changes its kind later (`half`) changes its kind, too: in f16
///   it soon stops moving.
/// - **Defaults**: those of [`PathLengthConfig`]: `decay` 0.01.
/// - **Errors**: other shapes; arguments of different kinds or devices; on another device than the average; `images` that
///   have no graph, or one without `latents`.
///
/// Source: [`loss.py` of StyleGAN2-ADA](https://github.com/NVlabs/stylegan2-ada-pytorch/blob/main/training/loss.py),
/// [`g_path_regularize` of
/// BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/gan_loss.py); T. Karras et al., *Analyzing
/// and improving the image quality of StyleGAN* (2020).
///
/// ```
/// use tch::{nn, Device, Tensor};
/// use tch_losses::{PathLengthConfig, PathLengthPenalty, UnaryLoss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let penalty = PathLengthPenalty::new(&vs.root(), PathLengthConfig::default().with_decay(0.5))?;
/// let jacobian = Tensor::from_slice2(&[[3.0, 4.0], [0.0, 1.0]]);
/// // The lengths are 5 and 1, the average becomes 1.5.
/// assert_eq!(penalty.forward(&jacobian).double_value(&[]), (3.5 * 3.5 + 0.5 * 0.5) / 2.0);
/// assert_eq!(penalty.average().double_value(&[]), 1.5);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "g_path_regularize")]
#[derive(Debug)]
pub struct PathLengthPenalty {
    average: Tensor,
    config: PathLengthConfig,
}

impl PathLengthPenalty {
    /// A penalty whose average is in a variable store.
    ///
    /// # Errors
    /// Options out of their range.
    pub fn new(vs: &nn::Path, config: PathLengthConfig) -> Result<PathLengthPenalty> {
        config.check()?;
        Ok(PathLengthPenalty { average: average(&(vs / "ema"), "length", 0.0)?, config })
    }

    /// A copy of the average of the lengths.
    pub fn average(&self) -> Tensor {
        self.average.copy()
    }

    /// The penalty of images that a generator made of latent codes, with noise that is drawn.
    ///
    /// # Panics
    /// Where [`try_penalty`](Self::try_penalty) returns an error, with the error's message.
    #[track_caller]
    pub fn penalty(&self, images: &Tensor, latents: &Tensor) -> Tensor {
        or_panic(self.try_penalty(images, latents))
    }

    /// As [`penalty`](Self::penalty), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument that the penalty does not accept gives the [`Error`] that names it.
    pub fn try_penalty(&self, images: &Tensor, latents: &Tensor) -> Result<Tensor> {
        self.try_forward(&Self::jacobian(images, latents)?)
    }

    /// J with noise that is drawn: how the images, projected on noise, change with the latent codes. It has the shape
    /// and the kind of `latents`, and a graph.
    ///
    /// # Errors
    /// As [`try_penalty`](Self::try_penalty).
    pub fn jacobian(images: &Tensor, latents: &Tensor) -> Result<Tensor> {
        check::image("images", images)?;
        let wide = images.f_detach()?.f_to_kind(accumulation_kind(images.kind()))?;
        Self::projected(images, latents, &wide.f_randn_like()?)
    }

    /// J with standard normal noise of the images' shape and kind.
    ///
    /// # Errors
    /// As [`try_penalty`](Self::try_penalty), and for noise of another shape, kind or device.
    pub fn jacobian_with(images: &Tensor, latents: &Tensor, noise: &Tensor) -> Result<Tensor> {
        check::image("images", images)?;
        check::partners(("images", images), ("noise", noise))?;
        check::same_shape(("images", images), ("noise", noise))?;
        Self::projected(images, latents, &noise.f_to_kind(accumulation_kind(images.kind()))?)
    }

    fn projected(images: &Tensor, latents: &Tensor, noise: &Tensor) -> Result<Tensor> {
        check::partners(("images", images), ("latents", latents))?;
        check_codes("latents", latents)?;
        let shape = images.size();
        if latents.size()[0] != shape[0] {
            let expected = format!("{} codes, as many as `images`", shape[0]);
            return Err(Error::Shape { argument: "latents", given: latents.size(), expected });
        }
        let refuse = |argument, given: &str, expected: &str| {
            Err(Error::Value { argument, given: given.into(), expected: expected.into() })
        };
        if !latents.requires_grad() {
            return refuse("latents", "constants", "a tensor that requires a gradient");
        }
        let pixels = (shape[2] * shape[3]) as f64;
        let product = images.f_to_kind(noise.kind())?.f_mul(noise)?.f_sum(None)?;
        let product = product.f_div_scalar(pixels.sqrt())?;
        if !product.requires_grad() {
            return refuse("images", "constants", "what a generator made of `latents`, with its graph");
        }
        let jacobian = Tensor::f_run_backward(&[&product], &[latents], true, true)?.remove(0);
        if !jacobian.defined() {
            return refuse("latents", "what `images` do not depend on", "what a generator made `images` of");
        }
        Ok(jacobian)
    }

    /// The length `[N]` for each image, of J.
    ///
    /// # Errors
    /// As [`try_forward`](UnaryLoss::try_forward).
    pub fn lengths(jacobian: &Tensor) -> Result<Tensor> {
        Ok(wide_lengths(jacobian)?.f_to_kind(jacobian.kind())?)
    }
}

/// Codes `[N, L, D]` or `[N, D]` with nothing empty.
fn check_codes(argument: &'static str, codes: &Tensor) -> Result<()> {
    let given = codes.size();
    if !matches!(given.len(), 2 | 3) || given.contains(&0) {
        let expected = "[N, L, D] or [N, D] with every size at least 1".into();
        return Err(Error::Shape { argument, given, expected });
    }
    Ok(())
}

/// The lengths in [`accumulation_kind`].
fn wide_lengths(jacobian: &Tensor) -> Result<Tensor> {
    check::floating("jacobian", jacobian)?;
    check_codes("jacobian", jacobian)?;
    let size = jacobian.size();
    let codes = if size.len() == 3 { size[1] as f64 } else { 1.0 };
    let flat = jacobian.f_to_kind(accumulation_kind(jacobian.kind()))?.f_flatten(1, -1)?;
    // The slope of libtorch's norm is 0 at 0, where that of a root is infinite.
    Ok(flat.f_norm_scalaropt_dim(2, [1i64].as_slice(), false)?.f_div_scalar(codes.sqrt())?)
}

/// Of J `[N, L, D]` or `[N, D]`. Each call moves the average.
impl UnaryLoss for PathLengthPenalty {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, jacobian: &Tensor) -> Result<Tensor> {
        let lengths = wide_lengths(jacobian)?;
        if jacobian.device() != self.average.device() {
            let expected = format!("{:?}, the device of the average", self.average.device());
            return Err(Error::Device { argument: "jacobian", given: jacobian.device(), expected });
        }
        let before = self.average.f_to_kind(lengths.kind())?;
        let average =
            lengths.f_mean(None)?.f_sub(&before)?.f_mul_scalar(self.config.decay)?.f_add(&before)?;
        let value = lengths.f_sub(&average)?.f_square()?.f_mean(None)?;
        self.average.f_detach()?.f_copy_(&average.f_detach()?)?;
        Ok(value.f_to_kind(jacobian.kind())?)
    }
}
