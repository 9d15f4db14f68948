//! Every loss against PyTorch: value and all gradients, as recorded in `tests/fixtures`.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};
use tch_losses::{AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss};

use crate::common::{assert_as_in_pytorch, assert_close, device, value, values, Fixture, Relative, Rounding};
use crate::contracts::data::ends_in_zero_on_cuda;
use crate::recorded::{Recorded, FAMILIES};

/// A gradient: what it is called, the loss's own, and PyTorch's.
type Gradient = (String, Tensor, Tensor);

/// Losses that are 1 minus a score: in f32, their values have the rounding of numbers near 1, and the originals differ
/// by as much from one instruction set to another.
const ONE_MINUS_A_SCORE: [&str; 5] = ["DSSLoss", "FSIMLoss", "HaarPSILoss", "SRSIMLoss", "VSILoss"];

/// The value of the case is that of PyTorch. Returns the gradients.
fn check_value(recorded: &Recorded, rounding: Rounding) -> Vec<Gradient> {
    let Recorded { fixture, case, .. } = recorded;
    let arguments = recorded.arguments();
    let differentiable: Vec<bool> =
        arguments.iter().map(|(role, _)| recorded.is_differentiable(role)).collect();
    let first = differentiable.iter().position(|own| *own).expect(&case.name);
    let mut gradients = Vec::new();
    // Where one argument alone needs a gradient, as in training, some losses take another way.
    let alone = differentiable.iter().filter(|own| **own).count() > 1;
    for alone in if alone { vec![false, true] } else { vec![false] } {
        let name = |role: &str| format!("{} {role}{}", case.name, if alone { " alone" } else { "" });
        let leaf = |(index, (_, tensor)): (usize, &(String, Tensor))| {
            tensor.detach().set_requires_grad(differentiable[index] && (index == first || !alone))
        };
        let leaves: Vec<Tensor> = arguments.iter().enumerate().map(leaf).collect();
        let mut built = recorded.build();
        let loss = built.compute(case, &leaves).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let (what, expected) = (name("value"), fixture.get(case, "value"));
        if ONE_MINUS_A_SCORE.contains(&case.loss.as_str()) && expected.kind() == Kind::Float {
            assert_close(&what, &loss, &expected, 1e-5, Relative::ToElement { floor: 1.0 });
        } else {
            assert_as_in_pytorch(&what, &loss, &expected, rounding);
        }
        (loss * fixture.get(case, "grad_output")).sum(None).backward();
        let leaves = arguments.iter().map(|(role, _)| role.clone()).zip(leaves).chain(built.parameters());
        for (role, leaf) in leaves.filter(|(_, leaf)| leaf.requires_grad()) {
            let gradient = if leaf.grad().defined() { leaf.grad() } else { leaf.zeros_like() };
            let role = format!("grad_{role}");
            gradients.push((name(&role), gradient, fixture.get(case, &role)));
        }
    }
    gradients
}

/// Runs every case of a family; `counts` are what must have run at least, of the losses that were there first. Returns
/// the gradients by case. That a newer loss is recorded at all, the contracts see.
fn check_values(family: &str, counts: &[(&str, usize)], rounding: Rounding) -> Vec<Vec<Gradient>> {
    let fixture = Fixture::load(family);
    let mut run = BTreeMap::new();
    let mut gradients = Vec::new();
    for case in &fixture.cases {
        *run.entry(case.loss.as_str()).or_insert(0) += 1;
        // Its recorded value is made of both its results, of which the factory's loss has one.
        let is_other_on_cuda = device().is_cuda() && ends_in_zero_on_cuda(&case.name);
        if case.loss != "AdaptiveLogSoftmaxWithLoss" && !is_other_on_cuda {
            gradients.push(check_value(&Recorded::new(&fixture, case), rounding));
        }
    }
    for (loss, count) in counts {
        assert!(run.get(loss) >= Some(count), "{loss}: {run:?}");
    }
    gradients
}

