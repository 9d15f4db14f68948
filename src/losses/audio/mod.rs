//! Losses on sounds: waves `[N, C, T]`, or `[N, T]`.

mod multi_resolution_stft;
mod ratio;
mod resolution;
mod sd_sdr;
mod si_sdr;
mod snr;
mod stft;

pub use multi_resolution_stft::MultiResolutionStftLoss;
pub use sd_sdr::SdSdrLoss;
pub use si_sdr::SiSdrLoss;
pub use snr::SnrLoss;
pub use stft::StftLoss;
