//! What the user sees of a run.

use std::fmt::Display;
use std::io::{stderr, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use tch_losses::printable;

/// Prints a line for people. That nobody may be reading is no error.
pub fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// A bar on a terminal, some lines elsewhere.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// The step of the next line.
    next_line: u64,
}

impl Progress {
    pub fn new(steps: u64, done: u64) -> Progress {
        let bar = ProgressBar::new(steps).with_position(done);
        let style = "{elapsed_precise} {wide_bar} {pos}/{len} steps, {eta} left\n{wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        Progress { bar, next_line: done + 1 }
    }

    pub fn show(&mut self, step: u64, losses: &str) {
        // Their names may come from a file.
        let losses = printable(losses).to_string();
        if !stderr().is_terminal() && step >= self.next_line {
            say(&losses);
            self.next_line = step + self.bar.length().unwrap_or(0) / 20;
        }
        self.bar.set_position(step);
        self.bar.set_message(losses);
    }

    /// A line that stays.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
