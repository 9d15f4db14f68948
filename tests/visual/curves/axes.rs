//! Ranges and labels of the axes, gaps and outliers.

use super::*;

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
