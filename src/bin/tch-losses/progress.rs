//! How far a command has come.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal; invisible where stderr is none.
pub struct Bar(ProgressBar);

impl Bar {
    /// `what` is counted.
    pub fn new(what: &'static str) -> Bar {
        let style =
            ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos} of {len} {msg}, {eta} left");
        let bar = ProgressBar::no_length().with_style(style.expect("the template is well formed"));
        bar.set_message(what);
        Bar(bar)
    }

    pub fn show(&self, done: usize, all: usize) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
