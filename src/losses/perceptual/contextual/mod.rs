//! The contextual loss.

mod comparison;
mod directions;
mod loss;
mod rows;

pub use loss::{ContextualForm, ContextualLoss};
