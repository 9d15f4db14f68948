//! The units in which gradients go through a network.

/// A mean over millions of elements has gradients that are too small for f16. They go through the network in
/// a larger unit.
pub(super) struct Scale {
    /// Each tap's factor, `weight / count`, in the unit.
    pub shares: Vec<f64>,
    pub unit: f64,
}

impl Scale {
    /// For the weight of each tap and the number of terms in its mean. The largest share is 1/16. A gradient
    /// of that size has room to grow on the way back.
    pub(super) fn new(taps: Vec<(f64, f64)>) -> Scale {
        let factors: Vec<f64> = taps.into_iter().map(|(weight, count)| weight / count).collect();
        let largest = factors.iter().copied().fold(0.0, f64::max);
        let unit = if largest > 0.0 { largest * 16.0 } else { 1.0 };
        Scale { shares: factors.into_iter().map(|factor| factor / unit).collect(), unit }
    }
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn the_largest_share_is_a_sixteenth() {
        let scale = Scale::new(vec![(1.0, 1024.0), (0.5, 8.0), (0.0, 3.0)]);
        assert_eq!((scale.unit, scale.shares), (1.0, vec![1.0 / 1024.0, 1.0 / 16.0, 0.0]));
        // Nothing stays nothing.
        let scale = Scale::new(vec![(0.0, 3.0)]);
        assert_eq!((scale.unit, scale.shares), (1.0, vec![0.0]));
    }
}
