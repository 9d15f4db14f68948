//! [`ClipLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, no_grad, Tensor};

use super::anchors::{check_two, nothing, soft_max};
use super::sets::with_gradients;
use crate::base::gradient::is_tracked;
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// The options of a [`ClipLoss`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipConfig {
    /// What the logarithm of the factor of the products starts with.
    pub logit_scale: f64,
}

impl Default for ClipConfig {
    fn default() -> Self {
        ClipConfig { logit_scale: (1.0 / 0.07f64).ln() }
    }
}

setters!(ClipConfig { with_logit_scale(logit_scale: f64) });

impl ClipConfig {
    pub(crate) fn check(&self) -> Result<()> {
        check::finite("logit_scale", self.logit_scale)
    }
}

/// The loss of CLIP: each image is told by what is like its text, and each text by what is like its image.
///
/// ```text
/// z[i, j] = exp(logit_scale) * image_features[i] · text_features[j]
/// loss    = mean over i of  (log(Σ_j exp(z[i, j])) + log(Σ_j exp(z[j, i]))) / 2 - z[i, i]
/// ```
///
/// `logit_scale` is a parameter. Give [`new`](Self::new) the path of the model, and it is saved as in open_clip's files.
/// CLIP's trainers keep it within 0 and `ln(100)` after each step of the optimizer, and this loss leaves that to the
/// trainer as well: see [`clamp_logit_scale`](Self::clamp_logit_scale), and below for a loss from a file.
///
/// - **Shapes**: `[N, D]` with D at least 1, equal. The loss is a scalar. It is one of the whole batch: no part of it
///   belongs to one pair.
/// - **Values**: features of length 1, as CLIP's encoders give them, not checked. f16 and bf16 are computed in f32. A batch
///   of one pair, or of none, costs nothing.
/// - **Gradients**: to both arguments and to `logit_scale`, computed by forward. Second derivatives come out as zero.
/// - **Memory**: three matrices `[N, N]`, in forward only.
/// - **Defaults**: those of [`ClipConfig`]: `logit_scale` starts at `ln(1 / 0.07)`.
/// - **Errors**: arguments of other or different shapes, of different kinds; on another device than `logit_scale`; a
///   `logit_scale` that is not one floating number.
///
/// In an objective's file, [`Objective::build_in`](crate::manager::Objective::build_in) takes the variable store. There
/// the parameter has the loss's name:
///
/// ```
/// use tch::{nn, no_grad, Device};
/// use tch_losses::manager::Objective;
///
/// let objective = Objective::from_toml("[losses.CLIP]\nloss = \"ClipLoss\"")?;
/// let vs = nn::VarStore::new(Device::Cpu);
/// let mut manager = objective.build_in(&vs.root())?;
/// // After each step of the optimizer:
/// let mut logit_scale = vs.variables().remove("CLIP.logit_scale").unwrap();
/// let _ = no_grad(|| logit_scale.clamp_(0.0, 100f64.ln()));
/// # Ok::<(), tch_losses::Error>(())
/// ```
///
/// [`SigLipLoss`](crate::SigLipLoss) has no sums over a batch, [`InfoNceLoss`](crate::InfoNceLoss) is one direction of this
/// loss with a constant temperature.
///
/// Source: `ClipLoss` of [open_clip](https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/loss.py); A.
/// Radford et al., [*Learning transferable visual models from natural language
/// supervision*](https://arxiv.org/abs/2103.00020) (2021).
///
/// ```
/// use tch::{nn, Device, Tensor};
/// use tch_losses::{ClipConfig, ClipLoss, Loss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let clip = ClipLoss::new(&vs.root(), ClipConfig::default().with_logit_scale(0.0))?;
/// let features = Tensor::from_slice2(&[[3.0, 0.0], [0.0, 0.2]]);
/// let unit = &features / features.norm_scalaropt_dim(2.0, [1i64].as_slice(), true);
/// // Each has its partner, of the product 1, and one other, of the product 0.
/// let loss = clip.forward(&unit, &unit);
/// assert!((loss.double_value(&[]) - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "CLIPLoss")]
#[derive(Debug)]
pub struct ClipLoss {
    /// The logarithm of the factor of the products.
    pub logit_scale: Tensor,
}

impl ClipLoss {
    /// A loss whose `logit_scale` is in a variable store.
    ///
    /// # Errors
    /// Options out of their range.
    pub fn new(vs: &nn::Path, config: ClipConfig) -> Result<ClipLoss> {
        config.check()?;
        Ok(ClipLoss { logit_scale: scalar_parameter(vs, "logit_scale", config.logit_scale)? })
    }

