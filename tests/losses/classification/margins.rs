//! The margin losses of classes.

use tch::{Kind, Tensor};
use tch_losses::{
    Error, Loss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, Reduction, SoftMarginLoss,
};

use crate::common::{device, value, values};
use crate::support::{assert_values, indices, integers, leaf, matrix, message_of, vector, zeros};

#[test]
fn by_hand() {
    let reduction = Reduction::None;
    let labels = integers(&[1, -1, -1]);

    let soft = SoftMarginLoss { reduction };
    let expected = [(1.0 + (-2f64).exp()).ln(), (1.0 + 2f64.exp()).ln(), 2f64.ln()];
    assert_values(&soft.forward(&vector(&[2.0, 2.0, 0.0]), &labels), &expected);

    // Of class 1: 1 - 0.5 + 0.25 and 1 - 0.5 - 1 (none), over three classes, weight 4.
    let scores = matrix(&[[0.25, 0.5, -1.0]]);
    let weight = || vector(&[1.0, 4.0, 1.0]);
    let multi = MultiMarginLoss { weight: Some(weight().into()), reduction, ..Default::default() };
    assert_values(&multi.forward(&scores, &integers(&[1])), &[4.0 * 0.75 / 3.0]);
    let multi = MultiMarginLoss { p: 2, weight: Some(weight().into()), reduction, ..Default::default() };
    assert_values(&multi.forward(&scores, &integers(&[1])), &[4.0 * 0.5625 / 3.0]);
    let weight = weight().set_requires_grad(true);
    let multi = MultiMarginLoss { weight: Some((&weight).into()), ..Default::default() };
    multi.forward(&scores, &integers(&[1])).backward();
    assert_values(&weight.grad(), &[0.0, 0.75 / 3.0, 0.0]);

    // Of classes 1 and 0 against 2: both are ahead by more than 1; against a fourth: 0.5 and 0.75 short.
    let scores = matrix(&[[0.25, 0.5, -1.0, 0.0]]);
    let label = MultiLabelMarginLoss { reduction };
    let target = integers(&[1, 0, -1, 2]).view([1, 4]);
    assert_values(&label.forward(&scores, &target), &[(0.5 + 0.75) / 4.0]);

    let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
    let soft = MultiLabelSoftMarginLoss { weight: Some([2.0, 3.0].into()), reduction };
    let expected = -(2.0 * sigma(0.7).ln() + 3.0 * sigma(1.2).ln()) / 2.0;
    let loss = soft.forward(&matrix(&[[0.7, -1.2]]), &integers(&[1, 0]).view([1, 2]));
    assert_values(&loss, &[expected]);
}

#[test]
fn soft_margins_that_are_infinite() {
    let scores = leaf(&vector(&[1000.0, -1000.0]));
    let loss = SoftMarginLoss { reduction: Reduction::None }.forward(&scores, &integers(&[-1, -1]));
    assert_eq!(values(&loss), [f64::INFINITY, 0.0]);
    loss.sum(None).backward();
    let gradient = values(&scores.grad());
    assert!(gradient[0].is_nan() && gradient[1] == 0.0, "{gradient:?}");
}

#[test]
fn infinite_scores_of_absent_labels() {
    let scores = matrix(&[[f64::INFINITY, 0.0], [0.0, f64::NEG_INFINITY]]);
    let target = Tensor::from_slice2(&[[0i64, 1], [0, 1]]).to_device(device());
    let loss = MultiLabelSoftMarginLoss::default().with_reduction(Reduction::None).forward(&scores, &target);
    assert_eq!(values(&loss), [f64::INFINITY; 2]);
}

#[test]
fn no_samples() {
    // PyTorch's own answer is whatever its memory held.
    let target = |shape: &[i64]| Tensor::zeros(shape, (Kind::Int64, device()));
    for kind in [Kind::Double, Kind::Half] {
        let input = || Tensor::zeros([0, 4], (kind, device())).set_requires_grad(true);
        let losses = |reduction| -> [(Box<dyn Loss>, Tensor); 2] {
            [
                (Box::new(MultiMarginLoss { reduction, ..Default::default() }), target(&[0])),
                (Box::new(MultiLabelMarginLoss { reduction }), target(&[0, 4])),
            ]
        };
        for (loss, target) in losses(Reduction::Mean) {
            assert!(value(&loss.forward(&input(), &target)).is_nan(), "{loss:?}");
        }
        for (loss, target) in losses(Reduction::Sum) {
            let input = input();
            let sum = loss.forward(&input, &target);
            assert_eq!((value(&sum), sum.kind()), (0.0, kind), "{loss:?}");
            sum.backward();
            assert_eq!(input.grad().size(), [0, 4], "{loss:?}");
        }
        for (loss, target) in losses(Reduction::None) {
            assert_eq!(loss.forward(&input(), &target).size(), [0], "{loss:?}");
        }
    }
}

