//! Bad input, and masks of next to nothing.

use tch::{Device, Kind, Tensor};
use tch_losses::{
    CrossEntropyLoss, DiceCeLoss, DiceFocalLoss, DiceLoss, FocalTverskyLoss, GeneralizedDiceLoss, Loss,
    LovaszSoftmaxLoss, SegmentationMode, TverskyLoss,
};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{indices, leaf, longer_than_a_piece, message_of, vector, zeros};

#[test]
fn bad_input() {
    let message =
        |loss: &dyn Loss, input: &Tensor, target: &Tensor| message_of(loss.try_forward(input, target));
    let dice = DiceLoss::default();
    let image = zeros(&[2, 3, 4, 4]);
    assert_eq!(
        message(&dice, &image, &indices(&[2, 4, 5])),
        "`target` has shape [2, 4, 5], expected [2, 4, 4], a class for each place of the scores [2, 3, 4, 4]"
    );
    assert_eq!(
        message(&dice, &image, &zeros(&[2, 4, 4])),
        "`target` has shape [2, 4, 4], expected [2, 3, 4, 4], the shape of `input`"
    );
    assert_eq!(
        message(&dice, &image, &indices(&[2, 4, 4]).to_kind(Kind::Int)),
        "`target` has kind Int, expected Int64 or Uint8 for classes, Float for probabilities"
    );
    assert_eq!(
        message(&dice, &zeros(&[4]), &indices(&[4])),
        "`input` has shape [4], expected [N, C, ...] with at least one class"
    );
    assert_eq!(
        message(&dice.clone().with_ignore_index(0), &image, &image),
        "option `ignore_index` is 0, expected a negative number or none, for `target` holds probabilities, not classes"
    );
    assert_eq!(
        message(&dice.clone().with_weight([1.0, 2.0]), &image, &indices(&[2, 4, 4])),
        "`weight` has shape [2], expected [3], a weight for each class"
    );
    assert_eq!(
        message(&dice.clone().with_classes(vec![3]), &image, &indices(&[2, 4, 4])),
        "option `classes` is 3, expected classes of 3, from 0 to 2"
    );
    let binary = dice.with_mode(SegmentationMode::Binary);
    assert_eq!(
        message(&binary, &image, &indices(&[2, 4, 4])),
        "`target` has shape [2, 4, 4], expected [2, 3, 4, 4], the shape of `input`"
    );
    assert_eq!(
        message_of(binary.clone().with_weight([1.0]).check_options()),
        "option `weight` is set, expected none with the mode binary, which has one class"
    );
    assert_eq!(
        message_of(binary.with_classes(vec![0]).check_options()),
        "option `classes` is set, expected none with the mode binary, which has one class"
    );
    assert_eq!(
        message_of(DiceLoss::default().with_classes(vec![]).check_options()),
        "option `classes` is [], expected at least one, from 0 on"
    );
    assert_eq!(
        message_of(TverskyLoss::default().with_gamma(0.0).check_options()),
        "option `gamma` is 0, expected a finite number greater than 0"
    );
    assert_eq!(
        message(&LovaszSoftmaxLoss::default(), &image, &image),
        "`target` has kind Float, expected Int64 or Uint8, classes"
    );
    let smooth = DiceCeLoss::default().with_mode(SegmentationMode::Multilabel).with_label_smoothing(0.1);
    assert_eq!(
        message_of(smooth.check_options()),
        "option `label_smoothing` is 0.1, expected 0 with another mode than multiclass"
    );
    assert_eq!(
        message_of(DiceFocalLoss::default().with_alpha(2.0).check_options()),
        "option `alpha` is 2, expected a number in [0, 1]"
    );
    // A class that there is not: libtorch says so on the CPU.
    if device() == Device::Cpu {
        let wrong = DiceLoss::default().try_forward(&image, &(indices(&[2, 4, 4]) + 3)).unwrap_err();
        assert!(matches!(wrong, tch_losses::Error::Torch(_)), "{wrong}");
    }
}

/// A volume whose weight overflows f32 counts as none: the smaller of the others is its weight.
#[test]
fn volumes_of_next_to_nothing() {
    let input = vector(&[0.8, 0.6, 0.2, 0.4]).view([1, 2, 2]).to_kind(Kind::Float);
    let soft = |rest: f64| {
        let target = vector(&[1.0, 1.0, rest, 0.0]).view([1, 2, 2]).to_kind(Kind::Float);
        let loss = GeneralizedDiceLoss {
            from_logits: false,
            mode: SegmentationMode::Multilabel,
            ..Default::default()
        };
        let input = leaf(&input);
        let loss = loss.forward(&input, &target);
        loss.backward();
        assert!(input.grad().isfinite().all().int64_value(&[]) == 1);
        value(&loss)
    };
    assert!((soft(1e-30) - soft(0.0)).abs() < 1e-6);
}

