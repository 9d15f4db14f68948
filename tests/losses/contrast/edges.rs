//! Batches without pairs, embeddings without a direction, of next to no length, or far from the origin.

use tch::{nn, Kind, Tensor};
use tch_losses::{
    ArcFaceConfig, ArcFaceLoss, CircleLoss, ClipConfig, ClipLoss, ContrastiveLoss, InfoNceLoss,
    LabelNtXentLoss, Loss, MultiSimilarityLoss, NtXentLoss, Reduction, SigLipLoss, SupConLoss,
    TripletMarginWithMinerLoss,
};

use super::{is_finite, labels, of_labels, of_two_sets, step, MINERS};
use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{differences, indices, leaf, message_of, zeros};

/// A batch without embeddings, without pairs, of one class.
#[test]
fn nothing_to_compare() {
    let vs = nn::VarStore::new(device());
    for kind in [Kind::Float, Kind::Half] {
        for count in [0, 1] {
            let input = noise(1, &[count, 3], Kind::Float).to_kind(kind);
            for loss in of_labels() {
                let (loss_value, gradient) = step(&loss, &input, &indices(&[count]));
                assert_eq!((value(&loss_value), loss_value.kind()), (0.0, kind), "{loss:?}");
                assert_eq!(gradient, input.zeros_like(), "{loss:?}");
            }
            for loss in of_two_sets(&vs).into_iter().take(3) {
                let (loss_value, gradient) = step(&loss, &input, &input);
                assert_eq!((value(&loss_value), loss_value.kind()), (0.0, kind), "{loss:?}");
                assert_eq!(gradient, input.zeros_like(), "{loss:?}");
            }
        }
        let sig_lip = of_two_sets(&vs).pop().unwrap();
        let empty = zeros(&[0, 3]).to_kind(kind);
        assert_eq!(value(&step(&sig_lip, &empty, &empty).0), 0.0);
    }
    let none = Reduction::None;
    let (empty, labels) = (zeros(&[0, 3]), indices(&[0]));
    assert_eq!(SupConLoss::default().with_reduction(none).forward(&empty, &labels).size(), [0]);
    assert_eq!(LabelNtXentLoss::default().with_reduction(none).forward(&empty, &labels).size(), [0, 0]);
    assert_eq!(ContrastiveLoss::default().with_reduction(none).forward(&empty, &labels).size(), [0, 0]);
    assert_eq!(NtXentLoss::default().with_reduction(none).forward(&empty, &empty).size(), [0]);
}

/// Embeddings of zeros, the same ones, and ones of any magnitude.
#[test]
fn degenerate_embeddings() {
    let vs = nn::VarStore::new(device());
    let given = noise(1, &[30, 4], Kind::Float);
    let other = noise(2, &[30, 4], Kind::Float);
    let some_zero = &given * labels(30, 4).gt(0).unsqueeze(1);
    let same = given.narrow(0, 0, 1).repeat([30, 1]);
    let mut losses: Vec<(Box<dyn Loss>, Tensor)> =
        of_labels().into_iter().map(|loss| (loss, labels(30, 3))).collect();
    losses.extend(of_two_sets(&vs).into_iter().map(|loss| (loss, other.copy())));
    for (loss, other) in &losses {
        for input in [&given.zeros_like(), &some_zero, &same, other] {
            let Kind::Float = input.kind() else { continue };
            let (value, gradient) = step(loss, input, other);
            assert!(is_finite(&value) && is_finite(&gradient), "{loss:?}");
            assert!(gradient.abs().max().double_value(&[]) < 1e4, "{loss:?}");
        }
    }
    // Those that divide by the length do not see it.
    for (loss, other) in losses.iter().take(losses.len() - 2) {
        let (expected, gradient) = step(loss, &given, other);
        // A power of 2 rounds nothing. Below 1e-12 the references see it, see below, and squares above 1e38.
        for power in [60, -30] {
            let factor = 2f64.powi(power);
            let (value, own) = step(loss, &(&given * factor), other);
            assert_close("value", &value, &expected, 1e-5, Relative::ToLargest);
            assert_close("gradient", &(own * factor), &gradient, 1e-4, Relative::ToLargest);
        }
    }
}

