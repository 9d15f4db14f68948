//! The checks of options and arguments that the losses share. Each loss makes them once, before it computes.

mod classes;
mod options;
mod shapes;

pub(crate) use classes::{
    class_indices, class_targets, class_weight, classes, is_class_kind, samples_and_classes, signs,
};
pub(crate) use options::{at_least_1, between, finite, fraction, non_negative, positive};
pub(crate) use shapes::{
    broadcast, channels, dense, element_weight, floating, image, image_pair, least_size, pair, partners,
    same_device, same_dimensions, same_shape, Named,
};
