//! What many losses refuse, with the message that says why.

mod images;
mod rankings;
mod values;
