//! Losses of segmentation on many classes and on many places, which are computed in another way than few.

use tch::{Kind, Tensor};
use tch_losses::{DiceCeLoss, DiceLoss, Intersection, Loss, LovaszHingeLoss, Reduction};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{leaf, longer_than_a_piece};

/// Classes at random, from `logits` `[N, C, P]`.
fn classes_of(logits: &Tensor) -> Tensor {
    (logits + noise(7, &logits.size(), logits.kind())).argmax(1, false)
}

/// What is computed with its gradient is what libtorch's graph gives.
#[test]
fn few_classes_and_many_are_the_graph() {
    for (classes, intersection) in [2, 8, 9, 20].into_iter().flat_map(|classes| {
        [Intersection::Minimum, Intersection::Product, Intersection::Squares].map(|own| (classes, own))
    }) {
        let logits = noise(1, &[3, classes, 50], Kind::Double) * 2.0;
        let target = classes_of(&logits);
        for ignore_index in [None, Some(1)] {
            let dice = DiceLoss { intersection, ignore_index, ..DiceLoss::default() };
            let (own, expected) = (leaf(&logits), leaf(&logits));
            let loss = dice.clone().with_reduction(Reduction::Sum).forward(&own, &target);
            let sum = dice.with_reduction(Reduction::None).forward(&expected, &target).sum(None);
            loss.backward();
            sum.backward();
            let what = format!("{classes} classes, {intersection:?}, {ignore_index:?}");
            assert_close(&what, &loss.detach(), &sum.detach(), 1e-12, Relative::ToLargest);
            assert_close(&what, &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
        }
    }
}

/// The entropy in pieces is libtorch's.
#[test]
fn entropy_beside_the_overlap() {
    let logits = noise(1, &[2, 3, longer_than_a_piece() / 3 + 1], Kind::Double);
    let target = classes_of(&logits);
    let (own, expected) = (leaf(&logits), leaf(&logits));
    let loss = DiceCeLoss { lambda_dice: 0.0, ..Default::default() }.forward(&own, &target);
    let entropy = expected.cross_entropy_loss(&target, None::<&Tensor>, tch::Reduction::Mean, -100, 0.0);
    loss.backward();
    entropy.backward();
    assert_close("entropy", &loss.detach(), &entropy.detach(), 1e-12, Relative::ToLargest);
    assert_close("slopes", &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
}

/// The definition, from differences of the Jaccard loss: `errors` and `labels` are `[P]`.
fn lovasz(errors: &Tensor, labels: &Tensor) -> Tensor {
    let (sorted, order) = errors.sort(-1, true);
    let labels = labels.index_select(0, &order);
    let total = labels.sum(None);
    // The Jaccard index of what is left, which falls from 1.
    let negative: Tensor = 1.0 - &labels;
    let left = (&total - labels.cumsum(0, None)) / (&total + negative.cumsum(0, None));
    let before =
        Tensor::cat(&[Tensor::ones([1], (left.kind(), device())), left.narrow(0, 0, left.size()[0] - 1)], 0);
    (sorted.relu() * (before - left)).sum(None)
}

#[test]
fn the_order_of_many_errors() {
    for kind in [Kind::Double, Kind::Float] {
        // Errors on both sides of 0, and of 2.
        let logits = noise(1, &[2, 40_000], kind) * 3.0;
        let labels = noise(2, &[2, 40_000], kind).gt(0.5).to_kind(kind);
        let (own, expected) = (leaf(&logits), leaf(&logits.to_kind(Kind::Double)));
        let loss = LovaszHingeLoss::default().with_per_image(true).forward(&own, &labels);
        let errors: Tensor = 1.0 - &expected * (labels.to_kind(Kind::Double) * 2.0 - 1.0);
        let wide = labels.to_kind(Kind::Double);
        let defined = (0..2).map(|row| lovasz(&errors.get(row), &wide.get(row))).sum::<Tensor>() / 2.0;
        loss.backward();
        defined.backward();
        let bound = if kind == Kind::Double { 1e-10 } else { 1e-5 };
        assert!((value(&loss.detach()) / value(&defined.detach()) - 1.0).abs() < bound, "{kind:?}");
        // In f32, there are equal errors, whose order is open.
        if kind == Kind::Double {
            assert_close("slopes", &own.grad(), &expected.grad(), 1e-9, Relative::ToLargest);
        }
    }
}
