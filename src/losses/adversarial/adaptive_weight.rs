//! [`AdaptiveWeight`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::gradient::gradient_of;
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, Result};

/// VQGAN's adaptive weight: what the generator's adversarial loss is multiplied by, so that its gradient has the length
/// of the reconstruction's.
///
/// ```text
/// weight = factor * min(‖d reconstruction / d w‖ / (‖d gan / d w‖ + eps), max)
/// ```
///
/// `w` is the weight of the decoder's last layer, the norm is the root of the sum of all squares. The weight is a
/// constant for the optimizer.
///
/// A step of the generator. The gradients of both losses are taken twice, so their graph is kept:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{AdaptiveWeight, GanLoss, GanMode, L1Loss, Loss};
///
/// let [g_vs, d_vs] = [0, 1].map(|_| nn::VarStore::new(Device::Cpu));
/// let decoder = nn::linear(g_vs.root(), 2, 3, Default::default());
/// let discriminator = nn::linear(d_vs.root(), 3, 1, Default::default());
/// let mut optimizer = nn::Adam::default().build(&g_vs, 4.5e-6)?;
/// let gan = GanLoss::default().with_mode(GanMode::Hinge);
///
/// let [code, real] = [2, 3].map(|size| Tensor::rand([8, size], (Kind::Float, Device::Cpu)));
/// let fake = decoder.forward(&code);
/// let reconstruction = L1Loss::default().forward(&fake, &real);
/// let g_loss = gan.generator(&discriminator.forward(&fake));
/// let weight = AdaptiveWeight::default().weight(&reconstruction, &g_loss, &decoder.ws);
/// optimizer.backward_step(&(reconstruction + weight * g_loss));
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// VQGAN leaves the adversarial loss out at first, for 10 000 to 250 000 steps. In validation, under
/// [`no_grad`](tch::no_grad), there is no weight.
///
/// - **Shapes**: losses of one element each; `last_layer` of any. The weight is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32. The weight has the kind of `gan_loss`.
/// - **Gradients**: none. No `.grad` is written, and both graphs are kept.
/// - **Defaults**: `factor` 1, `max` 1e4, `eps` 1e-4: those of VQGAN's code. Its configurations have a factor
///   (`disc_weight`) of 0.8.
/// - **Errors**: losses that do not depend on `last_layer`, or of more elements; options that are not positive and
///   finite (`eps` may be 0).
///
/// It needs the graphs of two losses, so a file cannot name it.
///
/// Source: [`vqperceptual.py` of
/// taming-transformers](https://github.com/CompVis/taming-transformers/blob/master/taming/modules/losses/vqperceptual.py);
/// P. Esser et al., *Taming transformers for high-resolution image synthesis* (2021).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::AdaptiveWeight;
///
/// let last_layer = Tensor::from_slice(&[3.0, 4.0]).set_requires_grad(true);
/// let reconstruction = last_layer.square().sum(None); // a gradient of (6, 8), of length 10
/// let gan = last_layer.get(0) * 2.0;
/// let weight = AdaptiveWeight::default().with_eps(0.0).weight(&reconstruction, &gan, &last_layer);
/// assert_eq!(weight.double_value(&[]), 5.0);
/// ```
#[doc(alias = "calculate_adaptive_weight")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveWeight {
    /// What the ratio is multiplied by: `disc_weight`.
    pub factor: f64,
    /// The largest ratio.
    pub max: f64,
    /// What is added to the length of the adversarial gradient.
    pub eps: f64,
}

impl Default for AdaptiveWeight {
    fn default() -> Self {
        AdaptiveWeight { factor: 1.0, max: 1e4, eps: 1e-4 }
    }
}

setters!(AdaptiveWeight { with_factor(factor: f64), with_max(max: f64), with_eps(eps: f64) });

impl AdaptiveWeight {
    /// Checks whether each option is in its range. [`try_weight`](Self::try_weight) does so as well.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check_options(&self) -> Result<()> {
        check::positive("factor", self.factor)?;
        check::positive("max", self.max)?;
        check::non_negative("eps", self.eps)
    }

    /// The weight of the adversarial loss.
    ///
    /// # Panics
    /// Where [`try_weight`](Self::try_weight) returns an error, with the error's message.
    #[track_caller]
    pub fn weight(&self, reconstruction_loss: &Tensor, gan_loss: &Tensor, last_layer: &Tensor) -> Tensor {
        or_panic(self.try_weight(reconstruction_loss, gan_loss, last_layer))
    }

    /// As [`weight`](Self::weight), with an error instead of a panic.
    ///
    /// # Errors
    /// An argument or an option that is not accepted gives the [`Error`] that names it.
    pub fn try_weight(
        &self,
        reconstruction_loss: &Tensor,
        gan_loss: &Tensor,
        last_layer: &Tensor,
    ) -> Result<Tensor> {
        self.check_options()?;
        check::floating("last_layer", last_layer)?;
        let length = |argument: &'static str, loss: &Tensor| {
            check::floating(argument, loss)?;
            if loss.numel() != 1 {
                let expected = "one element".into();
                return Err(Error::Shape { argument, given: loss.size(), expected });
            }
            let gradient = gradient_of((argument, loss), ("last_layer", last_layer), false)?;
            Ok(gradient.f_to_kind(accumulation_kind(gradient.kind()))?.f_norm()?)
        };
        let reconstruction = length("reconstruction_loss", reconstruction_loss)?;
        let gan = length("gan_loss", gan_loss)?;
        let ratio = reconstruction.f_div(&gan.f_add_scalar(self.eps)?)?.f_clamp_max(self.max)?;
        Ok(ratio.f_mul_scalar(self.factor)?.f_detach()?.f_to_kind(gan_loss.kind())?)
    }
}
