//! [`LeCamLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, Kind, Tensor};

use crate::base::average::{average, average_kind};
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Error, Loss, Result};

/// The options of a [`LeCamLoss`]. The defaults are those of the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeCamConfig {
    /// How much of an average an update keeps.
    pub decay: f64,
    /// What the averages are before the first update.
    pub initial: f64,
    /// The update after which the loss counts. Before this update, the averages are the last means.
    pub start: i64,
}

impl Default for LeCamConfig {
    fn default() -> Self {
        LeCamConfig { decay: 0.9, initial: 1000.0, start: 0 }
    }
}

setters!(LeCamConfig { with_decay(decay: f64), with_initial(initial: f64), with_start(start: i64) });

impl LeCamConfig {
    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check(&self) -> Result<()> {
        check::fraction("decay", self.decay)?;
        check::finite("initial", self.initial)?;
        check::between("start", self.start, 0, i64::MAX)
    }
}

/// LeCam regularisation: outputs of a discriminator stay near the other side's average of past steps.
///
/// ```text
/// update:  n ← n + 1,  d = decay if n >= start, otherwise 0
///          a_real ← d * a_real + (1 - d) * mean(real)
///          a_fake ← d * a_fake + (1 - d) * mean(fake)
/// value:   mean(relu(real - a_fake)²) + mean(relu(a_real - fake)²)    if n > start, otherwise 0
/// ```
///
/// `real` and `fake` are the discriminator's raw outputs, in this order. The discriminator minimises the value beside its
/// GAN loss. It helps where there are few images. The weight is 0.3 for BigGAN on CIFAR in the authors' code; 3e-7 for
/// StyleGAN2 in StudioGAN, which starts from 7777 and has a decay of 0.99.
///
/// From the default `initial` of 1000, the first values are near a million. The authors' scripts have a `start` of 1000:
/// until then the averages follow the outputs, and the value is 0.
///
/// Each call of `forward` or `try_forward` is an update, also within [`no_grad`](tch::no_grad), and then has the value.
/// [`regularization`](Self::regularization) has the value without an update: for an evaluation, or for several parts of
/// a batch after one [`update`](Self::update).
///
/// - **Shapes**: any. The two sides need not have the same. The loss is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32; a result beyond 65504 is infinite in f16. A mean that is not finite
///   stays in its average.
/// - **Gradients**: to both arguments, of any order. The averages are constants.
/// - **State**: `ema.real`, `ema.fake` and `ema.updates` in the variable store, not trainable: they are saved and loaded
///   with it. The averages are f64 in a store of f64, otherwise f32. A store that changes its kind later (`half`) changes
///   theirs. With `set_kind(Half)` it changes that of the count, too, which then stops at 2048.
/// - **Defaults**: those of [`LeCamConfig`]: `decay` 0.9, `initial` 1000, `start` 0.
/// - **Errors**: arguments without elements; of different kinds or devices; on another device than the averages.
///
/// In an objective's file, [`Objective::build_in`](crate::manager::Objective::build_in) takes the variable store.
///
/// Source: [`losses.py` of LeCam](https://github.com/google/lecam-gan/blob/main/biggan_cifar/losses.py); H.-Y. Tseng et
/// al., *Regularizing generative adversarial networks under limited data* (2021).
///
/// ```
/// use tch::{nn, Device, Tensor};
/// use tch_losses::{LeCamConfig, LeCamLoss, Loss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let lecam = LeCamLoss::new(&vs.root(), LeCamConfig::default().with_initial(0.0).with_decay(0.5))?;
/// let (real, fake) = (Tensor::from_slice(&[1.0, 3.0]), Tensor::from_slice(&[0.0, -2.0]));
/// // The averages become 1 and -0.5: (1.5² + 3.5²) / 2 and (1² + 3²) / 2.
/// assert_eq!(lecam.forward(&real, &fake).double_value(&[]), 7.25 + 5.0);
/// assert_eq!(lecam.averages().map(|average| average.double_value(&[])), [1.0, -0.5]);
/// assert!(vs.variables().contains_key("ema.real")); // so `vs.save` saves it
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "lecam_reg")]
#[derive(Debug)]
pub struct LeCamLoss {
    real: Tensor,
    fake: Tensor,
    updates: Tensor,
    config: LeCamConfig,
}

impl LeCamLoss {
    /// A loss whose averages and number of updates are in a variable store.
    ///
    /// # Errors
    /// Options out of their range.
    pub fn new(vs: &nn::Path, config: LeCamConfig) -> Result<LeCamLoss> {
        config.check()?;
        let path = vs / "ema";
        let updates = Tensor::f_zeros([0i64; 0].as_slice(), (Kind::Int64, path.device()))?;
        Ok(LeCamLoss {
            real: average(&path, "real", config.initial)?,
            fake: average(&path, "fake", config.initial)?,
            updates: path.add("updates", updates, false),
            config,
        })
    }

    /// Copies of the averages of `real` and of `fake`.
    pub fn averages(&self) -> [Tensor; 2] {
        [self.real.copy(), self.fake.copy()]
    }

    /// Updates the averages.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn update(&self, real: &Tensor, fake: &Tensor) -> Result<()> {
        self.check(real, fake)?;
        let number = self.updates.f_add_scalar(1)?;
        // On the device: the host does not wait for the number.
        let decay = number.f_ge(self.config.start)?.f_to_kind(average_kind(self.real.kind()))?;
        let decay = decay.f_mul_scalar(self.config.decay)?;
        let rest = decay.f_neg()?.f_add_scalar(1.0)?;
        for (average, outputs) in [(&self.real, real), (&self.fake, fake)] {
            let mean = outputs.f_detach()?.f_to_kind(accumulation_kind(outputs.kind()))?.f_mean(None)?;
            let next = average.f_mul(&decay)?.f_add(&mean.f_to_kind(decay.kind())?.f_mul(&rest)?)?;
            average.f_detach()?.f_copy_(&next)?;
        }
        Ok(self.updates.f_detach()?.f_copy_(&number)?)
    }

    /// The value with the averages as they are.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn regularization(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
        self.check(real, fake)?;
        let kind = accumulation_kind(real.kind());
        let excess = |more: &Tensor, less: &Tensor| -> Result<Tensor> {
            let difference = more.f_to_kind(kind)?.f_sub(&less.f_to_kind(kind)?)?;
            Ok(difference.f_relu()?.f_square()?.f_mean(None)?)
        };
        let value = excess(real, &self.fake)?.f_add(&excess(&self.real, fake)?)?;
        let counts = self.updates.f_gt(self.config.start)?.f_to_kind(kind)?;
        Ok(value.f_mul(&counts)?.f_to_kind(real.kind())?)
    }

    fn check(&self, real: &Tensor, fake: &Tensor) -> Result<()> {
        check::floating("real", real)?;
        check::partners(("real", real), ("fake", fake))?;
        if real.device() != self.real.device() {
            let expected = format!("{:?}, the device of the averages", self.real.device());
            return Err(Error::Device { argument: "real", given: real.device(), expected });
        }
        for (argument, outputs) in [("real", real), ("fake", fake)] {
            if outputs.numel() == 0 {
                let expected = "one element at least: the average would be NaN from then on".into();
                return Err(Error::Shape { argument, given: outputs.size(), expected });
            }
        }
        Ok(())
    }
}

/// Of the discriminator's outputs for real and for fake images. Each call is an update.
impl Loss for LeCamLoss {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
        self.update(real, fake)?;
        self.regularization(real, fake)
    }
}
