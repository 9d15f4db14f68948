//! Losses on boxes: by hand, and boxes without an area.

use tch::{Kind, Tensor};
use tch_losses::{
    BoxIouLoss, CompleteBoxIouLoss, DistanceBoxIouLoss, GeneralizedBoxIouLoss, Loss, Reduction,
};

use crate::common::{assert_close, noise, value, Relative};
use crate::support::{differences, leaf, longer_than_a_piece, matrix, message_of, vector, zeros};

const EPS: f64 = 1e-7;

fn all() -> [Box<dyn Loss>; 4] {
    [
        Box::new(BoxIouLoss::default()),
        Box::new(GeneralizedBoxIouLoss::default()),
        Box::new(DistanceBoxIouLoss::default()),
        Box::new(CompleteBoxIouLoss::default()),
    ]
}

fn reduced() -> [Box<dyn Loss>; 4] {
    let reduction = Reduction::Sum;
    [
        Box::new(BoxIouLoss { reduction, ..Default::default() }),
        Box::new(GeneralizedBoxIouLoss { reduction, ..Default::default() }),
        Box::new(DistanceBoxIouLoss { reduction, ..Default::default() }),
        Box::new(CompleteBoxIouLoss { reduction, ..Default::default() }),
    ]
}

fn losses_of(input: &Tensor, target: &Tensor) -> Vec<f64> {
    all().iter().map(|loss| value(&loss.forward(input, target))).collect()
}

/// 1 of 7 in common, a box of 4 times 3 around both, centres 1.5 and 0 apart.
#[test]
fn by_hand() {
    let (input, target) = (vector(&[0.0, 0.0, 2.0, 3.0]), vector(&[1.0, 1.0, 4.0, 2.0]));
    let iou = 1.0 / (8.0 + EPS);
    let generalized = 1.0 - iou + 4.0 / (12.0 + EPS);
    let distance = 1.0 - iou + 2.25 / (25.0 + EPS);
    let aspect = 4.0 / std::f64::consts::PI.powi(2) * (3f64.atan() - (2f64 / 3.0).atan()).powi(2);
    let complete = distance + aspect * aspect / (1.0 - iou + aspect + EPS);
    let expected = [1.0 - iou, generalized, distance, complete];
    for (own, expected) in losses_of(&input, &target).iter().zip(expected) {
        assert!((own - expected).abs() < 1e-14, "{own} {expected}");
    }
    // The numbers that others have published for these boxes.
    for (own, expected) in
        losses_of(&input, &target).iter().zip([0.875, 1.2083333321, 0.9650000012, 0.9948114095])
    {
        assert!((own - expected).abs() < 1e-7, "{own} {expected}");
    }
}

#[test]
fn the_same_box_costs_nothing() {
    let boxes = matrix(&[[0.0, 0.0, 2.0, 3.0], [-1.0, 5.0, 7.0, 6.0]]);
    for loss in all() {
        let loss = loss.forward(&boxes, &boxes);
        assert_eq!(loss.size(), [2]);
        // eps over the smaller area.
        assert!(value(&loss.abs().max()) < EPS / 5.9, "{loss:?}");
    }
}

/// Apart, the overlap has no gradient; the others draw the boxes together.
#[test]
fn boxes_apart_are_drawn_together() {
    let target = vector(&[10.0, 0.0, 12.0, 2.0]);
    for (index, loss) in all().iter().enumerate() {
        let input = leaf(&vector(&[0.0, 0.0, 2.0, 2.0]));
        loss.forward(&input, &target).backward();
        let along = value(&(input.grad().get(0) + input.grad().get(2)));
        assert!(if index == 0 { along == 0.0 } else { along < -1e-3 }, "{loss:?}: {along}");
    }
}

/// Points and lines, and boxes of which a corner is on the wrong side.
fn without_an_area() -> Tensor {
    matrix(&[
        [1.0, 1.0, 1.0, 1.0],
        [0.0, 2.0, 3.0, 2.0],
        [2.0, 0.0, 2.0, 3.0],
        [3.0, 3.0, 2.0, 2.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1e-30, 1e-30],
        [0.0, 0.0, 1.0, 1.0],
    ])
}

/// No division of 0 by 0, forward or back.
#[test]
fn boxes_without_an_area_are_finite() {
    let boxes = without_an_area();
    for kind in [Kind::Float, Kind::Double] {
        let boxes = boxes.to_kind(kind);
        let count = boxes.size()[0];
        // Each with each.
        let input = boxes.unsqueeze(0).expand([count, count, 4], false);
        let target = boxes.unsqueeze(1).expand([count, count, 4], false);
        for loss in all() {
            let (input, target) = (leaf(&input), leaf(&target));
            let losses = loss.forward(&input, &target);
            assert_eq!(losses.size(), [count, count]);
            losses.sum(None).backward();
            for tensor in [&losses, &input.grad(), &target.grad()] {
                assert!(bool::try_from(tensor.isfinite().all()).unwrap(), "{loss:?} {kind:?} {tensor}");
            }
        }
        for loss in reduced() {
            let input = leaf(&input);
            let sum = loss.forward(&input, &target);
            sum.backward();
            for tensor in [&sum, &input.grad()] {
                assert!(bool::try_from(tensor.isfinite().all()).unwrap(), "{loss:?} {kind:?} {tensor}");
            }
        }
    }
}