/// Steep options and low temperatures leave the range of exponentials.
#[test]
fn extreme_options() {
    let (embeddings, labels) = (noise(1, &[30, 4], Kind::Float), labels(30, 3));
    let other = noise(2, &[30, 4], Kind::Float);
    let losses: [(Box<dyn Loss>, &Tensor); 7] = [
        (Box::new(SupConLoss::default().with_temperature(1e-6)), &labels),
        (Box::new(LabelNtXentLoss::default().with_temperature(1e-6)), &labels),
        (Box::new(MultiSimilarityLoss::default().with_alpha(1e4).with_beta(1e5)), &labels),
        (Box::new(CircleLoss::default().with_gamma(1e6)), &labels),
        (Box::new(NtXentLoss::default().with_temperature(1e-6)), &other),
        (Box::new(InfoNceLoss::default().with_temperature(1e-6)), &other),
        (Box::new(InfoNceLoss::default().with_temperature(1e6)), &other),
    ];
    for (loss, other) in losses {
        let (value, gradient) = step(&loss, &embeddings, other);
        assert!(is_finite(&value) && is_finite(&gradient), "{loss:?}");
    }
}

#[test]
fn second_derivatives() {
    let (embeddings, labels) = (noise(1, &[6, 3], Kind::Double), labels(6, 2));
    let loss = SupConLoss::default().with_temperature(0.5).with_reduction(Reduction::None);
    let slope = |input: &Tensor| {
        let value = loss.forward(input, &labels).sum(None);
        Tensor::run_backward(&[value], &[input], true, true).remove(0).square().sum(None)
    };
    let input = leaf(&embeddings);
    slope(&input).backward();
    let expected = differences(&embeddings, 1e-5, slope);
    assert_close("second", &input.grad(), &expected, 1e-7, Relative::ToLargest);
}

#[test]
fn refusals() {
    let loss = SupConLoss::default();
    let refused = |embeddings: &[i64], labels: &[i64]| {
        message_of(loss.try_forward(&zeros(embeddings), &indices(labels)))
    };
    assert_eq!(refused(&[3], &[3]), "`embeddings` has shape [3], expected [N, D] with D at least 1");
    assert_eq!(refused(&[3, 0], &[3]), "`embeddings` has shape [3, 0], expected [N, D] with D at least 1");
    assert_eq!(refused(&[3, 2], &[4]), "`labels` has shape [4], expected [3], a label for each embedding");
    let floats = message_of(loss.try_forward(&zeros(&[3, 2]), &zeros(&[3])));
    assert_eq!(floats, "`labels` has kind Float, expected Int64 or Uint8, classes");
    let sets = message_of(InfoNceLoss::default().try_forward(&zeros(&[3, 2]), &zeros(&[4, 2])));
    assert_eq!(sets, "`key` has shape [4, 2], expected [3, 2], the shape of `query`");
    let bad = SupConLoss::default().with_temperature(0.0);
    let message = message_of(bad.try_forward(&zeros(&[3, 2]), &indices(&[3])));
    assert_eq!(message, "option `temperature` is 0, expected a finite number greater than 0");
    let vs = nn::VarStore::new(device());
    let bad = ClipConfig::default().with_logit_scale(f64::NAN);
    let message = message_of(ClipLoss::new(&vs.root(), bad));
    assert_eq!(message, "option `logit_scale` is NaN, expected a finite number");
}

