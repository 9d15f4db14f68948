//! How a convolution or a pooling moves over its input.

/// Kernel, stride and padding, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::networks) struct Window {
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
    /// Whether the last window may reach beyond the input: PyTorch's `ceil_mode`, of poolings.
    pub ceil: bool,
}

impl Window {
    /// One that stays within its input and the padding.
    pub(in crate::networks) const fn new(kernel: i64, stride: i64, padding: i64) -> Window {
        Window { kernel, stride, padding, ceil: false }
    }

    /// The same with PyTorch's `ceil_mode`.
    pub(in crate::networks) const fn with_ceil(self, ceil: bool) -> Window {
        Window { ceil, ..self }
    }

    /// Height or width of the output for that of an input.
    pub(in crate::networks) fn output(self, side: i64) -> i64 {
        let beyond = if self.ceil { self.stride - 1 } else { 0 };
        // Rounded down also where the input is too small, for no output.
        let output = (side + 2 * self.padding - self.kernel + beyond).div_euclid(self.stride) + 1;
        // Every window starts in the input or in the padding before it.
        let starts_outside = self.ceil && (output - 1) * self.stride >= side + self.padding;
        output - i64::from(starts_outside)
    }

    /// The smallest height or width of an input that gives so much output.
    pub(in crate::networks) fn input_for(self, output: i64) -> i64 {
        let whole = (output - 1) * self.stride + self.kernel - 2 * self.padding;
        match self.ceil {
            false => whole.max(1),
            true => (whole - self.stride + 1).max((output - 1) * self.stride - self.padding + 1).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn sizes() {
        for kernel in 1..6 {
            for stride in 1..5 {
                for (padding, ceil) in
                    (0..=kernel / 2).flat_map(|padding| [(padding, false), (padding, true)])
                {
                    let window = Window::new(kernel, stride, padding).with_ceil(ceil);
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
