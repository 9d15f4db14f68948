//! Curves of several runs, and the scale that suits curves.

use std::collections::BTreeSet;

use tch_losses::manager::log::{LoggedRun, LossCurve, RunInfo};
use tch_losses::visual::{CurveScale, LossCurves};
use tch_losses::Error;

use crate::curves::{check_layout, document, lines, loss, number, run, svg_of, texts, with_class};

fn is_logarithmic(curves: &LossCurves) -> Vec<bool> {
    let document = document(svg_of(curves));
    let quantities = with_class(document.root(), "quantity");
    quantities.iter().map(|node| node.text().unwrap().contains("log scale")).collect()
}

#[test]
fn curves_that_differ_a_hundred_times_have_a_logarithmic_scale() {
    let constant = |value: f64| loss(&[], &[value; 200]);
    let auto = |curves: &[LossCurve]| {
        let losses = ["A", "B", "C"].into_iter().zip(curves.iter().cloned());
        is_logarithmic(&LossCurves::new(&run(losses)))[0]
    };
    assert!(auto(&[constant(101.0), constant(1.0)]));
    assert!(auto(&[constant(3e-5), constant(1e-3), constant(1e-2)]));
    assert!(!auto(&[constant(99.0), constant(1.0)]), "less than a hundred times");
    // A curve alone does not differ, however far it falls.
    let falling: Vec<f64> = (0..200).map(|step| 1e4 / f64::from(1 << (step / 10))).collect();
    assert!(!auto(&[loss(&[], &falling)]));
    // What would be lost on a logarithmic scale is shown.
    assert!(!auto(&[constant(1000.0), constant(-1.0)]));
    assert!(!auto(&[constant(1000.0), constant(1.0), constant(0.0)]));
    // A few zeros are outliers: they are left out, and a note tells.
    let mut values = vec![1.0; 200];
    values[7] = 0.0;
    let few = [constant(1000.0), loss(&[], &values)];
    assert!(auto(&few));
    let svg = svg_of(&LossCurves::new(&run(["A", "B"].into_iter().zip(few))));
    assert!(svg.contains("B, loss: 1 of 200 values are zero or negative and not drawn on the log scale."));
    values[..20].fill(0.0);
    assert!(!auto(&[constant(1000.0), loss(&[], &values)]));
    // What cannot be drawn on any scale has no say.
    values[..20].fill(f64::NAN);
    assert!(auto(&[constant(1000.0), loss(&[], &values), constant(f64::NAN)]));
}

#[test]
fn the_scale_can_be_forced_and_suits_each_panel() {
    let (large, small) = (loss(&["G"], &[1000.0; 9]), loss(&["G", "D"], &[1.0; 9]));
    let run = run([("A", large), ("B", small)]);
    let usual = LossCurves::new(&run);
    assert_eq!(is_logarithmic(&usual), [true]);
    assert_eq!(is_logarithmic(&LossCurves { scale: CurveScale::Linear, ..usual.clone() }), [false]);
    let split = LossCurves { split_by_tag: true, weights: true, ..usual };
    assert_eq!(is_logarithmic(&split), [true, false, false], "G, D and the weights");
    let forced = LossCurves { scale: CurveScale::Logarithmic, ..split };
    assert_eq!(is_logarithmic(&forced), [true, true, false]);
}

