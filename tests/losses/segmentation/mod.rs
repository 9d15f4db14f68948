//! Losses of segmentation: by hand, at the edges, and with options that do not fit.

mod edges;

use serde_json::Value;
use tch::{Kind, Tensor};
use tch_losses::{
    AbsentClasses, DiceCeLoss, DiceFocalLoss, DiceLoss, FocalTverskyLoss, GeneralizedDiceLoss, JaccardLoss,
    Loss, LovaszHingeLoss, LovaszSoftmaxLoss, OverlapScore, Reduction, SoftBceWithLogitsLoss,
    SoftCrossEntropyLoss, TverskyLoss, WeightTensor,
};

use crate::common::{assert_close, device, noise, value, Fixture, Relative};
use crate::support::{assert_values, differences, indices, integers, leaf, vector, zeros};

/// Two classes at four places, by their probabilities.
fn two_classes() -> (Tensor, Tensor) {
    let first = [0.9, 0.6, 0.3, 0.2];
    let second = first.map(|p| 1.0 - p);
    let input = vector(&[first, second].concat()).view([1, 2, 4]);
    (input, integers(&[0, 0, 1, 0]).view([1, 4]))
}

/// Sums of the classes: true positives 1.7 and 0.7, predicted 2 and 2, actual 3 and 1.
#[test]
fn overlaps_by_hand() {
    let (input, target) = two_classes();
    let check = |loss: &dyn Loss, expected: &[f64]| assert_values(&loss.forward(&input, &target), expected);
    let none = Reduction::None;
    let dice = DiceLoss::default().with_from_logits(false).with_reduction(none);
    check(&dice, &[1.0 - 1.7 / 2.5, 1.0 - 0.7 / 1.5]);
    let smooth = dice.clone().with_smooth_nr(0.5).with_smooth_dr(1.0);
    check(&smooth, &[1.0 - 2.2 / 3.5, 1.0 - 1.2 / 2.5]);
    check(&dice.clone().with_log_loss(true), &[-(1.7f64 / 2.5).ln(), -(0.7f64 / 1.5).ln()]);
    check(&dice.clone().with_eps(2.0), &[1.0 - 1.7 / 2.5, 1.0 - 0.7 / 2.0]);
    check(&dice.clone().with_classes(vec![1]), &[1.0 - 0.7 / 1.5]);
    check(&dice.clone().with_include_background(false), &[1.0 - 0.7 / 1.5]);
    check(&dice.clone().with_score(OverlapScore::PerSample), &[1.0 - 2.4 / 4.0]);
    let weighed = dice.with_weight([2.0, 1.0]);
    check(&weighed, &[2.0 - 3.4 / 2.5, 1.0 - 0.7 / 1.5]);
    check(&weighed.clone().with_score(OverlapScore::PerSample), &[1.0 - 4.1 / 6.5]);
    let mean = weighed.with_reduction(Reduction::Mean);
    let sum = 3.0 - 3.4 / 2.5 - 0.7 / 1.5;
    check(&mean, &[sum / 3.0]);
    check(&mean.with_normalize_weight(false), &[sum / 2.0]);
    let jaccard = JaccardLoss::default().with_from_logits(false).with_reduction(none);
    check(&jaccard, &[1.0 - 1.7 / 3.3, 1.0 - 0.7 / 2.3]);
    let tversky = TverskyLoss { alpha: 0.3, beta: 0.7, from_logits: false, ..Default::default() };
    let indices = [1.7 / (1.7 + 0.3 * 0.3 + 0.7 * 1.3), 0.7 / (0.7 + 0.3 * 1.3 + 0.7 * 0.3)];
    check(&tversky.clone().with_reduction(none), &[1.0 - indices[0], 1.0 - indices[1]]);
    let mean = 1.0 - (indices[0] + indices[1]) / 2.0;
    check(&tversky.with_gamma(2.0), &[mean * mean]);
    let focal = FocalTverskyLoss::default().with_from_logits(false).with_reduction(none);
    check(&focal, &[(1.0 - indices[0]).powf(0.75), (1.0 - indices[1]).powf(0.75)]);
    let generalized = GeneralizedDiceLoss::default().with_from_logits(false);
    check(&generalized, &[1.0 - (2.0 * (1.7 / 9.0 + 0.7) + 1e-5) / (5.0 / 9.0 + 3.0 + 1e-5)]);
}

