//! The loss curves of the module `visual`, and the contact sheets of a training.
//!
//! Where a value is drawn is told by the labels of the axes: a value that has a label is as far from the
//! label's place as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use resvg::usvg::roxmltree::{Document, Node};
use resvg::usvg::{fontdb, Options, Tree};
use tch_losses::manager::log::{LoggedRun, LossCurve, RunInfo};
use tch_losses::visual::{CurveScale, LossCurves};
use tch_losses::Error;

const SCALES: [CurveScale; 3] = [CurveScale::Auto, CurveScale::Linear, CurveScale::Logarithmic];

/// A loss with a weight of 1, logged at the steps 0, 1, 2 and so on.
pub fn loss(tags: &[&str], values: &[f64]) -> LossCurve {
    let steps: Vec<u64> = (0..values.len() as u64).collect();
    LossCurve {
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
        epochs: vec![0; values.len()],
        weights: vec![1.0; values.len()],
        values: values.into(),
        weighted: values.into(),
        steps,
    }
}

pub fn run(losses: impl IntoIterator<Item = (&'static str, LossCurve)>) -> LoggedRun {
    let losses = losses.into_iter().map(|(name, loss)| (name.to_owned(), loss)).collect();
    LoggedRun { losses, ..Default::default() }
}

pub fn svg_of(curves: &LossCurves) -> String {
    curves.render_svg().unwrap()
}

pub fn with_class<'a>(node: Node<'a, 'a>, class: &'static str) -> Vec<Node<'a, 'a>> {
    node.descendants().filter(|node| node.attribute("class") == Some(class)).collect()
}

pub fn number(node: Node, attribute: &str) -> f64 {
    node.attribute(attribute).unwrap().parse().unwrap()
}

/// All text in a node, one string for each element.
pub fn texts(node: Node) -> Vec<String> {
    let is_text = |node: &Node| node.has_tag_name("text");
    node.descendants().filter(is_text).map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

pub type Point = (f64, f64);

/// The polylines and dots of a curve.
pub fn lines(curve: Node) -> Vec<Vec<Point>> {
    let mut lines = Vec::new();
    for node in curve.descendants() {
        if let Some(data) = node.attribute("d") {
            for line in data.split('M').skip(1) {
                let numbers: Vec<f64> =
                    line.split([' ', 'L']).map(|number| number.parse().unwrap()).collect();
                lines.push(numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect());
            }
        }
        if node.has_tag_name("circle") {
            lines.push(vec![(number(node, "cx"), number(node, "cy"))]);
        }
    }
    lines
}

/// The points of the only curve of a class.
fn points(document: &Document<'static>, class: &'static str) -> Vec<Point> {
    let curves = with_class(document.root(), class);
    assert_eq!(curves.len(), 1);
    lines(curves[0]).concat()
}

pub fn document(svg: String) -> Document<'static> {
    Document::parse(Box::leak(svg.into_boxed_str())).unwrap()
}

/// A label's number and its place along its axis.
fn labels(panel: Node, class: &'static str) -> Vec<Point> {
    let value = |text: &str| match text.strip_suffix('k') {
        Some(text) => text.parse::<f64>().unwrap() * 1e3,
        None => text.parse().unwrap(),
    };
    with_class(panel, class)
        .into_iter()
        .map(|node| (value(node.text().unwrap()), number(node, class)))
        .collect()
}

/// From numbers to pixels, as two of an axis' labels tell. The labels of the vertical axis are a little lower
/// than their lines; the lowest line of the grid tells how much.
struct Ruler {
    slope: f64,
    offset: f64,
    logarithmic: bool,
}

impl Ruler {
    fn new(panel: Node, class: &'static str, logarithmic: bool) -> Ruler {
        let labels = labels(panel, class);
        let scaled = |value: f64| if logarithmic { value.ln() } else { value };
        let ((a, at_a), (b, at_b)) = (labels[0], labels[labels.len() - 1]);
        let slope = (at_b - at_a) / (scaled(b) - scaled(a));
        // A baseline is 4.5 pixels under the middle of its digits.
        let shift = if class == "y" { 4.5 } else { 0.0 };
        Ruler { slope, offset: at_a - shift - slope * scaled(a), logarithmic }
    }

    fn place(&self, value: f64) -> f64 {
        self.offset + self.slope * if self.logarithmic { value.ln() } else { value }
    }
}

