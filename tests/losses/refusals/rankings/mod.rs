//! What the ranking, margin and triplet losses and CTC refuse.

mod options;

use tch::{Kind, Tensor};
use tch_losses::{
    CosineEmbeddingLoss, CtcLoss, HingeEmbeddingLoss, Loss, MarginRankingLoss, MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss, MultiMarginLoss, Reduction, SequenceLoss, SoftMarginLoss, TernaryLoss,
    TripletMarginLoss, TripletMarginWithDistanceLoss, WeightTensor,
};

use crate::sequence::ctc;
use crate::support::{indices, message_of, zeros};

/// Three arguments, their names, and a call of the loss.
type Call = Box<dyn Fn(&[Tensor; 3]) -> tch_losses::Result<Tensor>>;

fn of_three() -> Vec<([&'static str; 3], [Tensor; 3], Call)> {
    let triplet = || (["anchor", "positive", "negative"], [zeros(&[2, 3]), zeros(&[2, 3]), zeros(&[2, 3])]);
    vec![
        (
            ["input1", "input2", "target"],
            [zeros(&[2, 3]), zeros(&[2, 3]), zeros(&[2, 3])],
            Box::new(|[a, b, c]| MarginRankingLoss::default().try_forward(a, b, c)),
        ),
        (
            ["input1", "input2", "target"],
            [zeros(&[2, 3]), zeros(&[2, 3]), zeros(&[2])],
            Box::new(|[a, b, c]| CosineEmbeddingLoss::default().try_forward(a, b, c)),
        ),
        (triplet().0, triplet().1, Box::new(|[a, b, c]| TripletMarginLoss::default().try_forward(a, b, c))),
        (
            triplet().0,
            triplet().1,
            Box::new(|[a, b, c]| TripletMarginWithDistanceLoss::default().try_forward(a, b, c)),
        ),
    ]
}

/// The losses of two tensors, each with a pair that it takes.
fn of_two() -> Vec<(Box<dyn Loss>, Tensor, Tensor)> {
    vec![
        (Box::new(HingeEmbeddingLoss::default()), zeros(&[2, 3]), zeros(&[2, 3])),
        (Box::new(SoftMarginLoss::default()), zeros(&[2, 3]), zeros(&[2, 3])),
        (Box::new(MultiMarginLoss::default()), zeros(&[2, 3]), indices(&[2])),
        (Box::new(MultiLabelMarginLoss::default()), zeros(&[2, 3]), indices(&[2, 3])),
        (Box::new(MultiLabelSoftMarginLoss::default()), zeros(&[2, 3]), zeros(&[2, 3])),
    ]
}

#[test]
fn undefined_tensors_and_layouts() {
    let sparse = zeros(&[2, 3]).to_sparse(None, None::<i64>, 0);
    for (other, problem) in [
        (Tensor::new(), "is an undefined tensor"),
        (sparse, "is a sparse or mkldnn tensor, expected a dense one (`to_dense`)"),
    ] {
        for (loss, input, target) in of_two() {
            assert!(loss.try_forward(&input, &target).is_ok(), "{loss:?}");
            assert_eq!(message_of(loss.try_forward(&other, &target)), format!("`input` {problem}"));
            assert_eq!(message_of(loss.try_forward(&input, &other)), format!("`target` {problem}"));
        }
        for (names, arguments, call) in of_three() {
            assert!(call(&arguments).is_ok());
            for position in 0..3 {
                let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
                arguments[position] = other.shallow_clone();
                assert_eq!(message_of(call(&arguments)), format!("`{}` {problem}", names[position]));
            }
        }
        assert_eq!(message_of(ctc(&other, &indices(&[2, 2]))), format!("`log_probs` {problem}"));
        assert_eq!(message_of(ctc(&zeros(&[5, 2, 3]), &other)), format!("`targets` {problem}"));
        let weight = || Some(WeightTensor::from(&other));
        let multi = MultiMarginLoss { weight: weight(), ..Default::default() };
        let refusal = message_of(multi.try_forward(&zeros(&[2, 3]), &indices(&[2])));
        assert_eq!(refusal, format!("`weight` {problem}"));
        let soft = MultiLabelSoftMarginLoss { weight: weight(), ..Default::default() };
        let refusal = message_of(soft.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3])));
        assert_eq!(refusal, format!("`weight` {problem}"));
    }
}

