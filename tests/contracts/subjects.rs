//! The losses, each with arguments that it takes.

use tch::{nn, no_grad, Kind, Reduction, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, BceLoss, BceWithLogitsLoss, Chunking,
    CosineEmbeddingLoss, CrossEntropyLoss, CtcLoss, GaussianNllLoss, HingeEmbeddingLoss, HuberLoss,
    KlDivLoss, KlDivReduction, L1Loss, Laplacian, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss,
    LossMap, MarginRankingLoss, MseLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss,
    NllLoss, PoissonNllLoss, SmoothL1Loss, Sobel, SoftMarginLoss, TripletMarginLoss,
    TripletMarginWithDistanceLoss, VggPerceptual,
};

use crate::common::{device, epsilon, noise, vgg};

pub struct Argument {
    pub name: &'static str,
    pub tensor: Tensor,
    pub differentiable: bool,
}

/// An argument with a gradient.
fn variable(name: &'static str, tensor: Tensor) -> Argument {
    Argument { name, tensor, differentiable: true }
}

fn constant(name: &'static str, tensor: Tensor) -> Argument {
    Argument { name, tensor, differentiable: false }
}

type Function = Box<dyn Fn(&[Tensor], Reduction) -> Tensor>;

pub struct Subject {
    /// PyTorch's name, where it has the loss.
    pub loss: &'static str,
    /// The same with the variant.
    pub name: String,
    pub arguments: Vec<Argument>,
    pub reductions: &'static [Reduction],
    pub call: Function,
    /// Whether equal numbers side by side put it on a kink, where rounding chooses the gradient.
    pub has_kinks: bool,
    /// A bound for the rounding, in units of the kind's epsilon.
    roundings: f64,
}

const ALL: &[Reduction] = &[Reduction::Mean, Reduction::Sum, Reduction::None];
const SCALAR: &[Reduction] = &[Reduction::Mean, Reduction::Sum];
const MEAN: &[Reduction] = &[Reduction::Mean];

impl Subject {
    fn new(
        loss: &'static str,
        variant: &str,
        arguments: Vec<Argument>,
        call: impl Fn(&[Tensor], Reduction) -> Tensor + 'static,
    ) -> Subject {
        let name = format!("{loss} {variant}");
        // In another layout sums run in another order. A sum of n terms is off by at most n / 2 epsilons of
        // the sum of their magnitudes, which is here some times the magnitude of the result at most; and
        // n is 120 at most.
        let roundings = 1024.0;
        Subject { loss, name, arguments, reductions: ALL, call: Box::new(call), has_kinks: false, roundings }
    }

    pub fn tolerance(&self, kind: Kind) -> f64 {
        self.roundings * epsilon(kind)
    }
}

fn integers(values: &[i64], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(device())
}

/// A subject for the map of a loss on images.
fn map(loss: &'static str, (input, target): (Argument, Argument), of: impl LossMap + 'static) -> Subject {
    let call = move |x: &[Tensor], _| of.loss_map(&x[0], &x[1]).unwrap();
    let arguments = vec![input, target];
    Subject { reductions: &[Reduction::None], ..Subject::new(loss, "map", arguments, call) }
}

/// A subject for a loss of two tensors.
fn pair<L: Loss + 'static>(
    loss: &'static str,
    variant: &str,
    (input, target): (Argument, Argument),
    build: impl Fn(Reduction) -> L + 'static,
) -> Subject {
    Subject::new(loss, variant, vec![input, target], move |x, reduction| {
        build(reduction).forward(&x[0], &x[1])
    })
}

pub fn subjects(kind: Kind) -> Vec<Subject> {
    [
        values(kind),
        distributions(kind),
        classes(kind),
        linear(kind),
        rankings(kind),
        sequences(kind),
        images(kind),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Elementwise losses.
fn values(kind: Kind) -> Vec<Subject> {
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

fn distributions(kind: Kind) -> Vec<Subject> {
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
                    Reduction::None => KlDivReduction::None,
                    Reduction::Sum => KlDivReduction::BatchMean,
                    _ => KlDivReduction::Mean,
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

/// Cross entropies of classes; 3 of them, of which 1 is ignored.
fn classes(kind: Kind) -> Vec<Subject> {
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
fn linear(kind: Kind) -> Vec<Subject> {
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

fn rankings(kind: Kind) -> Vec<Subject> {
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

fn sequences(kind: Kind) -> Vec<Subject> {
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

fn images(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for with_target in [true, false] {
        let both = |shape: &[i64]| {
            let target = noise(2, shape, kind);
            let target = if with_target { variable("target", target) } else { constant("target", target) };
            (variable("input", noise(1, shape, kind)), target)
        };
        let variant = if with_target { "both" } else { "constant target" };
        for shape in [[2, 3, 6, 5], [2, 1, 6, 5]] {
            let variant = format!("{variant} {shape:?}");
            let build = |reduction| Sobel { reduction, ..Default::default() };
            let sobel = pair("Sobel", &variant, both(&shape), build);
            let laplacian = pair("Laplacian", &variant, both(&shape), |reduction| Laplacian { reduction });
            subjects.extend([sobel, laplacian].map(|subject| Subject { has_kinks: true, ..subject }));
        }
        if !with_target {
            subjects.push(map("Sobel", both(&[2, 3, 6, 5]), Sobel::default()));
            subjects.push(map("Laplacian", both(&[2, 3, 6, 5]), Laplacian::default()));
        }
        // In f32, rounding alone turns signs behind its ReLUs.
        if kind == Kind::Double {
            let loss = VggPerceptual::new(vgg().to_kind(kind).unwrap());
            let subject = pair("VggPerceptual", variant, both(&[2, 3, 4, 8]), move |_| loss.clone());
            // Sums of up to 1152 terms, five in a row, of both signs.
            subjects.push(Subject { reductions: MEAN, has_kinks: true, roundings: 65536.0, ..subject });
        }
    }
    subjects
}
