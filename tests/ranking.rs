//! The ranking, margin and triplet losses and CTC: against PyTorch, against numbers made by hand, and what
//! they refuse.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;

use common::{
    assert_as_in_pytorch, assert_close, device, few_roundings, noise, value, values, Case, Fixture, Relative,
    Rounding,
};
use tch::{Kind, Tensor};
use tch_losses::{
    BceWithLogitsLoss, CosineEmbeddingLoss, CtcLoss, DistanceFunction, Error, HingeEmbeddingLoss, Loss,
    MarginRankingLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, Reduction,
    SequenceLoss, SoftMarginLoss, TernaryLoss, TripletMarginLoss, TripletMarginWithDistanceLoss,
};

// Parity with PyTorch.

/// The case's options, each to be taken once: one that nobody takes would go untested. One that the case
/// leaves out has the default, which must be PyTorch's.
struct Options<'a>(&'a str, BTreeMap<&'a str, &'a serde_json::Value>);

impl<'a> Options<'a> {
    fn of(case: &'a Case) -> Self {
        Options(&case.name, case.options.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }

    fn or<T: serde::de::DeserializeOwned>(&mut self, name: &str, default: T) -> T {
        self.1.remove(name).map_or(default, |value| serde_json::from_value(value.clone()).unwrap())
    }

    fn reduction(&mut self) -> Reduction {
        match self.or("reduction", String::new()).as_str() {
            "none" => Reduction::None,
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            other => panic!("{}: reduction {other:?}", self.0),
        }
    }

    /// Python's infinity comes as a string.
    fn degree(&mut self, default: f64) -> f64 {
        match self.1.remove("p") {
            Some(serde_json::Value::String(text)) => text.parse().unwrap(),
            Some(number) => number.as_f64().unwrap(),
            None => default,
        }
    }

    fn distance(&mut self) -> Option<Box<DistanceFunction>> {
        match self.or("distance_function", String::new()).as_str() {
            "" => None,
            "cosine" => Some(Box::new(|a, b| Ok(1.0 - Tensor::f_cosine_similarity(a, b, 1, 1e-8)?))),
            "chebyshev" => {
                Some(Box::new(|a, b| Ok(a.f_sub(b)?.f_abs()?.f_amax([-1i64].as_slice(), false)?)))
            }
            other => panic!("{}: distance {other:?}", self.0),
        }
    }

    fn finish(self) {
        assert!(self.1.is_empty(), "{}: unknown options {:?}", self.0, self.1);
    }
}

/// The loss of the case; `argument` gives its arguments by their names.
fn evaluate(
    case: &Case,
    options: &mut Options,
    weight: Option<Tensor>,
    argument: impl Fn(&str) -> Tensor,
) -> Tensor {
    let reduction = options.reduction();
    let two = |loss: &dyn Loss| loss.forward(&argument("input"), &argument("target"));
    match case.loss.as_str() {
        "HingeEmbeddingLoss" => {
            let margin = options.or("margin", HingeEmbeddingLoss::default().margin);
            two(&HingeEmbeddingLoss { margin, reduction })
        }
        "SoftMarginLoss" => two(&SoftMarginLoss { reduction }),
        "MultiMarginLoss" => {
            let MultiMarginLoss { p, margin, .. } = MultiMarginLoss::default();
            let (p, margin) = (options.or("p", p), options.or("margin", margin));
            two(&MultiMarginLoss { p, margin, weight, reduction })
        }
        "MultiLabelMarginLoss" => two(&MultiLabelMarginLoss { reduction }),
        "MultiLabelSoftMarginLoss" => two(&MultiLabelSoftMarginLoss { weight, reduction }),
        "MarginRankingLoss" => {
            let margin = options.or("margin", MarginRankingLoss::default().margin);
            let loss = MarginRankingLoss { margin, reduction };
            loss.forward(&argument("input1"), &argument("input2"), &argument("target"))
        }
        "CosineEmbeddingLoss" => {
            let margin = options.or("margin", CosineEmbeddingLoss::default().margin);
            let loss = CosineEmbeddingLoss { margin, reduction };
            loss.forward(&argument("input1"), &argument("input2"), &argument("target"))
        }
        "TripletMarginLoss" => {
            let TripletMarginLoss { margin, p, eps, swap, .. } = TripletMarginLoss::default();
            let loss = TripletMarginLoss {
                margin: options.or("margin", margin),
                p: options.degree(p),
                eps: options.or("eps", eps),
                swap: options.or("swap", swap),
                reduction,
            };
            loss.forward(&argument("anchor"), &argument("positive"), &argument("negative"))
        }
        "TripletMarginWithDistanceLoss" => {
            let TripletMarginWithDistanceLoss { margin, swap, .. } = Default::default();
            let loss = TripletMarginWithDistanceLoss {
                distance_function: options.distance(),
                margin: options.or("margin", margin),
                swap: options.or("swap", swap),
                reduction,
            };
            loss.forward(&argument("anchor"), &argument("positive"), &argument("negative"))
        }
        "CTCLoss" => {
            let CtcLoss { blank, zero_infinity, .. } = CtcLoss::default();
            let loss = CtcLoss {
                blank: options.or("blank", blank),
                zero_infinity: options.or("zero_infinity", zero_infinity),
                reduction,
            };
            let input_lengths: Vec<i64> = options.or("input_lengths", vec![]);
            let target_lengths: Vec<i64> = options.or("target_lengths", vec![]);
            loss.forward(&argument("log_probs"), &argument("targets"), &input_lengths, &target_lengths)
        }
        other => panic!("{}: unknown loss {other}", case.name),
    }
}

/// Runs every case of a family: the value and each gradient that PyTorch has; `counts` are what must have
/// run.
fn check_family(family: &str, counts: &[(&str, usize)]) {
    let fixture = Fixture::load(family);
    let mut run = BTreeMap::new();
    for case in &fixture.cases {
        let leaves: RefCell<Vec<(String, Tensor)>> = RefCell::default();
        let argument = |name: &str| {
            let tensor = fixture.get(case, name);
            if fixture.find(case, &format!("grad_{name}")).is_some() {
                let leaf = tensor.set_requires_grad(true);
                leaves.borrow_mut().push((name.to_owned(), leaf.shallow_clone()));
                return leaf;
            }
            tensor
        };
        let mut options = Options::of(case);
        let loss = evaluate(case, &mut options, fixture.find(case, "weight"), argument);
        options.finish();
        let close = |role: &str, actual: &Tensor| {
            let what = format!("{} {role}", case.name);
            assert_as_in_pytorch(&what, actual, &fixture.get(case, role), Rounding::OfResult);
        };
        close("value", &loss);
        match fixture.find(case, "grad_output") {
            Some(upstream) => (loss * upstream).sum(None).backward(),
            None => loss.backward(),
        }
        let leaves = leaves.into_inner();
        assert!(!leaves.is_empty(), "{}: no gradient", case.name);
        for (name, leaf) in leaves {
            close(&format!("grad_{name}"), &leaf.grad());
        }
        *run.entry(case.loss.as_str()).or_insert(0) += 1;
    }
    assert_eq!(run, counts.iter().copied().collect());
}

#[test]
fn ranking_is_that_of_pytorch() {
    check_family(
        "ranking",
        &[
            ("HingeEmbeddingLoss", 30),
            ("SoftMarginLoss", 21),
            ("MarginRankingLoss", 24),
            ("CosineEmbeddingLoss", 33),
            ("MultiMarginLoss", 42),
            ("MultiLabelMarginLoss", 21),
            ("MultiLabelSoftMarginLoss", 33),
            ("TripletMarginLoss", 45),
            ("TripletMarginWithDistanceLoss", 21),
        ],
    );
}

#[test]
fn sequence_is_that_of_pytorch() {
    check_family("old/sequence", &[("CTCLoss", 54)]);
}

// Numbers from elsewhere.

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).to_device(device())
}

