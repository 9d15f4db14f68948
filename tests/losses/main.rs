//! The losses and the networks: against PyTorch, against contracts that hold for every loss, and by hand.

#[path = "../common/mod.rs"]
mod common;
mod contracts;
mod documents;
mod networks;
mod parity;
mod recorded;
