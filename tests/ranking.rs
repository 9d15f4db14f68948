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
