//! Which values a sheet's scales cover.

use super::numbers::number;
use super::pixels::values;
use super::rows::Image;
use crate::Result;

/// The part of the values that a scale covers.
const COVERED: f64 = 0.995;
/// The steps that an 8-bit picture has from black to white: what is less than one is not seen in it.
const STEPS: f64 = 256.0;

/// The values behind a scale: how many there are, and the few at either end that tell where it ends.
pub(super) struct Values {
    finite: usize,
    not_finite: usize,
    /// From the least on.
    lowest: Vec<f64>,
    /// From the largest on.
    highest: Vec<f64>,
}

impl Values {
    pub(super) fn of(planes: &[Image]) -> Result<Values> {
        let count: i64 = planes.iter().map(|plane| plane.height * plane.width).sum();
        let (mut low, mut high) = (Largest::of(count as usize), Largest::of(count as usize));
        let (mut finite, mut not_finite) = (0, 0);
        for plane in planes {
            for portion in plane.portions() {
                for value in values(&portion?)? {
                    if value.is_finite() {
                        finite += 1;
                        high.add(value);
                        low.add(-value);
                    } else {
                        not_finite += 1;
                    }
                }
            }
        }
        let lowest = low.sorted().into_iter().map(|value| -value).collect();
        Ok(Values { finite, not_finite, lowest, highest: high.sorted() })
    }

    /// The value that is larger than `part` of them, next to either end.
    fn quantile(&self, part: f64) -> f64 {
        let last = self.finite.saturating_sub(1);
        let place = (part * last as f64).round() as usize;
        let value = if part < 0.5 { self.lowest.get(place) } else { self.highest.get(last - place) };
        value.copied().unwrap_or(0.0)
    }

    fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    fn largest(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The scale of a heat map.
    pub(super) fn range(&self) -> (f64, f64) {
        let low = self.quantile(1.0 - COVERED).min(0.0);
        let high = self.quantile(COVERED);
        // A few points on a flat ground.
        let high = if high > low { high } else { self.largest() }.max(0.0);
        // All of it 0, or next to it.
        if high - low > 1e-300 {
            (low, high)
        } else {
            (0.0, 1.0)
        }
    }

    /// What the heat map's scale leaves out.
    pub(super) fn beyond_notes(&self, (low, high): (f64, f64)) -> Vec<String> {
        let all = self.finite + self.not_finite;
        let above = self.highest.iter().filter(|value| **value > high).count();
        let below = self.lowest.iter().filter(|value| **value < low).count();
        let cases = [
            (above, format!("above the scale, up to {}", number(self.largest(), 3))),
            (below, format!("below the scale, down to {}", number(self.least(), 3))),
            (self.not_finite, "not finite (cyan)".into()),
        ];
        let present = cases.into_iter().filter(|(count, _)| *count > 0);
        present
            .map(|(count, what)| {
                let percent = number(100.0 * count as f64 / all as f64, 2);
                format!("{percent} % of the pixels are {what}.")
            })
            .collect()
    }
}

/// The largest of many values: those above a scale that covers the others, and a few more.
struct Largest {
    keep: usize,
    /// Values that are not larger than this are not among them.
    bound: f64,
    values: Vec<f64>,
}

impl Largest {
    fn of(count: usize) -> Largest {
        // Two more for the quantile's own place and for its rounding.
        let keep = ((1.0 - COVERED) * count as f64).ceil() as usize + 2;
        Largest { keep, bound: f64::NEG_INFINITY, values: Vec::new() }
    }

    fn add(&mut self, value: f64) {
        if value > self.bound {
            self.values.push(value);
            if self.values.len() == 2 * self.keep {
                let last = self.keep - 1;
                self.bound = *self.values.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1;
                self.values.truncate(self.keep);
            }
        }
    }

    fn sorted(mut self) -> Vec<f64> {
        self.values.sort_unstable_by(|a, b| b.total_cmp(a));
        self.values.truncate(self.keep);
        self.values
    }
}

/// The scales of the responses to `fake` and to `real`, and the note that tells them. `extent` is the distance from
/// black to white in the images.
///
/// They share one, but for a flat image: it has no edges and has to look like that, not like whatever rounding or
/// `eps` make of it, so it is black.
pub(super) fn of_responses(responses: [Image; 2], extent: f64) -> Result<([(f64, f64); 2], String)> {
    let nothing = extent / STEPS;
    let black = (0.0, extent);
    let flat = [is_flat(responses[0], nothing)?, is_flat(responses[1], nothing)?];
    if flat == [true; 2] {
        return Ok(([black; 2], "Inside both images the loss sees nothing: black.".into()));
    }
    let values = Values::of(&responses)?;
    let (mut low, mut high) = values.range();
    // A few edges on flat ground.
    if high.max(-low) <= nothing && values.largest() > high {
        (low, high) = (values.least().min(0.0), values.largest());
    }
    let (scale, mut note) = if values.least() < 0.0 {
        let limit = high.max(-low);
        let text = number(limit, 3);
        let note = format!("As the loss sees them: grey is 0, black -{text} or less, white {text} or more.");
        ((-limit, limit), note)
    } else {
        let (black, white) = (number(low, 3), number(high, 3));
        ((low, high), format!("As the loss sees them: black is {black}, white {white} or more."))
    };
    for (flat, name) in flat.into_iter().zip(["fake", "real"]) {
        if flat {
            note += &format!(" Inside {name} it sees nothing: black.");
        }
    }
    Ok((flat.map(|flat| if flat { black } else { scale }), note))
}

/// Whether a response is next to nothing, but for the frame that the zeros around the image make.
fn is_flat(response: Image, nothing: f64) -> Result<bool> {
    if response.width < 3 || response.height < 3 {
        return Ok(false);
    }
    let mut start = 0;
    for portion in response.portions() {
        let portion = portion?;
        let end = start + portion.size()[2];
        let (first, last) = (start.max(1), end.min(response.height - 1));
        let inner =
            portion.f_narrow(2, first - start, (last - first).max(0))?.f_narrow(3, 1, response.width - 2)?;
        if !values(&inner)?.iter().all(|value| value.abs() <= nothing) {
            return Ok(false);
        }
        start = end;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    /// Those of the values in order, as many as they are.
    #[test]
    fn quantiles_are_those_of_all_values() {
        tch::manual_seed(0);
        for (height, width) in [(1, 1), (1, 2), (3, 67), (20, 50), (97, 1031), (1, 70000)] {
            let plane = Tensor::randn([1, 1, height, width], (Kind::Double, Device::Cpu));
            // Some that are equal, some that are not finite.
            let plane = (plane * 8.0).round() / 8.0;
            let plane = plane.where_self(&plane.lt(2.5), &Tensor::from(f64::NAN));
            let mut sorted = super::values(&plane).unwrap();
            sorted.retain(|value| value.is_finite());
            sorted.sort_unstable_by(f64::total_cmp);
            let values = Values::of(&[Image::single("plane", &plane, &[1], None).unwrap()]).unwrap();
            assert_eq!(values.finite, sorted.len());
            assert_eq!(values.not_finite as i64, height * width - sorted.len() as i64);
            for part in [0.0, 1.0 - COVERED, COVERED, 1.0] {
                let place = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
                let expected = sorted.get(place).copied().unwrap_or(0.0);
                assert_eq!(values.quantile(part), expected, "{part} of {height}x{width}");
            }
        }
    }
}
