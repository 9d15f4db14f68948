//! Losses on spectra.

mod fft;
mod focal;
mod spectrum;

pub use fft::{FftLoss, FftNorm, FftParts, FftSpectrum};
pub use focal::FocalFrequencyLoss;
