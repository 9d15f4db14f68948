//! Losses on embeddings, distances and ranks.

mod cosine_embedding;
mod distance;
mod hinge_embedding;
mod margin_ranking;
mod patch_nce;
mod patch_sampler;
mod triplet_margin;
mod triplet_margin_with_distance;
mod triplets;

pub use cosine_embedding::CosineEmbeddingLoss;
pub use distance::Distance;
pub use hinge_embedding::HingeEmbeddingLoss;
pub use margin_ranking::MarginRankingLoss;
pub use patch_nce::PatchNceLoss;
pub use patch_sampler::PatchSampler;
pub use triplet_margin::TripletMarginLoss;
pub use triplet_margin_with_distance::TripletMarginWithDistanceLoss;