#[test]
fn several_runs_have_a_panel_for_each_loss() {
    let first = run([("L1", loss(&["G"], &[5.0, 4.0, 3.0])), ("GAN", loss(&[], &[1.0, 1.0, 2.0]))]);
    let second = run([("L1", loss(&["G"], &[6.0, 7.0])), ("SOBEL", loss(&[], &[0.5, 0.25]))]);
    let curves =
        LossCurves { smooth: Some(1), ..LossCurves::of_runs([("base", &first), ("edges", &second)]) };
    let svg = svg_of(&curves);
    check_layout(&svg);
    let document = document(svg);
    let panels = with_class(document.root(), "panel");
    let titles: Vec<_> = panels.iter().map(|panel| with_class(*panel, "title")[0].text().unwrap()).collect();
    assert_eq!(titles, ["L1", "GAN", "SOBEL"]);
    // Header, then names and last values from the top curve to the lowest.
    let legends: Vec<_> =
        panels.iter().map(|panel| texts(with_class(*panel, "legend")[0])[1..].to_vec()).collect();
    assert_eq!(legends[0], ["edges", "7", "base", "3"]);
    assert_eq!(legends[1], ["base", "2"]);
    assert_eq!(legends[2], ["edges", "0.25"]);
    // A run has one colour in all panels, and another one than the other run.
    let colours = |panel: usize| -> Vec<_> {
        with_class(panels[panel], "main").iter().map(|curve| curve.attribute("stroke").unwrap()).collect()
    };
    let (of_l1, of_gan, of_sobel) = (colours(0), colours(1), colours(2));
    assert_eq!((of_l1[0], of_l1[1]), (of_gan[0], of_sobel[0]));
    assert_ne!(of_l1[0], of_l1[1]);
    // On the same axes: step 1 of both is at one place, and the shorter one ends there.
    let points: Vec<_> = with_class(panels[0], "main").iter().map(|curve| lines(*curve).concat()).collect();
    assert_eq!((points[0].len(), points[1].len()), (3, 2));
    assert_eq!(points[0][1].0, points[1][1].0);
    assert!(points[1][1].1 < points[0][1].1, "7 is above 4");

    let weights = LossCurves { weights: true, ..curves };
    let document = crate::curves::document(svg_of(&weights));
    let quantities: Vec<_> =
        with_class(document.root(), "quantity").iter().map(|node| node.text().unwrap()).collect();
    assert_eq!(quantities, ["loss", "loss", "loss", "weight", "weight", "weight"]);
}

#[test]
fn what_all_runs_share_is_told_once() {
    let with = |experiment: &str, length: u64, epochs: [u64; 4]| {
        let mut run =
            run([("L", LossCurve { epochs: epochs.into(), ..loss(&[], &[1.0, f64::NAN, 1.0, 1.0]) })]);
        let (device, dataroot) = ("Cpu".into(), "maps".into());
        run.run = RunInfo { experiment: experiment.into(), device, dataroot, dataset_length: length };
        run
    };
    let draw = |a: &LoggedRun, b: &LoggedRun| document(svg_of(&LossCurves::of_runs([("a", a), ("b", b)])));
    let same = draw(&with("faces", 2, [0, 0, 1, 1]), &with("faces", 2, [0, 0, 1, 1]));
    let all = texts(same.root());
    assert_eq!(all[..2], ["faces", "2 runs  ·  up to step 3, epoch 1  ·  Cpu  ·  maps, 2 samples"]);
    assert_eq!(with_class(same.root(), "epochs").len(), 1);
    let notes: BTreeSet<_> = texts(with_class(same.root(), "notes")[0]).into_iter().collect();
    let expected =
        ["a", "b"].map(|run| format!("L, {run}, loss: 1 of 4 values are not finite and not drawn."));
    assert_eq!(notes, expected.into());
    // Epochs of other lengths are at no common place.
    let other = draw(&with("faces", 2, [0, 0, 1, 1]), &with("edges", 1, [0, 1, 2, 3]));
    assert_eq!(
        texts(other.root())[..2],
        ["Loss curves", "2 runs  ·  up to step 3, epoch 3  ·  Cpu  ·  maps"]
    );
    assert!(with_class(other.root(), "epochs").is_empty());
}

#[test]
fn many_runs_fit() {
    let run = run([("L", loss(&[], &[1.0, 2.0])), ("M", loss(&[], &[3.0, 4.0]))]);
    let names: Vec<String> = (0..30).map(|number| format!("{}{number}", "deep/".repeat(number))).collect();
    let curves = LossCurves::of_runs(names.iter().map(|name| (name, &run)));
    let svg = svg_of(&curves);
    check_layout(&svg);
    let document = document(svg);
    let plot = with_class(document.root(), "plot")[0];
    assert!(number(plot, "height") > 600.0, "as high as its legend");
    assert_eq!(with_class(document.root(), "main").len(), 60);
}

#[test]
fn unusable_options_of_several_runs_are_named() {
    let some = run([("L", loss(&["G"], &[1.0]))]);
    let split = LossCurves { split_by_tag: true, ..LossCurves::of_runs([("a", &some), ("b", &some)]) };
    let error = split.render_svg().unwrap_err();
    assert!(matches!(error, Error::Option { option: "split_by_tag", .. }), "{error}");
    let error = LossCurves::of_runs::<String>([]).render_svg().unwrap_err();
    assert!(matches!(error, Error::Option { option: "runs", .. }), "{error}");
    // One that has not begun yet is no curve.
    let empty = run([]);
    let curves = LossCurves::of_runs([("a", &some), ("b", &empty)]);
    assert_eq!(with_class(document(svg_of(&curves)).root(), "main").len(), 1);
}
