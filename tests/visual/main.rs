//! The pictures of the module `visual`: heat maps, contact sheets, loss curves.

#[path = "../common/mod.rs"]
mod common;

mod curves;
mod pictures;
mod runs;
mod sheets;
