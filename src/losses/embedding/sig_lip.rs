//! [`SigLipLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, no_grad, Tensor};

use super::anchors::nothing;
use super::clip::{check_features, scalar_parameter};
use super::sets::with_gradients;
use crate::base::gradient::{is_tracked, pieces, rows_at_once};
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// The options of a [`SigLipLoss`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigLipConfig {
    /// What the logarithm of the factor of the products starts with.
    pub logit_scale: f64,
    /// What the number that is added to the products starts with.
    pub logit_bias: f64,
}

impl Default for SigLipConfig {
    fn default() -> Self {
        SigLipConfig { logit_scale: 10f64.ln(), logit_bias: -10.0 }
    }
}

setters!(SigLipConfig { with_logit_scale(logit_scale: f64), with_logit_bias(logit_bias: f64) });

impl SigLipConfig {
    pub(crate) fn check(&self) -> Result<()> {
        check::finite("logit_scale", self.logit_scale)?;
        check::finite("logit_bias", self.logit_bias)
    }
}

/// The loss of SigLIP: of each image and each text, whether they belong together.
///
/// ```text
/// z[i, j] = exp(logit_scale) * image_features[i] · text_features[j] + logit_bias
/// l[i, j] = -log(sigmoid(z[i, j]))        where i = j
///           -log(sigmoid(-z[i, j]))       elsewhere
/// loss    = Σ l / N
/// ```
///
/// `logit_scale` and `logit_bias` are parameters. Give [`new`](Self::new) the path of the model, and they are saved as in
/// open_clip's files. The sum is divided by the number of images, not by that of pairs.
///
/// - **Shapes**: `[N, D]` with D at least 1, equal. The loss is a scalar.
/// - **Values**: features of length 1, as SigLIP's encoders give them, not checked. f16 and bf16 are computed in f32. A
///   batch without pairs costs nothing.
/// - **Gradients**: to both arguments and to the parameters, computed by forward. Second derivatives come out as zero.
/// - **Memory**: some megabytes, whatever N is.
/// - **Defaults**: those of [`SigLipConfig`]: `logit_scale` starts at `ln(10)`, `logit_bias` at -10.
/// - **Errors**: arguments of other or different shapes, of different kinds; on another device than the parameters.
///
/// In an objective's file, [`Objective::build_in`](crate::manager::Objective::build_in) takes the variable store.
/// [`ClipLoss`](crate::ClipLoss) compares each pair with the others of the batch.
///
/// Source: `SigLipLoss` of [open_clip](https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/loss.py); X.
/// Zhai et al., [*Sigmoid loss for language image pre-training*](https://arxiv.org/abs/2303.15343) (2023).
///
/// ```
/// use tch::{nn, Device, Tensor};
/// use tch_losses::{Loss, SigLipConfig, SigLipLoss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let config = SigLipConfig { logit_scale: 2f64.ln(), logit_bias: -1.0 };
/// let loss = SigLipLoss::new(&vs.root(), config)?;
/// let features = Tensor::from_slice2(&[[1.0, 0.0], [0.0, 1.0]]);
/// // Partners have the logit 1, others -1.
/// let value = loss.forward(&features, &features).double_value(&[]);
/// assert!((value - 2.0 * (1.0 + (-1f64).exp()).ln()).abs() < 1e-6);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "SigmoidContrastiveLoss")]
#[derive(Debug)]
pub struct SigLipLoss {
    /// The logarithm of the factor of the products.
    pub logit_scale: Tensor,
    /// The number that is added to the products.
    pub logit_bias: Tensor,
}

impl SigLipLoss {
    /// A loss whose parameters are in a variable store.
    ///
    /// # Errors
    /// Options out of their range.
    pub fn new(vs: &nn::Path, config: SigLipConfig) -> Result<SigLipLoss> {
        config.check()?;
        Ok(SigLipLoss {
            logit_scale: scalar_parameter(vs, "logit_scale", config.logit_scale)?,
            logit_bias: scalar_parameter(vs, "logit_bias", config.logit_bias)?,
        })
    }
}

