//! Losses on values and on distributions.

use tch::Kind;
use tch_losses::{
    BceLoss, BceWithLogitsLoss, GaussianNllLoss, HuberLoss, KlDivLoss, L1Loss, Loss, MseLoss, PoissonNllLoss,
    Reduction, SmoothL1Loss, TernaryLoss,
};

use super::{constant, map, pair, variable, Subject};
use crate::common::noise;

/// Elementwise losses.
pub fn values(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for shape in [vec![5], vec![4, 3], vec![2, 3, 4, 5], vec![2, 1, 4, 3]] {
        let variant = format!("{shape:?}");
        let draw = |seed| noise(seed, &shape, kind);
        let probabilities = |seed| (draw(seed) + 1.0) * 0.5;
        let both = || (variable("input", draw(1)), variable("target", draw(2)));
        subjects.push(pair("L1Loss", &variant, both(), |reduction| L1Loss { reduction }));
        subjects.push(pair("MSELoss", &variant, both(), |reduction| MseLoss { reduction }));
        for beta in [0.0, 0.5] {
            let build = move |reduction| SmoothL1Loss { beta, reduction };
            subjects.push(pair("SmoothL1Loss", &format!("{variant} {beta}"), both(), build));
        }
        let build = |reduction| HuberLoss { delta: 0.5, reduction };
        subjects.push(pair("HuberLoss", &variant, both(), build));
        for weight in [draw(3).abs(), noise(4, &shape[shape.len() - 1..], kind).abs()] {
            let variant = format!("{variant} weight {:?}", weight.size());
            let weight = || constant("weight", weight.shallow_clone());
            let arguments =
                vec![variable("input", probabilities(1)), variable("target", probabilities(2)), weight()];
            subjects.push(Subject::new("BCELoss", &variant, arguments, |x, reduction| {
                BceLoss { weight: Some(x[2].shallow_clone()), reduction }.forward(&x[0], &x[1])
            }));
            let arguments = vec![
                variable("input", draw(1)),
                variable("target", probabilities(2)),
                weight(),
                constant("pos_weight", weight().tensor.flip([0])),
            ];
            subjects.push(Subject::new("BCEWithLogitsLoss", &variant, arguments, |x, reduction| {
                let [weight, pos_weight] = [2, 3].map(|index: usize| Some(x[index].shallow_clone()));
                BceWithLogitsLoss { weight, pos_weight, reduction }.forward(&x[0], &x[1])
            }));
        }
    }
    let image = |seed| (noise(seed, &[2, 3, 4, 5], kind) + 1.0) * 0.5;
    let both = || (constant("input", image(1)), constant("target", image(2)));
    subjects.push(map("L1Loss", both(), L1Loss::default()));
    subjects.push(map("MSELoss", both(), MseLoss::default()));
    subjects.push(map("SmoothL1Loss", both(), SmoothL1Loss { beta: 0.5, ..Default::default() }));
    subjects.push(map("HuberLoss", both(), HuberLoss { delta: 0.5, ..Default::default() }));
    subjects.push(map("BCELoss", both(), BceLoss::default()));
    subjects.push(map("BCEWithLogitsLoss", both(), BceWithLogitsLoss::default()));
    subjects
}

pub fn distributions(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for shape in [vec![5], vec![4, 3], vec![2, 3, 4, 5]] {
        let variant = format!("{shape:?}");
        let draw = |seed| noise(seed, &shape, kind);
        let log = |seed| draw(seed).log_softmax(-1, None);
        for log_target in [false, true] {
            let target = if log_target { log(2) } else { log(2).exp() };
            let both = (variable("input", log(1)), variable("target", target));
            subjects.push(pair("KLDivLoss", &format!("{variant} {log_target}"), both, move |reduction| {
                let reduction = match reduction {
                    Reduction::None => Reduction::None,
                    Reduction::Sum => Reduction::BatchMean,
                    _ => Reduction::Mean,
                };
                KlDivLoss { log_target, reduction }
            }));
        }
        for log_input in [false, true] {
            let both = (variable("input", draw(1).abs()), variable("target", draw(2).abs() * 4.0));
            let build =
                move |reduction| PoissonNllLoss { log_input, full: true, reduction, ..Default::default() };
            subjects.push(pair("PoissonNLLLoss", &format!("{variant} {log_input}"), both, build));
        }
    }
    let shape = [2, 3, 4];
    for (target, var) in [([2, 3, 4], vec![2, 3, 4]), ([2, 1, 4], vec![2, 3, 1]), ([2, 3, 4], vec![2, 3])] {
        let variant = format!("{target:?} {var:?}");
        let arguments = vec![
            variable("input", noise(1, &shape, kind)),
            variable("target", noise(2, &target, kind)),
            variable("var", noise(3, &var, kind).abs() + 0.1),
        ];
        subjects.push(Subject::new("GaussianNLLLoss", &variant, arguments, |x, reduction| {
            GaussianNllLoss { full: true, reduction, ..Default::default() }.forward(&x[0], &x[1], &x[2])
        }));
    }
    subjects
}
