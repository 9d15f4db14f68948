//! The programs, run as users run them: `tch-losses` and the examples that train.

#[path = "../common/mod.rs"]
mod common;

mod atlas;
mod choose;
mod compare;
mod completions;
mod cyclegan;
mod folders;
mod objective;
mod pix2pix;
mod plot;
mod runs;
mod trainer;
