//! Penalties of generative adversarial networks: on the gradients of a discriminator and of a generator, and on weights.

mod gradient_penalty;
mod input_gradient;
mod norm;
mod orthogonal;
mod path_length;
mod points;
mod r1;

pub use gradient_penalty::GradientPenalty;
pub use input_gradient::input_gradient;
pub use norm::GradientNorm;
pub use orthogonal::OrthogonalRegularization;
pub use path_length::{PathLengthConfig, PathLengthPenalty};
pub use points::PenaltyPoints;
pub use r1::R1Penalty;
