//! The programs, run as users run them: `tch-losses` and the example pix2pix.

#[path = "../common/mod.rs"]
mod common;

mod choose;
mod compare;
mod objective;
mod pix2pix;
mod plot;
