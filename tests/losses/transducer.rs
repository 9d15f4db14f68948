//! RNN-T.

use tch::{Kind, Tensor};
use tch_losses::{Reduction, Result, RnntLoss, SequenceLoss};

use crate::common::{assert_close, device, noise, value, values, Relative};
use crate::support::{assert_values, integers, leaf, message_of, zeros};

/// The probability of writing `labels` from a node on, path by path. `probabilities` are `[T][U + 1][C]`.
fn of_paths(probabilities: &[Vec<Vec<f64>>], labels: &[i64], blank: usize, (t, u): (usize, usize)) -> f64 {
    let here = &probabilities[t][u];
    let read = match (t + 1 == probabilities.len(), u == labels.len()) {
        (true, true) => here[blank],
        (true, false) => 0.0,
        (false, _) => here[blank] * of_paths(probabilities, labels, blank, (t + 1, u)),
    };
    let write = labels
        .get(u)
        .map_or(0.0, |label| here[*label as usize] * of_paths(probabilities, labels, blank, (t, u + 1)));
    read + write
}

/// The loss of one sequence of `logits` `[T, U + 1, C]` by enumeration.
fn by_enumeration(logits: &Tensor, frames: i64, labels: &[i64], blank: i64) -> f64 {
    let probabilities = logits.softmax(-1, Kind::Double);
    let classes = logits.size()[2];
    let node = |t: i64, u: i64| values(&probabilities.get(t).get(u));
    let table: Vec<Vec<Vec<f64>>> =
        (0..frames).map(|t| (0..=labels.len() as i64).map(|u| node(t, u)).collect()).collect();
    -of_paths(&table, labels, blank.rem_euclid(classes) as usize, (0, 0)).ln()
}

#[test]
fn every_alignment_counts() {
    let logits = noise(1, &[4, 4, 4, 5], Kind::Double) * 3.0;
    let (frames, counts) = ([4i64, 2, 1, 3], [3i64, 2, 3, 0]);
    for (blank, labels) in [(-1, [0i64, 1, 1]), (0, [1, 4, 1]), (2, [4, 4, 0]), (-5, [1, 2, 3])] {
        let expected: Vec<f64> = (0..4)
            .map(|n| {
                let own = &labels[..counts[n] as usize];
                by_enumeration(&logits.get(n as i64), frames[n], own, blank)
            })
            .collect();
        let targets = integers(&labels).repeat([4, 1]);
        let loss = |reduction| {
            let loss = RnntLoss { blank, reduction, ..Default::default() };
            loss.forward(&logits, &targets, &frames, &counts)
        };
        assert_values(&loss(Reduction::None), &expected);
        assert_values(&loss(Reduction::Sum), &[expected.iter().sum()]);
        assert_values(&loss(Reduction::Mean), &[expected.iter().sum::<f64>() / 4.0]);
        let log_probs = logits.log_softmax(-1, Kind::Double);
        let unfused = RnntLoss { blank, fused_log_softmax: false, ..Default::default() };
        let unfused = unfused.forward(&log_probs, &targets, &frames, &counts);
        assert_values(&unfused, &[expected.iter().sum::<f64>() / 4.0]);
    }
}

/// Of equally likely classes, each path has the same probability: `C^-(T + U)`. There are as many as ways to spread the
/// labels over the frames.
#[test]
fn of_equal_classes_the_paths_are_counted() {
    let (frames, labels, classes) = (400i64, 60i64, 30i64);
    let logits = zeros(&[1, frames, labels + 1, classes]).to_kind(Kind::Double);
    let targets = Tensor::zeros([1, labels], (Kind::Int64, device()));
    let loss = RnntLoss::default().forward(&logits, &targets, &[frames], &[labels]);
    let paths: f64 = (1..=labels).map(|k| ((frames - 1 + k) as f64 / k as f64).ln()).sum();
    let expected = (frames + labels) as f64 * (classes as f64).ln() - paths;
    assert_values(&loss, &[expected]);
    // Each step of f32 rounds a number of the magnitude of the loss at most.
    let single = RnntLoss::default().forward(&logits.to_kind(Kind::Float), &targets, &[frames], &[labels]);
    let bound = (frames + labels) as f64 * f64::from(f32::EPSILON);
    let single = single.to_kind(Kind::Double);
    assert_close("f32", &single, &loss, bound, Relative::ToElement { floor: 1.0 });
}

fn step(loss: &RnntLoss, logits: &Tensor, targets: &Tensor, lengths: (&[i64], &[i64])) -> (Tensor, Tensor) {
    let logits = leaf(logits);
    let value = loss.forward(&logits, targets, lengths.0, lengths.1);
    value.sum(None).backward();
    (value.detach(), logits.grad())
}

