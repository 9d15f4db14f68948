//! CTC.

use tch::{Kind, Tensor};
use tch_losses::{CtcLoss, Reduction, SequenceLoss};

use crate::common::{noise, values};
use crate::support::{assert_values, indices, integers, leaf, message_of, zeros};

/// Every path of `log_probs` (`[T][C]`) that reads as the target, summed up one by one.
fn ctc_by_enumeration(log_probs: &[Vec<f64>], target: &[i64], blank: i64) -> f64 {
    let (frames, classes) = (log_probs.len() as u32, log_probs.first().map_or(1, Vec::len));
    let mut probability = 0.0;
    for number in 0..classes.pow(frames) {
        let path: Vec<usize> = (0..frames).map(|t| number / classes.pow(t) % classes).collect();
        let mut read: Vec<i64> = path.iter().map(|class| *class as i64).collect();
        read.dedup();
        read.retain(|class| *class != blank);
        if read == target {
            let logs = path.iter().zip(log_probs).map(|(class, frame)| frame[*class]);
            probability += logs.sum::<f64>().exp();
        }
    }
    -probability.ln()
}

#[test]
fn ctc_counts_every_alignment() {
    let (frames, sequences, classes) = (5, 6, 3);
    let log_probs =
        (noise(1, &[frames, sequences, classes], Kind::Double) * 2.0).log_softmax(-1, Kind::Double);
    let per_frame = |sequence: i64, length: i64| -> Vec<Vec<f64>> {
        (0..length).map(|t| values(&log_probs.get(t).get(sequence))).collect()
    };
    let lengths = [5i64, 4, 3, 5, 1, 5];
    for (blank, targets) in [
        (0, [vec![1i64, 2, 1], vec![2, 2], vec![1, 1], vec![], vec![1], vec![1, 1, 1]]),
        (2, [vec![0, 1, 0], vec![1, 1], vec![1, 0], vec![], vec![0], vec![0, 1]]),
    ] {
        let expected: Vec<f64> = (0..sequences)
            .zip(&targets)
            .map(|(n, target)| ctc_by_enumeration(&per_frame(n, lengths[n as usize]), target, blank))
            .collect();
        let target_lengths: Vec<i64> = targets.iter().map(|target| target.len() as i64).collect();
        let padded: Vec<i64> =
            targets.iter().flat_map(|target| [target.clone(), vec![1; 3 - target.len()]].concat()).collect();
        let padded = integers(&padded).view([sequences, 3]);
        let concatenated = integers(&targets.concat());
        // The first column of a table whose second one, labels as well, does not count.
        let column = Tensor::stack(&[&concatenated, &concatenated.flip([0])], 1).select(1, 0);
        for targets in [&padded, &concatenated, &column] {
            let with = |reduction| {
                let ctc = CtcLoss { blank, reduction, ..Default::default() };
                ctc.forward(&log_probs, targets, &lengths, &target_lengths)
            };
            assert_values(&with(Reduction::None), &expected);
            assert_values(&with(Reduction::Sum), &[expected.iter().sum()]);
            let per_label = expected.iter().zip(&target_lengths).map(|(l, n)| l / (*n).max(1) as f64);
            assert_values(&with(Reduction::Mean), &[per_label.sum::<f64>() / 6.0]);
        }
        let ctc = CtcLoss { blank, ..Default::default() };
        let alone =
            ctc.forward(&log_probs.select(1, 0), &integers(&targets[0]), &lengths[..1], &target_lengths[..1]);
        assert_values(&alone, &[expected[0] / 3.0]);
    }
}

#[test]
fn losses_that_are_infinite() {
    // The first target needs a blank between its labels, hence three frames.
    let targets = integers(&[1, 1, 2, 1]).view([2, 2]);
    for zero_infinity in [false, true] {
        let scores = leaf(&noise(1, &[2, 2, 3], Kind::Double));
        let ctc = CtcLoss { reduction: Reduction::None, zero_infinity, ..Default::default() };
        let loss = ctc.forward(&scores.log_softmax(-1, Kind::Double), &targets, &[2, 2], &[2, 2]);
        let expected = if zero_infinity { 0.0 } else { f64::INFINITY };
        assert_eq!(loss.double_value(&[0]), expected);
        loss.sum(None).backward();
        let of_sequence = |sequence| values(&scores.grad().select(1, sequence).contiguous());
        assert!(of_sequence(0).iter().all(|slope| if zero_infinity {
            *slope == 0.0
        } else {
            slope.is_nan()
        }));
        assert!(of_sequence(1).iter().all(|slope| slope.is_finite() && *slope != 0.0));
    }
}