fn integers(values: &[i64]) -> Tensor {
    Tensor::from_slice(values).to_device(device())
}

fn matrix<const N: usize>(rows: &[[f64; N]]) -> Tensor {
    Tensor::from_slice2(rows).to_device(device())
}

fn leaf(tensor: &Tensor) -> Tensor {
    tensor.detach().set_requires_grad(true)
}

/// Of some dozens of steps in f64; the cosine's own 1e-12 of the squared lengths is within it, too.
fn assert_values(actual: &Tensor, expected: &[f64]) {
    let expected = vector(expected).view_as(actual);
    assert_close("value", actual, &expected, 1e-12, Relative::ToElement { floor: 1e-12 });
}

#[test]
fn by_hand() {
    let reduction = Reduction::None;
    let labels = integers(&[1, -1, -1]);

    let hinge = HingeEmbeddingLoss { margin: 2.0, reduction };
    assert_values(&hinge.forward(&vector(&[-0.5, 0.5, 2.5]), &labels), &[-0.5, 1.5, 0.0]);

    let soft = SoftMarginLoss { reduction };
    let expected = [(1.0 + (-2f64).exp()).ln(), (1.0 + 2f64.exp()).ln(), 2f64.ln()];
    assert_values(&soft.forward(&vector(&[2.0, 2.0, 0.0]), &labels), &expected);

    let ranking = MarginRankingLoss { margin: 0.5, reduction };
    let (one, other) = (vector(&[1.0, 1.0, 0.0]), vector(&[2.0, 2.0, 0.25]));
    assert_values(&ranking.forward(&one, &other, &labels), &[1.5, 0.0, 0.25]);

    // Cosines of 0.6, 0.6 and -1.
    let cosine = CosineEmbeddingLoss { margin: 0.1, reduction };
    let (one, other) =
        (matrix(&[[3.0, 4.0], [3.0, 4.0], [1.0, 0.0]]), matrix(&[[2.0, 0.0], [2.0, 0.0], [-3.0, 0.0]]));
    assert_values(&cosine.forward(&one, &other, &labels), &[0.4, 0.5, 0.0]);

    // Of class 1: 1 - 0.5 + 0.25 and 1 - 0.5 - 1 (none), over three classes, weight 4.
    let scores = matrix(&[[0.25, 0.5, -1.0]]);
    let weight = || Some(vector(&[1.0, 4.0, 1.0]));
    let multi = MultiMarginLoss { weight: weight(), reduction, ..Default::default() };
    assert_values(&multi.forward(&scores, &integers(&[1])), &[4.0 * 0.75 / 3.0]);
    let multi = MultiMarginLoss { p: 2, weight: weight(), reduction, ..Default::default() };
    assert_values(&multi.forward(&scores, &integers(&[1])), &[4.0 * 0.5625 / 3.0]);
    let weight = weight().unwrap().set_requires_grad(true);
    let multi = MultiMarginLoss { weight: Some(weight.shallow_clone()), ..Default::default() };
    multi.forward(&scores, &integers(&[1])).backward();
    assert_values(&weight.grad(), &[0.0, 0.75 / 3.0, 0.0]);

    // Of classes 1 and 0 against 2: both are ahead by more than 1; against a fourth: 0.5 and 0.75 short.
    let scores = matrix(&[[0.25, 0.5, -1.0, 0.0]]);
    let label = MultiLabelMarginLoss { reduction };
    let target = integers(&[1, 0, -1, 2]).view([1, 4]);
    assert_values(&label.forward(&scores, &target), &[(0.5 + 0.75) / 4.0]);

    let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
    let soft = MultiLabelSoftMarginLoss { weight: Some(vector(&[2.0, 3.0])), reduction };
    let expected = -(2.0 * sigma(0.7).ln() + 3.0 * sigma(1.2).ln()) / 2.0;
    let loss = soft.forward(&matrix(&[[0.7, -1.2]]), &integers(&[1, 0]).view([1, 2]));
    assert_values(&loss, &[expected]);

    // Distances 7, 5 and 4 by p; to the negative 3 from the anchor, and from the positive 4 + 4, √32, 4.
    let (anchor, positive) = (vector(&[0.0, 0.0]), vector(&[3.0, 4.0]));
    let negative = vector(&[-1.0, 0.0]);
    for (p, expected) in [(1.0, 7.0), (2.0, 5.0), (f64::INFINITY, 4.0)] {
        for swap in [false, true] {
            let loss = TripletMarginLoss { margin: 0.25, p, eps: 0.0, swap, reduction };
            // The swap changes nothing: the positive is farther from the negative than the anchor.
            assert_values(&loss.forward(&anchor, &positive, &negative), &[expected - 1.0 + 0.25]);
        }
    }
    let loss = TripletMarginLoss { eps: 0.0, swap: true, ..Default::default() };
    assert_values(&loss.forward(&anchor, &positive, &vector(&[3.0, 8.0])), &[5.0 - 4.0 + 1.0]);
}

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