/// As [`check_values`], and the gradients are those of PyTorch.
fn check_family(family: &str, counts: &[(&str, usize)], rounding: Rounding) {
    for gradients in check_values(family, counts, rounding) {
        // Behind a linear layer, or the products of all pairs, small gradients are differences of large ones.
        let products = ["grad_linear.", "grad_embeddings", "grad_first", "grad_query", "grad_image_features"];
        let behind_layer =
            gradients.iter().any(|(name, ..)| products.iter().any(|product| name.contains(product)));
        let rounding = if behind_layer { Rounding::OfLarger } else { rounding };
        let largest = |tensor: &Tensor| values(tensor).into_iter().map(f64::abs).fold(0.0, f64::max);
        let of_case = gradients.iter().map(|(_, _, expected)| largest(expected)).fold(0.0, f64::max);
        // In f64, the largest of numbers that are nothing but rounding.
        let rounded = 1e-9 * of_case;
        for (name, own, expected) in &gradients {
            // The cosine of single numbers is constant: all but rounding cancels.
            if rounded.is_finite() && (0.0..rounded).contains(&largest(expected)) && largest(expected) > 0.0 {
                assert_eq!((own.size(), own.kind()), (expected.size(), expected.kind()), "{name}");
                assert!(values(own).iter().all(|slope| slope.abs() < rounded), "{name}: {own:?}");
                continue;
            }
            assert_as_in_pytorch(name, own, expected, rounding);
        }
    }
}

#[test]
fn pixel() {
    let counts = [("L1Loss", 52), ("MSELoss", 52), ("SmoothL1Loss", 27), ("HuberLoss", 24)];
    check_family("pixel", &counts, Rounding::OfResult);
}

#[test]
fn edge() {
    check_family("edge", &[("Sobel", 69), ("Laplacian", 63)], Rounding::OfLarger);
}

#[test]
fn structure() {
    check_family("structure", &[], Rounding::OfLarger);
}

#[test]
fn similarity() {
    check_family("similarity", &[], Rounding::OfLarger);
}

#[test]
fn frequency() {
    check_family("frequency", &[], Rounding::OfLarger);
}

#[test]
fn adversarial() {
    let counts = [("GANLoss", 96), ("RelativisticLoss", 96), ("FeatureMatchingLoss", 6), ("LeCamLoss", 13)];
    check_family("adversarial", &counts, Rounding::OfLarger);
}

#[test]
fn penalty() {
    check_family("penalty", &[("PathLengthPenalty", 9)], Rounding::OfLarger);
}

#[test]
fn classification() {
    let counts = [
        ("BCELoss", 39),
        ("BCEWithLogitsLoss", 192),
        ("CrossEntropyLoss", 141),
        ("NLLLoss", 63),
        ("LinearCrossEntropyLoss", 59),
        ("AdaptiveLogSoftmaxWithLoss", 15),
        ("SoftMarginLoss", 21),
        ("MultiMarginLoss", 42),
        ("MultiLabelMarginLoss", 21),
        ("MultiLabelSoftMarginLoss", 33),
    ];
    check_family("classification", &counts, Rounding::OfResult);
}

#[test]
fn embedding() {
    let counts = [
        ("HingeEmbeddingLoss", 30),
        ("MarginRankingLoss", 24),
        ("CosineEmbeddingLoss", 33),
        ("TripletMarginLoss", 45),
        ("TripletMarginWithDistanceLoss", 21),
        ("PatchNCELoss", 23),
    ];
    check_family("embedding", &counts, Rounding::OfResult);
}

#[test]
fn distribution() {
    let counts = [("KLDivLoss", 44), ("PoissonNLLLoss", 42), ("GaussianNLLLoss", 63), ("KLDLoss", 30)];
    check_family("distribution", &counts, Rounding::OfResult);
}

#[test]
fn regression() {
    check_family("regression", &[], Rounding::OfResult);
}

#[test]
fn sequence() {
    check_family("sequence", &[("CTCLoss", 54)], Rounding::OfResult);
}

#[test]
fn segmentation() {
    check_family("segmentation", &[], Rounding::OfLarger);
}

#[test]
fn boxes() {
    check_family("boxes", &[], Rounding::OfLarger);
}

#[test]
fn self_supervised() {
    check_family("self_supervised", &[], Rounding::OfLarger);
}

#[test]
fn audio() {
    check_family("audio", &[], Rounding::OfLarger);
}

#[test]
fn perceptual() {
    let gradients = check_values(
        "perceptual",
        &[("PerceptualLoss", 13), ("DISTS", 11), ("ContextualLoss", 8)],
        Rounding::OfLarger,
    );
    assert_gradients_of_the_network(&gradients);
}

