//! Losses of distributions over classes, by hand.

use tch::{Kind, Tensor};
use tch_losses::{
    AsymmetricLoss, AsymmetricSingleLabelLoss, BinaryCrossEntropyLoss, CrossEntropyLoss, DistillationLoss,
    FocalLoss, JsdCrossEntropyLoss, KlDivLoss, Loss, MaskedSoftTargetCrossEntropyLoss,
    PolyBinaryCrossEntropyLoss, PolyCrossEntropyLoss, Reduction, SigmoidFocalLoss,
    SoftTargetCrossEntropyLoss, TernaryLoss,
};

use crate::common::{assert_close, noise, value, values, Relative};
use crate::support::{
    assert_values, indices, integers, leaf, longer_than_a_piece, matrix, message_of, zeros,
};

#[test]
fn soft_targets_are_probabilities_of_cross_entropy() {
    for shape in [vec![4], vec![3, 4], vec![2, 3, 2, 2]] {
        let axis = i64::from(shape.len() > 1);
        let (input, target) =
            (noise(1, &shape, Kind::Double) * 3.0, noise(2, &shape, Kind::Double).softmax(axis, None));
        for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
            let own = SoftTargetCrossEntropyLoss { reduction }.forward(&input, &target);
            let expected = CrossEntropyLoss { reduction, ..Default::default() }.forward(&input, &target);
            assert_close(&format!("{shape:?} {reduction:?}"), &own, &expected, 1e-12, Relative::ToLargest);
        }
    }
}

