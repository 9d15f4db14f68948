//! Losses on edges.

mod edge_loss;
mod filter;
mod gradient_difference;
mod laplacian;
mod pyramid;
mod sobel;

pub use edge_loss::EdgeLoss;
pub use gradient_difference::GradientDifferenceLoss;
pub use laplacian::Laplacian;
pub use sobel::Sobel;
