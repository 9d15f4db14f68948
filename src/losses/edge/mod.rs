//! Losses on edges.

mod filter;
mod laplacian;
mod sobel;

pub use laplacian::Laplacian;
pub use sobel::Sobel;
