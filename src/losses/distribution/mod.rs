//! Losses on distributions.

mod gaussian_kl;
mod gaussian_nll;
mod kl_div;
mod negative_binomial_nll;
mod normal_kl;
mod poisson_nll;

pub use gaussian_kl::GaussianKlLoss;
pub use gaussian_nll::{GaussianNllLoss, Variance};
pub use kl_div::KlDivLoss;
pub use negative_binomial_nll::NegativeBinomialNllLoss;
pub use normal_kl::NormalKlLoss;
pub use poisson_nll::PoissonNllLoss;
