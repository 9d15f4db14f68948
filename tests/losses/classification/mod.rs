//! The losses on classes.

mod adaptive;
mod entropies;
mod extremes;
mod focal;
mod linear;
mod margins;
mod pieces;
mod soft;
mod weights;
