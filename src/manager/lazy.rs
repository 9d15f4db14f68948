//! [`LazyRegularization`].

use std::num::NonZeroU64;

use crate::{Error, Result};

/// Lazy regularisation: a penalty that is computed in every k-th step, and counts k times there.
///
/// ```text
/// due in the steps 0, k, 2k, ...
/// factor = k
/// Adam   = lr * c, beta_1^c, beta_2^c    c = k / (k + 1)
/// ```
///
/// On average the penalty counts as much as in every step, and costs the k-th part. StyleGAN2 has R1 in every 16th step
/// and path lengths in every 4th. Whether a step is one of them depends on its number alone, so a resumed run goes on
/// as it would have.
///
/// In a [`LossManager`](super::LossManager) it is [`Term::every`](super::Term::every), which does all of this but Adam's
/// part. This type is for that, and for training loops without a manager:
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::manager::LazyRegularization;
/// use tch_losses::{GanLoss, R1Penalty};
///
/// # let vs = nn::VarStore::new(Device::Cpu);
/// # let discriminator = nn::linear(vs.root(), 3, 1, Default::default());
/// # let [real, fake] = [0, 1].map(|_| Tensor::rand([4, 3], (Kind::Float, Device::Cpu)));
/// let lazy = LazyRegularization::every(16)?;
/// let (beta1, beta2) = lazy.betas((0.0, 0.99));
/// let adam = nn::Adam { beta1, beta2, ..Default::default() };
/// let mut optimizer = adam.build(&vs, lazy.learning_rate(2e-3))?;
/// for step in 0..32 {
///     let gan = GanLoss::stylegan2().discriminator(&discriminator.forward(&real), &discriminator.forward(&fake));
///     optimizer.backward_step(&gan);
///     if lazy.is_due(step) {
///         let r1 = R1Penalty::basicsr().penalty(|images| discriminator.forward(images), &real);
///         optimizer.backward_step(&(r1 * 10.0 / 2.0 * lazy.factor()));
///     }
/// }
/// # Ok::<(), tch_losses::Error>(())
/// ```
///
/// - **Default**: every step.
///
/// Source: T. Karras et al., *Analyzing and improving the image quality of StyleGAN* (2020), section 3.1 and appendix B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LazyRegularization {
    steps: NonZeroU64,
}

impl Default for LazyRegularization {
    fn default() -> Self {
        LazyRegularization { steps: NonZeroU64::MIN }
    }
}

impl LazyRegularization {
    /// In every `steps`-th step; 1 is every step.
    ///
    /// # Errors
    /// No steps.
    pub fn every(steps: u64) -> Result<LazyRegularization> {
        match NonZeroU64::new(steps) {
            Some(steps) => Ok(LazyRegularization { steps }),
            None => Err(Error::Option { option: "every", given: "0".into(), expected: "1 or more".into() }),
        }
    }

    /// In every `steps`-th step, as constants have it.
    pub(super) const fn fixed(steps: u64) -> LazyRegularization {
        match NonZeroU64::new(steps) {
            Some(steps) => LazyRegularization { steps },
            None => panic!("no steps"),
        }
    }

    /// How many steps apart the penalty is computed.
    pub fn steps(self) -> u64 {
        self.steps.get()
    }

    /// Whether the penalty is computed in `step`, counted from 0 over the whole run.
    pub fn is_due(self, step: u64) -> bool {
        step % self.steps == 0
    }

    /// How often the penalty counts where it is due.
    pub fn factor(self) -> f64 {
        self.steps() as f64
    }

    /// Adam's learning rate for a network whose penalty has an optimiser's step of its own. There are `k + 1` steps in
    /// place of `k`, each of which is smaller.
    pub fn learning_rate(self, learning_rate: f64) -> f64 {
        learning_rate * self.share()
    }

    /// Adam's betas for such a network: the moments forget as much as they would without the additional steps.
    pub fn betas(self, (beta1, beta2): (f64, f64)) -> (f64, f64) {
        (beta1.powf(self.share()), beta2.powf(self.share()))
    }

    /// The share of an optimiser's steps that are not the penalty's.
    fn share(self) -> f64 {
        self.factor() / (self.factor() + 1.0)
    }
}
