//! Losses of segmentation: a class, or several, for each place.

mod dice;
mod dice_ce;
mod dice_focal;
mod entropy;
mod focal_tversky;
mod generalized_dice;
mod jaccard;
mod lovasz;
mod lovasz_hinge;
mod lovasz_softmax;
mod mode;
mod overlap;
mod overlap_loss;
mod slopes;
mod soft_bce_with_logits;
mod soft_cross_entropy;
mod sums;
mod tversky;

pub use dice::DiceLoss;
pub use dice_ce::DiceCeLoss;
pub use dice_focal::DiceFocalLoss;
pub use focal_tversky::FocalTverskyLoss;
pub use generalized_dice::{GeneralizedDiceLoss, VolumeWeight};
pub use jaccard::JaccardLoss;
pub use lovasz_hinge::LovaszHingeLoss;
pub use lovasz_softmax::LovaszSoftmaxLoss;
pub use mode::SegmentationMode;
pub use overlap::{AbsentClasses, OverlapScore};
pub use soft_bce_with_logits::SoftBceWithLogitsLoss;
pub use soft_cross_entropy::SoftCrossEntropyLoss;
pub use sums::Intersection;
pub use tversky::TverskyLoss;