#[test]
fn terms_that_are_not_numbers_count_as_nothing_in_the_hinges_of_classes() {
    // As in PyTorch, for the second score: max(0, 1 - 0 + NaN).
    let scores = leaf(&matrix(&[[0.0, f64::NAN, 0.5]]));
    let multi = MultiMarginLoss::default().forward(&scores, &integers(&[0]));
    assert_values(&multi, &[0.5]);
    let label = MultiLabelMarginLoss::default().forward(&scores, &integers(&[0, -1, -1]).view([1, 3]));
    assert_values(&label, &[0.5]);
    (multi + label).backward();
    assert_eq!(values(&scores.grad()), [-2.0 / 3.0, 0.0, 2.0 / 3.0]);
}

#[test]
fn squares_past_what_half_precision_holds() {
    let scores = matrix(&[[-300.0, 0.0, 0.0, 0.0]]).to_kind(Kind::Half);
    let loss = MultiMarginLoss { p: 2, ..Default::default() };
    // 3 * 301² / 4 is more than f16 holds; a weight brings it back.
    assert_eq!(value(&loss.forward(&scores, &integers(&[0]))), f64::INFINITY);
    let weight = Some(Tensor::full([4], 0.25, (Kind::Half, device())).into());
    let loss = MultiMarginLoss { weight, ..loss };
    let actual = value(&loss.forward(&scores, &integers(&[0])));
    // Neighbours in f16 are 16 apart there.
    assert!((actual - 0.1875 * 301.0 * 301.0).abs() < 16.0, "{actual}");
}

#[test]
fn shapes_of_classes() {
    let multi = MultiMarginLoss::default();
    let label = MultiLabelMarginLoss::default();
    for shape in [vec![0], vec![2, 0], vec![2, 3, 4]] {
        let expected = format!("`input` has shape {shape:?}, expected [N, C] or [C] with C at least 1");
        assert_eq!(message_of(multi.try_forward(&zeros(&shape), &indices(&[2]))), expected);
        assert_eq!(message_of(label.try_forward(&zeros(&shape), &indices(&shape))), expected);
    }
    for (input, target, samples) in
        [(&[2i64, 3][..], &[3i64][..], 2), (&[2, 3], &[2, 1], 2), (&[2, 3], &[], 2), (&[3], &[3], 1)]
    {
        let refusal = message_of(multi.try_forward(&zeros(input), &indices(target)));
        let expected = format!("[{samples}], one class for each sample of `input`");
        assert_eq!(refusal, format!("`target` has shape {target:?}, expected {expected}"));
    }
    for target in [&[2i64, 4][..], &[1, 3], &[3], &[3, 2]] {
        let refusal = message_of(label.try_forward(&zeros(&[2, 3]), &indices(target)));
        assert_eq!(refusal, format!("`target` has shape {target:?}, expected [2, 3], the shape of `input`"));
    }
    for shape in [vec![], vec![1], vec![2], vec![1, 3]] {
        let loss = MultiMarginLoss { weight: Some(zeros(&shape).into()), ..Default::default() };
        let refusal = message_of(loss.try_forward(&zeros(&[2, 3]), &indices(&[2])));
        assert_eq!(refusal, format!("`weight` has shape {shape:?}, expected [3], a weight for each class"));
    }
    let boolean = || Some(zeros(&[3]).to_kind(Kind::Bool).into());
    let expected = "`weight` has kind Bool, expected Half, BFloat16, Float or Double or an integer";
    let loss = MultiMarginLoss { weight: boolean(), ..Default::default() };
    assert_eq!(message_of(loss.try_forward(&zeros(&[2, 3]), &indices(&[2]))), expected);
    let loss = MultiLabelSoftMarginLoss { weight: boolean(), ..Default::default() };
    assert_eq!(message_of(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))), expected);
}

/// On CUDA it is the device that finds out, which ends the process's use of it.
#[cfg(not(feature = "cuda"))]
#[test]
fn classes_out_of_range() {
    for class in [3i64, -1] {
        let target = integers(&[0, class]);
        let refusal = MultiMarginLoss::default().try_forward(&zeros(&[2, 3]), &target).unwrap_err();
        assert!(matches!(refusal, Error::Torch(_)), "{refusal}");
    }
    for class in [3i64, -2] {
        let target = integers(&[0, class, -1]);
        let refusal = MultiLabelMarginLoss::default().try_forward(&zeros(&[3]), &target).unwrap_err();
        assert!(matches!(refusal, Error::Torch(_)), "{refusal}");
    }
}

#[test]
fn a_soft_margin_target_that_requires_a_gradient() {
    let (input, target) = (zeros(&[3]), zeros(&[3]).set_requires_grad(true));
    let refusal = SoftMarginLoss::default().try_forward(&input, &target).unwrap_err();
    assert!(matches!(refusal, Error::Torch(_)), "{refusal}");
    assert!(refusal.to_string().contains("'target'"), "{refusal}");
    assert!(SoftMarginLoss::default().try_forward(&input, &target.detach()).is_ok());
}
