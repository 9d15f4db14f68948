//! Losses on sequences.

mod ctc;
mod lattice;
mod lengths;
mod rnnt;

pub use ctc::CtcLoss;
pub use rnnt::RnntLoss;
