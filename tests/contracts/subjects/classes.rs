//! Losses on classes, with and without a layer.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, Chunking, CrossEntropyLoss,
    LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, NllLoss, Reduction,
};

use super::{constant, integers, variable, Subject, ALL, MEAN, SCALAR};
use crate::common::{device, noise};

/// Cross entropies of classes; 3 of them, of which 1 is ignored.
pub fn classes(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    let shapes =
        [vec![3], vec![4, 3], vec![4, 3, 5], vec![2, 3, 4, 5], vec![2, 3, 2, 2, 3], vec![1, 3, 4, 1]];
    for shape in shapes {
        let draw = |seed| noise(seed, &shape, kind);
        let axis = i64::from(shape.len() > 1);
        let mut places = shape.clone();
        places.remove(axis as usize);
        let count: i64 = places.iter().product();
        let drawn: Vec<i64> = (0..count).map(|place| [0, 2, 1, 2, 0][place as usize % 5]).collect();
        for of in [Kind::Int64, Kind::Uint8] {
            let target = || constant("target", integers(&drawn, &places).to_kind(of));
            let weight = || constant("weight", noise(3, &[3], kind).abs() + 0.1);
            let variant = format!("{shape:?} {of:?}");
            let arguments = vec![variable("input", draw(1).log_softmax(axis, None)), target(), weight()];
            subjects.push(Subject::new("NLLLoss", &variant, arguments, |x, reduction| {
                let weight = Some(x[2].shallow_clone());
                NllLoss { weight, ignore_index: 1, reduction }.forward(&x[0], &x[1])
            }));
            for label_smoothing in [0.0, 0.1] {
                let variant = format!("{variant} {label_smoothing}");
                let arguments = vec![variable("input", draw(1)), target(), weight()];
                subjects.push(Subject::new("CrossEntropyLoss", &variant, arguments, move |x, reduction| {
                    let weight = Some(x[2].shallow_clone());
                    let loss = CrossEntropyLoss { weight, ignore_index: 1, label_smoothing, reduction };
                    loss.forward(&x[0], &x[1])
                }));
            }
        }
        let arguments = vec![
            variable("input", draw(1)),
            variable("target", draw(2).softmax(axis, None)),
            variable("weight", noise(3, &[3], kind).abs() + 0.1),
        ];
        let variant = format!("{shape:?} probabilities");
        subjects.push(Subject::new("CrossEntropyLoss", &variant, arguments, |x, reduction| {
            let weight = Some(x[2].shallow_clone());
            CrossEntropyLoss { weight, label_smoothing: 0.1, reduction, ..Default::default() }
                .forward(&x[0], &x[1])
        }));
    }
    subjects
}

/// Losses with a layer.
pub fn linear(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    // One row, several rows, several places for each.
    let shapes =
        [(vec![3], vec![], vec![]), (vec![5, 3], vec![], vec![5]), (vec![5, 3], vec![2], vec![5, 2])];
    for (input, places, target) in shapes {
        for chunking in [Chunking::Off, Chunking::Rows(2)] {
            for probabilities in [false, true] {
                let count: i64 = target.iter().product();
                let logits = [&target[..target.len().min(1)], &[4], &places[..]].concat();
                let target = match probabilities {
                    true => noise(5, &logits, kind).softmax(i64::from(logits.len() > 1), None),
                    false => {
                        let drawn: Vec<i64> =
                            (0..count).map(|place| [0, 3, 1, 2][place as usize % 4]).collect();
                        integers(&drawn, &target)
                    }
                };
                let outputs = 4 * places.iter().product::<i64>();
                let arguments = vec![
                    variable("input", noise(1, &input, kind)),
                    constant("target", target),
                    constant("weight", noise(2, &[4], kind).abs() + 0.1),
                    variable("linear.weight", noise(3, &[outputs, 3], kind)),
                    variable("linear.bias", noise(4, &[outputs], kind)),
                ];
                let variant = format!("{input:?} {places:?} {chunking:?} {probabilities}");
                let out_features = places.clone();
                let subject =
                    Subject::new("LinearCrossEntropyLoss", &variant, arguments, move |x, reduction| {
                        let config = LinearCrossEntropyConfig {
                            out_features: out_features.clone(),
                            bias: true,
                            weight: Some(x[2].shallow_clone()),
                            reduction,
                            chunking,
                            ..Default::default()
                        };
                        let mut vs = nn::VarStore::new(device());
                        vs.set_kind(x[3].kind());
                        let mut loss = LinearCrossEntropyLoss::new(&vs.root(), 3, 4, config).unwrap();
                        loss.linear.ws = x[3].shallow_clone();
                        loss.linear.bs = Some(x[4].shallow_clone());
                        loss.forward(&x[0], &x[1])
                    });
                // In pieces, there is no gradient without a reduction.
                let reductions = if chunking == Chunking::Off { ALL } else { SCALAR };
                subjects.push(Subject { reductions, ..subject });
            }
        }
    }
    for single in [false, true] {
        let adaptive = || {
            let mut vs = nn::VarStore::new(device());
            vs.set_kind(kind);
            let config = AdaptiveLogSoftmaxConfig { div_value: 2.0, head_bias: true };
            let loss = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), 4, 6, &[2, 4], config).unwrap();
            let mut parameters: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
            parameters.sort_by(|a, b| a.0.cmp(&b.0));
            for (seed, (_, parameter)) in parameters.iter_mut().enumerate() {
                no_grad(|| parameter.copy_(&noise(10 + seed as i64, &parameter.size(), kind)));
            }
            loss
        };
        let (input, target) = match single {
            true => (noise(1, &[4], kind), integers(&[3], &[])),
            false => (noise(1, &[5, 4], kind), integers(&[0, 3, 5, 2, 1], &[5])),
        };
        let arguments = vec![variable("input", input.shallow_clone()), constant("target", target)];
        let loss = adaptive();
        let subject = Subject::new(
            "AdaptiveLogSoftmaxWithLoss",
            &format!("{single}"),
            arguments,
            move |x, reduction| {
                let result = loss.forward(&x[0], &x[1]);
                if reduction == Reduction::None {
                    result.output
                } else {
                    result.loss
                }
            },
        );
        subjects.push(Subject { reductions: &[Reduction::None, Reduction::Mean], ..subject });
        if !single {
            let loss = adaptive();
            let subject = Subject::new(
                "AdaptiveLogSoftmaxWithLoss",
                "log_prob",
                vec![variable("input", input.shallow_clone())],
                move |x, _| loss.log_prob(&x[0]).unwrap(),
            );
            subjects.push(Subject { reductions: &[Reduction::None], ..subject });
            let loss = adaptive();
            let subject = Subject::new(
                "AdaptiveLogSoftmaxWithLoss",
                "predict",
                vec![constant("input", input)],
                move |x, _| loss.predict(&x[0]).unwrap(),
            );
            subjects.push(Subject { reductions: MEAN, ..subject });
        }
    }
    subjects
}