/// Reduced losses have their gradient from forward, unreduced ones from libtorch: of more boxes than a piece has, of
/// edges that coincide, and of boxes without an area.
#[test]
fn reduced_losses_have_the_gradient_of_the_graph() {
    let pairs = longer_than_a_piece() / 4 + 1;
    let corners = noise(1, &[pairs, 2], Kind::Double) * 50.0;
    let boxes = Tensor::cat(&[&corners, &(&corners + noise(2, &[pairs, 2], Kind::Double).exp() * 20.0)], 1);
    // Half of the edges coincide.
    let near = &boxes + (noise(3, &[pairs, 4], Kind::Double).clamp_min(0.0) * 10.0);
    let empty = without_an_area();
    let count = empty.size()[0];
    let each = |dim: i64| empty.unsqueeze(dim).expand([count, count, 4], false).contiguous();
    for (input, target) in [(near, boxes), (each(0), each(1))] {
        for (plain, reduced) in all().iter().zip(reduced()) {
            let (own, expected) = (leaf(&input), leaf(&input));
            let sum = plain.forward(&expected, &target).sum(None);
            let loss = reduced.forward(&own, &target);
            sum.backward();
            loss.backward();
            let what = format!("{reduced:?} {:?}", input.size());
            assert_close(&what, &loss.detach(), &sum.detach(), 1e-12, Relative::ToLargest);
            // Each coordinate beside its own size: those of boxes without an area are large.
            let (own, expected) = (own.grad(), expected.grad());
            let off = (&own - &expected).abs() / (expected.abs() + 1e-9);
            assert!(value(&off.max()) < 1e-6, "{what}: {own} {expected}");
        }
    }
}

/// Boxes whose squared diagonals f32 has no digits for, or has rounded to 0.
#[test]
fn tiny_boxes_have_finite_slopes() {
    let tiny = matrix(&[
        [0.0, 0.0, 1e-20, 2e-20],
        [0.0, 0.0, 1e-40, 1e-40],
        [0.0, 0.0, 1e-22, 3e-19],
        [0.0, 0.0, 0.0, 1e-20],
    ]);
    let unit =
        matrix(&[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 3.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 10.0, 1.0]]);
    let input = leaf(&tiny.to_kind(Kind::Float));
    for loss in reduced() {
        loss.forward(&input, &unit.to_kind(Kind::Float)).backward();
    }
    assert!(bool::try_from(input.grad().isfinite().all()).unwrap(), "{}", input.grad());
}

/// Of the complete IoU, the weight of the aspect ratio is a constant. With it held fast, differences have the slope.
#[test]
fn the_gradient_of_the_complete_iou() {
    let target = vector(&[1.0, 1.0, 4.0, 2.0]);
    let at = vector(&[0.5, 0.25, 2.0, 3.0]);
    let complete = |input: &Tensor| CompleteBoxIouLoss::default().forward(input, &target);
    let distance = |input: &Tensor| DistanceBoxIouLoss::default().forward(input, &target);
    let overlap = |input: &Tensor| BoxIouLoss::default().forward(input, &target);
    let angle = |boxes: &Tensor| {
        let side = |dim: i64| boxes.get(dim + 2) - boxes.get(dim);
        (side(0) / side(1)).atan()
    };
    let aspect =
        |input: &Tensor| (angle(&target) - angle(input)).square() * (4.0 / std::f64::consts::PI.powi(2));
    let share = {
        let aspect = aspect(&at);
        &aspect / (overlap(&at) + &aspect + EPS)
    };
    let frozen = |input: &Tensor| distance(input) + &share * aspect(input);
    assert!((value(&frozen(&at)) - value(&complete(&at))).abs() < 1e-12);
    let input = leaf(&at);
    complete(&input).backward();
    // A step of 1e-5 is off by 1e-10 times the third derivative, some tens.
    let slopes = differences(&at, 1e-5, frozen);
    assert_close("gradient", &input.grad(), &slopes, 1e-7, Relative::ToLargest);
}

#[test]
fn no_boxes() {
    for loss in [Reduction::Mean, Reduction::Sum] {
        let input = leaf(&zeros(&[0, 4]));
        let loss = GeneralizedBoxIouLoss::default().with_reduction(loss).forward(&input, &zeros(&[0, 4]));
        assert_eq!(value(&loss), 0.0);
        loss.backward();
        assert_eq!(input.grad().size(), [0, 4]);
    }
    let none = GeneralizedBoxIouLoss::default().forward(&zeros(&[0, 4]), &zeros(&[0, 4]));
    assert_eq!(none.size(), [0]);
}

#[test]
fn bad_input() {
    for loss in all() {
        let message =
            |input: &[i64], target: &[i64]| message_of(loss.try_forward(&zeros(input), &zeros(target)));
        assert_eq!(
            message(&[2, 3], &[2, 3]),
            "`input` has shape [2, 3], expected [..., 4], boxes as x1, y1, x2, y2"
        );
        assert_eq!(message(&[], &[]), "`input` has shape [], expected [..., 4], boxes as x1, y1, x2, y2");
        assert_eq!(
            message(&[2, 4], &[3, 4]),
            "`target` has shape [3, 4], expected [2, 4], the shape of `input`"
        );
    }
    let eps = CompleteBoxIouLoss::default().with_eps(0.0).check_options();
    assert_eq!(message_of(eps), "option `eps` is 0, expected a finite number greater than 0");
}

/// An `eps` that f32 loses beside 1: equal boxes cost nothing still.
#[test]
fn equal_boxes_with_a_small_eps() {
    let boxes = Tensor::from_slice2(&[[10f32, 10., 60., 50.], [0., 0., 1., 1.]]);
    let input = leaf(&boxes);
    let loss = CompleteBoxIouLoss::default().with_eps(1e-12).with_reduction(Reduction::Sum);
    let value_of = loss.forward(&input, &boxes);
    value_of.backward();
    assert!(value(&value_of).abs() < 1e-5);
    assert!(input.grad().isfinite().all().int64_value(&[]) == 1);
}