/// The third class has no place; it is predicted with 0.5 at one of two.
#[test]
fn absent_classes() {
    let input = vector(&[1.0, 0.0, 0.0, 0.5, 0.0, 0.5]).view([1, 3, 2]);
    let target = integers(&[0, 1]).view([1, 2]);
    let present = 1.0 - 0.5 / 0.75;
    let dice = DiceLoss::default().with_from_logits(false);
    for (absent, expected) in [
        (AbsentClasses::Zero, present / 3.0),
        (AbsentClasses::Count, (present + 1.0) / 3.0),
        (AbsentClasses::Exclude, present / 2.0),
    ] {
        assert_values(&dice.clone().with_absent(absent).forward(&input, &target), &[expected]);
    }
    // The absent class has the weight of the rarest one.
    let uneven = integers(&[0, 0, 1]).view([1, 3]);
    let input = vector(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5]).view([1, 3, 3]);
    let loss = GeneralizedDiceLoss::default().with_from_logits(false).with_smooth_nr(0.0).with_smooth_dr(0.0);
    assert_values(&loss.forward(&input, &uneven), &[1.0 - 2.0 * (0.5 + 0.5) / (1.0 + 1.5 + 0.5)]);
}

/// The errors 1.5, 0.5 and 0 of one positive label and two negative ones.
#[test]
fn lovasz_by_hand() {
    let (logits, labels) = (vector(&[0.5, -1.0, 0.5]).view([1, 3]), vector(&[0.0, 0.0, 1.0]).view([1, 3]));
    // Wrong at the first place: half of the index. At the first and the third: all of it.
    assert_values(&LovaszHingeLoss::default().forward(&logits, &labels), &[1.5 * 0.5 + 0.5 * 0.5]);
    let input = leaf(&logits);
    LovaszHingeLoss::default().forward(&input, &labels).backward();
    assert_values(&input.grad(), &[0.5, 0.0, -0.5]);
    // Without a positive label, the largest error.
    assert_values(&LovaszHingeLoss::default().forward(&logits, &labels.zeros_like()), &[1.5]);
    // Of an image of one place.
    assert_values(&LovaszHingeLoss::default().forward(&vector(&[0.25]), &vector(&[1.0])), &[0.75]);
    // Both classes have one place of two: errors p and q of the other class, in this order for p > q.
    let (p, q) = (0.7f64, 0.4f64);
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let logits = vector(&[0.0, 0.0, logit(p), logit(q)]).view([1, 2, 2]);
    let loss = LovaszSoftmaxLoss::default().forward(&logits, &integers(&[0, 1]).view([1, 2]));
    // Class 0: errors p (its own place) and 1 - q; class 1: the same errors, the other way round.
    assert_values(&loss, &[(p + (1.0 - q) * 0.0 + p * 0.5 + (1.0 - q) * 0.5) / 2.0]);
}

#[test]
fn soft_entropies_by_hand() {
    let (logits, labels) = (vector(&[0.0, 3.0, 1.0]), vector(&[1.0, 255.0, 0.0]));
    let loss = SoftBceWithLogitsLoss::default().with_ignore_index(255).with_smooth_factor(0.1);
    let soft = 1f64.exp().ln_1p() - 0.1;
    assert_values(&loss.forward(&logits, &labels), &[(2f64.ln() + soft) / 3.0]);
    let logits = vector(&[0.0, 0.0, 2f64.ln(), 0.0]).view([2, 2]);
    let loss = SoftCrossEntropyLoss::default().with_smooth_factor(0.2).with_reduction(Reduction::None);
    let right = -(2f64 / 3.0).ln();
    let other = 3f64.ln();
    assert_values(&loss.forward(&logits, &integers(&[0, 0])), &[2f64.ln(), 0.9 * right + 0.1 * other]);
}

fn all_of_classes() -> Vec<Box<dyn Loss>> {
    vec![
        Box::new(DiceLoss::default()),
        Box::new(DiceLoss::kornia()),
        Box::new(DiceLoss::kornia_macro()),
        Box::new(DiceLoss::default().with_log_loss(true)),
        Box::new(JaccardLoss::default()),
        Box::new(TverskyLoss::default().with_gamma(0.75)),
        Box::new(TverskyLoss::kornia(0.3, 0.7)),
        Box::new(FocalTverskyLoss::default()),
        Box::new(GeneralizedDiceLoss::default()),
        Box::new(DiceCeLoss::default()),
        Box::new(DiceCeLoss::default().with_label_smoothing(0.1).with_weight([1.0, 2.0, 3.0])),
        Box::new(DiceFocalLoss::default()),
        Box::new(LovaszSoftmaxLoss::default()),
        Box::new(LovaszSoftmaxLoss::default().with_per_image(true)),
        Box::new(SoftCrossEntropyLoss::default()),
    ]
}

