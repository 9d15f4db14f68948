//! Losses on distances, rankings, margins and sequences.

use tch::Kind;
use tch_losses::{
    CosineEmbeddingLoss, CtcLoss, HingeEmbeddingLoss, Loss, MarginRankingLoss, MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss, MultiMarginLoss, SequenceLoss, SoftMarginLoss, TernaryLoss, TripletMarginLoss,
    TripletMarginWithDistanceLoss,
};

use super::{constant, integers, pair, variable, Argument, Subject};
use crate::common::noise;

pub fn rankings(kind: Kind) -> Vec<Subject> {
    let draw = |seed| noise(seed, &[3, 4], kind);
    let signs = || integers(&[1, -1, -1, 1, -1, 1, 1, -1, 1, 1, -1, -1], &[3, 4]);
    let floating = || signs().to_kind(kind);
    let labels = || integers(&[1, -1, -1], &[3]);
    let mut subjects = Vec::new();
    for (variant, target) in
        [("integers", signs()), ("numbers", floating()), ("row", floating().narrow(0, 0, 1).copy())]
    {
        let both = || (variable("input", draw(1)), constant("target", target.shallow_clone()));
        let build = |reduction| HingeEmbeddingLoss { margin: 0.7, reduction };
        subjects.push(pair("HingeEmbeddingLoss", variant, both(), build));
        subjects.push(pair("SoftMarginLoss", variant, both(), |reduction| SoftMarginLoss { reduction }));
    }
    let three = |third: Argument| vec![variable("input1", draw(1)), variable("input2", draw(2)), third];
    for (variant, third) in
        [("integers", constant("target", signs())), ("numbers", variable("target", floating()))]
    {
        subjects.push(Subject::new("MarginRankingLoss", variant, three(third), |x, reduction| {
            MarginRankingLoss { margin: 0.3, reduction }.forward(&x[0], &x[1], &x[2])
        }));
    }
    subjects.push(Subject::new(
        "CosineEmbeddingLoss",
        "",
        three(constant("target", labels())),
        |x, reduction| CosineEmbeddingLoss { margin: -0.9, reduction }.forward(&x[0], &x[1], &x[2]),
    ));
    for p in [1, 2] {
        let arguments = vec![
            variable("input", draw(1)),
            constant("target", integers(&[2, 0, 3], &[3])),
            variable("weight", noise(4, &[4], kind).abs() + 0.1),
        ];
        subjects.push(Subject::new("MultiMarginLoss", &format!("{p}"), arguments, move |x, reduction| {
            let weight = Some(x[2].shallow_clone());
            MultiMarginLoss { p, margin: 0.7, weight, reduction }.forward(&x[0], &x[1])
        }));
    }
    let lists = integers(&[3, 0, -1, 1, 0, -1, 2, 1, 2, 0, 1, -1], &[3, 4]);
    let both = (variable("input", draw(1)), constant("target", lists));
    subjects.push(pair("MultiLabelMarginLoss", "", both, |reduction| MultiLabelMarginLoss { reduction }));
    let one = (variable("input", noise(1, &[4], kind)), constant("target", integers(&[3, 0, -1, 1], &[4])));
    subjects.push(pair("MultiLabelMarginLoss", "one", one, |reduction| MultiLabelMarginLoss { reduction }));
    for (variant, target) in [
        ("integers", constant("target", signs().gt(0).to_kind(Kind::Int64))),
        ("numbers", variable("target", draw(2))),
    ] {
        let weight = variable("weight", noise(4, &[4], kind).abs());
        let arguments = vec![variable("input", draw(1)), target, weight];
        subjects.push(Subject::new("MultiLabelSoftMarginLoss", variant, arguments, |x, reduction| {
            let weight = Some(x[2].shallow_clone());
            MultiLabelSoftMarginLoss { weight, reduction }.forward(&x[0], &x[1])
        }));
    }
    let triplet =
        || vec![variable("anchor", draw(1)), variable("positive", draw(2)), variable("negative", draw(3))];
    for p in [2.0, 3.0] {
        subjects.push(Subject::new("TripletMarginLoss", &format!("{p}"), triplet(), move |x, reduction| {
            let loss = TripletMarginLoss { p, swap: true, reduction, ..Default::default() };
            loss.forward(&x[0], &x[1], &x[2])
        }));
    }
    subjects.push(Subject::new("TripletMarginWithDistanceLoss", "", triplet(), |x, reduction| {
        let loss = TripletMarginWithDistanceLoss { swap: true, reduction, ..Default::default() };
        loss.forward(&x[0], &x[1], &x[2])
    }));
    subjects
}

pub fn sequences(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for of in [Kind::Int64, Kind::Int, Kind::Uint8] {
        let concatenated = integers(&[1, 2, 3, 1, 2], &[5]);
        let padded = integers(&[1, 2, 3, 3, 1, 2], &[2, 3]);
        for (variant, targets) in [("concatenated", concatenated), ("padded", padded)] {
            let arguments = vec![
                variable("log_probs", noise(1, &[8, 2, 4], kind).log_softmax(-1, None)),
                constant("targets", targets.to_kind(of)),
            ];
            let variant = format!("{variant} {of:?}");
            subjects.push(Subject::new("CTCLoss", &variant, arguments, |x, reduction| {
                let loss = CtcLoss { reduction, ..Default::default() };
                loss.forward(&x[0], &x[1], &[8, 7], &[2, 3])
            }));
        }
    }
    let arguments = vec![
        variable("log_probs", noise(1, &[8, 4], kind).log_softmax(-1, None)),
        constant("targets", integers(&[1, 2, 3], &[3])),
    ];
    subjects.push(Subject::new("CTCLoss", "one", arguments, |x, reduction| {
        CtcLoss { reduction, ..Default::default() }.forward(&x[0], &x[1], &[8], &[3])
    }));
    subjects
}