/// A batch whose logits are worked on in pieces: each sequence has the loss and the gradient that it has alone.
#[test]
fn large_batches() {
    let (batch, frames, labels, classes) = (9, 40, 10, 101);
    let logits = noise(2, &[batch, frames, labels + 1, classes], Kind::Double);
    let targets =
        Tensor::arange(batch * labels, (Kind::Int64, device())).remainder(100).view([batch, labels]);
    let lengths: (Vec<i64>, Vec<i64>) =
        ((0..9).map(|n| 40 - 3 * n).collect(), (0..9).map(|n| 10 - n).collect());
    for loss in [
        RnntLoss::default().with_reduction(Reduction::None),
        RnntLoss::default().with_fused_log_softmax(false).with_reduction(Reduction::None),
        RnntLoss::default().with_clamp(1e-3).with_reduction(Reduction::None),
    ] {
        let (value, gradient) = step(&loss, &logits, &targets, (&lengths.0, &lengths.1));
        for n in 0..batch {
            let (t, u) = (lengths.0[n as usize], lengths.1[n as usize]);
            let trimmed = logits.narrow(0, n, 1).narrow(1, 0, t).narrow(2, 0, u + 1);
            let (own, of_own) = step(&loss, &trimmed, &targets.narrow(0, n, 1).narrow(1, 0, u), (&[t], &[u]));
            let close = Relative::ToElement { floor: 1.0 };
            assert_close("value", &value.narrow(0, n, 1), &own, 1e-12, close);
            let here = gradient.narrow(0, n, 1);
            let inside = here.narrow(1, 0, t).narrow(2, 0, u + 1);
            assert_close("gradient", &inside, &of_own, 1e-12, close);
            let (outside, inside) = (value_of_magnitudes(&here), value_of_magnitudes(&inside));
            assert_eq!(outside, inside, "a gradient past the lengths of sequence {n}");
        }
    }
}

fn value_of_magnitudes(tensor: &Tensor) -> f64 {
    values(tensor).iter().map(|value| value.abs()).sum()
}

/// What lies past the lengths may be anything.
#[test]
fn padding_may_be_nan() {
    let logits = noise(3, &[2, 4, 3, 5], Kind::Double);
    let targets = integers(&[1, 2, 3, 0]).view([2, 2]);
    let lengths: (&[i64], &[i64]) = (&[4, 2], &[1, 2]);
    for loss in [RnntLoss::default(), RnntLoss::default().with_fused_log_softmax(false)] {
        let (clean, of_clean) = step(&loss, &logits, &targets, lengths);
        let padded = logits.copy();
        let _ = padded.get(0).narrow(1, 2, 1).fill_(f64::NAN);
        let _ = padded.get(1).narrow(0, 2, 2).fill_(f64::NAN);
        let (value, gradient) = step(&loss, &padded, &targets, lengths);
        assert_eq!(value, clean);
        assert_eq!(gradient, of_clean);
    }
}

#[test]
fn huge_logits() {
    // One class is sure everywhere: in f32 the others have probabilities of 0.
    let targets = integers(&[0, 1]).view([1, 2]);
    for (size, kind) in [(1e4, Kind::Float), (1e30, Kind::Float), (1e4, Kind::Half), (1e300, Kind::Double)] {
        let logits = zeros(&[1, 3, 3, 3]);
        let _ = logits.select(-1, 2).fill_(1.0);
        // The labels are written before the first blank.
        for u in 0..2 {
            let _ = logits.get(0).get(0).get(u).fill_(0.0);
            let _ = logits.get(0).get(0).get(u).narrow(0, u, 1).fill_(1.0);
        }
        let logits = (logits.to_kind(Kind::Double) * size).to_kind(kind);
        let (sure, gradient) = step(&RnntLoss::default(), &logits, &targets, (&[3], &[2]));
        assert_eq!((value(&sure), value_of_magnitudes(&gradient)), (0.0, 0.0), "{size:e} {kind:?}");
        let (wrong, gradient) = step(&RnntLoss::default(), &logits.neg(), &targets, (&[3], &[2]));
        assert!(kind == Kind::Half || value(&wrong).is_finite(), "{size:e} {kind:?}: {wrong}");
        assert!(values(&gradient).iter().all(|slope| slope.is_finite()), "{size:e} {kind:?}");
    }
}

#[test]
fn without_an_alignment() {
    let logits = zeros(&[2, 2, 2, 3]);
    let _ = logits.get(0).select(-1, 0).fill_(f64::NEG_INFINITY);
    let targets = integers(&[0, 1]).view([2, 1]);
    let loss = RnntLoss::default().with_reduction(Reduction::None);
    let (value, gradient) = step(&loss, &logits, &targets, (&[2, 2], &[1, 1]));
    assert_eq!(value.double_value(&[0]), f64::INFINITY);
    assert!(value.double_value(&[1]).is_finite());
    assert!(values(&gradient.get(1)).iter().all(|slope| slope.is_finite()));
}

