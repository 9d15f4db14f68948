//! Losses on distributions.

mod gaussian_kl;
mod gaussian_nll;
mod kl_div;
mod poisson_nll;

pub use gaussian_kl::GaussianKlLoss;
pub use gaussian_nll::{GaussianNllLoss, Variance};
pub use kl_div::KlDivLoss;
pub use poisson_nll::PoissonNllLoss;
