//! How a convolution or a pooling moves over its input.

/// Kernel, stride and padding, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::networks) struct Window {
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
}

impl Window {
    /// Height or width of the output for that of an input.
    pub(in crate::networks) fn output(self, side: i64) -> i64 {
        // Rounded down also where the input is too small, for no output.
        (side + 2 * self.padding - self.kernel).div_euclid(self.stride) + 1
    }

    /// The smallest height or width of an input that gives so much output.
    pub(in crate::networks) fn input_for(self, output: i64) -> i64 {
        ((output - 1) * self.stride + self.kernel - 2 * self.padding).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn sizes() {
        for kernel in 1..6 {
            for stride in 1..5 {
                for padding in 0..=kernel / 2 {
                    let window = Window { kernel, stride, padding };
                    for output in 1..9 {
                        let least = window.input_for(output);
                        assert!(window.output(least) >= output, "{window:?}");
                        assert!(least == 1 || window.output(least - 1) < output, "{window:?}");
                    }
                }
            }
        }
    }
}
