//! SSIM and its relatives.