type Function = Box<dyn Fn(&[Tensor]) -> Tensor>;

/// Every loss as a function of the arguments that have a gradient, with such arguments off the kinks.
fn differentiable() -> Vec<(&'static str, Vec<Tensor>, Function)> {
    let draw = |seed, shape: &[i64]| noise(seed, shape, Kind::Double);
    let rows = || integers(&[1, -1, 1]);
    let columns = move || rows().view([3, 1]);
    let classes = || integers(&[2, 0, 3]);
    let weight = move || Some(draw(9, &[4]).abs());
    let ctc_targets = || integers(&[1, 1, 2, 3, 2]);
    vec![
        (
            "hinge",
            vec![draw(1, &[3, 4])],
            Box::new(move |x| HingeEmbeddingLoss::default().forward(&x[0], &columns())),
        ),
        (
            "soft",
            vec![draw(1, &[3, 4])],
            Box::new(move |x| SoftMarginLoss::default().forward(&x[0], &columns())),
        ),
        (
            "ranking",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4]), draw(3, &[3, 4])],
            Box::new(|x| {
                MarginRankingLoss { margin: 0.3, ..Default::default() }.forward(&x[0], &x[1], &x[2])
            }),
        ),
        (
            "cosine",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4])],
            Box::new(move |x| {
                let loss = CosineEmbeddingLoss { margin: -0.9, ..Default::default() };
                loss.forward(&x[0], &x[1], &rows())
            }),
        ),
        (
            "multi",
            vec![draw(1, &[3, 4])],
            Box::new(move |x| {
                let loss = MultiMarginLoss { p: 2, weight: weight(), ..Default::default() };
                loss.forward(&x[0], &classes())
            }),
        ),
        (
            "label",
            vec![draw(1, &[3, 4])],
            Box::new(|x| {
                let target = integers(&[3, 0, -1, 1, -1, 2, 1, 0, 0, 1, 2, -1]).view([3, 4]);
                MultiLabelMarginLoss::default().forward(&x[0], &target)
            }),
        ),
        (
            "label soft",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4])],
            Box::new(move |x| {
                let loss = MultiLabelSoftMarginLoss { weight: Some(draw(9, &[4])), ..Default::default() };
                loss.forward(&x[0], &x[1])
            }),
        ),
        (
            "triplet",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4]), draw(3, &[3, 4])],
            Box::new(|x| {
                let loss = TripletMarginLoss { p: 3.0, swap: true, ..Default::default() };
                loss.forward(&x[0], &x[1], &x[2])
            }),
        ),
        (
            "triplet with distance",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4]), draw(3, &[3, 4])],
            Box::new(|x| {
                let loss = TripletMarginWithDistanceLoss { swap: true, ..Default::default() };
                loss.forward(&x[0], &x[1], &x[2])
            }),
        ),
        (
            "ctc",
            vec![draw(1, &[6, 2, 4])],
            Box::new(move |x| {
                let log_probs = x[0].log_softmax(-1, Kind::Double);
                CtcLoss::default().forward(&log_probs, &ctc_targets(), &[6, 5], &[3, 2])
            }),
        ),
    ]
}

