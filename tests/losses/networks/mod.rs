//! The networks against torchvision.

mod architectures;
mod poolings;
mod trunks;
mod vgg19;
mod vggs;
