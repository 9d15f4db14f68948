//! Losses of two views of the same images, without labels.

mod barlow_twins;
mod byol;
mod dino;
mod vicreg;
mod views;

pub use barlow_twins::BarlowTwinsLoss;
pub use byol::ByolLoss;
pub use dino::{DinoConfig, DinoLoss};
pub use vicreg::VicRegLoss;