/// All places are written in tenths of a pixel, the curve's and those of the two labels that make a ruler: each is up to
/// 0.05 off, and the labels' share grows where the ruler goes on beyond them, to three times as much at most.
#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.2, "{found}, expected {expected}");
}

#[test]
fn values_are_where_the_axes_say() {
    let values = [0.0, 5.0, 2.5, 10.0, 7.5];
    let run = run([("L", loss(&[], &values))]);
    let document = document(svg_of(&LossCurves { smooth: Some(1), ..LossCurves::new(&run) }));
    let points = points(&document, "main");
    assert_eq!(points.len(), values.len());
    let (x, y) = (Ruler::new(document.root(), "x", false), Ruler::new(document.root(), "y", false));
    for (step, (value, point)) in values.iter().zip(&points).enumerate() {
        assert_near(point.0, x.place(step as f64));
        assert_near(point.1, y.place(*value));
    }
    assert!(points[3].1 < points[0].1 - 100.0, "large values are at the top");
    assert!(with_class(document.root(), "raw").is_empty(), "without smoothing there is one line");
}

#[test]
fn logarithmic_values_are_where_the_axes_say() {
    let values = [1e-3, 1.0, 0.05, 1e3, 20.0];
    let run = run([("L", loss(&[], &values))]);
    let curves = LossCurves { smooth: Some(1), scale: CurveScale::Logarithmic, ..LossCurves::new(&run) };
    let document = document(svg_of(&curves));
    let points = points(&document, "main");
    let y = Ruler::new(document.root(), "y", true);
    for (value, point) in values.iter().zip(&points) {
        assert_near(point.1, y.place(*value));
    }
    // Equal factors, equal distances.
    assert_near(points[0].1 - points[1].1, points[1].1 - points[3].1);
    let labels: Vec<f64> = labels(document.root(), "y").into_iter().map(|(label, _)| label).collect();
    assert_eq!(labels, [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0]);
}

#[test]
fn weighted_values_are_drawn_and_the_axis_says_so() {
    let weighted =
        LossCurve { weighted: vec![1.0, 200.0], weights: vec![100.0; 2], ..loss(&[], &[0.01, 2.0]) };
    let run = run([("L", weighted)]);
    let document = document(svg_of(&LossCurves { weights: true, ..LossCurves::new(&run) }));
    let quantities: Vec<_> = with_class(document.root(), "quantity").iter().map(|node| node.text()).collect();
    assert_eq!(quantities, [Some("weighted loss"), Some("weight")]);
    let panels = with_class(document.root(), "panel");
    assert!(texts(panels[0]).contains(&"200".into()), "the last value");
    assert!(texts(panels[1]).contains(&"100".into()), "the last weight");
    let place = Ruler::new(panels[1], "y", false).place(100.0);
    let drawn = lines(with_class(panels[1], "main")[0]).concat();
    assert!(drawn.iter().all(|(_, y)| (y - place).abs() < 0.2), "{drawn:?}");
}

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

#[test]
fn tags_have_panels() {
    let run = run([
        ("G_GAN", loss(&["G"], &[1.0, 2.0])),
        ("G_L1", loss(&["G", "pixel"], &[3.0, 4.0])),
        ("D_real", loss(&["D"], &[0.5, 0.6])),
        ("probe", loss(&[], &[7.0, 8.0])),
    ]);
    let panels = |curves: &LossCurves| {
        let document = document(svg_of(curves));
        let panels = with_class(document.root(), "panel").into_iter().map(|panel| {
            let title = with_class(panel, "title").first().and_then(|title| title.text());
            let names = texts(with_class(panel, "legend")[0]).into_iter().skip(1).step_by(2).collect();
            let titles =
                |node: &Node| node.has_tag_name("title") && node.parent().unwrap().has_attribute("class");
            let drawn: BTreeSet<_> =
                panel.descendants().filter(titles).map(|node| node.text().unwrap()).collect();
            let names: Vec<String> = names;
            assert_eq!(drawn, names.iter().map(String::as_str).collect(), "legend and curves");
            (title.map(str::to_owned), names)
        });
        panels.collect::<Vec<_>>()
    };
    let panel = |title: Option<&str>, names: &[&str]| {
        (title.map(str::to_owned), names.iter().map(|name| name.to_string()).collect::<Vec<_>>())
    };
    // In the order of their last values.
    assert_eq!(panels(&LossCurves::new(&run)), [panel(None, &["probe", "G_L1", "G_GAN", "D_real"])]);
    let curves = LossCurves { split_by_tag: true, weights: true, ..LossCurves::new(&run) };
    let expected = [
        panel(Some("G"), &["G_L1", "G_GAN"]),
        panel(Some("pixel"), &["G_L1"]),
        panel(Some("D"), &["D_real"]),
        panel(Some("no tag"), &["probe"]),
        panel(Some("weights"), &["G_GAN", "G_L1", "D_real", "probe"]),
    ];
    assert_eq!(panels(&curves), expected);

    // A loss has one colour everywhere.
    let document = document(svg_of(&curves));
    let strokes: BTreeSet<_> = with_class(document.root(), "main")
        .into_iter()
        .map(|curve| (curve.first_element_child().unwrap().text(), curve.attribute("stroke")))
        .collect();
    assert_eq!(strokes.len(), 4);
}

