//! The loss curves of the module `visual`, and the contact sheets of a training.
//!
//! Where a value is drawn is told by the labels of the axes: a value that has a label is as far from the
//! label's place as any other.

mod axes;
mod layout;
mod smoothing;

pub use layout::check_layout;

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
