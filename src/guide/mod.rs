//! A guide: what to take, how to write it down, how to make it fast, what to expect of the numbers.
//!
//! | page | answers |
//! |---|---|
//! | [`install`] | how to get libtorch, and what a program needs to find it; systems |
//! | [`which_loss`] | which loss sees what, and which does not |
//! | [`objectives`] | experiments as files: a whole one, what its keys mean, what goes wrong |
//! | [`performance`] | what to set, and what it brings |
//! | [`numbers`] | how near the numbers are to PyTorch's, and what moves them |
//! | [`own_loss`] | how a loss of your own joins in, with its gradient taken in `forward` |
//! | [`porting`](crate::porting) | PyTorch code, and the same here |

#[doc = include_str!("install.md")]
#[allow(clippy::needless_doctest_main)] // a build script has one
pub mod install {}

#[doc = include_str!("../pictures/sensitivity.md")]
#[doc = include_str!("which_loss.md")]
pub mod which_loss {}

#[doc = include_str!("objectives.md")]
pub mod objectives {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("numbers.md")]
pub mod numbers {}

#[doc = include_str!("own_loss.md")]
pub mod own_loss {}