#[test]
fn many_losses_look_different() {
    let names: Vec<&'static str> = (0..24).map(|number| &*format!("loss {number}").leak()).collect();
    let run = run(names.into_iter().map(|name| (name, loss(&[], &[1.0, 2.0]))));
    let document = document(svg_of(&LossCurves::new(&run)));
    let curves = with_class(document.root(), "main");
    let look = |curve: &Node| {
        (curve.attribute("stroke").map(str::to_owned), curve.attribute("stroke-dasharray").map(str::to_owned))
    };
    assert_eq!(curves.iter().map(look).collect::<BTreeSet<_>>().len(), 24);
    assert!(curves[..8].iter().all(|curve| !curve.has_attribute("stroke-dasharray")), "colours first");
}

#[test]
fn the_facts_of_the_run_are_told() {
    let mut run = run([("L", LossCurve { epochs: vec![0, 0, 1, 1], ..loss(&[], &[1.0, 2.0, 3.0, 4.0]) })]);
    run.run = RunInfo {
        experiment: "faces & <edges> \u{7}".into(),
        device: "Cuda(0)".into(),
        dataroot: "/data/faces".into(),
        dataset_length: 12345,
    };
    let document = document(svg_of(&LossCurves::new(&run)));
    let all = texts(document.root());
    assert_eq!(all[0], r"faces & <edges> \u{7}");
    assert_eq!(all[1], "up to step 3, epoch 1  ·  Cuda(0)  ·  /data/faces, 12,345 samples");
    // An epoch is where it begins.
    let epochs = with_class(document.root(), "epochs")[0];
    let place = |label: &str, class: &str| {
        let mut texts =
            epochs.descendants().chain(document.descendants()).filter(|node| node.has_tag_name("text"));
        let is_it =
            |node: &Node| node.text() == Some(label) && node.attribute("class").unwrap_or("") == class;
        number(texts.find(is_it).unwrap(), "x")
    };
    assert_eq!(place("1", ""), place("2", "x"));
    assert_eq!(place("0", ""), place("0", "x"));
}

