//! Losses whose gradient is computed with them, in pieces.

use tch::{Kind, Tensor};
use tch_losses::{
    AsymmetricLoss, AsymmetricSingleLabelLoss, BinaryCrossEntropyLoss, FocalLoss, Loss,
    PolyBinaryCrossEntropyLoss, PolyCrossEntropyLoss, Reduction, SigmoidFocalLoss, SoftCrossEntropyLoss,
    SoftTargetCrossEntropyLoss,
};

use super::focal::MODULATIONS;
use crate::common::{assert_close, noise, Relative};
use crate::support::leaf;

/// Reduced losses have their gradient from forward, in pieces; unreduced ones have libtorch's.
#[test]
fn pieces_are_the_graph() {
    // More than one piece of 2^16 numbers, and a last one that is smaller.
    let shape = [701, 211];
    let (input, soft) = (noise(1, &shape, Kind::Double) * 4.0, noise(2, &shape, Kind::Double).sigmoid());
    let weight = noise(3, &[211], Kind::Double).sigmoid();
    let compare = |reduced: &dyn Loss, plain: &dyn Loss, target: &Tensor| {
        let (own, expected) = (leaf(&input), leaf(&input));
        let loss = reduced.forward(&own, target);
        loss.backward();
        let sum = plain.forward(&expected, target).sum(None);
        sum.backward();
        assert_close(&format!("{reduced:?}"), &loss.detach(), &sum.detach(), 1e-11, Relative::ToLargest);
        let (own, expected) = (own.grad(), expected.grad());
        assert_close(&format!("{reduced:?}"), &own, &expected, 1e-11, Relative::ToLargest);
    };
    let [sum, none] = [Reduction::Sum, Reduction::None];
    for modulation in MODULATIONS {
        let focal = SigmoidFocalLoss { modulation, gamma: 1.5, ..Default::default() }.with_weight(&weight);
        compare(&focal.clone().with_reduction(sum), &focal, &soft);
    }
    let poly = PolyBinaryCrossEntropyLoss { gamma: 1.5, alpha: Some(0.3), ..Default::default() };
    compare(&poly.with_reduction(sum), &poly.with_reduction(none), &soft);
    for detach_focus in [false, true] {
        let loss = AsymmetricLoss { detach_focus, ..Default::default() }.with_weight(&weight);
        compare(&loss.clone().with_reduction(sum), &loss.with_reduction(none), &soft);
    }
    let loss = PolyCrossEntropyLoss::default();
    compare(&loss.with_reduction(sum), &loss.with_reduction(none), &soft);
    let classes = (Tensor::arange(701, (Kind::Int64, input.device())) * 7).remainder(211);
    let loss = AsymmetricSingleLabelLoss { gamma_neg: 0.5, gamma_pos: 0.5, ..Default::default() };
    compare(&loss.with_reduction(sum), &loss.with_reduction(none), &classes);
    let loss = PolyCrossEntropyLoss { label_smoothing: 0.1, ..Default::default() };
    compare(&loss.with_reduction(sum), &loss.with_reduction(none), &classes);
    let loss = BinaryCrossEntropyLoss::default();
    compare(&loss.clone().with_reduction(sum), &loss.clone().with_reduction(none), &classes);
    compare(&loss.clone().with_reduction(sum), &loss.with_reduction(none), &soft);
}

/// Images of which one alone has more than a piece, 2^18 numbers: their places are cut.
#[test]
fn pieces_of_images_are_the_graph() {
    let size = [3, 5, 233, 257];
    let input = noise(1, &size, Kind::Double) * 4.0;
    let soft = noise(2, &size, Kind::Double).softmax(1, Kind::Double);
    let classes = soft.argmax(1, false);
    let some = classes.where_scalarother(&soft.select(1, 0).gt(0.1), -100.0).to_kind(Kind::Int64);
    let [sum, none] = [Reduction::Sum, Reduction::None];
    let pairs: [(Box<dyn Loss>, Box<dyn Loss>, &Tensor); 6] = [
        (
            Box::new(SoftCrossEntropyLoss { smooth_factor: 0.2, reduction: sum, ..Default::default() }),
            Box::new(SoftCrossEntropyLoss { smooth_factor: 0.2, reduction: none, ..Default::default() }),
            &some,
        ),
        (
            Box::new(PolyCrossEntropyLoss::default().with_reduction(sum)),
            Box::new(PolyCrossEntropyLoss::default().with_reduction(none)),
            &some,
        ),
        (
            Box::new(FocalLoss::default().with_weight([0.5, 1.0, 2.0, 0.3, 1.0]).with_reduction(sum)),
            Box::new(FocalLoss::default().with_weight([0.5, 1.0, 2.0, 0.3, 1.0]).with_reduction(none)),
            &some,
        ),
        (
            Box::new(AsymmetricSingleLabelLoss::default().with_reduction(sum)),
            Box::new(AsymmetricSingleLabelLoss::default().with_reduction(none)),
            &classes,
        ),
        (
            Box::new(SoftTargetCrossEntropyLoss::default().with_reduction(sum)),
            Box::new(SoftTargetCrossEntropyLoss::default().with_reduction(none)),
            &soft,
        ),
        (
            Box::new(PolyCrossEntropyLoss::default().with_reduction(sum)),
            Box::new(PolyCrossEntropyLoss::default().with_reduction(none)),
            &soft,
        ),
    ];
    for (reduced, plain, target) in pairs {
        let (own, expected) = (leaf(&input), leaf(&input));
        let loss = reduced.forward(&own, target);
        loss.backward();
        let whole = plain.forward(&expected, target).sum(None);
        whole.backward();
        let what = format!("{reduced:?}");
        assert_close(&what, &loss.detach(), &whole.detach(), 1e-11, Relative::ToLargest);
        assert_close(&what, &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
    }
}
