//! Losses whose gradient is computed with them, in pieces.

use tch::{Device, Kind, Tensor};
use tch_losses::{
    AsymmetricLoss, AsymmetricSingleLabelLoss, BinaryCrossEntropyLoss, CrossEntropyLoss, DiceCeLoss, Error,
    FocalLoss, Loss, PolyBinaryCrossEntropyLoss, PolyCrossEntropyLoss, Reduction, SigmoidFocalLoss,
    SoftCrossEntropyLoss, SoftTargetCrossEntropyLoss,
};

use super::focal::MODULATIONS;
use crate::common::{assert_close, device, noise, Relative};
use crate::support::{integers, leaf, longer_than_a_piece, matrix};

/// The reduced loss, which has its gradient from forward in pieces, is the sum of the unreduced one, which has libtorch's.
fn compare(input: &Tensor, reduced: &dyn Loss, plain: &dyn Loss, target: &Tensor) {
    let (own, expected) = (leaf(input), leaf(input));
    let loss = reduced.forward(&own, target);
    loss.backward();
    let sum = plain.forward(&expected, target).sum(None);
    sum.backward();
    let what = format!("{reduced:?}");
    assert_close(&what, &loss.detach(), &sum.detach(), 1e-11, Relative::ToLargest);
    assert_close(&what, &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
}

#[test]
fn pieces_are_the_graph() {
    let shape = [longer_than_a_piece() / 211 + 1, 211];
    let (input, soft) = (noise(1, &shape, Kind::Double) * 4.0, noise(2, &shape, Kind::Double).sigmoid());
    let weight = noise(3, &[211], Kind::Double).sigmoid();
    let [sum, none] = [Reduction::Sum, Reduction::None];
    for modulation in MODULATIONS {
        let focal = SigmoidFocalLoss { modulation, gamma: 1.5, ..Default::default() }.with_weight(&weight);
        compare(&input, &focal.clone().with_reduction(sum), &focal, &soft);
    }
    let poly = PolyBinaryCrossEntropyLoss { gamma: 1.5, alpha: Some(0.3), ..Default::default() };
    compare(&input, &poly.with_reduction(sum), &poly.with_reduction(none), &soft);
    for detach_focus in [false, true] {
        let loss = AsymmetricLoss { detach_focus, ..Default::default() }.with_weight(&weight);
        compare(&input, &loss.clone().with_reduction(sum), &loss.with_reduction(none), &soft);
    }
    let loss = PolyCrossEntropyLoss::default();
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &soft);
    let classes = (Tensor::arange(shape[0], (Kind::Int64, input.device())) * 7).remainder(211);
    let loss = AsymmetricSingleLabelLoss { gamma_neg: 0.5, gamma_pos: 0.5, ..Default::default() };
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &classes);
    let loss = PolyCrossEntropyLoss { label_smoothing: 0.1, ..Default::default() };
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &classes);
    let loss = BinaryCrossEntropyLoss::default();
    compare(&input, &loss.clone().with_reduction(sum), &loss.clone().with_reduction(none), &classes);
    compare(&input, &loss.clone().with_reduction(sum), &loss.with_reduction(none), &soft);
}

/// Images of which one alone has more than a piece: their places are cut.
#[test]
fn pieces_of_images_are_the_graph() {
    let size = [2, 5, longer_than_a_piece() / (5 * 257) + 1, 257];
    let input = noise(1, &size, Kind::Double) * 4.0;
    let soft = noise(2, &size, Kind::Double).softmax(1, Kind::Double);
    let classes = soft.argmax(1, false);
    let some = classes.where_scalarother(&soft.select(1, 0).gt(0.1), -100.0).to_kind(Kind::Int64);
    let [sum, none] = [Reduction::Sum, Reduction::None];
    let loss = SoftCrossEntropyLoss { smooth_factor: 0.2, ..Default::default() };
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &some);
    let loss = PolyCrossEntropyLoss::default();
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &some);
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &soft);
    let loss = FocalLoss::default().with_weight([0.5, 1.0, 2.0, 0.3, 1.0]);
    compare(&input, &loss.clone().with_reduction(sum), &loss.with_reduction(none), &some);
    let loss = AsymmetricSingleLabelLoss::default();
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &classes);
    let loss = SoftTargetCrossEntropyLoss::default();
    compare(&input, &loss.with_reduction(sum), &loss.with_reduction(none), &soft);
}