#[test]
fn one_channel_is_no_choice() {
    let (scores, mask) = (noise(1, &[2, 1, 4, 4], Kind::Float), noise(2, &[2, 1, 4, 4], Kind::Float).ge(0.0));
    let mask = mask.to_kind(Kind::Float);
    let message = message_of(DiceLoss::default().try_forward(&scores, &mask));
    assert!(
        message.starts_with("`input` has shape [2, 1, 4, 4], expected two classes at least"),
        "{message}"
    );
    let binary = DiceLoss::default().with_mode(SegmentationMode::Binary);
    assert!(binary.try_forward(&scores, &mask).is_ok());
}

/// A label outside of bytes is no label of theirs.
#[test]
fn bytes_do_not_wrap() {
    let scores = noise(1, &[2, 3, 4, 4], Kind::Float);
    let labels = noise(2, &[2, 3, 4, 4], Kind::Float).ge(0.0);
    for ignored in [256, 257, -255, -256] {
        let of = |labels: &Tensor| {
            let loss = DiceLoss::default().with_mode(SegmentationMode::Multilabel);
            value(&loss.with_ignore_index(ignored).forward(&scores, labels))
        };
        assert_eq!(of(&labels.to_kind(Kind::Uint8)), of(&labels.to_kind(Kind::Int64)), "{ignored}");
    }
    // 255, the usual label of what does not count.
    let classes = noise(3, &[2, 4, 4], Kind::Float).ge(0.0).to_kind(Kind::Uint8);
    let marked = classes.masked_fill(&noise(4, &[2, 4, 4], Kind::Float).ge(0.0), 255);
    let loss = DiceLoss::default().with_ignore_index(255);
    let wide = value(&loss.forward(&scores, &marked.to_kind(Kind::Int64)));
    assert_eq!(value(&loss.forward(&scores, &marked)), wide);
}

/// Equal masks cost nothing, however large the power.
#[test]
fn a_steep_focus_costs_nothing_where_all_is_right() {
    let target = vector(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).view([1, 2, 3]);
    let loss = FocalTverskyLoss::default().with_gamma(200.0).with_from_logits(false);
    let input = leaf(&target);
    let own = loss.with_mode(SegmentationMode::Multilabel).forward(&input, &target);
    own.backward();
    assert_eq!(value(&own), 0.0);
    assert!(input.grad().isfinite().all().int64_value(&[]) == 1);
}

/// Both have one soft-max and one gradient where they can: with few classes and with many, in one piece and in several.
#[test]
fn dice_and_entropy_are_their_sum() {
    for (size, ignore_index) in [
        ([2i64, 3, 40, 40], None),
        ([longer_than_a_piece() / (3 * 300 * 310) + 2, 3, 300, 310], Some(1)),
        ([2, 11, 20, 30], Some(255)),
        ([2, 11, 20, 30], None),
    ] {
        let input = noise(1, &size, Kind::Double) * 4.0;
        let places = [size[0], size[2], size[3]];
        let mut target = (noise(2, &places, Kind::Double) * 50.0).round().abs().remainder(size[1] as f64);
        if let Some(index) = ignore_index {
            target = target.where_scalarother(&noise(3, &places, Kind::Double).gt(-0.3), index as f64);
        }
        let target = target.to_kind(Kind::Int64);
        let both = DiceCeLoss { ignore_index, lambda_dice: 0.7, lambda_ce: 1.3, ..Default::default() };
        let dice = DiceLoss {
            mode: SegmentationMode::Multiclass,
            from_logits: true,
            normalize_weight: false,
            ignore_index,
            ..DiceLoss::monai()
        };
        let entropy = CrossEntropyLoss::default().with_ignore_index(ignore_index.unwrap_or(-100));
        let (own, expected) = (leaf(&input), leaf(&input));
        let value = both.forward(&own, &target);
        let sum = dice.forward(&expected, &target) * 0.7 + entropy.forward(&expected, &target) * 1.3;
        value.backward();
        sum.backward();
        let what = format!("{size:?}");
        assert_close(&what, &value.detach(), &sum.detach(), 1e-12, Relative::ToLargest);
        assert_close(&what, &own.grad(), &expected.grad(), 1e-12, Relative::ToLargest);
    }
}

/// With a weight that requires a gradient, libtorch's graph computes; without one, the loss has its gradient from forward,
/// of several pieces.
#[test]
fn dice_and_focal_are_the_graph() {
    let size = [longer_than_a_piece() / (3 * 300 * 310) + 2, 3, 300, 310];
    let input = noise(1, &size, Kind::Double) * 4.0;
    let places = [size[0], size[2], size[3]];
    let target = (noise(2, &places, Kind::Double) * 50.0).round().abs().remainder(3.0).to_kind(Kind::Int64);
    let ones = leaf(&Tensor::ones([3], (Kind::Double, device())));
    for (include_background, gamma) in [(true, 2.0), (false, 1.5)] {
        let loss = DiceFocalLoss { include_background, gamma, ignore_index: Some(1), ..Default::default() };
        let (own, expected) = (leaf(&input), leaf(&input));
        let value = loss.forward(&own, &target);
        let of_graph = loss.with_weight(&ones).forward(&expected, &target);
        value.backward();
        of_graph.backward();
        assert_close("value", &value.detach(), &of_graph.detach(), 1e-12, Relative::ToLargest);
        assert_close("slopes", &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
    }
}