#[test]
fn kinds() {
    const FLOATING: &str = "Half, BFloat16, Float or Double";
    let labels = ["HingeEmbeddingLoss", "SoftMarginLoss"];
    for (loss, input, target) in of_two() {
        for kind in [Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
            let refusal = message_of(loss.try_forward(&input.to_kind(kind), &target));
            assert_eq!(refusal, format!("`input` has kind {kind:?}, expected {FLOATING}"));
        }
        let name = format!("{loss:?}");
        let (refused, taken, expected) = if labels.iter().any(|label| name.starts_with(label)) {
            let refused = vec![Kind::Double, Kind::Half, Kind::Uint8, Kind::Bool];
            let taken = vec![Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64, Kind::Float];
            (refused, taken, "Float, the kind of `input`, or a signed integer")
        } else if name.starts_with("MultiLabelSoft") {
            let taken = vec![Kind::Uint8, Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64, Kind::Float];
            (vec![Kind::Double, Kind::Half, Kind::Bool], taken, "Float, the kind of `input`, or an integer")
        } else {
            (vec![Kind::Int, Kind::Uint8, Kind::Float, Kind::Bool], vec![Kind::Int64], "Int64")
        };
        for kind in refused {
            let refusal = message_of(loss.try_forward(&input, &target.to_kind(kind)));
            assert_eq!(refusal, format!("`target` has kind {kind:?}, expected {expected}"), "{loss:?}");
        }
        for kind in taken {
            let loss_value = loss.forward(&input, &target.to_kind(kind));
            assert_eq!(loss_value.kind(), Kind::Float, "{loss:?} {kind:?}");
        }
    }
    for (names, arguments, call) in of_three() {
        let with = |position: usize, kind| {
            let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
            arguments[position] = arguments[position].to_kind(kind);
            call(&arguments)
        };
        let [first, second, third] = names;
        let refusal = message_of(with(0, Kind::Int64));
        assert_eq!(refusal, format!("`{first}` has kind Int64, expected {FLOATING}"));
        let refusal = message_of(with(1, Kind::Double));
        assert_eq!(refusal, format!("`{second}` has kind Double, expected Float, the kind of `{first}`"));
        let refusal = message_of(with(2, Kind::Double));
        if third == "target" {
            let expected = "Float, the kind of `input1`, or a signed integer";
            assert_eq!(refusal, format!("`target` has kind Double, expected {expected}"));
            assert_eq!(
                message_of(with(2, Kind::Bool)),
                format!("`target` has kind Bool, expected {expected}")
            );
            assert_eq!(with(2, Kind::Int8).unwrap().kind(), Kind::Float);
        } else {
            assert_eq!(refusal, "`negative` has kind Double, expected Float, the kind of `anchor`");
        }
    }
    let (log_probs, targets) = (zeros(&[5, 2, 3]), indices(&[2, 2]) + 1);
    let refusal = message_of(ctc(&log_probs.to_kind(Kind::Int64), &targets));
    assert_eq!(refusal, format!("`log_probs` has kind Int64, expected {FLOATING}"));
    for kind in [Kind::Float, Kind::Bool] {
        let refusal = message_of(ctc(&log_probs, &targets.to_kind(kind)));
        assert_eq!(refusal, format!("`targets` has kind {kind:?}, expected an integer"));
    }
    for kind in [Kind::Uint8, Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64] {
        assert!(ctc(&log_probs, &targets.to_kind(kind)).is_ok(), "{kind:?}");
    }
}

