//! The operations of networks. A file has all of one: forward, with and without libtorch's graph, and back.

mod batch_norm;
mod conv;
mod layer;
mod pool;
mod relu;
mod window;
mod winograd;

pub(super) use batch_norm::BatchNorm;
pub(super) use conv::{in_order, Convolution, Prepared};
pub(super) use layer::{Layer, Role};
pub(super) use pool::{pool, pool_back};
pub(super) use relu::{relu, relu_back};
pub(super) use window::Window;
pub(super) use winograd::Scratch;