/// Rounding leaves some 1e-16 / 1e-6 of a slope, curvature 1e-12: of slopes of 1/24 at least, 1e-8.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let step = 1e-6;
    for (name, inputs, loss) in differentiable() {
        let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
        loss(&leaves).backward();
        for (position, leaf) in leaves.iter().enumerate() {
            let at = |index: i64, offset: f64| {
                let moved: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
                let _ = moved[position].view([-1]).narrow(0, index, 1).g_add_scalar_(offset);
                value(&loss(&moved))
            };
            let slopes: Vec<f64> = (0..leaf.numel() as i64)
                .map(|index| (at(index, step) - at(index, -step)) / (2.0 * step))
                .collect();
            let slopes = vector(&slopes).view_as(leaf);
            let what = format!("{name}, argument {position}");
            assert!(slopes.abs().sum(None).double_value(&[]) > 0.0, "{what}");
            assert_close(&what, &leaf.grad(), &slopes, 1e-6, Relative::ToLargest);
        }
    }
}

#[test]
fn nothing_that_the_caller_passes_is_modified() {
    for (name, inputs, loss) in differentiable() {
        let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
        loss(&leaves).backward();
        for (leaf, before) in leaves.iter().zip(&inputs) {
            assert_eq!(leaf.detach(), *before, "{name}");
        }
        assert!(!tch::no_grad(|| loss(&leaves)).requires_grad(), "{name}");
    }
}

/// Two ways to a number of f64, some dozens of steps each.
#[test]
fn neighbours_agree() {
    let scores = noise(1, &[5, 3], Kind::Double) * 3.0;
    let present = noise(2, &[5, 3], Kind::Double).gt(0.0).to_kind(Kind::Double);
    let bce = BceWithLogitsLoss::default().forward(&scores, &present);
    let soft = SoftMarginLoss::default().forward(&scores, &(&present * 2.0 - 1.0));
    let multi = MultiLabelSoftMarginLoss::default().forward(&scores, &present);
    assert_close("soft margin", &soft, &bce, 1e-12, Relative::ToLargest);
    assert_close("multi-label soft margin", &multi, &bce, 1e-12, Relative::ToLargest);

    // A sample of one class is a sample of several with one.
    let class = integers(&[2, 0, 1, 2, 2]);
    let list = Tensor::full([5, 3], -1, (Kind::Int64, device()));
    list.select(1, 0).copy_(&class);
    let multi = MultiMarginLoss::default().forward(&scores, &class);
    let label = MultiLabelMarginLoss::default().forward(&scores, &list);
    assert_close("multi margin", &multi, &label, 1e-12, Relative::ToLargest);

    let [anchor, positive, negative] = [3, 4, 5].map(|seed| noise(seed, &[5, 3], Kind::Double));
    for swap in [false, true] {
        let own = TripletMarginLoss { swap, ..Default::default() };
        let given = TripletMarginWithDistanceLoss {
            distance_function: Some(Box::new(|a, b| {
                Ok(Tensor::f_pairwise_distance(a, b, 2.0, 1e-6, false)?)
            })),
            swap,
            ..Default::default()
        };
        let default = TripletMarginWithDistanceLoss { swap, ..Default::default() };
        let own = own.forward(&anchor, &positive, &negative);
        for loss in [given, default] {
            let other = loss.forward(&anchor, &positive, &negative);
            assert_close(&format!("{loss:?}"), &other, &own, 1e-12, Relative::ToLargest);
        }
    }
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
fn losses_that_are_infinite() {
    let scores = leaf(&vector(&[1000.0, -1000.0]));
    let loss = SoftMarginLoss { reduction: Reduction::None }.forward(&scores, &integers(&[-1, -1]));
    assert_eq!(values(&loss), [f64::INFINITY, 0.0]);
    loss.sum(None).backward();
    let gradient = values(&scores.grad());
    assert!(gradient[0].is_nan() && gradient[1] == 0.0, "{gradient:?}");

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

#[test]
fn reduced_precision() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let tolerance = few_roundings(kind);
        for (name, inputs, loss) in differentiable() {
            // Weights are of the kind of the input.
            if ["multi", "label soft", "ctc"].contains(&name) {
                continue;
            }
            let rounded: Vec<Tensor> = inputs.iter().map(|input| input.to_kind(kind)).collect();
            let actual = loss(&rounded);
            assert_eq!(actual.kind(), kind, "{name}");
            let exact: Vec<Tensor> = rounded.iter().map(|input| input.to_kind(Kind::Double)).collect();
            assert_close(
                name,
                &actual.to_kind(Kind::Double),
                &loss(&exact),
                tolerance,
                Relative::ToElement { floor: 0.5 },
            );
        }
        let scores = noise(1, &[3, 4], kind);
        let exact = scores.to_kind(Kind::Float);
        let close = |actual: Tensor, expected: Tensor| {
            assert_eq!(actual.kind(), kind);
            assert_close(
                "in f32 and rounded",
                &actual.to_kind(Kind::Float),
                &expected,
                tolerance,
                Relative::ToLargest,
            );
        };
        let classes = integers(&[2, 0, 3]);
        let multi = |kind| MultiMarginLoss {
            p: 2,
            weight: Some(noise(9, &[4], Kind::Half).abs().to_kind(kind)),
            ..Default::default()
        };
        close(multi(kind).forward(&scores, &classes), multi(Kind::Float).forward(&exact, &classes));
        let present = noise(2, &[3, 4], kind).gt(0.0).to_kind(Kind::Int64);
        let soft = |kind| MultiLabelSoftMarginLoss {
            weight: Some(noise(9, &[4], Kind::Half).abs().to_kind(kind)),
            ..Default::default()
        };
        close(soft(kind).forward(&scores, &present), soft(Kind::Float).forward(&exact, &present));
        let ctc = |log_probs: &Tensor| {
            let targets = integers(&[1, 1, 3, 2, 1]);
            CtcLoss::default().forward(log_probs, &targets, &[6, 6], &[3, 2])
        };
        let log_probs = noise(3, &[6, 2, 4], Kind::Float).log_softmax(-1, Kind::Float).to_kind(kind);
        close(ctc(&log_probs), ctc(&log_probs.to_kind(Kind::Float)));
    }
}

