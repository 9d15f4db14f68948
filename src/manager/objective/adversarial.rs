//! Adversarial losses as data: their options, and which side they are.

use serde::{Deserialize, Serialize};

use super::make::{Make, Site};
use crate::manager::adversarial::OfPredictions;
use crate::manager::function::Function;
use crate::{GanActivation, GanLoss, GanMode, ListReduction, Pairing, RelativisticLoss, Result};

/// Which side an adversarial loss of an objective is.
///
/// - **Default**: the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GanSide {
    /// What the generator minimises.
    #[default]
    Generator,
    /// What the discriminator minimises.
    Discriminator,
}

/// Makes the options of a loss and its side one struct: serde cannot flatten a struct and refuse unknown fields.
macro_rules! sided {
    (
        $(#[$page:meta])*
        $spec:ident of $loss:ident { $($(#[$attribute:meta])* $option:ident: $type:ty),* $(,)? }
    ) => {
        $(#[$page])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $spec {
            /// Which side the loss is.
            pub side: GanSide,
            $(
                #[doc = concat!("[`", stringify!($option), "`](", stringify!($loss), "::", stringify!($option), ").")]
                $(#[$attribute])*
                pub $option: $type,
            )*
        }

        impl $spec {
            /// This side of the loss.
            pub fn new(side: GanSide, loss: $loss) -> $spec {
                let $loss { $($option),* } = loss;
                $spec { side, $($option),* }
            }

            /// The loss, which has both sides.
            pub fn loss(&self) -> $loss {
                let $spec { side: _, $($option),* } = *self;
                $loss { $($option),* }
            }
        }

        impl Default for $spec {
            fn default() -> Self {
                $spec::new(GanSide::default(), $loss::default())
            }
        }

        impl Make for $spec {
            fn check(&self) -> Result<()> {
                self.loss().check_options()
            }

            fn make(&self, _: &mut Site) -> Result<Function> {
                let side = match self.side {
                    GanSide::Generator => OfPredictions::Generator,
                    GanSide::Discriminator => OfPredictions::Discriminator,
                };
                Ok(Function::Predictions(side(self.loss().into())))
            }
        }
    };
}

sided! {
    /// A side of a [`GanLoss`] as data.
    ///
    /// In a file:
    ///
    /// ```toml
    /// [losses.G_GAN]
    /// loss = "GanLoss"
    /// options = { side = "generator", mode = "hinge" }
    /// tags = "G"
    ///
    /// [losses.D_GAN]
    /// loss = "GanLoss"
    /// options = { side = "discriminator", mode = "hinge", discriminator_factor = 0.5 }
    /// tags = "D"
    /// ```
    ///
    /// `mode` is `vanilla`, `lsgan`, `wgan`, `non_saturating`, `hinge` or `saturating`; `scales` is `mean` or `sum`;
    /// `activation` is `none`, `leaky_relu` or `tanh`. The generator's side takes the discriminator's outputs for the fake
    /// images: a tensor, or a list of scales or of features. The discriminator's side takes two of these, for the real and
    /// for the fake images:
    ///
    /// ```
    /// use tch::{Device, Tensor};
    /// use tch_losses::manager::{GanLossSpec, GanSide, LossSpec, Objective};
    /// use tch_losses::GanLoss;
    ///
    /// let mut objective = Objective::default();
    /// for (name, side) in [("G_GAN", GanSide::Generator), ("D_GAN", GanSide::Discriminator)] {
    ///     let spec = GanLossSpec::new(side, GanLoss::cyclegan());
    ///     objective.losses.insert(name.into(), LossSpec::GanLoss(spec).into());
    /// }
    /// let mut manager = objective.build(Device::Cpu)?;
    /// let (real, fake) = (Tensor::from_slice(&[3.0]), Tensor::from_slice(&[2.0]));
    /// assert_eq!(manager.compute("D_GAN", (&real, &fake))?.double_value(&[]), 4.0);
    /// assert_eq!(manager.compute("G_GAN", &fake)?.double_value(&[]), 1.0);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    ///
    /// - **Defaults**: the generator, with the loss's own defaults.
    GanLossSpec of GanLoss {
        mode: GanMode,
        real_label: f64,
        fake_label: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        generator_label: Option<f64>,
        scales: ListReduction,
        discriminator_factor: f64,
        generator_factor: f64,
        activation: GanActivation,
        hinged_generator: bool,
    }
}

sided! {
    /// A side of a [`RelativisticLoss`] as data.
    ///
    /// In a file:
    ///
    /// ```toml
    /// [losses.D_GAN]
    /// loss = "RelativisticLoss"
    /// options = { side = "discriminator", pairing = "average", mode = "lsgan" }
    /// ```
    ///
    /// `pairing` is `average` or `paired`, `scales` is `mean` or `sum`. Both sides take the discriminator's outputs for
    /// the real and for the fake images: two tensors, or two lists of scales or of features.
    ///
    /// - **Defaults**: the generator, with the loss's own defaults.
    RelativisticLossSpec of RelativisticLoss {
        pairing: Pairing,
        mode: GanMode,
        real_label: f64,
        fake_label: f64,
        scales: ListReduction,
        detach: bool,
        discriminator_factor: f64,
        generator_factor: f64,
    }
}
