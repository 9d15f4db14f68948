//! The losses of two views.

mod byol;
mod dino;
mod moments;
