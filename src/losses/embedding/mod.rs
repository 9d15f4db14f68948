//! Losses on embeddings, distances and ranks.

mod arc_face;
mod cos_face;
mod cosine_embedding;
mod distance;
mod hinge_embedding;
mod margin_ranking;
mod margin_softmax;
mod patch_nce;
mod patch_sampler;
mod triplet_margin;
mod triplet_margin_with_distance;
mod triplets;

pub use arc_face::{ArcFaceConfig, ArcFaceLoss};
pub use cos_face::{CosFaceConfig, CosFaceLoss};
pub use cosine_embedding::CosineEmbeddingLoss;
pub use distance::Distance;
pub use hinge_embedding::HingeEmbeddingLoss;
pub use margin_ranking::MarginRankingLoss;
pub use patch_nce::PatchNceLoss;
pub use patch_sampler::PatchSampler;
pub use triplet_margin::TripletMarginLoss;
pub use triplet_margin_with_distance::TripletMarginWithDistanceLoss;