#[test]
fn squares_past_what_half_precision_holds() {
    let scores = matrix(&[[-300.0, 0.0, 0.0, 0.0]]).to_kind(Kind::Half);
    let loss = MultiMarginLoss { p: 2, ..Default::default() };
    // 3 * 301² / 4 is more than f16 holds; a weight brings it back.
    assert_eq!(value(&loss.forward(&scores, &integers(&[0]))), f64::INFINITY);
    let weight = Some(Tensor::full([4], 0.25, (Kind::Half, device())));
    let loss = MultiMarginLoss { weight, ..loss };
    let actual = value(&loss.forward(&scores, &integers(&[0])));
    // Neighbours in f16 are 16 apart there.
    assert!((actual - 0.1875 * 301.0 * 301.0).abs() < 16.0, "{actual}");
}

// What is refused.

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, device()))
}

fn indices(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Int64, device()))
}

fn message(result: tch_losses::Result<Tensor>) -> String {
    result.expect_err("bad input was accepted").to_string()
}

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

fn ctc(log_probs: &Tensor, targets: &Tensor) -> tch_losses::Result<Tensor> {
    CtcLoss::default().try_forward(log_probs, targets, &[5, 5], &[2, 2])
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
            assert_eq!(message(loss.try_forward(&other, &target)), format!("`input` {problem}"));
            assert_eq!(message(loss.try_forward(&input, &other)), format!("`target` {problem}"));
        }
        for (names, arguments, call) in of_three() {
            assert!(call(&arguments).is_ok());
            for position in 0..3 {
                let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
                arguments[position] = other.shallow_clone();
                assert_eq!(message(call(&arguments)), format!("`{}` {problem}", names[position]));
            }
        }
        assert_eq!(message(ctc(&other, &indices(&[2, 2]))), format!("`log_probs` {problem}"));
        assert_eq!(message(ctc(&zeros(&[5, 2, 3]), &other)), format!("`targets` {problem}"));
        let weight = || Some(other.shallow_clone());
        let multi = MultiMarginLoss { weight: weight(), ..Default::default() };
        let refusal = message(multi.try_forward(&zeros(&[2, 3]), &indices(&[2])));
        assert_eq!(refusal, format!("`weight` {problem}"));
        let soft = MultiLabelSoftMarginLoss { weight: weight(), ..Default::default() };
        let refusal = message(soft.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3])));
        assert_eq!(refusal, format!("`weight` {problem}"));
    }
}

