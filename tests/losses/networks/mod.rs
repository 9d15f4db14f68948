//! The networks against torchvision.

mod poolings;
mod trunks;
mod vgg19;
mod vggs;