#[test]
fn shapes_of_pairs() {
    let refused = |loss: &dyn Loss, input: &[i64], target: &[i64]| {
        message_of(loss.try_forward(&zeros(input), &zeros(target)))
    };
    let hinge = HingeEmbeddingLoss::default();
    assert_eq!(
        refused(&hinge, &[2, 3], &[2]),
        "`target` has shape [2], expected one that broadcasts with [2, 3], the shape of `input`"
    );
    let soft = SoftMarginLoss::default();
    for target in [&[2i64][..], &[4, 2, 3], &[2, 4]] {
        let expected = "one that broadcasts to [2, 3], the shape of `input`";
        assert_eq!(
            refused(&soft, &[2, 3], target),
            format!("`target` has shape {target:?}, expected {expected}")
        );
    }
    assert!(soft.try_forward(&zeros(&[1, 3]), &zeros(&[2, 3])).is_err());

    let label_soft = MultiLabelSoftMarginLoss::default();
    assert_eq!(
        refused(&label_soft, &[], &[]),
        "`input` has shape [], expected at least one dimension, the classes"
    );
    for (input, target) in [(&[3i64][..], &[2i64, 3][..]), (&[2, 1], &[2, 3])] {
        let last = input[input.len() - 1];
        assert_eq!(
            refused(&label_soft, input, target),
            format!(
                "`target` has shape [2, 3], expected {} dimensions at most, the last {last} or 1",
                input.len()
            )
        );
    }
    assert_eq!(
        refused(&label_soft, &[2, 3], &[4]),
        "`target` has shape [4], expected one that broadcasts with [2, 3], the shape of `input`"
    );
    let weighted =
        |shape: &[i64]| MultiLabelSoftMarginLoss { weight: Some(zeros(shape).into()), ..Default::default() };
    assert_eq!(
        refused(&weighted(&[2]), &[2, 3], &[2, 3]),
        "`weight` has shape [2], expected one that broadcasts with [2, 3], the shape of `input` and `target`"
    );
    assert_eq!(
        refused(&weighted(&[5, 2, 3]), &[2, 3], &[2, 3]),
        "`weight` has shape [5, 2, 3], expected 2 dimensions at most, the last 3 or 1"
    );
}

#[test]
fn shapes_of_three() {
    for (names, arguments, call) in of_three() {
        let with = |position: usize, shape: &[i64]| {
            let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
            arguments[position] = zeros(shape);
            message_of(call(&arguments))
        };
        let [first, second, third] = names;
        assert_eq!(
            with(1, &[3]),
            format!("`{second}` has shape [3], expected one of 2 dimensions, as `{first}`")
        );
        assert_eq!(
            with(1, &[2, 4]),
            format!(
                "`{second}` has shape [2, 4], expected one that broadcasts with [2, 3], the shape of `{first}`"
            )
        );
        if arguments[2].dim() == 2 {
            assert_eq!(
                with(2, &[2]),
                format!("`{third}` has shape [2], expected one of 2 dimensions, as `{first}`")
            );
            let expected = format!("one that broadcasts with [2, 3], the shape of `{first}` and `{second}`");
            assert_eq!(with(2, &[5, 3]), format!("`{third}` has shape [5, 3], expected {expected}"));
        } else {
            for shape in [&[3i64][..], &[], &[2, 1], &[2, 3]] {
                let expected = "[2], one for each vector of `input1` and `input2`";
                assert_eq!(with(2, shape), format!("`target` has shape {shape:?}, expected {expected}"));
            }
        }
    }
    let cosine = CosineEmbeddingLoss::default();
    for shape in [&[][..], &[2, 3, 4]] {
        let refusal = message_of(cosine.try_forward(&zeros(shape), &zeros(shape), &zeros(&[2])));
        assert_eq!(refusal, format!("`input1` has shape {shape:?}, expected [N, D] or [D]"));
    }
    let refusal = message_of(cosine.try_forward(&zeros(&[3]), &zeros(&[3]), &zeros(&[1])));
    assert_eq!(refusal, "`target` has shape [1], expected [], one for each vector of `input1` and `input2`");
}