    /// Keeps `logit_scale` within 0 and `ln(100)`, as CLIP's trainers do after each step of the optimizer.
    pub fn clamp_logit_scale(&mut self) {
        let _ = no_grad(|| self.logit_scale.clamp_(0.0, 100f64.ln()));
    }
}

/// A trainable number.
pub(super) fn scalar_parameter(vs: &nn::Path, name: &str, value: f64) -> Result<Tensor> {
    Ok(vs.f_var(name, &[], nn::Init::Const(value))?)
}

/// Features of images and of texts, on the device of the parameters, of which the first is `logit_scale`.
pub(super) fn check_features(
    images: &Tensor,
    texts: &Tensor,
    logit_scale: &Tensor,
    logit_bias: Option<&Tensor>,
) -> Result<()> {
    check_two(("image_features", images), ("text_features", texts))?;
    let scale = ("logit_scale", logit_scale);
    for (argument, parameter) in
        [Some(scale), logit_bias.map(|bias| ("logit_bias", bias))].into_iter().flatten()
    {
        check::floating(argument, parameter)?;
        if parameter.dim() != 0 {
            let expected = "[], one number".into();
            return Err(Error::Shape { argument, given: parameter.size(), expected });
        }
    }
    check::same_device(scale, ("image_features", images))?;
    logit_bias.map_or(Ok(()), |bias| check::same_device(scale, ("logit_bias", bias)))
}

/// The loss of features that are multiplied with a factor already, and the slopes of N times the loss with respect to the
/// products.
fn value_and_slopes(images: &Tensor, texts: &Tensor) -> Result<(Tensor, Tensor)> {
    keep_freed_blocks();
    let logits = images.f_mm(&texts.f_transpose(0, 1)?)?;
    let own = logits.f_diagonal(0, 0, 1)?;
    let (mut by_image, losses) = soft_max(&logits, &own.f_unsqueeze(1)?, 1)?;
    let (by_text, more) = soft_max(&logits, &own.f_unsqueeze(0)?, 0)?;
    let value = losses.f_mean(None)?.f_add(&more.f_mean(None)?)?.f_mul_scalar(0.5)?;
    let slopes = by_image.f_add_(&by_text)?.f_mul_scalar_(0.5)?;
    let _ = slopes.f_diagonal(0, 0, 1)?.f_sub_scalar_(1.0)?;
    Ok((value, slopes))
}

/// Of features of images and of their texts.
impl Loss for ClipLoss {
    fn try_forward(&self, image_features: &Tensor, text_features: &Tensor) -> Result<Tensor> {
        check_features(image_features, text_features, &self.logit_scale, None)?;
        let kind = image_features.kind();
        let wide = accumulation_kind(kind);
        let (images, texts) = (image_features.f_to_kind(wide)?, text_features.f_to_kind(wide)?);
        let logit_scale = self.logit_scale.f_to_kind(wide)?;
        let batch = images.size()[0];
        if batch == 0 {
            return nothing(&images.f_add(&texts)?, Reduction::Mean, kind);
        }
        let to_texts = is_tracked(&texts)?;
        let tracked = to_texts || is_tracked(&images)? || is_tracked(&logit_scale)?;
        let (value, gradients) = no_grad(|| -> Result<(Tensor, Option<[Tensor; 3]>)> {
            let factor = logit_scale.f_exp()?;
            let scaled = images.f_mul(&factor)?;
            let (value, slopes) = value_and_slopes(&scaled, &texts)?;
            if !tracked {
                return Ok((value, None));
            }
            let share = 1.0 / batch as f64;
            let own = slopes.f_mm(&texts)?.f_mul_(&factor.f_mul_scalar(share)?)?;
            let other = match to_texts {
                true => slopes.f_transpose(0, 1)?.f_mm(&scaled)?.f_mul_scalar_(share)?,
                // No one asks for it.
                false => texts.f_zeros_like()?,
            };
            let of_scale = own.f_mul(&images)?.f_sum(None)?;
            Ok((value, Some([own, other, of_scale])))
        })?;
        let mut parts = Vec::new();
        if let Some([own, other, of_scale]) = &gradients {
            parts.extend([(&images, own), (&texts, other), (&logit_scale, of_scale)]);
        }
        Ok(with_gradients(value, &parts)?.f_to_kind(kind)?)
    }
}
