//! Averages and extremes of many records.

use super::*;

/// `(1 - a)^i` and their sum, `a` being `2 / (span + 1)`.
#[test]
fn the_smoothed_line_is_the_exponential_moving_average() {
    let mut values = vec![0.0; 40];
    values[0] = 1.0;
    values[39] = 1.0;
    for span in [2, 3, 9, 1000] {
        let run = run([("L", loss(&[], &values))]);
        let document = document(svg_of(&LossCurves { smooth: Some(span), ..LossCurves::new(&run) }));
        let y = Ruler::new(document.root(), "y", false);
        let keep = 1.0 - 2.0 / (span as f64 + 1.0);
        let sum = |t: i32| (1.0 - keep.powi(t + 1)) / (1.0 - keep);
        let points = points(&document, "main");
        assert_eq!(points.len(), 40);
        for (t, point) in (0..).zip(&points) {
            let spikes = keep.powi(t) + if t == 39 { 1.0 } else { 0.0 };
            assert_near(point.1, y.place(spikes / sum(t)));
        }
    }
}

#[test]
fn what_is_not_finite_has_no_part_in_the_average() {
    let last = |values: &[f64]| {
        let run = run([("L", loss(&[], values))]);
        let document = document(svg_of(&LossCurves { smooth: Some(3), ..LossCurves::new(&run) }));
        texts(with_class(document.root(), "legend")[0])[2].clone()
    };
    // 1 / (1 + 1/2 + 1/4)
    assert_eq!(last(&[0.0, 0.0, 1.0]), "0.5714");
    assert_eq!(last(&[0.0, f64::NAN, 0.0, f64::INFINITY, f64::NEG_INFINITY, 1.0]), "0.5714");
    assert_eq!(last(&[0.0, 0.0, 1.0, f64::NAN]), "NaN");
}

#[test]
fn the_usual_smoothing_is_a_fiftieth() {
    let note = |records: usize| {
        let run = run([("L", loss(&[], &vec![1.0; records])), ("M", loss(&[], &[1.0]))]);
        let document = document(svg_of(&LossCurves::new(&run)));
        let notes = texts(with_class(document.root(), "notes")[0]);
        notes.into_iter().find(|note| note.contains("moving average"))
    };
    assert_eq!(note(99), None);
    assert!(note(1000).unwrap().contains("a span of 20 records"));
}

#[test]
fn of_many_records_each_column_keeps_its_extremes() {
    // Noise from a linear congruential generator, with a fall and a rise of a single record.
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut values: Vec<f64> = (0..200_000).map(|step| noise() + f64::from(step) / 2e5).collect();
    (values[77_777], values[123_456]) = (-0.2, 2.2);
    let run = run([("L", loss(&[], &values))]);
    let svg = svg_of(&LossCurves::new(&run));
    // Two lines of four points in each of less than 800 columns, each of at most 13 bytes, `1023.4 512.3 `; and some
    // thousands for the rest. The records themselves would take 2.6 MB.
    assert!(svg.len() < 2 * 4 * 800 * 13 + 16_000, "{} bytes", svg.len());
    let document = document(svg);
    let points = points(&document, "raw");
    let (x, y) = (Ruler::new(document.root(), "x", false), Ruler::new(document.root(), "y", false));
    let near = |step: f64, value: f64| {
        let (x, y) = (x.place(step), y.place(value));
        points.iter().any(|point| (point.0 - x).abs() < 0.2 && (point.1 - y).abs() < 0.2)
    };
    assert!(
        near(77_777.0, -0.2)
            && near(123_456.0, 2.2)
            && near(0.0, values[0])
            && near(199_999.0, values[199_999])
    );

    // Column by column, lowest and highest.
    let mut columns = BTreeMap::<i64, (Point, Point)>::new();
    for (step, value) in (0..).zip(&values) {
        let (x, y) = (x.place(f64::from(step)), y.place(*value));
        let column = columns.entry(x.floor() as i64).or_insert(((x, y), (x, y)));
        let (low, high) = (
            if y < column.0 .1 { (x, y) } else { column.0 },
            if y > column.1 .1 { (x, y) } else { column.1 },
        );
        *column = (low, high);
    }
    assert!(columns.len() > 500);
    let extremes = columns.values().flat_map(|(low, high)| [low, high]);
    // Where the columns begin is known from the labels to a tenth of a pixel only: of the lowest and highest of some 270
    // records in a column, a tenth may seem to be in the next one, half of which has another extreme then. All these
    // numbers are the same on every machine.
    let kept = extremes
        .filter(|(x, y)| points.iter().any(|point| (point.0 - x).abs() < 0.2 && (point.1 - y).abs() < 0.2));
    let kept = kept.count();
    assert!(kept * 20 > columns.len() * 2 * 19, "{kept} of {}", columns.len() * 2);
    assert!(points.len() <= 4 * (columns.len() + 2), "{}", points.len());
}