#[test]
fn gaps_are_gaps_and_counted() {
    let values = [1.0, 2.0, f64::NAN, 2.0, 1.0, f64::INFINITY, 3.0];
    let run_of = run([("L", loss(&[], &values))]);
    let shapes = |curves: &LossCurves| {
        let document = document(svg_of(curves));
        let lines = lines(with_class(document.root(), "main")[0]);
        (lines.iter().map(Vec::len).collect::<Vec<_>>(), texts(with_class(document.root(), "notes")[0]))
    };
    let note = "L, loss: 2 of 7 values are not finite and not drawn.".to_owned();
    assert_eq!(shapes(&LossCurves::new(&run_of)), (vec![2, 2, 1], vec![note]));

    let run_of = run([("L", loss(&[], &[1.0, 2.0, 0.0, -1.0, f64::NAN, 4.0, 2.0]))]);
    let (lines, notes) = shapes(&LossCurves { scale: CurveScale::Logarithmic, ..LossCurves::new(&run_of) });
    assert_eq!(lines, [2, 2]);
    assert_eq!(
        notes,
        [
            "L, loss: 1 of 7 values are not finite and not drawn.",
            "L, loss: 2 of 7 values are zero or negative and not drawn on the log scale."
        ]
    );

    // Near the largest number, the arithmetic of axes and averages would overflow.
    for smooth in [Some(1), Some(2)] {
        let run_of = run([("L", loss(&[], &[1e308, 2.0, 3.0, -1e308, f64::MAX, f64::INFINITY, 1.0]))]);
        let curves = LossCurves { smooth, weights: true, ..LossCurves::new(&run_of) };
        let (lines, mut notes) = shapes(&curves);
        assert_eq!(lines, [2, 1]);
        assert!(smooth == Some(1) || notes.remove(0).starts_with("Bold: "));
        assert_eq!(
            notes,
            [
                "L, loss: 1 of 7 values are not finite and not drawn.",
                "L, loss: 3 of 7 values are beyond ±1e300 and not drawn."
            ]
        );
        check_layout(&svg_of(&curves));
        let run_of = run([("L", LossCurve { weights: vec![1e308, -1e308], ..loss(&[], &[1e300, -1e300]) })]);
        let svg = svg_of(&LossCurves { smooth, weights: true, ..LossCurves::new(&run_of) });
        check_layout(&svg);
        assert!(svg.contains("L, weight: 2 of 2 values are beyond ±1e300 and not drawn."));
    }

    // Steps that are counted within the epoch: no line runs back, and a note tells.
    let (steps, epochs) = (vec![0, 1, 2, 3, 4, 0, 1], vec![0, 0, 0, 0, 0, 1, 1]);
    let run_of = run([("L", LossCurve { steps, epochs, ..loss(&[], &[1.0; 7]) })]);
    let (lines, notes) = shapes(&LossCurves::new(&run_of));
    assert_eq!(lines, [5, 2]);
    assert!(notes[0].contains("Steps begin anew in later epochs"), "{notes:?}");
    // Two values in one step are joined.
    let steps = vec![0, 1, 1, 2];
    let run_of = run([("L", LossCurve { steps, ..loss(&[], &[1.0, 2.0, 3.0, 4.0]) })]);
    assert_eq!(shapes(&LossCurves::new(&run_of)).0, [4]);
}

#[test]
fn outliers_do_not_hide_the_rest() {
    let mut values: Vec<f64> = (0..200).map(|step| 1.0 + f64::from(step % 7) / 10.0).collect();
    (values[50], values[60]) = (1e6, -1e6);
    let run = run([("L", loss(&[], &values))]);
    let document = document(svg_of(&LossCurves { smooth: Some(1), ..LossCurves::new(&run) }));
    let points = points(&document, "main");
    let [top, bottom] = [50, 60].map(|step| points[step].1);
    let plot = with_class(document.root(), "plot")[0];
    assert_near(top, number(plot, "y"));
    assert_near(bottom, number(plot, "y") + number(plot, "height"));
    let others =
        points.iter().enumerate().filter(|(step, _)| ![50, 60].contains(step)).map(|(_, point)| point.1);
    let (low, high) = others.fold((f64::INFINITY, 0.0f64), |(low, high), y| (low.min(y), high.max(y)));
    assert!(high - low > number(plot, "height") / 3.0, "{low} to {high}");
    let notes = texts(with_class(document.root(), "notes")[0]);
    assert_eq!(
        notes,
        [
            "L, loss: 1 of 200 values are above the scale, up to 1e6.",
            "L, loss: 1 of 200 values are below the scale, down to -1e6."
        ]
    );
}

/// Labels are short, differ, and say what they are at.
#[test]
fn labels_are_readable_at_every_magnitude() {
    let cases: [&[f64]; 9] = [
        &[1e-9, 3e-9],
        &[1e9, 3e9],
        &[1e9, 1e9 + 4.0],
        &[0.5, 0.5],
        &[0.0, 0.0],
        &[-4e-12, 4e-12],
        &[1e-300, 2e-300],
        &[-1e300, 1e300],
        &[0.1234567, 0.1234569],
    ];
    for values in cases {
        for log_scale in [false, true] {
            let run = run([("L", loss(&[], values))]);
            let scale = if log_scale { CurveScale::Logarithmic } else { CurveScale::Linear };
            let document = document(svg_of(&LossCurves { scale, ..LossCurves::new(&run) }));
            let labels = labels(document.root(), "y");
            let distinct: BTreeSet<_> = labels.iter().map(|(label, _)| label.to_bits()).collect();
            if log_scale && values[0] <= 0.0 && values[1] <= 0.0 {
                continue;
            }
            assert!(labels.len() >= 2 || log_scale, "{values:?} {log_scale}: {labels:?}");
            assert_eq!(distinct.len(), labels.len(), "{values:?} {log_scale}");
            let longest =
                with_class(document.root(), "y").iter().map(|node| node.text().unwrap().len()).max();
            assert!(longest <= Some(12), "{values:?} {log_scale}: {longest:?}");
            assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1));
        }
    }
}

