//! Where weights come from.

pub mod pth;
