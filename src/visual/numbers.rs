//! Numbers on scales and as text.

/// Round numbers, some five of them, within a range.
pub(super) fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let least_step = (high - low) / 6.0;
    let magnitude = 10f64.powf(least_step.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|digit| digit * magnitude);
    let step = round.into_iter().find(|step| *step >= least_step).unwrap_or(10.0 * magnitude);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// `value` to so many significant digits, without trailing zeros.
pub(super) fn number(value: f64, digits: usize) -> String {
    let rounded: f64 = format!("{value:.*e}", digits - 1).parse().unwrap_or(value);
    if rounded == 0.0 || (1e-4..1e6).contains(&rounded.abs()) || !rounded.is_finite() {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// Texts for [`ticks`], with as many digits as tell them apart.
pub(super) fn labels(ticks: &[f64]) -> Vec<String> {
    let step = ticks.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
    let largest = ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs()));
    let step = if step.is_finite() && step > 0.0 { step } else { largest.max(f64::MIN_POSITIVE) };
    // The logarithm of 0.001 is a little above -3.
    let place = |value: f64| (value.log10() + 1e-9).floor() as i32;
    let decimals = usize::try_from(-place(step)).unwrap_or(0);
    let plain = ticks.iter().map(|tick| format!("{tick:.decimals$}")).collect();
    let scientific = ticks.iter().map(|tick| {
        if tick.abs() < step / 2.0 {
            return "0".into();
        }
        let digits = usize::try_from(place(tick.abs()) - place(step)).unwrap_or(0);
        let rounded: f64 = format!("{tick:.digits$e}").parse().unwrap_or(*tick);
        format!("{rounded:e}")
    });
    let longest = |labels: &Vec<String>| labels.iter().map(String::len).max().unwrap_or(0);
    let scientific = scientific.collect();
    if longest(&plain) > 7 && longest(&scientific) < longest(&plain) {
        scientific
    } else {
        plain
    }
}

/// Texts for whole numbers on a scale: 0, 500, or 0, 20k.
pub(super) fn whole_labels(ticks: &[f64]) -> Vec<String> {
    let largest = ticks.iter().fold(0.0, |largest: f64, tick| largest.max(*tick));
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")];
    let Some((bound, unit)) = units.into_iter().find(|(bound, _)| largest >= *bound) else {
        return ticks.iter().map(f64::to_string).collect();
    };
    let unit_value = if unit == "k" { 1e3 } else { bound };
    let scaled: Vec<f64> = ticks.iter().map(|tick| tick / unit_value).collect();
    let label = |(label, tick): (String, &f64)| if *tick == 0.0 { "0".into() } else { label + unit };
    labels(&scaled).into_iter().zip(ticks).map(label).collect()
}

/// A whole number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}
