//! Phase congruency and saliency.

use tch::{Device, Kind, Tensor};
use tch_losses::{DataRange, FsimLoss, Loss, Reduction, SaliencyRange, SrSimLoss, VsiLoss};

use crate::common::{noise, value, values, waves};

fn losses() -> [Box<dyn Loss>; 3] {
    [
        Box::new(FsimLoss::default()),
        Box::new(VsiLoss::default()),
        Box::new(SrSimLoss { chromatic: true, ..SrSimLoss::default() }),
    ]
}

/// The scores are those that piq gives.
fn assert_scores(loss: &dyn Loss, shape: [i64; 4], expected: &[f64]) {
    let (input, target) = waves(shape);
    let own = values(&(1.0 - loss.forward(&input, &target)));
    assert_eq!(own.len(), expected.len());
    for (own, expected) in own.iter().zip(expected) {
        assert!((own - expected).abs() < 1e-10, "{loss:?} {shape:?}: {own}, not {expected}");
    }
}

#[test]
fn scores_of_fsim() {
    let loss = FsimLoss::default().with_reduction(Reduction::None);
    assert_scores(&loss, [2, 3, 64, 48], &[0.9400236204803515, 0.9409293891881467]);
    let without_color = loss.with_chromatic(false);
    assert_scores(&without_color, [2, 3, 64, 48], &[0.9458421350647763, 0.9468974896278429]);
    // Grey has no colour.
    for loss in [loss, without_color] {
        assert_scores(&loss, [2, 1, 64, 48], &[0.9219691583357401, 0.9240975961672213]);
    }
    // Averages of 2x2, odd sizes.
    assert_scores(&loss, [1, 3, 517, 389], &[0.9450935458685928]);
}

#[test]
fn scores_of_vsi() {
    let loss = VsiLoss::default().with_reduction(Reduction::None);
    assert_scores(&loss, [2, 3, 64, 48], &[0.9780479018780591, 0.9773804926541791]);
    assert_scores(&loss, [2, 1, 64, 48], &[0.9549646255905423, 0.9448890938889563]);
    assert_scores(&loss, [1, 3, 517, 389], &[0.9736111869149151]);
}