#[test]
fn forward_panics_with_the_message_of_the_error() {
    type Panicking = Box<dyn Fn()>;
    let calls: [Panicking; 5] = [
        Box::new(|| drop(HingeEmbeddingLoss::default().forward(&Tensor::new(), &zeros(&[2])))),
        Box::new(|| drop(MarginRankingLoss::default().forward(&Tensor::new(), &zeros(&[2]), &zeros(&[2])))),
        Box::new(|| drop(CosineEmbeddingLoss::default().forward(&Tensor::new(), &zeros(&[2]), &zeros(&[2])))),
        Box::new(|| drop(TripletMarginLoss::default().forward(&Tensor::new(), &zeros(&[2]), &zeros(&[2])))),
        Box::new(|| drop(CtcLoss::default().forward(&Tensor::new(), &zeros(&[2]), &[], &[]))),
    ];
    for (call, name) in calls.iter().zip(["input", "input1", "input1", "anchor", "log_probs"]) {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        let expected = format!("`{name}` is an undefined tensor");
        assert_eq!(*panic.downcast_ref::<String>().unwrap(), expected);
    }
    let loss = TripletMarginWithDistanceLoss::default();
    let call = std::panic::AssertUnwindSafe(|| loss.forward(&Tensor::new(), &zeros(&[2]), &zeros(&[2])));
    let panic = std::panic::catch_unwind(call).unwrap_err();
    assert_eq!(*panic.downcast_ref::<String>().unwrap(), "`anchor` is an undefined tensor");
}

#[cfg(feature = "cuda")]
#[test]
fn arguments_on_another_device() {
    use crate::common::{assert_close, device, Relative};

    let cpu = |tensor: &Tensor| tensor.to_device(tch::Device::Cpu);
    for (loss, input, target) in of_two() {
        assert_eq!(loss.forward(&input, &target).device(), device(), "{loss:?}");
        let refusal = message_of(loss.try_forward(&input, &cpu(&target)));
        assert_eq!(refusal, "`target` is on Cpu, expected Cuda(0), the device of `input`", "{loss:?}");
    }
    for (names, arguments, call) in of_three() {
        for position in 1..3 {
            let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
            arguments[position] = cpu(&arguments[position]);
            let expected =
                format!("`{}` is on Cpu, expected Cuda(0), the device of `{}`", names[position], names[0]);
            assert_eq!(message_of(call(&arguments)), expected);
        }
    }
    // A weight is brought to the input's device.
    let weight = || Some((cpu(&zeros(&[3])) + 2.0).into());
    let multi = MultiMarginLoss { weight: weight(), ..Default::default() };
    let unweighted = MultiMarginLoss::default().forward(&zeros(&[2, 3]), &indices(&[2]));
    assert_eq!(multi.forward(&zeros(&[2, 3]), &indices(&[2])), unweighted * 2.0);
    let soft = MultiLabelSoftMarginLoss { weight: weight(), ..Default::default() };
    let unweighted = MultiLabelSoftMarginLoss::default().forward(&zeros(&[2, 3]), &zeros(&[2, 3]));
    assert_eq!(soft.forward(&zeros(&[2, 3]), &zeros(&[2, 3])), unweighted * 2.0);

    let (log_probs, targets) = (zeros(&[5, 2, 3]).log_softmax(-1, Kind::Float), indices(&[2, 2]) + 1);
    let expected = ctc(&log_probs, &targets).unwrap();
    assert_close(
        "targets on the CPU",
        &ctc(&log_probs, &cpu(&targets)).unwrap(),
        &expected,
        1e-6,
        Relative::ToLargest,
    );
    // The kind and form that cuDNN takes.
    let for_cudnn = cpu(&targets).view([-1]).to_kind(Kind::Int);
    assert_close("cuDNN", &ctc(&log_probs, &for_cudnn).unwrap(), &expected, 1e-5, Relative::ToLargest);
    let refusal = message_of(ctc(&cpu(&log_probs), &targets));
    assert_eq!(refusal, "`targets` is on Cuda(0), expected Cpu, the device of `log_probs`, or Cpu");
}