/// What is left is a soft-max of its own, whatever the logits of the others.
#[test]
fn moves_that_are_not_legal() {
    let policy = matrix(&[[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]);
    let logits = matrix(&[[1.0, f64::NEG_INFINITY, 2.0], [-7.0, 3.0, 9e9]]);
    let legal = integers(&[1, 0, 1, 0, 1, 0]).view([2, 3]);
    let two = ((1f64.exp() + 2f64.exp()).ln() - 1.0, (1f64.exp() + 2f64.exp()).ln() - 2.0);
    let expected = 0.25 * two.0 + 0.75 * two.1;
    let p = 1.0 / (1.0 + 1f64.exp());
    let slopes = [p - 0.25, 0.0, 1.0 - p - 0.75, 0.0, 0.0, 0.0];
    for reduction in [Reduction::None, Reduction::Sum] {
        for mask in [legal.shallow_clone(), legal.to_kind(Kind::Bool), legal.to_kind(Kind::Uint8)] {
            let own = leaf(&logits);
            let loss = MaskedSoftTargetCrossEntropyLoss { reduction }.forward(&own, &policy, &mask);
            loss.sum(None).backward();
            assert_values(&loss.sum(None), &[expected]);
            assert_values(&own.grad(), &slopes);
        }
        // What the target says of other moves does not count, and no moves at all cost nothing.
        let both = [(legal.shallow_clone(), expected), (legal.zeros_like(), 0.0)];
        for (mask, expected) in both {
            let own = leaf(&logits);
            let target = &policy + legal.eq(0).to_kind(Kind::Double) * 5.0;
            let loss = MaskedSoftTargetCrossEntropyLoss { reduction }.forward(&own, &target, &mask);
            loss.sum(None).backward();
            assert_values(&loss.sum(None), &[expected]);
            assert!(values(&own.grad()).iter().all(|slope| slope.is_finite()));
        }
    }
}

#[test]
fn distillation() {
    let (student, teacher) = (noise(1, &[3, 4], Kind::Double) * 3.0, noise(2, &[3, 4], Kind::Double) * 3.0);
    let loss = DistillationLoss::default();
    assert!(value(&loss.forward(&student, &student)).abs() < 1e-14);
    let expected = KlDivLoss { reduction: Reduction::BatchMean, ..Default::default() }
        .forward(&student.log_softmax(1, None), &teacher.softmax(1, None));
    assert_close("KL", &loss.forward(&student, &teacher), &expected, 1e-12, Relative::ToLargest);
    // At a high temperature it is half the mean square of the centred logits.
    let hot = loss.with_temperature(1e4).forward(&student, &teacher);
    let difference = &student - &teacher;
    let centred = &difference - difference.mean_dim([1i64].as_slice(), true, None);
    let expected = centred.square().mean_dim([1i64].as_slice(), false, None).mean(None) / 2.0;
    assert_close("hot", &hot, &expected, 1e-3, Relative::ToLargest);
    // Of an image, the batch mean counts samples and the mean places.
    let (student, teacher) = (noise(1, &[2, 3, 4], Kind::Double), noise(2, &[2, 3, 4], Kind::Double));
    let mean = loss.with_reduction(Reduction::Mean).forward(&student, &teacher);
    let of_batch = loss.forward(&student, &teacher);
    assert_close("places", &of_batch, &(mean * 4.0), 1e-12, Relative::ToLargest);
}

#[test]
fn pieces_are_the_graph() {
    // With one row more, these are the three splits of JSD.
    let samples = longer_than_a_piece() / (3 * 211) + 2;
    let shape = [3 * samples - 1, 211];
    let (input, other) = (noise(1, &shape, Kind::Double) * 3.0, noise(2, &shape, Kind::Double) * 3.0);
    let check = |what: &str, reduced: &dyn Fn(&Tensor) -> Tensor, plain: &dyn Fn(&Tensor) -> Tensor| {
        let (own, expected) = (leaf(&input), leaf(&input));
        let (loss, sum) = (reduced(&own), plain(&expected).sum(None));
        loss.backward();
        sum.backward();
        assert_close(what, &loss.detach(), &sum.detach(), 1e-11, Relative::ToLargest);
        assert_close(what, &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
    };
    let [sum, none] = [Reduction::Sum, Reduction::None];
    let target = other.softmax(1, None);
    let soft = |reduction| SoftTargetCrossEntropyLoss { reduction };
    check("soft", &|x| soft(sum).forward(x, &target), &|x| soft(none).forward(x, &target));
    let (masked, mask) = (|reduction| MaskedSoftTargetCrossEntropyLoss { reduction }, other.gt(0.0));
    check("masked", &|x| masked(sum).forward(x, &target, &mask), &|x| {
        masked(none).forward(x, &target, &mask)
    });
    let distilled = |reduction| DistillationLoss { temperature: 3.0, reduction };
    check("distilled", &|x| distilled(sum).forward(x, &other), &|x| distilled(none).forward(x, &other));
    let (jsd, classes) =
        (|reduction| JsdCrossEntropyLoss { reduction, ..Default::default() }, indices(&[3 * samples]));
    let longer = |x: &Tensor| Tensor::cat(&[x, &x.narrow(0, 0, 1)], 0);
    check("JSD", &|x| jsd(sum).forward(&longer(x), &classes), &|x| jsd(none).forward(&longer(x), &classes));
}

/// Where one split is sure of what the others exclude, PyTorch's gradient is NaN.
#[test]
fn the_divergence_of_sure_splits_is_finite() {
    let input = matrix(&[[800.0, 0.0, -800.0], [0.0, 900.0, -900.0], [0.0, -1000.0, 1000.0]]);
    for reduction in [Reduction::None, Reduction::Mean] {
        let own = leaf(&input);
        let loss = JsdCrossEntropyLoss { reduction, ..Default::default() }.forward(&own, &indices(&[3]));
        loss.sum(None).backward();
        // Log 3 between three that exclude each other, and label smoothing of 0.1 / 3 for 800 and 1600.
        assert!((value(&loss.sum(None)) - 12.0 * 3f64.ln() - 80.0).abs() < 1e-9, "{loss:?}");
        assert!(values(&own.grad()).iter().all(|slope| slope.is_finite()));
    }
}

/// A class that is excluded has the probability 0, and costs nothing.
#[test]
fn excluded_classes_do_not_diverge() {
    let scores = matrix(&[[1.0, 0.0, f64::NEG_INFINITY], [0.0, 0.5, f64::NEG_INFINITY]]);
    let cases = [Kind::Double, Kind::Float].map(|kind| [(kind, Reduction::None), (kind, Reduction::Mean)]);
    for (kind, reduction) in cases.into_iter().flatten() {
        let scores = scores.to_kind(kind);
        let without = scores.narrow(1, 0, 2);
        let tolerance = if kind == Kind::Double { 1e-12 } else { 1e-5 };
        let loss =
            JsdCrossEntropyLoss { num_splits: 2, label_smoothing: 0.0, reduction, ..Default::default() };
        let of = |scores: &Tensor| {
            let own = leaf(scores);
            let value = loss.forward(&own, &indices(&[2])).sum(None);
            value.backward();
            (value, own.grad())
        };
        let ((own, gradient), (expected, slopes)) = (of(&scores), of(&without));
        assert_close("value", &own, &expected, tolerance, Relative::ToLargest);
        let slopes = slopes.constant_pad_nd([0i64, 1]);
        assert_close("gradient", &gradient, &slopes, tolerance, Relative::ToLargest);
    }
}

/// The mean of nothing is NaN, its sum is 0, and the gradient has no elements.
#[test]
fn empty_batches() {
    let (scores, classes) = (leaf(&zeros(&[0, 3])), indices(&[0]));
    for (reduction, expected) in [(Reduction::Mean, f64::NAN), (Reduction::Sum, 0.0)] {
        let of_classes: [Box<dyn Loss>; 5] = [
            Box::new(FocalLoss { reduction, ..Default::default() }),
            Box::new(PolyCrossEntropyLoss { reduction, label_smoothing: 0.1, ..Default::default() }),
            Box::new(BinaryCrossEntropyLoss { reduction, ..Default::default() }),
            Box::new(AsymmetricSingleLabelLoss { reduction, ..Default::default() }),
            Box::new(JsdCrossEntropyLoss { reduction, ..Default::default() }),
        ];
        let soft: [Box<dyn Loss>; 6] = [
            Box::new(SigmoidFocalLoss { reduction, ..Default::default() }),
            Box::new(AsymmetricLoss { reduction, ..Default::default() }),
            Box::new(PolyCrossEntropyLoss { reduction, ..Default::default() }),
            Box::new(PolyBinaryCrossEntropyLoss { reduction, ..Default::default() }),
            Box::new(SoftTargetCrossEntropyLoss { reduction }),
            Box::new(DistillationLoss { reduction, ..Default::default() }),
        ];
        let targets = [(&of_classes[..], &classes), (&soft[..], &scores.detach())];
        for (losses, target) in targets {
            for loss in losses {
                let own = loss.forward(&scores, target);
                own.backward();
                let own = value(&own);
                assert!(own == expected || own.is_nan() && expected.is_nan(), "{loss:?}: {own}");
            }
        }
        assert_eq!(scores.grad().size(), [0, 3]);
    }
}

#[test]
fn options_and_arguments() {
    let (input, soft, classes) = (zeros(&[4, 3]), zeros(&[4, 3]), indices(&[4]));
    assert_eq!(
        message_of(JsdCrossEntropyLoss::default().try_forward(&input, &classes)),
        "`input` has shape [4, 3], expected [3 * N, C] with C at least 1"
    );
    assert_eq!(
        message_of(JsdCrossEntropyLoss::default().with_num_splits(0).try_forward(&input, &classes)),
        "option `num_splits` is 0, expected a number of at least 1"
    );
    assert_eq!(
        message_of(DistillationLoss::default().with_temperature(0.0).try_forward(&input, &soft)),
        "option `temperature` is 0, expected a finite number greater than 0"
    );
    assert_eq!(
        message_of(BinaryCrossEntropyLoss::default().try_forward(&zeros(&[3]), &indices(&[]))),
        "`input` has shape [3], expected [N, C] with C at least 1"
    );
    assert_eq!(
        message_of(
            BinaryCrossEntropyLoss::default().with_target_threshold(2.0).try_forward(&input, &classes)
        ),
        "option `target_threshold` is 2, expected a number in [0, 1]"
    );
    let masked = MaskedSoftTargetCrossEntropyLoss::default();
    assert_eq!(
        message_of(masked.try_forward(&input, &soft, &soft)),
        "`mask` has kind Float, expected Bool or an integer"
    );
    assert_eq!(
        message_of(masked.try_forward(&input, &soft, &classes)),
        "`mask` has shape [4], expected [4, 3], the shape of `input`"
    );
}