/// Of two sequences of five frames, with two labels each.
pub fn ctc(log_probs: &Tensor, targets: &Tensor) -> tch_losses::Result<Tensor> {
    CtcLoss::default().try_forward(log_probs, targets, &[5, 5], &[2, 2])
}

#[test]
fn sequences() {
    let log_probs = zeros(&[5, 2, 3]).log_softmax(-1, Kind::Float);
    let refused = |targets: &[i64], shape: &[i64], input_lengths: &[i64], target_lengths: &[i64]| {
        let targets = integers(targets).view(shape);
        message_of(CtcLoss::default().try_forward(&log_probs, &targets, input_lengths, target_lengths))
    };
    let padded: (&[i64], &[i64]) = (&[1, 2, 2, 1], &[2, 2]);
    let concatenated: (&[i64], &[i64]) = (&[1, 2, 2, 1], &[4]);
    for (targets, shape) in [padded, concatenated] {
        assert_eq!(
            refused(targets, shape, &[5], &[2, 2]),
            "`input_lengths` holds 1 lengths, expected 2, one for each sequence of `log_probs`"
        );
        assert_eq!(
            refused(targets, shape, &[5, 5], &[2, 2, 0]),
            "`target_lengths` holds 3 lengths, expected 2, one for each sequence of `log_probs`"
        );
        for length in [6, -1, i64::MAX] {
            assert_eq!(
                refused(targets, shape, &[5, length], &[2, 2]),
                format!(
                    "`input_lengths` holds {length} for sequence 1, expected 0 to 5, the frames of `log_probs`"
                )
            );
        }
    }
    for length in [3, -1] {
        assert_eq!(
            refused(padded.0, padded.1, &[5, 5], &[length, 2]),
            format!(
                "`target_lengths` holds {length} for sequence 0, expected 0 to 2, the width of `targets`"
            )
        );
    }
    for length in [5, -1, i64::MIN] {
        assert_eq!(
            refused(concatenated.0, concatenated.1, &[5, 5], &[2, length]),
            format!(
                "`target_lengths` holds {length} for sequence 1, expected 0 to 4, the labels in `targets`"
            )
        );
    }
    for (lengths, sum) in [([2, 1], 3), ([3, 4], 7)] {
        assert_eq!(
            refused(concatenated.0, concatenated.1, &[5, 5], &lengths),
            format!("`targets` has shape [4], expected [{sum}], the sum of `target_lengths`")
        );
    }
    for shape in [&[1i64, 4][..], &[4, 1], &[2, 2, 1]] {
        assert_eq!(
            refused(padded.0, shape, &[5, 5], &[1, 1]),
            format!("`targets` has shape {shape:?}, expected [2, S], or one dimension with all targets")
        );
    }
    for shape in [&[][..], &[3], &[0, 2, 3], &[5, 0, 3], &[5, 2, 0], &[5, 2, 3, 1]] {
        let refusal = message_of(ctc(&zeros(shape), &indices(&[2, 2])));
        let expected = "[T, N, C] or [T, C] with every size at least 1";
        assert_eq!(refusal, format!("`log_probs` has shape {shape:?}, expected {expected}"));
    }
    // libtorch would read past the end of its memory.
    let log_probs_on_cpu = log_probs.to_device(tch::Device::Cpu);
    for label in [3, -1, i64::MAX] {
        for (shape, lengths) in [([2i64, 2].as_slice(), [2, 2]), (&[4], [1, 3])] {
            let targets = Tensor::from_slice(&[1, 2, 2, label]).view(shape);
            let refusal =
                message_of(CtcLoss::default().try_forward(&log_probs_on_cpu, &targets, &[5, 5], &lengths));
            let expected = "0 to 2, a class of `log_probs`";
            assert_eq!(refusal, format!("`targets` holds {label} in sequence 1, expected {expected}"));
        }
        // Behind the end of a target anything goes.
        let targets = Tensor::from_slice(&[1, 2, 2, label]).view([2, 2]);
        assert!(CtcLoss::default().try_forward(&log_probs_on_cpu, &targets, &[5, 5], &[2, 1]).is_ok());
    }
}
