//! BYOL's loss, the negative cosine.

use tch::{Kind, Tensor};
use tch_losses::{ByolLoss, Loss, Reduction};

use crate::common::{assert_close, noise, value, values, Relative};
use crate::support::{assert_values, leaf, longer_than_a_piece, matrix, message_of, vector, zeros};

#[test]
fn by_hand() {
    let prediction = matrix(&[[3.0, 4.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]);
    let target = matrix(&[[1.0, 0.0], [0.0, 5.0], [-7.0, 0.0], [1.0, 1.0]]);
    let none = ByolLoss::default().with_reduction(Reduction::None);
    assert_values(&none.forward(&prediction, &target), &[-0.6, -1.0, 1.0, 0.0]);
    assert_values(&none.with_squared_distance(true).forward(&prediction, &target), &[0.8, 0.0, 4.0, 2.0]);
    assert_values(&ByolLoss::default().forward(&prediction, &target), &[-0.15]);
    assert_values(&ByolLoss::byol().with_reduction(Reduction::Sum).forward(&prediction, &target), &[6.8]);
    // The distance of the directions.
    let (a, b) = (noise(1, &[5, 7], Kind::Double), noise(2, &[5, 7], Kind::Double));
    let unit =
        |rows: &Tensor| rows / rows.square().sum_dim_intlist([-1i64].as_slice(), true, Kind::Double).sqrt();
    let distances = (unit(&a) - unit(&b)).square().sum_dim_intlist([-1i64].as_slice(), false, Kind::Double);
    assert_values(&ByolLoss::byol().forward(&a, &b), &[value(&distances.mean(Kind::Double))]);
}

fn gradient(loss: &dyn Fn(&Tensor) -> Tensor, prediction: &Tensor) -> Tensor {
    let prediction = leaf(prediction);
    loss(&prediction).backward();
    prediction.grad()
}

/// What forward computes is what libtorch's graph gives: of more rows than a piece has, with zeros and short vectors.
#[test]
fn gradients_of_forward_and_of_the_graph() {
    for (rows, features) in [(longer_than_a_piece() / 400 + 1, 400), (7, 1), (1, 9)] {
        for kind in [Kind::Float, Kind::Double] {
            let prediction = noise(1, &[rows, features], kind);
            let _ = prediction.get(0).fill_(0.0);
            let _ = prediction.get(rows - 1).g_mul_scalar_(1e-9);
            let target = noise(2, &[rows, features], kind);
            for squared in [false, true] {
                let sum = ByolLoss::default().with_squared_distance(squared).with_reduction(Reduction::Sum);
                let none = sum.with_reduction(Reduction::None);
                let own = gradient(&|prediction| sum.forward(prediction, &target), &prediction);
                let expected =
                    gradient(&|prediction| none.forward(prediction, &target).sum(None), &prediction);
                // Some hundreds of roundings of numbers near the lengths.
                let tolerance = if kind == Kind::Float { 1e-4 } else { 1e-12 };
                let floor = Relative::ToElement { floor: 1.0 };
                assert_close("gradient", &own, &expected, tolerance, floor);
                let (own, expected) =
                    (sum.forward(&leaf(&prediction), &target), none.forward(&prediction, &target));
                assert_close("value", &own, &expected.sum(None), tolerance, floor);
            }
        }
    }
}

#[test]
fn the_target_is_a_constant() {
    let (prediction, target) = (leaf(&noise(1, &[3, 4], Kind::Float)), leaf(&noise(2, &[3, 4], Kind::Float)));
    for reduction in [Reduction::Mean, Reduction::None] {
        let loss = ByolLoss::default().with_reduction(reduction).forward(&prediction, &target);
        loss.sum(None).backward();
        assert!(prediction.grad().defined() && !target.grad().defined());
        assert!(!ByolLoss::default().forward(&prediction.detach(), &target).requires_grad());
    }
}

#[test]
fn lengths_of_any_size() {
    let (prediction, target) = (noise(1, &[4, 3], Kind::Float), noise(2, &[4, 3], Kind::Float));
    for size in [0.0, 1e-40, 1e-30, 1e-10, 1e10, 1e18, 1e25, 1e38] {
        for other in [0.0, 1e-40, 1.0, 1e38] {
            for reduction in [Reduction::Mean, Reduction::None] {
                let loss = ByolLoss::byol().with_reduction(reduction);
                let prediction = leaf(&(&prediction * size));
                let own = loss.forward(&prediction, &(&target * other));
                own.mean(None).backward();
                for tensor in [&own, &prediction.grad()] {
                    let finite = values(tensor).iter().all(|number| number.is_finite());
                    assert!(finite, "{size} {other} {reduction:?} {tensor:?}");
                }
            }
        }
    }
}

#[test]
fn shapes() {
    assert_values(&ByolLoss::default().forward(&vector(&[2.0, 0.0]), &vector(&[1.0, 0.0])), &[-1.0]);
    let images = noise(1, &[2, 3, 5, 4], Kind::Double);
    let none = ByolLoss::default().with_reduction(Reduction::None);
    assert_eq!(none.forward(&images, &images).size(), [2, 3, 5]);
    assert!(value(&ByolLoss::default().forward(&leaf(&zeros(&[0, 3])), &zeros(&[0, 3]))).is_nan());
}

#[test]
fn refusals() {
    let loss = ByolLoss::default();
    let rows = zeros(&[2, 3]);
    let messages = [
        message_of(loss.try_forward(&zeros(&[]), &zeros(&[]))),
        message_of(loss.try_forward(&zeros(&[2, 0]), &zeros(&[2, 0]))),
        message_of(loss.try_forward(&rows, &zeros(&[3]))),
        message_of(loss.try_forward(&rows, &rows.to_kind(Kind::Double))),
        message_of(loss.with_eps(0.0).try_forward(&rows, &rows)),
    ];
    let expected = [
        "`prediction` has shape [], expected [..., D] with D at least 1",
        "`prediction` has shape [2, 0], expected [..., D] with D at least 1",
        "`target` has shape [3], expected [2, 3], the shape of `prediction`",
        "`target` has kind Double, expected Float, the kind of `prediction`",
        "option `eps` is 0, expected a finite number greater than 0",
    ];
    assert_eq!(messages, expected);
}
