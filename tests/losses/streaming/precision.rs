//! Images and networks of fewer digits.

use super::*;

#[test]
fn images_and_network_of_different_kinds() {
    let single = vgg();
    let double = single.to_kind(Kind::Double).unwrap();
    for (kind, vgg) in [(Kind::Double, single), (Kind::Float, double)] {
        let (input, target) = pair(&[2, 3, 16, 16], kind);
        let loss = PerceptualLoss::new(vgg);
        let (value, gradient) = streamed(&loss, &input, &target);
        assert_eq!((value.kind(), gradient.kind()), (kind, kind));
        // What has been computed in f64 differs by the rounding of the result only.
        match loss.network.kind() {
            Kind::Double => assert_same("in f64", &loss, &input, &target, 1e-6),
            _ => assert_same_up_to_turns("in f32", &loss, (&input, &target), 1e-5, 0.1),
        }
    }
}

#[test]
fn images_of_reduced_precision() {
    // Values that differ in f32 may be rounded to neighbours: one unit in the last of 11 or 8 binary digits.
    for (kind, tolerance) in [(Kind::Half, 1e-3), (Kind::BFloat16, 8e-3)] {
        let (input, target) = pair(&[3, 3, 16, 16], kind);
        // Images of so few digits have differences of exactly 0, which rounding in f32 turns to either side: 0.07 of
        // the norm each, of 768.
        for loss in reduced_edge_losses() {
            assert_same_up_to_turns(&format!("{loss:?}"), loss.as_ref(), (&input, &target), tolerance, 0.25);
        }
        let perceptual = PerceptualLoss::new(vgg());
        assert_same_up_to_turns("perceptual", &perceptual, (&input, &target), tolerance, 0.1);
    }
}

/// Gradients of a mean over millions are less than f16 holds: inside they are scaled, whatever happens
/// outside.
#[test]
fn gradients_in_reduced_precision_neither_vanish_nor_overflow() {
    let (input, target) = pair(&[2, 3, 32, 32], Kind::Float);
    let single = vgg();
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        // Kinds and the units that they round to. Seven convolutions lead to the deepest tap, so that features are
        // about √7 units off. So are lengths and values, at most; of the ReLUs and differences, a share like that
        // turns, and takes twice its share from the cosine. Twice all that is granted.
        for (kind, unit) in [(Kind::Half, 2f64.powi(-11)), (Kind::BFloat16, 2f64.powi(-8))] {
            let off = 2.0 * 7f64.sqrt() * unit;
            // Weights as small as a batch a thousand times as large would make them; images as large as can
            // be.
            for (weight, size) in [(1.0, 1.0), (1e-6, 1.0), (1e6, 1.0), (1.0, 255.0), (1.0, 5e3)] {
                let with = |vgg: Network| PerceptualLoss {
                    taps: vec![(Tap::RELU1_2, weight), (Tap::RELU3_3, weight / 3.0)],
                    criterion,
                    ..PerceptualLoss::new(vgg)
                };
                let (input, target) = (&input * size, &target * size);
                let (expected, direction) = streamed(&with(single.clone()), &input, &target);
                let loss = with(single.to_kind(kind).unwrap());
                for factor in [1.0, 65536.0, 2f64.powi(-16)] {
                    let input = leaf(&input);
                    let value = loss.forward(&input, &target);
                    (&value * factor).backward();
                    let what = format!("{kind:?} {criterion:?} {weight} {size} {factor}");
                    assert_close(&what, &value.detach(), &expected, off, Relative::ToLargest);
                    let (a, e) = (input.grad().flatten(0, -1) / factor, direction.flatten(0, -1));
                    let (a, e) = (a.to_kind(Kind::Double), e.to_kind(Kind::Double));
                    let cosine = crate::common::value(&(a.dot(&e) / (a.norm() * e.norm())));
                    assert!(cosine > 1.0 - 2.0 * off, "{what}: {cosine}");
                    let length = crate::common::value(&(a.norm() / e.norm()));
                    assert!((length - 1.0).abs() < off, "{what}: {length}");
                }
            }
        }
    }
}
