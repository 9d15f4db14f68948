//! The losses on the similarity of features.

mod dss;
mod gmsd;
mod phase;
