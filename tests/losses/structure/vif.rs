//! Visual information fidelity and information-weighted SSIM.
