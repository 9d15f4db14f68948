//! Losses on sequences.

mod ctc;

pub use ctc::CtcLoss;
