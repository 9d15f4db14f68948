//! The losses of GANs.

mod golden;
mod lists;
mod presets;
mod second;