fn ignoring(loss: &dyn Loss) -> Option<Box<dyn Loss>> {
    let name = format!("{loss:?}");
    let name = name.split(' ').next().unwrap();
    Some(match name {
        "DiceLoss" => Box::new(DiceLoss::default().with_ignore_index(255)),
        "JaccardLoss" => Box::new(JaccardLoss::default().with_ignore_index(255)),
        "TverskyLoss" => Box::new(TverskyLoss::kornia(0.3, 0.7).with_ignore_index(255)),
        "FocalTverskyLoss" => Box::new(FocalTverskyLoss::default().with_ignore_index(255)),
        "GeneralizedDiceLoss" => Box::new(GeneralizedDiceLoss::default().with_ignore_index(255)),
        "DiceCeLoss" => Box::new(DiceCeLoss::default().with_ignore_index(255)),
        "DiceFocalLoss" => Box::new(DiceFocalLoss::default().with_ignore_index(255)),
        "LovaszSoftmaxLoss" => Box::new(LovaszSoftmaxLoss::default().with_ignore_index(255)),
        "SoftCrossEntropyLoss" => Box::new(SoftCrossEntropyLoss::default().with_ignore_index(255)),
        _ => return None,
    })
}

/// The value and the gradient are numbers.
#[track_caller]
fn assert_finite(what: &str, loss: &dyn Loss, input: &Tensor, target: &Tensor) -> (f64, Tensor) {
    let input = leaf(input);
    let value_of = loss.forward(&input, target);
    value_of.backward();
    assert_eq!(value_of.kind(), input.kind());
    for tensor in [&value_of, &input.grad()] {
        assert!(bool::try_from(tensor.isfinite().all()).unwrap(), "{what} {loss:?}: {tensor:?}");
    }
    (value(&value_of), input.grad())
}

#[test]
fn extreme_logits_are_finite() {
    let target = integers(&[0, 0, 1, 1, 0, 1]).view([2, 3]);
    for kind in [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16] {
        for size in [0.0, 1e-4, 100.0, 1e4] {
            let logits = (noise(1, &[2, 3, 3], Kind::Double) * size).to_kind(kind);
            for loss in all_of_classes() {
                let _ = assert_finite(&format!("{size} {kind:?}"), &*loss, &logits, &target);
            }
        }
    }
}

/// Where nothing counts, nothing is to be learnt.
#[test]
fn all_ignored() {
    let logits = noise(1, &[2, 3, 4], Kind::Double);
    let target = indices(&[2, 4]) + 255;
    for loss in all_of_classes().iter().filter_map(|loss| ignoring(&**loss)) {
        let (_, gradient) = assert_finite("ignored", &*loss, &logits, &target);
        assert_eq!(value(&gradient.abs().max()), 0.0, "{loss:?}");
    }
    let lovasz = LovaszHingeLoss::default().with_ignore_index(255);
    let (loss, gradient) = assert_finite("ignored", &lovasz, &logits, &(logits.zeros_like() + 255.0));
    assert_eq!((loss, value(&gradient.abs().max())), (0.0, 0.0));
}

/// Ignored places are as good as cut off.
#[test]
fn ignored_places_change_nothing() {
    let logits = noise(1, &[2, 3, 4], Kind::Double);
    let target = integers(&[0, 1, 2, 0, 2, 1, 1, 0]).view([2, 4]);
    let more = Tensor::cat(&[&logits, &(noise(2, &[2, 3, 3], Kind::Double) * 5.0)], 2);
    let with_ignored = Tensor::cat(&[&target, &(indices(&[2, 3]) + 255)], 1);
    for loss in all_of_classes().iter().filter_map(|loss| ignoring(&**loss)) {
        // It counts them in the mean, on purpose.
        let factor = if format!("{loss:?}").starts_with("SoftCross") { 7.0 / 4.0 } else { 1.0 };
        let (expected, gradient) = assert_finite("without", &*loss, &logits, &target);
        let (own, own_gradient) = assert_finite("with", &*loss, &more, &with_ignored);
        assert!((own * factor - expected).abs() < 1e-12, "{loss:?}: {own} {expected}");
        let counted = own_gradient.narrow(2, 0, 4) * factor;
        assert_close("gradient", &counted, &gradient, 1e-12, Relative::ToLargest);
        assert_eq!(value(&own_gradient.narrow(2, 4, 3).abs().max()), 0.0, "{loss:?}");
    }
}

