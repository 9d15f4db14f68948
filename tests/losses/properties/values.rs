//! What holds for the losses of torch.nn, beyond the numbers that are recorded.
//!
//! Bounds: 1e-12 in f64 (4500 epsilons) and 1e-5 in f32 (84 epsilons) are for one number reached in two ways. Each way
//! takes some dozens of steps, of numbers of the same magnitude, and sums of some hundred numbers at most.

use tch::{Kind, Tensor};
use tch_losses::{
    BceLoss, CrossEntropyLoss, HuberLoss, KlDivLoss, Loss, NllLoss, PoissonNllLoss, SmoothL1Loss,
};

use crate::common::{assert_close, few_roundings, noise, Relative};
use crate::support::integers;

/// Every two-tensor loss without parameters, with an input and a target that it takes.
fn losses(kind: Kind) -> Vec<(Box<dyn Loss>, Tensor, Tensor)> {
    let (x, y) = (noise(1, &[4, 3], kind), noise(2, &[4, 3], kind));
    let (probability, other) = ((&x + 1.0) * 0.5, (&y + 1.0) * 0.5);
    let (log, distribution) = (x.log_softmax(1, None), y.softmax(1, None));
    let (target, weight) = (integers(&[0, 2, 1, 2]), || Some(noise(3, &[3], kind).abs().into()));
    vec![
        (Box::new(SmoothL1Loss { beta: 0.5, ..Default::default() }), x.copy(), y.copy()),
        (Box::new(HuberLoss { delta: 0.5, ..Default::default() }), x.copy(), y.copy()),
        (Box::new(BceLoss { weight: weight(), ..Default::default() }), probability, other.copy()),
        (Box::new(KlDivLoss::default()), log.copy(), distribution.copy()),
        (Box::new(PoissonNllLoss { full: true, ..Default::default() }), x.copy(), &other * 4.0),
        (Box::new(NllLoss { weight: weight(), ..Default::default() }), log, target.copy()),
        (
            Box::new(CrossEntropyLoss { weight: weight(), label_smoothing: 0.1, ..Default::default() }),
            x.copy(),
            target,
        ),
        (Box::new(CrossEntropyLoss { weight: weight(), ..Default::default() }), x, distribution),
    ]
}

#[test]
fn maps_of_the_losses_on_images() {
    let (input, target) = (noise(1, &[2, 3, 4, 5], Kind::Double), noise(2, &[2, 3, 4, 5], Kind::Double));
    let (input, target) = ((input + 1.0) * 0.5, (target + 1.0) * 0.5);
    let weight = Some(noise(3, &[3, 1, 1], Kind::Double).abs().into());
    let losses: [Box<dyn Loss>; 4] = [
        Box::new(SmoothL1Loss { beta: 0.3, ..Default::default() }),
        Box::new(SmoothL1Loss { beta: 0.0, ..Default::default() }),
        Box::new(HuberLoss { delta: 0.3, ..Default::default() }),
        Box::new(BceLoss { weight, ..Default::default() }),
    ];
    for loss in losses {
        let map = loss.loss_map(&input, &target).unwrap().unwrap();
        assert_eq!(map.size(), [2, 1, 4, 5], "{loss:?}");
        let mean = loss.forward(&input, &target);
        assert_close(&format!("{loss:?}"), &map.mean(None), &mean, 1e-12, Relative::ToLargest);
    }
}

#[test]
fn reduced_precision() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let rounded = losses(kind);
        for ((loss, input, target), (in_f32, ..)) in rounded.into_iter().zip(losses(Kind::Float)) {
            let single = |tensor: &Tensor| match tensor.is_floating_point() {
                true => tensor.to_kind(Kind::Float),
                false => tensor.copy(),
            };
            let actual = loss.forward(&input, &target);
            assert_eq!(actual.kind(), kind, "{loss:?}");
            let expected = in_f32.forward(&single(&input), &single(&target));
            let actual = actual.to_kind(Kind::Float);
            assert_close(&format!("{loss:?}"), &actual, &expected, few_roundings(kind), Relative::ToLargest);
        }
    }
}
