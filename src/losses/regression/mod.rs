//! Losses of numbers that a network predicts: errors, quantiles, ordered classes.

mod coral;
mod corn;
mod hl_gauss;
mod log_cosh;
mod lp;
mod ordered;
mod quantile;
mod quantile_huber;
mod rmse;

pub use coral::CoralLoss;
pub use corn::CornLoss;
pub use hl_gauss::HlGaussLoss;
pub use log_cosh::LogCoshLoss;
pub use lp::LpLoss;
pub use quantile::QuantileLoss;
pub use quantile_huber::QuantileHuberLoss;
pub use rmse::RmseLoss;