#[test]
fn kinds() {
    const FLOATING: &str = "Half, BFloat16, Float or Double";
    let labels = ["HingeEmbeddingLoss", "SoftMarginLoss"];
    for (loss, input, target) in of_two() {
        for kind in [Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
            let refusal = message(loss.try_forward(&input.to_kind(kind), &target));
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
            let refusal = message(loss.try_forward(&input, &target.to_kind(kind)));
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
        let refusal = message(with(0, Kind::Int64));
        assert_eq!(refusal, format!("`{first}` has kind Int64, expected {FLOATING}"));
        let refusal = message(with(1, Kind::Double));
        assert_eq!(refusal, format!("`{second}` has kind Double, expected Float, the kind of `{first}`"));
        let refusal = message(with(2, Kind::Double));
        if third == "target" {
            let expected = "Float, the kind of `input1`, or a signed integer";
            assert_eq!(refusal, format!("`target` has kind Double, expected {expected}"));
            assert_eq!(message(with(2, Kind::Bool)), format!("`target` has kind Bool, expected {expected}"));
            assert_eq!(with(2, Kind::Int8).unwrap().kind(), Kind::Float);
        } else {
            assert_eq!(refusal, "`negative` has kind Double, expected Float, the kind of `anchor`");
        }
    }
    let (log_probs, targets) = (zeros(&[5, 2, 3]), indices(&[2, 2]) + 1);
    let refusal = message(ctc(&log_probs.to_kind(Kind::Int64), &targets));
    assert_eq!(refusal, format!("`log_probs` has kind Int64, expected {FLOATING}"));
    for kind in [Kind::Float, Kind::Bool] {
        let refusal = message(ctc(&log_probs, &targets.to_kind(kind)));
        assert_eq!(refusal, format!("`targets` has kind {kind:?}, expected an integer"));
    }
    for kind in [Kind::Uint8, Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64] {
        assert!(ctc(&log_probs, &targets.to_kind(kind)).is_ok(), "{kind:?}");
    }
}

#[test]
fn shapes_of_pairs() {
    let refused = |loss: &dyn Loss, input: &[i64], target: &[i64]| {
        message(loss.try_forward(&zeros(input), &zeros(target)))
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
        |shape: &[i64]| MultiLabelSoftMarginLoss { weight: Some(zeros(shape)), ..Default::default() };
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
fn shapes_of_classes() {
    let multi = MultiMarginLoss::default();
    let label = MultiLabelMarginLoss::default();
    for shape in [vec![0], vec![2, 0], vec![2, 3, 4]] {
        let expected = format!("`input` has shape {shape:?}, expected [N, C] or [C] with C at least 1");
        assert_eq!(message(multi.try_forward(&zeros(&shape), &indices(&[2]))), expected);
        assert_eq!(message(label.try_forward(&zeros(&shape), &indices(&shape))), expected);
    }
    for (input, target, samples) in
        [(&[2i64, 3][..], &[3i64][..], 2), (&[2, 3], &[2, 1], 2), (&[2, 3], &[], 2), (&[3], &[3], 1)]
    {
        let refusal = message(multi.try_forward(&zeros(input), &indices(target)));
        let expected = format!("[{samples}], one class for each sample of `input`");
        assert_eq!(refusal, format!("`target` has shape {target:?}, expected {expected}"));
    }
    for target in [&[2i64, 4][..], &[1, 3], &[3], &[3, 2]] {
        let refusal = message(label.try_forward(&zeros(&[2, 3]), &indices(target)));
        assert_eq!(refusal, format!("`target` has shape {target:?}, expected [2, 3], the shape of `input`"));
    }
    for shape in [vec![], vec![1], vec![2], vec![1, 3]] {
        let loss = MultiMarginLoss { weight: Some(zeros(&shape)), ..Default::default() };
        let refusal = message(loss.try_forward(&zeros(&[2, 3]), &indices(&[2])));
        assert_eq!(
            refusal,
            format!("`weight` has shape {shape:?}, expected [3], one for each class of `input`")
        );
    }
    let double = || Some(zeros(&[3]).to_kind(Kind::Double));
    let expected = "`weight` has kind Double, expected Float, the kind of `input`";
    let loss = MultiMarginLoss { weight: double(), ..Default::default() };
    assert_eq!(message(loss.try_forward(&zeros(&[2, 3]), &indices(&[2]))), expected);
    let loss = MultiLabelSoftMarginLoss { weight: double(), ..Default::default() };
    assert_eq!(message(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))), expected);
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
fn shapes_of_three() {
    for (names, arguments, call) in of_three() {
        let with = |position: usize, shape: &[i64]| {
            let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
            arguments[position] = zeros(shape);
            message(call(&arguments))
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
        let refusal = message(cosine.try_forward(&zeros(shape), &zeros(shape), &zeros(&[2])));
        assert_eq!(refusal, format!("`input1` has shape {shape:?}, expected [N, D] or [D]"));
    }
    let refusal = message(cosine.try_forward(&zeros(&[3]), &zeros(&[3]), &zeros(&[1])));
    assert_eq!(refusal, "`target` has shape [1], expected [], one for each vector of `input1` and `input2`");
}

#[test]
fn options() {
    let (input, target) = (zeros(&[2, 3]), zeros(&[2, 3]));
    let labels = zeros(&[2]);
    let reduction = Reduction::Other(7);
    let expected = "option `reduction` is Other(7), expected None, Mean or Sum";
    let losses: [(Box<dyn Loss>, &Tensor); 5] = [
        (Box::new(HingeEmbeddingLoss { reduction, ..Default::default() }), &target),
        (Box::new(SoftMarginLoss { reduction }), &target),
        (Box::new(MultiMarginLoss { reduction, ..Default::default() }), &labels),
        (Box::new(MultiLabelMarginLoss { reduction }), &target),
        (Box::new(MultiLabelSoftMarginLoss { reduction, ..Default::default() }), &target),
    ];
    for (loss, target) in losses {
        assert_eq!(message(loss.try_forward(&input, target)), expected);
    }
    let triplet = |loss: TripletMarginLoss| message(loss.try_forward(&input, &input, &input));
    let with_distance =
        |loss: TripletMarginWithDistanceLoss| message(loss.try_forward(&input, &input, &input));
    let ranking = |loss: MarginRankingLoss| message(loss.try_forward(&input, &input, &target));
    let cosine = |loss: CosineEmbeddingLoss| message(loss.try_forward(&input, &input, &labels));
    assert_eq!(triplet(TripletMarginLoss { reduction, ..Default::default() }), expected);
    assert_eq!(with_distance(TripletMarginWithDistanceLoss { reduction, ..Default::default() }), expected);
    assert_eq!(ranking(MarginRankingLoss { reduction, ..Default::default() }), expected);
    assert_eq!(cosine(CosineEmbeddingLoss { reduction, ..Default::default() }), expected);
    let loss = CtcLoss { reduction, ..Default::default() };
    let refusal = loss.try_forward(&zeros(&[5, 2, 3]), &indices(&[2, 2]), &[5, 5], &[2, 2]);
    assert_eq!(message(refusal), expected);

    for (margin, given) in [(f64::NAN, "NaN"), (f64::NEG_INFINITY, "-inf")] {
        let expected = format!("option `margin` is {given}, expected a finite number");
        let hinge = HingeEmbeddingLoss { margin, ..Default::default() };
        assert_eq!(message(hinge.try_forward(&input, &target)), expected);
        let multi = MultiMarginLoss { margin, ..Default::default() };
        assert_eq!(message(multi.try_forward(&input, &labels)), expected);
        assert_eq!(ranking(MarginRankingLoss { margin, ..Default::default() }), expected);
        assert_eq!(cosine(CosineEmbeddingLoss { margin, ..Default::default() }), expected);
    }
    for (margin, given) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let expected = format!("option `margin` is {given}, expected a finite number greater than 0");
        assert_eq!(triplet(TripletMarginLoss { margin, ..Default::default() }), expected);
        assert_eq!(with_distance(TripletMarginWithDistanceLoss { margin, ..Default::default() }), expected);
    }
    for (eps, given) in [(-1e-6, "-0.000001"), (f64::NAN, "NaN")] {
        let expected = format!("option `eps` is {given}, expected a finite number, 0 or more");
        assert_eq!(triplet(TripletMarginLoss { eps, ..Default::default() }), expected);
    }
    let expected = "option `p` is NaN, expected the degree of a norm";
    assert_eq!(triplet(TripletMarginLoss { p: f64::NAN, ..Default::default() }), expected);
    for p in [0, 3, -1] {
        let loss = MultiMarginLoss { p, ..Default::default() };
        let refusal = message(loss.try_forward(&input, &labels));
        assert_eq!(refusal, format!("option `p` is {p}, expected 1 or 2"));
    }
    for blank in [-1, 3] {
        let loss = CtcLoss { blank, ..Default::default() };
        let refusal = loss.try_forward(&zeros(&[5, 2, 3]), &indices(&[2, 2]), &[5, 5], &[2, 2]);
        let expected = format!("option `blank` is {blank}, expected 0 to 2, a class of `log_probs`");
        assert_eq!(message(refusal), expected);
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

#[test]
fn sequences() {
    let log_probs = zeros(&[5, 2, 3]).log_softmax(-1, Kind::Float);
    let refused = |targets: &[i64], shape: &[i64], input_lengths: &[i64], target_lengths: &[i64]| {
        let targets = integers(targets).view(shape);
        message(CtcLoss::default().try_forward(&log_probs, &targets, input_lengths, target_lengths))
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
        let refusal = message(ctc(&zeros(shape), &indices(&[2, 2])));
        let expected = "[T, N, C] or [T, C] with every size at least 1";
        assert_eq!(refusal, format!("`log_probs` has shape {shape:?}, expected {expected}"));
    }
    // libtorch would read past the end of its memory.
    let log_probs_on_cpu = log_probs.to_device(tch::Device::Cpu);
    for label in [3, -1, i64::MAX] {
        for (shape, lengths) in [([2i64, 2].as_slice(), [2, 2]), (&[4], [1, 3])] {
            let targets = Tensor::from_slice(&[1, 2, 2, label]).view(shape);
            let refusal =
                message(CtcLoss::default().try_forward(&log_probs_on_cpu, &targets, &[5, 5], &lengths));
            let expected = "0 to 2, a class of `log_probs`";
            assert_eq!(refusal, format!("`targets` holds {label} in sequence 1, expected {expected}"));
        }
        // Behind the end of a target anything goes.
        let targets = Tensor::from_slice(&[1, 2, 2, label]).view([2, 2]);
        assert!(CtcLoss::default().try_forward(&log_probs_on_cpu, &targets, &[5, 5], &[2, 1]).is_ok());
    }
}

#[test]
fn distances_of_the_callers() {
    let image = zeros(&[2, 3, 4, 4]);
    let with = |distance: Box<DistanceFunction>| {
        let loss = TripletMarginWithDistanceLoss { distance_function: Some(distance), ..Default::default() };
        loss.try_forward(&image, &image, &image)
    };
    // Whatever the distance takes: here images, and one of this crate's losses.
    let l1 = |a: &Tensor, b: &Tensor| {
        let loss = tch_losses::L1Loss { reduction: Reduction::None };
        Ok(loss.try_forward(a, b)?.f_mean_dim([1i64, 2, 3].as_slice(), false, None)?)
    };
    assert_eq!(value(&with(Box::new(l1)).unwrap()), 1.0);
    // Integers, as for a table of embeddings.
    let table = matrix(&[[0.0, 0.0], [3.0, 4.0], [0.0, 6.0]]);
    let lookup = TripletMarginWithDistanceLoss {
        distance_function: Some(Box::new(move |a, b| {
            let (a, b) = (table.f_index_select(0, a)?, table.f_index_select(0, b)?);
            Ok(Tensor::f_pairwise_distance(&a, &b, 2.0, 0.0, false)?)
        })),
        ..Default::default()
    };
    let loss = lookup.forward(&integers(&[0]), &integers(&[1]), &integers(&[2]));
    assert_eq!(value(&loss), 0.0);
    let loss = lookup.forward(&integers(&[0]), &integers(&[2]), &integers(&[1]));
    assert_eq!(value(&loss), 2.0);

    // Its errors, its own and libtorch's, come out as they are.
    let own = || Error::Option { option: "mine", given: "1".into(), expected: "2".into() };
    assert_eq!(message(with(Box::new(move |_, _| Err(own())))), own().to_string());
    let refusal = with(Box::new(|a, _| Ok(a.f_matmul(&Tensor::zeros([7], (Kind::Float, a.device())))?)));
    assert!(matches!(refusal, Err(Error::Torch(_))), "{refusal:?}");
    assert_eq!(
        message(with(Box::new(|_, _| Ok(Tensor::new())))),
        "`distance(anchor, positive)` is an undefined tensor"
    );
    assert_eq!(
        message(with(Box::new(|_, _| Ok(integers(&[1]))))),
        "`distance(anchor, positive)` has kind Int64, expected Half, BFloat16, Float or Double"
    );
    // Distances that do not go together: the second of them, or the third.
    let refused = |wrong: i64, shape: &'static [i64], kind: Kind| {
        let calls = std::cell::Cell::new(0);
        let distance = move |_: &Tensor, _: &Tensor| {
            calls.set(calls.get() + 1);
            Ok(if calls.get() == wrong { zeros(shape).to_kind(kind) } else { zeros(&[2]) })
        };
        let loss = TripletMarginWithDistanceLoss {
            distance_function: Some(Box::new(distance)),
            swap: true,
            ..Default::default()
        };
        message(loss.try_forward(&image, &image, &image))
    };
    for (wrong, name) in [(2, "distance(anchor, negative)"), (3, "distance(positive, negative)")] {
        assert_eq!(
            refused(wrong, &[2], Kind::Double),
            format!("`{name}` has kind Double, expected Float, the kind of `distance(anchor, positive)`")
        );
        let refusal = refused(wrong, &[3], Kind::Float);
        let expected = "one that broadcasts with [2], the shape of `distance(anchor, positive)`";
        let start = format!("`{name}` has shape [3], expected {expected}");
        assert!(refusal.starts_with(&start), "{refusal}");
    }
    let loss = TripletMarginWithDistanceLoss {
        distance_function: Some(Box::new(|_, _| panic!("must not be called"))),
        ..Default::default()
    };
    assert_eq!(
        message(loss.try_forward(&image, &image, &zeros(&[2, 3]))),
        "`negative` has shape [2, 3], expected one of 4 dimensions, as `anchor`"
    );
}

#[test]
fn triplets_with_a_distance_are_printed_and_sent() {
    let loss = TripletMarginWithDistanceLoss::default();
    assert_eq!(
        format!("{loss:?}"),
        "TripletMarginWithDistanceLoss { distance_function: pairwise, margin: 1.0, swap: false, reduction: Mean }"
    );
    let distance_function: Option<Box<DistanceFunction>> =
        Some(Box::new(|a, b| Ok(a.f_sub(b)?.f_square()?.f_sum(None)?)));
    let loss = TripletMarginWithDistanceLoss { distance_function, swap: true, ..Default::default() };
    let expected = "{ distance_function: custom, margin: 1.0, swap: true, reduction: Mean }";
    assert_eq!(format!("{loss:?}"), format!("TripletMarginWithDistanceLoss {expected}"));
    let thread = std::thread::spawn(move || {
        value(&loss.forward(&vector(&[0.0, 2.0]), &vector(&[0.0, 0.0]), &vector(&[1.0, 0.0])))
    });
    // From the positive to the negative it is 1, from the anchor 5.
    assert_eq!(thread.join().unwrap(), 4.0 - 1.0 + 1.0);
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
    let cpu = |tensor: &Tensor| tensor.to_device(tch::Device::Cpu);
    for (loss, input, target) in of_two() {
        assert_eq!(loss.forward(&input, &target).device(), device(), "{loss:?}");
        let refusal = message(loss.try_forward(&input, &cpu(&target)));
        assert_eq!(refusal, "`target` is on Cpu, expected Cuda(0), the device of `input`", "{loss:?}");
    }
    for (names, arguments, call) in of_three() {
        for position in 1..3 {
            let mut arguments = arguments.each_ref().map(Tensor::shallow_clone);
            arguments[position] = cpu(&arguments[position]);
            let expected =
                format!("`{}` is on Cpu, expected Cuda(0), the device of `{}`", names[position], names[0]);
            assert_eq!(message(call(&arguments)), expected);
        }
    }
    let weight = || Some(cpu(&zeros(&[3])));
    let expected = "`weight` is on Cpu, expected Cuda(0), the device of `input`";
    let multi = MultiMarginLoss { weight: weight(), ..Default::default() };
    assert_eq!(message(multi.try_forward(&zeros(&[2, 3]), &indices(&[2]))), expected);
    let soft = MultiLabelSoftMarginLoss { weight: weight(), ..Default::default() };
    assert_eq!(message(soft.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))), expected);

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
    let refusal = message(ctc(&cpu(&log_probs), &targets));
    assert_eq!(refusal, "`targets` is on Cuda(0), expected Cpu, the device of `log_probs`, or Cpu");
}
