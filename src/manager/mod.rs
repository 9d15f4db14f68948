//! A manager of losses for training loops: losses by name, weights over the epochs, a history, logs.
//!
//! ```
//! use tch::{Device, Kind, Tensor};
//! use tch_losses::manager::{pix2pix, Lambdas, Subspec};
//!
//! // The objective is data: made here, or read from a file that you keep with the experiment.
//! let lambdas = Lambdas { sobel: 10.0, laplacian: 10.0, ..Default::default() };
//! let objective = pix2pix(Subspec::Extended, &lambdas);
//! let mut manager = objective.build(Device::Cpu)?;
//!
//! # let real = Tensor::rand([2, 3, 16, 16], (Kind::Float, Device::Cpu));
//! for step in 0..2 {
//!     manager.begin_step(0, step);
//!     # let fake = Tensor::rand([2, 3, 16, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
//!     # let predicted = fake.mean_dim(1, true, Kind::Float);
//!     let gan = manager.compute("G_GAN", (&predicted, &predicted.ones_like()))?;
//!     let image = manager.total(&["image"], (&fake, &real))?; // every loss with this tag
//!     (gan + image).backward();
//! }
//! println!("{}", manager.format_losses(&["G"], 2)?);
//! # Ok::<(), tch_losses::Error>(())
//! ```
//!
//! | for | types |
//! |---|---|
//! | a training loop | [`LossManager`], [`Term`], [`Inputs`], [`AdversarialLoss`], [`NonFinite`] |
//! | weights over the epochs | [`Schedule`], [`Ramp`] |
//! | penalties in some of the steps | [`Term::every`], [`LazyRegularization`] |
//! | an experiment as a file | [`Objective`], [`TermSpec`], [`LossSpec`]; a whole one in [`guide::objectives`](crate::guide::objectives) |
//! | experiments that are published | [`pix2pix`], [`pix2pixhd`], [`cyclegan`], [`esrgan`], [`real_esrgan`], [`stylegan2`] |
//! | the values of each loss | [`Record`], [`LogSink`], the [`log`] |

mod adversarial;
mod error;
mod function;
mod history;
mod inputs;
mod lazy;
pub mod log;
#[allow(clippy::module_inception)] // a reader looks for the manager in `manager`
mod manager;
mod maps;
mod objective;
mod print;
mod record;
mod schedule;
mod term;

pub use adversarial::AdversarialLoss;
pub use error::ManagerError;
pub use history::NonFinite;
pub use inputs::Inputs;
pub use lazy::LazyRegularization;
pub use manager::LossManager;
pub use objective::{
    cyclegan, esrgan, pix2pix, pix2pixhd, real_esrgan, stylegan2, ContextualLossSpec, DistsSpec, GanLossSpec,
    GanSide, Lambdas, LossSpec, LpipsSpec, NetworkWeights, Objective, ObjectiveError, PerceptualLossSpec,
    RelativisticLossSpec, Subspec, TermSpec,
};
pub use record::{LogSink, Record};
pub use schedule::{Ramp, Schedule};
pub use term::Term;