/// Rows that are shorter than what PyTorch's `F.normalize`, which the references call, divides by at least. The squares of
/// the last ones vanish in f32: they are like rows of zeros, which are not divided.
#[test]
fn rows_of_next_to_no_length() {
    let scales = Tensor::from_slice(&[1.0, 1e-11, 1e-13, 1e-25, 1e-39, 1e-44]).to_device(device());
    let scales = scales.repeat([2]).unsqueeze(1);
    let (labels, key) = (labels(12, 3), noise(2, &[12, 4], Kind::Double));
    let rows = (noise(1, &[12, 4], Kind::Double) * &scales).to_kind(Kind::Float);
    let (own, gradient) = step(&InfoNceLoss::default(), &rows, &key.to_kind(Kind::Float));
    let wide = leaf(&rows.to_kind(Kind::Double));
    let normalized =
        |rows: &Tensor| rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true).clamp_min(1e-12);
    let logits = normalized(&wide).mm(&normalized(&key).tr()) / 0.1;
    let places = Tensor::arange(12, (Kind::Int64, device()));
    let expected = logits.cross_entropy_loss::<Tensor>(&places, None, tch::Reduction::Mean, -100, 0.0);
    expected.backward();
    assert_close("value", &own.to_kind(Kind::Double), &expected, 1e-5, Relative::ToLargest);
    let divisors = scales.clamp_min(1e-12);
    let known = scales.gt(1e-20);
    let divisors = divisors.masked_fill(&known.logical_not(), 0.0);
    let in_zeros = gradient.masked_fill(&known, 0.0).abs().max();
    assert!(value(&in_zeros) < 10.0, "{gradient}");
    let (gradient, expected) = (gradient.to_kind(Kind::Double) * &divisors, wide.grad() * &divisors);
    assert_close("gradient", &gradient, &expected, 1e-5, Relative::ToLargest);

    let vs = nn::VarStore::new(device());
    let arc_face = ArcFaceLoss::new(&vs.root(), ArcFaceConfig::new(3, 4)).unwrap();
    for loss in of_labels().into_iter().chain([Box::new(arc_face) as Box<dyn Loss>]) {
        let (value, gradient) = step(&loss, &rows, &labels);
        assert!(is_finite(&value) && is_finite(&gradient), "{loss:?}");
    }
}

/// Distances do not change where all embeddings move.
#[test]
fn embeddings_far_from_the_origin() {
    let (near, labels) = (noise(1, &[40, 8], Kind::Float), labels(40, 8));
    // Numbers that have room for what is added.
    let near = (near * 256.0).round() / 256.0;
    let contrastive = ContrastiveLoss::default().with_normalize(false).with_neg_margin(6.0);
    let mut losses: Vec<Box<dyn Loss>> = vec![
        Box::new(contrastive.with_reduction(Reduction::Sum)),
        Box::new(contrastive.with_reduction(Reduction::None)),
    ];
    for miner in MINERS {
        let loss = TripletMarginWithMinerLoss::default().with_normalize(false).with_miner(miner);
        losses.push(Box::new(loss.with_margin(0.5)));
    }
    for loss in losses {
        let sum = |embeddings: &Tensor| {
            let input = leaf(embeddings);
            let value = loss.forward(&input, &labels).sum(None);
            value.backward();
            (value.to_kind(Kind::Double), input.grad().to_kind(Kind::Double))
        };
        let ((value, gradient), (expected, by_hand)) =
            (sum(&(&near + 4096.0)), sum(&near.to_kind(Kind::Double)));
        let what = format!("{loss:?}");
        assert_close(&what, &value, &expected, 1e-5, Relative::ToLargest);
        assert_close(&what, &gradient, &by_hand, 1e-4, Relative::ToLargest);
        // One that is far from the others, and of no other's class.
        let outlier = near.copy();
        let _ = outlier.get(39).fill_(4096.0);
        let with_outlier = |labels: &Tensor, embeddings: &Tensor| {
            let input = leaf(embeddings);
            let value = loss.forward(&input, labels).sum(None);
            value.backward();
            (value.to_kind(Kind::Double), input.grad().to_kind(Kind::Double))
        };
        let alone = labels.copy();
        let _ = alone.get(39).fill_(77);
        let ((value, gradient), (expected, by_hand)) =
            (with_outlier(&alone, &outlier), with_outlier(&alone, &outlier.to_kind(Kind::Double)));
        assert_close(&what, &value, &expected, 1e-5, Relative::ToLargest);
        assert_close(&what, &gradient, &by_hand, 1e-4, Relative::ToLargest);
    }
}

/// Parameters that were set by hand.
#[test]
fn parameters_are_single_numbers() {
    let features = zeros(&[2, 3]);
    let number = || Tensor::from(1f32).to_device(device());
    let refused = |loss: &dyn Loss| message_of(loss.try_forward(&features, &features));
    let several = ClipLoss { logit_scale: zeros(&[2]) };
    assert_eq!(refused(&several), "`logit_scale` has shape [2], expected [], one number");
    let several = SigLipLoss { logit_scale: number(), logit_bias: zeros(&[1]) };
    assert_eq!(refused(&several), "`logit_bias` has shape [1], expected [], one number");
    let whole = SigLipLoss { logit_scale: number(), logit_bias: Tensor::from(1i64).to_device(device()) };
    let message = refused(&whole);
    assert!(message.starts_with("`logit_bias` has kind Int64, expected Half, BFloat16, Float"), "{message}");
}
