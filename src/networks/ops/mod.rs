//! The operations of networks. A file has all of one: forward, with and without libtorch's graph, and back.

mod bands;
mod batch_norm;
mod conv;
mod fire;
mod layer;
mod pool;
mod relu;
mod source;
mod window;
mod winograd;

pub(super) use batch_norm::BatchNorm;
pub(super) use conv::{in_order, Convolution, Prepared};
pub(super) use fire::{Fire, FireRecord, PreparedFire};
pub(super) use layer::{Layer, Parameter, Role};
pub use pool::Pooling;
pub(super) use pool::{Pool, PoolRecord};
pub(super) use relu::{relu, relu_back};
pub(super) use window::Window;
pub(super) use winograd::Scratch;
