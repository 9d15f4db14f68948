//! The networks against torchvision.

mod vgg19;
mod vggs;