#[test]
fn large_steps_have_short_labels() {
    let steps = vec![0, 40_000, 2_500_000];
    let run = run([("L", LossCurve { steps, ..loss(&[], &[1.0, 2.0, 3.0]) })]);
    let document = document(svg_of(&LossCurves::new(&run)));
    let labels: Vec<_> = with_class(document.root(), "x").iter().map(|node| node.text().unwrap()).collect();
    assert_eq!(labels, ["0", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M"]);
}

fn fonts() -> Options<'static> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    Options { fontdb: Arc::new(fonts), ..Options::default() }
}

/// Nothing runs over the edge of the page, the legends are beside the curves, and all coordinates are
/// numbers.
pub fn check_layout(svg: &str) {
    let tree = Tree::from_str(svg, &fonts()).unwrap();
    let (page, drawn) = (tree.size(), tree.root().abs_layer_bounding_box());
    assert!(drawn.left() >= 0.0 && drawn.right() <= page.width(), "{drawn:?} {page:?}");
    assert!(drawn.top() >= 0.0 && drawn.bottom() <= page.height(), "{drawn:?} {page:?}");
    assert!(!svg.contains("NaN\"") && !svg.contains("inf\""), "a coordinate is not a number");
    let document = Document::parse(svg).unwrap();
    let in_class = |node: Node, class: &str| node.attribute("class") == Some(class);
    for panel in document.descendants().filter(|node| in_class(*node, "panel")) {
        let plot = panel.descendants().find(|node| in_class(*node, "plot")).unwrap();
        let (left, top) = (number(plot, "x"), number(plot, "y"));
        let (right, bottom) = (left + number(plot, "width"), top + number(plot, "height"));
        assert!(right - left > 400.0 && bottom - top > 200.0, "the plot is too small");
        for curve in panel.descendants().filter(|node| in_class(*node, "raw") || in_class(*node, "main")) {
            for (x, y) in lines(curve).concat() {
                assert!(x > left - 0.2 && x < right + 0.2 && y > top - 0.2 && y < bottom + 0.2, "{x} {y}");
            }
        }
        let legend = panel.descendants().find(|node| in_class(*node, "legend")).unwrap();
        let names =
            legend.children().filter(|node| node.has_tag_name("text") && !node.has_attribute("text-anchor"));
        for name in names {
            assert!(number(name, "x") > right && number(name, "y") < bottom, "the legend is in the way");
        }
    }
}

#[test]
fn long_names_and_many_losses_fit() {
    let names: Vec<&'static str> =
        (0..30).map(|number| &*format!("{}_{number}", "perceptual".repeat(number * number)).leak()).collect();
    let mut run = run(names.into_iter().map(|name| (name, loss(&[name], &[1e-7, 123456.0]))));
    run.run.experiment = "experiment ".repeat(1000);
    run.run.dataroot = "/very/deep".repeat(1000);
    for split_by_tag in [false, true] {
        let curves = LossCurves { split_by_tag, weights: true, ..LossCurves::new(&run) };
        let svg = svg_of(&curves);
        check_layout(&svg);
        // What tells long names apart is often their end.
        assert!(svg.contains('…') && svg.contains("tual_29<"));
    }
    let picture = LossCurves { split_by_tag: true, ..LossCurves::new(&run) }.render().unwrap();
    assert!(picture.height() <= 16384 && picture.width() > 1000, "{:?}", picture.dimensions());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn every_run_can_be_drawn(
        values in proptest::collection::vec(proptest::collection::vec(prop_oneof![
            3 => -10.0..10.0f64,
            1 => proptest::num::f64::ANY,
            1 => proptest::sample::select(vec![0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324]),
        ], 1..60), 1..4),
        steps in proptest::collection::vec(prop_oneof![0..100u64, any::<u64>()], 60),
        name in any::<String>(),
        (two_runs, split_by_tag, weights) in any::<(bool, bool, bool)>(),
        scale in proptest::sample::select(&SCALES[..]),
        smooth in proptest::option::of(1..100u64),
    ) {
        let losses = values.into_iter().enumerate().map(|(number, values)| {
            let steps = steps[..values.len()].to_vec();
            let curve = LossCurve { epochs: steps.clone(), weights: values.clone(), steps, ..loss(&[&name], &values) };
            (format!("{name}{number}"), curve)
        });
        let run = LoggedRun {
            run: RunInfo { experiment: name.clone(), ..Default::default() },
            losses: losses.collect(),
            ..Default::default()
        };
        let runs = [(name.clone(), &run), ("second".into(), &run)][..if two_runs { 2 } else { 1 }].to_vec();
        let split_by_tag = split_by_tag && !two_runs;
        check_layout(&svg_of(&LossCurves { runs, split_by_tag, scale, smooth, weights }));
    }
}

#[test]
fn pictures_show_the_document() {
    let mut run = run([("L", loss(&[], &[1.0, 1.0])), ("M", loss(&[], &[2.0, 2.0]))]);
    let svg = document(svg_of(&LossCurves::new(&run)));
    let picture = LossCurves::new(&run).render().unwrap();
    let size = ["width", "height"].map(|side| 2.0 * number(svg.root_element(), side));
    assert_eq!([picture.width(), picture.height()].map(f64::from), size);
    // Each curve is a level line of its colour: at the place that the document tells, and almost nowhere above it.
    for curve in with_class(svg.root(), "main") {
        let colour = curve.attribute("stroke").unwrap().trim_start_matches('#');
        let colour = [0, 2, 4].map(|at| u8::from_str_radix(&colour[at..at + 2], 16).unwrap());
        let line = lines(curve).concat();
        let y = (2.0 * line[0].1) as u32;
        let across = ((2.0 * line[0].0) as u32 + 4)..((2.0 * line[1].0) as u32 - 4);
        let found = across.clone().filter(|x| picture.get_pixel(*x, y).0 == colour).count();
        assert_eq!(found, across.len());
        assert!(across.clone().all(|x| picture.get_pixel(x, y - 10).0 != colour));
    }
    // Text is drawn: a title of 11 letters of 48 pixels, whose strokes are 3 pixels wide and more than 10 long.
    assert!(picture.enumerate_pixels().filter(|(_, y, pixel)| *y < 110 && pixel.0[0] < 128).count() > 300);
    run.run.experiment = "Another".into();
    assert_ne!(LossCurves::new(&run).render().unwrap(), picture);
}

#[test]
fn a_single_record_is_a_dot() {
    let run = run([("L", LossCurve { steps: vec![7], ..loss(&[], &[0.5]) })]);
    let document = document(svg_of(&LossCurves::new(&run)));
    let [(x, y)] = points(&document, "main")[..] else { panic!("one point") };
    assert_near(x, Ruler::new(document.root(), "x", false).place(7.0));
    assert_near(y, Ruler::new(document.root(), "y", false).place(0.5));
}

#[test]
fn nothing_but_nan_is_told() {
    let run = run([("L", loss(&[], &[f64::NAN; 5]))]);
    for scale in SCALES {
        let svg = svg_of(&LossCurves { scale, ..LossCurves::new(&run) });
        check_layout(&svg);
        assert!(svg.contains("5 of 5 values are not finite"));
    }
}

#[test]
fn unusable_options_and_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = run([("L", loss(&[], &[]))]);
    for empty in [empty, run([])] {
        let error = LossCurves::new(&empty).render().unwrap_err();
        assert_eq!(
            error.to_string(),
            "option `runs` is without records, expected a run with at least one record"
        );
    }
    let run = run([("L", loss(&[], &[1.0]))]);
    let error = LossCurves { smooth: Some(0), ..LossCurves::new(&run) }.render_svg().unwrap_err();
    assert_eq!(error.to_string(), "option `smooth` is 0, expected 1 (no smoothing) or more");
    for name in ["curves.pdf", "curves", ".png", "png"] {
        let error = LossCurves::new(&run).save(folder.path().join(name)).unwrap_err();
        assert!(matches!(error, Error::Option { option: "path", .. }), "{error}");
    }
    fs::create_dir(folder.path().join("taken.svg")).unwrap();
    let error = LossCurves::new(&run).save(folder.path().join("taken.svg")).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half done is left");
}
