//! Losses and weights as lines of text.

use super::LossManager;
use crate::{printable, Result};

impl LossManager {
    /// The last weighted values of the losses with any of `tags` in one line, rounded to `precision`
    /// decimals: `(epoch: 3, iters: 1200) Loss: G_GAN: 0.71 G_L1: 12.8`.
    ///
    /// A tag that no loss has adds nothing.
    ///
    /// # Errors
    /// But for tags, as [`last_records`](Self::last_records).
    pub fn format_losses(&mut self, tags: &[&str], precision: usize) -> Result<String> {
        let mut line = format!("(epoch: {}, iters: {}) Loss:", self.epoch, self.step);
        for record in self.recorded(tags)? {
            line += &format!(" {}: {}", printable(&record.name), rounded(record.weighted, precision));
        }
        Ok(line)
    }

    /// The current weights of the losses with any of `tags` in one line, rounded to `precision` decimals:
    /// `Loss weights: G_GAN: 1.0 G_L1: 100.0`.
    pub fn format_weights(&self, tags: &[&str], precision: usize) -> String {
        let mut line = String::from("Loss weights:");
        for (name, weight) in self.weights(tags) {
            line += &format!(" {}: {}", printable(name), rounded(weight, precision));
        }
        line
    }
}

/// As Python prints a rounded number: `100.0`, `0.5`, `12.35`.
fn rounded(value: f64, precision: usize) -> String {
    // No `f64` has more decimals, and many more are a panic.
    let precision = precision.min(1074);
    let rounded: f64 = format!("{value:.precision$}").parse().unwrap_or(value);
    format!("{rounded:?}")
}