/// Behind ReLUs, maxima and the sign of L1, a gradient is not continuous: where an activation is within
/// rounding of a kink, one processor takes this side and another that, and the gradient moves by about a
/// percent. Here are up to 300 000 activations of the magnitude of 1, so that one is within the rounding of
/// f64 (1e-14) of a kink once in some hundred million cases, but within that of f32 (1e-6) in every third case
/// of the largest size. In f64 all gradients have to agree, then; in f32 most of them, and the rest roughly.
fn assert_gradients_of_the_network(cases: &[Vec<Gradient>]) {
    let (double, single): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case[0].2.kind() == Kind::Double);
    for (name, own, expected) in double.into_iter().flatten() {
        assert_as_in_pytorch(name, own, expected, Rounding::OfLarger);
    }
    let error = |(name, own, expected): &Gradient| {
        assert_eq!((own.size(), own.kind()), (expected.size(), expected.kind()), "{name}");
        let error = value(&((own - expected).norm() / expected.norm()));
        // Ten activations on the other side.
        assert!(error < 0.1, "{name}: {error:e}");
        error
    };
    let errors = single.into_iter().map(|case| case.iter().map(error).fold(0.0, f64::max));
    let mut errors: Vec<f64> = errors.collect();
    errors.sort_by(f64::total_cmp);
    // Without a kink, the gradient is as exact as the features: rounding of 1e-6, and ten layers that add to it.
    let median = errors[errors.len() / 2];
    assert!(median < 1e-4, "{errors:?}");
}

/// Both its results, and those of its other methods.
#[test]
fn adaptive_log_softmax() {
    let fixture = Fixture::load("classification");
    let mut run = 0;
    for case in fixture.cases.iter().filter(|case| case.loss == "AdaptiveLogSoftmaxWithLoss") {
        let close = |role: &str, actual: &Tensor| {
            let rounding = if role.starts_with("grad_") { Rounding::OfLarger } else { Rounding::OfResult };
            assert_as_in_pytorch(
                &format!("{} {role}", case.name),
                actual,
                &fixture.get(case, role),
                rounding,
            );
        };
        let recorded = Recorded::new(&fixture, case);
        let mut built = recorded.build();
        let leaf = |role| {
            let tensor = fixture.get(case, role);
            let differentiable = tensor.is_floating_point();
            tensor.set_requires_grad(differentiable)
        };
        let (input, target) = (leaf("input"), leaf("target"));
        // The factory's loss is the second of the two results.
        close("loss", &built.compute(case, &[input.shallow_clone(), target.shallow_clone()]).unwrap());

        let mut vs = tch::nn::VarStore::new(device());
        if case.dtype == "float64" {
            vs.set_kind(Kind::Double);
        }
        let options = serde_json::to_value(&case.options).unwrap();
        let config: AdaptiveLogSoftmaxConfig = serde_json::from_value(options).unwrap();
        let module = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), config).unwrap();
        for (name, mut parameter) in vs.variables() {
            tch::no_grad(|| parameter.copy_(&fixture.get(case, &name)));
        }
        let result = module.forward(&input, &target);
        close("output", &result.output);
        close("loss", &result.loss);
        if input.dim() == 2 {
            close("log_prob", &module.log_prob(&input).unwrap());
            close("predict", &module.predict(&input).unwrap());
        }
        let both = result.output + result.loss;
        close("value", &both);
        (both * fixture.get(case, "grad_output")).sum(None).backward();
        close("grad_input", &input.grad());
        for (name, parameter) in vs.variables() {
            let gradient = if parameter.grad().defined() { parameter.grad() } else { parameter.zeros_like() };
            close(&format!("grad_{name}"), &gradient);
        }
        run += 1;
    }
    assert_eq!(run, 15);
}

/// Each family has its test above.
#[test]
fn these_are_all_families() {
    let tests = [
        "pixel",
        "edge",
        "structure",
        "similarity",
        "frequency",
        "adversarial",
        "penalty",
        "classification",
        "embedding",
        "distribution",
        "regression",
        "sequence",
        "perceptual",
        "segmentation",
        "boxes",
        "self_supervised",
        "audio",
    ];
    assert_eq!(tests, FAMILIES);
}