#[test]
fn nothing_at_all() {
    for shape in [[0, 3, 4], [2, 3, 0]] {
        for loss in all_of_classes() {
            let input = leaf(&zeros(&shape));
            let target = indices(&[shape[0], shape[2]]);
            let value = loss.try_forward(&input, &target).unwrap();
            value.backward();
            assert_eq!(input.grad().size(), shape, "{loss:?}");
        }
    }
    assert_eq!(value(&DiceLoss::default().forward(&zeros(&[0, 3, 4]), &indices(&[0, 4]))), 0.0);
}

/// Sums of a million places keep their digits in f32.
#[test]
fn large_areas_are_exact() {
    let count = 1 << 20;
    let logits = Tensor::zeros([1, 2, count], (Kind::Float, device()));
    let target = indices(&[1, count]);
    // Half of all places is right: 1 - 2 * 0.5 / (0.5 + 1), and nothing for the absent class.
    let loss = value(&DiceLoss::default().forward(&logits, &target));
    assert!((loss - 1.0 / 6.0).abs() < 1e-6, "{loss}");
}

/// Second derivatives, through the reduction none.
#[test]
fn second_derivatives() {
    let logits = noise(1, &[1, 2, 3], Kind::Double);
    let target = integers(&[0, 1, 1]).view([1, 3]);
    let dice = DiceLoss::default().with_reduction(Reduction::None);
    let norm = |input: &Tensor| {
        let loss = dice.forward(input, &target).mean(None);
        Tensor::run_backward(&[loss], &[input], true, true).remove(0).square().sum(None)
    };
    let input = leaf(&logits);
    norm(&input).backward();
    // A step of 1e-5 is off by 1e-10 times some tens.
    assert_close("gradient", &input.grad(), &differences(&logits, 1e-5, norm), 1e-7, Relative::ToLargest);
}

/// A weight that is learnt has its gradient.
#[test]
fn weights_have_gradients() {
    let (input, target) =
        (noise(1, &[2, 3, 4], Kind::Double), integers(&[0, 1, 2, 0, 2, 1, 1, 0]).view([2, 4]));
    let of = |weight: &Tensor| {
        DiceLoss { weight: Some(WeightTensor::from(weight)), ..Default::default() }
            .forward(&leaf(&input), &target)
    };
    let weight = leaf(&vector(&[0.5, 1.0, 2.0]));
    of(&weight).backward();
    let slopes = differences(&vector(&[0.5, 1.0, 2.0]), 1e-5, of);
    assert_close("weight", &weight.grad(), &slopes, 1e-7, Relative::ToLargest);
}

/// The presets have the options of the cases that are recorded from their libraries.
#[test]
fn presets() {
    let fixture = Fixture::load("segmentation");
    let preset = |name: &str| -> Value {
        match name {
            "dice_monai" => serde_json::to_value(DiceLoss::monai()),
            "dice_kornia" => serde_json::to_value(DiceLoss::kornia()),
            "dice_macro" => serde_json::to_value(DiceLoss::kornia_macro()),
            "jaccard_monai" => serde_json::to_value(JaccardLoss::monai()),
            "tversky_monai" => serde_json::to_value(TverskyLoss::monai()),
            "tversky_kornia" => serde_json::to_value(TverskyLoss::kornia(0.3, 0.6)),
            _ => return Value::Null,
        }
        .unwrap()
    };
    let mut compared = 0;
    for case in &fixture.cases {
        let preset = preset(case.name.split('.').next().unwrap());
        let is_plain = case.name.ends_with("2x3x2x4") || case.name.ends_with(".plain");
        if preset == Value::Null || !is_plain {
            continue;
        }
        for (option, value) in case.options.iter().filter(|(option, _)| *option != "reduction") {
            assert_eq!(&preset[option], value, "{} {option}", case.name);
        }
        compared += 1;
    }
    // Each in two precisions.
    assert!(compared >= 6 * 2, "{compared}");
}