/// The sum over classes is as near to f64 as libtorch's, whatever the network is sure of: with labels of 0 and 1 and with
/// smoothed ones.
#[test]
fn sure_answers_keep_their_digits() {
    let classes = (Tensor::arange(64, (Kind::Int64, device())) * 7).remainder(10);
    let right = classes.one_hot(10).to_kind(Kind::Double);
    for size in [2.0, 8.0, 14.0, 20.0] {
        let input = (&right * 2.0 - 1.0) * size + noise(1, &[64, 10], Kind::Double);
        for label_smoothing in [0.0, 0.1] {
            let loss = BinaryCrossEntropyLoss { label_smoothing, ..Default::default() };
            let target = &right * (1.0 - label_smoothing) + label_smoothing / 10.0;
            let expected =
                input.binary_cross_entropy_with_logits::<Tensor>(&target, None, None, tch::Reduction::Mean);
            let own = loss.forward(&leaf(&input.to_kind(Kind::Float)), &classes).to_kind(Kind::Double);
            // The logits themselves are rounded.
            assert_close(&format!("{size} {label_smoothing}"), &own, &expected, 1e-5, Relative::ToLargest);
        }
    }
    // Logits that stand for classes left out.
    let input = leaf(&Tensor::from_slice2(&[[f32::MIN, f32::MIN, 1.0]]).to_device(device()));
    let class = Tensor::from_slice(&[2i64]).to_device(device());
    let value = BinaryCrossEntropyLoss::default().with_label_smoothing(0.0).forward(&input, &class);
    value.backward();
    assert!((value.double_value(&[]) - (1.0 + (-1f64).exp()).ln() / 3.0).abs() < 1e-7);
    assert!(input.grad().isfinite().all().int64_value(&[]) == 1);
}

/// An ignored place may have an infinite logit, and a class that is neither there nor ignored is an error: with a gradient
/// and without, reduced and not.
#[test]
fn ignored_places_and_wrong_classes() {
    let infinite = f64::NEG_INFINITY;
    let input = matrix(&[[infinite, 1.0, 2.0], [0.0, 1.0, 2.0]]);
    let images = input.transpose(0, 1).view([1, 3, 2]);
    for reduction in [Reduction::None, Reduction::Sum] {
        let losses: [Box<dyn Loss>; 3] = [
            Box::new(SoftCrossEntropyLoss { ignore_index: 255, reduction, ..Default::default() }),
            Box::new(PolyCrossEntropyLoss { ignore_index: 255, reduction, ..Default::default() }),
            Box::new(FocalLoss { ignore_index: 255, reduction, ..Default::default() }),
        ];
        for loss in losses {
            for tracked in [false, true] {
                let own = if tracked { leaf(&input) } else { input.shallow_clone() };
                let value = loss.forward(&own, &integers(&[255, 1])).sum(None);
                let expected = loss.forward(&input.narrow(0, 1, 1), &integers(&[1])).sum(None);
                assert_close(&format!("{loss:?}"), &value.detach(), &expected, 1e-12, Relative::ToLargest);
                if tracked {
                    value.backward();
                    assert!(own.grad().isfinite().all().int64_value(&[]) == 1, "{loss:?}");
                }
                if input.device() == Device::Cpu {
                    let wrong = loss.try_forward(&own, &integers(&[-100, 1]));
                    assert!(matches!(wrong, Err(Error::Torch(_))), "{loss:?} {tracked}");
                }
            }
        }
    }
    for weight in [None, Some([1.0, 1.0, 1.0].into())] {
        let loss = DiceCeLoss { ignore_index: Some(255), lambda_dice: 0.0, weight, ..Default::default() };
        let value = loss.forward(&leaf(&images), &integers(&[255, 1]).view([1, 2]));
        let expected = CrossEntropyLoss::default().forward(&input.narrow(0, 1, 1), &integers(&[1]));
        assert_close("Dice", &value.detach(), &expected, 1e-12, Relative::ToLargest);
        // Large factors, where nothing counts.
        let input = leaf(&images.to_kind(Kind::Float));
        let value = loss.with_lambda_ce(1e5).forward(&input, &integers(&[255, 255]).view([1, 2]));
        (&value * 65536.0).backward();
        assert_eq!((value.double_value(&[]), input.grad().abs().max().double_value(&[])), (0.0, 0.0));
    }
}
