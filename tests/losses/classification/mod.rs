//! The losses on classes.

mod adaptive;
mod entropies;
mod linear;
mod margins;
mod weights;
