//! Losses on boxes: where they overlap, and how far they are apart.

mod complete;
mod distance;
mod generalized;
mod iou;
mod pair;
mod slopes;

pub use complete::CompleteBoxIouLoss;
pub use distance::DistanceBoxIouLoss;
pub use generalized::GeneralizedBoxIouLoss;
pub use iou::BoxIouLoss;