/// The sum of the losses; and, if they are asked for, its slopes with respect to `images`, `texts` and the bias. Those to
/// `texts` are 0 unless `to_texts`. `images` are multiplied with the factor already.
fn sum(
    images: &Tensor,
    texts: &Tensor,
    bias: &Tensor,
    with_slopes: bool,
    to_texts: bool,
) -> Result<(Tensor, Option<[Tensor; 3]>)> {
    keep_freed_blocks();
    let batch = images.size()[0];
    let columns = texts.f_transpose(0, 1)?;
    let (mut sums, mut of_bias) = (Vec::new(), Vec::new());
    let mut slopes = match with_slopes {
        true => Some([images.f_empty_like()?, texts.f_zeros_like()?]),
        false => None,
    };
    for (start, rows) in pieces(batch, rows_at_once(images.device(), batch)) {
        let part = images.f_narrow(0, start, rows)?;
        let mut against = bias.f_addmm(&part, &columns)?;
        let own = |logits: &Tensor| logits.f_narrow(1, start, rows)?.f_diagonal(0, 0, 1);
        // The logits for the wrong answer: those of partners have the other sign.
        let _ = own(&against)?.f_neg_()?;
        sums.push(against.f_neg()?.f_log_sigmoid()?.f_sum(None)?);
        if let Some([of_images, of_texts]) = &mut slopes {
            let slopes = against.f_sigmoid_()?;
            let _ = own(&slopes)?.f_neg_()?;
            of_images.f_narrow(0, start, rows)?.f_copy_(&slopes.f_mm(texts)?)?;
            if to_texts {
                let _ = of_texts.f_addmm_(&slopes.f_transpose(0, 1)?, &part)?;
            }
            of_bias.push(slopes.f_sum(None)?);
        }
    }
    let total = |parts: &[Tensor]| -> Result<Tensor> { Ok(Tensor::f_stack(parts, 0)?.f_sum(None)?) };
    let slopes = match slopes {
        Some([of_images, of_texts]) => Some([of_images, of_texts, total(&of_bias)?]),
        None => None,
    };
    Ok((total(&sums)?.f_neg()?, slopes))
}

/// Of features of images and of their texts.
impl Loss for SigLipLoss {
    fn try_forward(&self, image_features: &Tensor, text_features: &Tensor) -> Result<Tensor> {
        check_features(image_features, text_features, &self.logit_scale, Some(&self.logit_bias))?;
        let kind = image_features.kind();
        let wide = accumulation_kind(kind);
        let (images, texts) = (image_features.f_to_kind(wide)?, text_features.f_to_kind(wide)?);
        let (logit_scale, bias) = (self.logit_scale.f_to_kind(wide)?, self.logit_bias.f_to_kind(wide)?);
        let batch = images.size()[0];
        if batch == 0 {
            return nothing(&images.f_add(&texts)?, Reduction::Mean, kind);
        }
        let to_texts = is_tracked(&texts)?;
        let mut tracked = to_texts;
        for tensor in [&images, &logit_scale, &bias] {
            tracked |= is_tracked(tensor)?;
        }
        let share = 1.0 / batch as f64;
        let (value, gradients) = no_grad(|| -> Result<(Tensor, Option<[Tensor; 4]>)> {
            let factor = logit_scale.f_exp()?;
            let (sum, slopes) = sum(&images.f_mul(&factor)?, &texts, &bias, tracked, to_texts)?;
            let value = sum.f_mul_scalar(share)?;
            let Some([mut own, mut other, of_bias]) = slopes else { return Ok((value, None)) };
            let own = own.f_mul_(&factor.f_mul_scalar(share)?)?;
            let of_scale = own.f_mul(&images)?.f_sum(None)?;
            Ok((value, Some([own, other.f_mul_scalar_(share)?, of_scale, of_bias.f_mul_scalar(share)?])))
        })?;
        let mut parts = Vec::new();
        if let Some([own, other, of_scale, of_bias]) = &gradients {
            parts.extend([(&images, own), (&texts, other), (&logit_scale, of_scale), (&bias, of_bias)]);
        }
        Ok(with_gradients(value, &parts)?.f_to_kind(kind)?)
    }
}