#[test]
fn no_sequences() {
    let logits = zeros(&[0, 2, 3, 4]);
    let targets = Tensor::zeros([0, 2], (Kind::Int64, device()));
    let with =
        |reduction| step(&RnntLoss::default().with_reduction(reduction), &logits, &targets, (&[], &[])).0;
    assert!(value(&with(Reduction::Mean)).is_nan());
    assert_eq!(value(&with(Reduction::Sum)), 0.0);
    assert_eq!(with(Reduction::None).size(), [0]);
}

#[test]
fn refusals() {
    let targets = integers(&[1, 2, 0, 1]).view([2, 2]);
    let refused = |loss: RnntLoss, shape: &[i64], targets: &Tensor, frames: &[i64], labels: &[i64]| {
        message_of::<Tensor>(loss.try_forward(&zeros(shape), targets, frames, labels))
    };
    let loss = RnntLoss::default();
    const SHAPE: [i64; 4] = [2, 5, 3, 4];
    for shape in [&[][..], &[5, 3, 4], &[2, 0, 3, 4], &[2, 5, 0, 4], &[2, 5, 3, 0], &[1, 2, 5, 3, 4]] {
        let expected = "[B, T, U + 1, C] with T, U + 1 and C at least 1";
        let message = refused(loss, shape, &targets, &[5, 5], &[2, 2]);
        assert_eq!(message, format!("`logits` has shape {shape:?}, expected {expected}"));
    }
    for shape in [&[4][..], &[4, 1], &[1, 4], &[2, 2, 1]] {
        let message = refused(loss, &SHAPE, &targets.view(shape), &[5, 5], &[2, 2]);
        let expected = "[2, 2], [B, U] of `logits` [B, T, U + 1, C]";
        assert_eq!(message, format!("`targets` has shape {shape:?}, expected {expected}"));
    }
    for kind in [Kind::Float, Kind::Bool] {
        let message = refused(loss, &SHAPE, &targets.to_kind(kind), &[5, 5], &[2, 2]);
        assert_eq!(message, format!("`targets` has kind {kind:?}, expected an integer"));
    }
    assert_eq!(
        refused(loss, &SHAPE, &targets, &[5], &[2, 2]),
        "`logit_lengths` holds 1 lengths, expected 2, one for each sequence of `logits`"
    );
    assert_eq!(
        refused(loss, &SHAPE, &targets, &[5, 5], &[2, 2, 1]),
        "`target_lengths` holds 3 lengths, expected 2, one for each sequence of `logits`"
    );
    for length in [0, -1, 6, i64::MAX] {
        assert_eq!(
            refused(loss, &SHAPE, &targets, &[5, length], &[2, 2]),
            format!("`logit_lengths` holds {length} for sequence 1, expected 1 to 5, the frames of `logits`")
        );
    }
    for length in [-1, 3, i64::MIN] {
        assert_eq!(
            refused(loss, &SHAPE, &targets, &[5, 5], &[length, 2]),
            format!(
                "`target_lengths` holds {length} for sequence 0, expected 0 to 2, the width of `targets`"
            )
        );
    }
    for blank in [4, -5, i64::MIN] {
        let message = refused(loss.with_blank(blank), &SHAPE, &targets, &[5, 5], &[2, 2]);
        let expected = "-4 to 3, a class of `logits`";
        assert_eq!(message, format!("option `blank` is {blank}, expected {expected}"));
    }
    for clamp in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = refused(loss.with_clamp(clamp), &SHAPE, &targets, &[5, 5], &[2, 2]);
        let expected = "a finite number greater than 0";
        assert_eq!(message, format!("option `clamp` is {clamp}, expected {expected}"));
    }
}

/// On the CPU, where a label can be looked at.
#[test]
fn labels_out_of_range() {
    let cpu = (Kind::Float, tch::Device::Cpu);
    let logits = Tensor::zeros([2, 5, 3, 4], cpu);
    let forward = |label: i64, counts: &[i64]| -> Result<Tensor> {
        let targets = Tensor::from_slice(&[1, 2, 0, label]).view([2, 2]);
        RnntLoss::default().try_forward(&logits, &targets, &[5, 5], counts)
    };
    for label in [4, -1, i64::MAX] {
        let message = message_of(forward(label, &[2, 2]));
        let expected = "0 to 3, a class of `logits`";
        assert_eq!(message, format!("`targets` holds {label} in sequence 1, expected {expected}"));
        assert!(forward(label, &[2, 1]).is_ok());
    }
}
