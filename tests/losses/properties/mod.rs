//! What holds for many losses, whatever their numbers.

mod images;
mod rankings;
mod values;
