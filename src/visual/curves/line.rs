//! What a curve looks like: its moving average, and the points that are enough to draw it.

/// The largest magnitude that is drawn. Near the largest number, differences of values are not finite.
pub(super) const LARGEST: f64 = 1e300;

/// Whether a value has a place on a scale. Subnormal numbers pass for 0.
pub(super) fn drawable(value: f64, logarithmic: bool) -> bool {
    value.abs() <= LARGEST && (!logarithmic || value >= f64::MIN_POSITIVE)
}

/// The exponential moving average with the given span, of the values up to each one.
///
/// Values that are not [`drawable`] have no part in it, and NaN in their place.
pub(super) fn smoothed(values: &[f64], span: u64) -> Vec<f64> {
    let keep = 1.0 - 2.0 / (span as f64 + 1.0);
    let (mut mean, mut weight) = (0.0, 0.0);
    let average = |value: &f64| {
        if !drawable(*value, false) {
            return f64::NAN;
        }
        weight = keep * weight + 1.0;
        mean += (value - mean) / weight;
        mean
    };
    values.iter().map(average).collect()
}

/// Least and largest of the values and of all but a few of them.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) whole: (f64, f64),
    pub(super) most: (f64, f64),
}

/// The part of the values that has to be within a scale.
const COVERED: f64 = 0.99;

impl Extent {
    /// Of those that can be drawn, if there are any.
    pub(super) fn of(values: &[f64], logarithmic: bool) -> Option<Extent> {
        let mut values: Vec<f64> =
            values.iter().copied().filter(|value| drawable(*value, logarithmic)).collect();
        values.first()?;
        let mut at = |part| quantile(&mut values, part);
        Some(Extent { whole: (at(0.0), at(1.0)), most: (at(1.0 - COVERED), at(COVERED)) })
    }

    pub(super) fn union(self, other: Extent) -> Extent {
        let union = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
        Extent { whole: union(self.whole, other.whole), most: union(self.most, other.most) }
    }

    /// What a scale should cover: everything, unless that makes most of it much smaller.
    pub(super) fn range(self, logarithmic: bool) -> (f64, f64) {
        let extent = |(low, high): (f64, f64)| if logarithmic { high.ln() - low.ln() } else { high - low };
        if extent(self.whole) > 2.0 * extent(self.most) && extent(self.most) > 0.0 {
            self.most
        } else {
            self.whole
        }
    }
}

/// The value that is larger than `part` of them, which are some.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    let place = (part * (values.len() - 1) as f64).round() as usize;
    *values.select_nth_unstable_by(place, f64::total_cmp).1
}

/// Curves whose medians are further apart than this many times have no shape left on one linear scale.
const APART: f64 = 100.0;

/// Whether the curves want a logarithmic scale, and have a place on it.
pub(super) fn differ<'a>(curves: impl Iterator<Item = &'a [f64]>) -> bool {
    let (mut least, mut largest) = (f64::INFINITY, 0.0f64);
    for values in curves {
        let mut values: Vec<f64> = values.iter().copied().filter(|value| drawable(*value, false)).collect();
        if values.is_empty() {
            continue;
        }
        if !drawable(quantile(&mut values, 1.0 - COVERED), true) {
            return false;
        }
        let median = quantile(&mut values, 0.5);
        (least, largest) = (least.min(median), largest.max(median));
    }
    largest > APART * least
}

/// Points in pixels, joined by straight lines.
pub(super) type Polyline = Vec<(f64, f64)>;

/// The same lines to the eye, with at most four points per column of pixels: the first, the lowest, the
/// highest and the last, which leave every column filled as all the points do; one where they are next to
/// each other.
///
/// `None` is a gap, and so is a step back.
pub(super) fn thinned(points: impl Iterator<Item = Option<(f64, f64)>>) -> Vec<Polyline> {
    let mut lines = Vec::new();
    let mut line = Polyline::new();
    let mut column: Option<Column> = None;
    for point in points {
        let ends = match (point, &column) {
            (Some((x, _)), Some(column)) => x < column.last.0,
            _ => point.is_none(),
        };
        if ends {
            line.extend(column.take().into_iter().flat_map(Column::points));
            lines.push(std::mem::take(&mut line));
        }
        let Some(point) = point else { continue };
        match &mut column {
            Some(column) if column.first.0.floor() == point.0.floor() => column.add(point),
            _ => line.extend(column.replace(Column::new(point)).into_iter().flat_map(Column::points)),
        }
    }
    line.extend(column.into_iter().flat_map(Column::points));
    lines.push(line);
    lines.retain(|line| !line.is_empty());
    lines
}

/// The points of a polyline within a column of pixels, each with its number in the column.
struct Column {
    count: usize,
    first: (f64, f64),
    low: (usize, (f64, f64)),
    high: (usize, (f64, f64)),
    last: (f64, f64),
}

impl Column {
    fn new(point: (f64, f64)) -> Column {
        Column { count: 1, first: point, low: (0, point), high: (0, point), last: point }
    }

    fn add(&mut self, point: (f64, f64)) {
        if point.1 < self.low.1 .1 {
            self.low = (self.count, point);
        }
        if point.1 > self.high.1 .1 {
            self.high = (self.count, point);
        }
        self.last = point;
        self.count += 1;
    }

    fn points(self) -> impl Iterator<Item = (f64, f64)> {
        const NEAR: f64 = 0.5;
        let mut points = match self.high.1 .1 - self.low.1 .1 {
            height if height < NEAR => vec![(0, self.first)],
            _ => vec![(0, self.first), self.low, self.high, (self.count - 1, self.last)],
        };
        points.sort_unstable_by_key(|(number, _)| *number);
        points.dedup_by_key(|(number, _)| *number);
        points.into_iter().map(|(_, point)| point)
    }
}
