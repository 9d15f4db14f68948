//! The losses on the similarity of features.

mod gmsd;
mod phase;
