//! The losses of GANs.

mod consistency;
mod golden;
mod lecam;
mod lists;
mod presets;
mod second;
