//! From numbers to places on an axis.

use crate::visual::numbers::{labels, number, ticks, whole_labels};

/// A range of numbers laid out along an axis, evenly or by their logarithm.
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    whole: bool,
}

/// A range without an extent is opened by this part of its numbers.
const LEAST: f64 = 1e-9;
/// What is left free above the highest and below the lowest value.
const MARGIN: f64 = 0.04;

impl Axis {
    /// For steps, from 0 if they begin near it.
    pub(super) fn of_steps((low, high): (f64, f64)) -> Axis {
        let low = if low <= 0.05 * high { 0.0 } else { low };
        let (low, high) = if low < high { (low, high) } else { opened((low, high), 1.0) };
        Axis { low: low.max(0.0), high, logarithmic: false, whole: true }
    }

    /// For values, from 0 if they come near it.
    pub(super) fn linear((low, high): (f64, f64)) -> Axis {
        let (low, high) = match high - low {
            extent if extent > LEAST * high.abs().max(low.abs()) && extent > 1e-290 => (low, high),
            _ => opened((low, high), 0.1 * high.abs()),
        };
        let zero_based = low >= 0.0 && low < 0.35 * high;
        let low = if zero_based { 0.0 } else { low };
        let margin = MARGIN * (high - low);
        let low = if zero_based { low } else { low - margin };
        Axis { low, high: high + margin, logarithmic: false, whole: false }
    }

    /// For values above 0.
    pub(super) fn logarithmic((low, high): (f64, f64)) -> Axis {
        let (low, high) = if high / low > 1.0 + LEAST { (low, high) } else { (low / 1.3, high * 1.3) };
        let margin = (high.ln() - low.ln()) * MARGIN;
        let (low, high) = ((low.ln() - margin).exp(), (high.ln() + margin).exp());
        let (low, high) = (low.max(f64::MIN_POSITIVE), high.min(f64::MAX));
        Axis { low, high, logarithmic: true, whole: false }
    }

    /// Where a value is: 0 at the low end, 1 at the high one, or beyond.
    pub(super) fn position(&self, value: f64) -> f64 {
        let Axis { low, high, .. } = *self;
        match self.logarithmic {
            true => (value.ln() - low.ln()) / (high.ln() - low.ln()),
            false => (value - low) / (high - low),
        }
    }

    pub(super) fn is_above(&self, value: f64) -> bool {
        value > self.high
    }

    pub(super) fn is_below(&self, value: f64) -> bool {
        value < self.low
    }

    /// Round numbers with their texts.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let even = ticks((self.low, self.high));
        let (ticks, labels) = if self.whole {
            let ticks: Vec<f64> = even.into_iter().filter(|tick| tick.fract() == 0.0).collect();
            let labels = whole_labels(&ticks);
            (ticks, labels)
        } else if let Some(ticks) = self.decades() {
            let labels = ticks.iter().map(|tick| number(*tick, 6)).collect();
            (ticks, labels)
        } else {
            let ticks: Vec<f64> = even.into_iter().filter(|tick| !self.logarithmic || *tick > 0.0).collect();
            let labels = labels(&ticks);
            (ticks, labels)
        };
        ticks.into_iter().zip(labels).collect()
    }

    /// Lines between the ticks, which show that a scale is logarithmic.
    pub(super) fn minor_ticks(&self) -> Vec<f64> {
        let digits: Vec<f64> = (2..10).map(f64::from).collect();
        match self.decades() {
            Some(_) if self.high / self.low < 1e7 => self.multiples(&digits),
            _ => Vec::new(),
        }
    }

    /// The ticks of a logarithmic axis on which even ones would not do.
    fn decades(&self) -> Option<Vec<f64>> {
        if !self.logarithmic {
            return None;
        }
        let powers = self.multiples(&[1.0]);
        match powers.len() {
            0 | 1 => (self.high / self.low > 8.0).then(|| self.multiples(&[1.0, 2.0, 5.0])),
            2 | 3 => Some(self.multiples(&[1.0, 2.0, 5.0])),
            count => Some(powers.into_iter().step_by(count.div_ceil(8)).collect()),
        }
    }

    /// The numbers within the range that are one of `digits` times a power of ten.
    fn multiples(&self, digits: &[f64]) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        // Parsed, a power of ten is the nearest number to it.
        let powers = (first..=last).filter_map(|exponent| format!("1e{exponent}").parse::<f64>().ok());
        let all = powers.flat_map(|power| digits.iter().map(move |digit| digit * power));
        all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }
}

/// A range around one number.
fn opened((low, high): (f64, f64), by: f64) -> (f64, f64) {
    let by = if by > 1e-290 { by.max(LEAST * high.abs()) } else { 1.0 };
    (low - by, high + by)
}
