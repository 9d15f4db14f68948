//! What holds for every loss, run over one table of them: any memory layout, any floating kind.

#[path = "../common/mod.rs"]
mod common;
#[path = "../losses/contracts/layouts.rs"]
mod layouts;
mod subjects;

use std::collections::BTreeSet;
use std::path::Path;

use common::{assert_close, few_roundings, noise, value, Relative};
use layouts::{layouts_of, Layout};
use subjects::{subjects, Argument, Subject};
use tch::{Kind, Tensor};

/// How the loss's value becomes a scalar. It decides how the gradient that comes back lies in memory.
type Head = (&'static str, fn(&Tensor) -> Tensor);

fn weighted(value: &Tensor) -> Tensor {
    (value * noise(77, &value.size(), value.kind())).sum(None)
}

const PLAIN: [Head; 1] = [("weighted", weighted)];
const HEADS: [Head; 4] = [
    ("weighted", weighted),
    // One number, expanded.
    ("summed", |value| value.sum(None)),
    ("transposed", |value| {
        let reversed: Vec<i64> = (0..value.dim() as i64).rev().collect();
        weighted(&value.permute(&reversed))
    }),
    // Every second element of a larger tensor.
    ("interleaved", |value| weighted(&Tensor::stack(&[value, value], -1))),
];

/// The value and the gradients of the differentiable arguments.
fn run(subject: &Subject, arguments: &[Tensor], reduction: Reduction, head: &Head) -> Vec<Tensor> {
    let leaf =
        |(argument, tensor): (&Argument, &Tensor)| tensor.detach().set_requires_grad(argument.differentiable);
    let leaves: Vec<Tensor> = subject.arguments.iter().zip(arguments).map(leaf).collect();
    let value = (subject.call)(&leaves, reduction);
    if value.requires_grad() {
        head.1(&value).backward();
    }
    let mut results = vec![value.detach()];
    results.extend(leaves.iter().filter(|leaf| leaf.requires_grad()).map(Tensor::grad));
    results
}

/// The results with `arguments` are those with contiguous copies of them.
fn check(subject: &Subject, what: &str, kind: Kind, arguments: &[Layout], heads: &[Head]) {
    let given: Vec<Tensor> = arguments.iter().map(|argument| argument.tensor.shallow_clone()).collect();
    let copies: Vec<Tensor> = given.iter().map(|tensor| tensor.contiguous().copy()).collect();
    let on_a_kink = subject.has_kinks && arguments.iter().any(|argument| argument.repeats);
    for reduction in subject.reductions {
        for head in if *reduction == Reduction::None { heads } else { &PLAIN } {
            let own = run(subject, &given, *reduction, head);
            let expected = run(subject, &copies, *reduction, head);
            assert_eq!(own.len(), expected.len());
            let compared = if on_a_kink { 1 } else { own.len() };
            for (position, (own, expected)) in own.iter().zip(&expected).take(compared).enumerate() {
                let what = format!("{} {kind:?} {reduction:?}, {what}, {}, {position}", subject.name, head.0);
                // Values and gradients are of the magnitude of 1; a gradient that is 0 comes as rounding.
                let largest = expected.abs().max().to_kind(Kind::Double).clamp_min(1.0);
                let close = Relative::ToElement { floor: value(&largest) };
                assert_close(&what, own, expected, subject.tolerance(kind), close);
            }
        }
    }
}

#[test]
fn how_the_tensors_lie_in_memory_does_not_matter() {
    // More threads would only wait for each other: the tensors are tiny.
    tch::set_num_threads(1);
    for kind in [Kind::Double, Kind::Float] {
        for subject in subjects(kind) {
            let tensors = || subject.arguments.iter().map(|argument| &argument.tensor);
            let named = |tensor: &Tensor, name: &str| {
                layouts_of(tensor).into_iter().find(|layout| layout.name == name)
            };
            for (position, argument) in subject.arguments.iter().enumerate() {
                for layout in layouts_of(&argument.tensor) {
                    let what = format!("{} {}", argument.name, layout.name);
                    let mut arguments: Vec<Layout> = tensors().map(Layout::plain).collect();
                    arguments[position] = layout;
                    check(&subject, &what, kind, &arguments, &PLAIN);
                }
            }
            for name in layouts::NAMES {
                let arguments: Vec<Layout> =
                    tensors().map(|x| named(x, name).unwrap_or_else(|| Layout::plain(x))).collect();
                check(&subject, &format!("all {name}"), kind, &arguments, &HEADS);
            }
        }
    }
}

/// What the contract above rests on: the layouts are what their names say, and hold what they were given.
#[test]
fn the_layouts_are_not_contiguous() {
    let tensor = noise(1, &[2, 3, 4, 5], Kind::Double);
    let layouts = layouts_of(&tensor);
    assert!(layouts.iter().map(|layout| layout.name).eq(layouts::NAMES));
    for layout in layouts {
        let dense = ["within a larger storage", "negated view"].contains(&layout.name);
        assert_eq!(layout.tensor.is_contiguous(), dense, "{}", layout.name);
        assert_eq!(layout.tensor == tensor, !layout.repeats, "{}", layout.name);
    }
}

/// Half and BFloat16, too, give a loss and gradients of their kind, near the exact ones.
#[test]
fn every_floating_kind_is_taken() {
    tch::set_num_threads(1);
    for kind in [Kind::Half, Kind::BFloat16] {
        let (own, exact) = (subjects(kind), subjects(Kind::Double));
        for exact in exact {
            let Some(own) = own.iter().find(|own| own.name == exact.name) else {
                assert_eq!(exact.loss, "VggPerceptual", "{}", exact.name);
                continue;
            };
            let given: Vec<Tensor> = own.arguments.iter().map(|x| x.tensor.shallow_clone()).collect();
            let cast = |x: &Tensor| if x.is_floating_point() { x.to_kind(Kind::Double) } else { x.copy() };
            let same: Vec<Tensor> = given.iter().map(cast).collect();
            for reduction in own.reductions {
                let results = run(own, &given, *reduction, &PLAIN[0]);
                let expected = run(&exact, &same, *reduction, &PLAIN[0]);
                let what = format!("{} {kind:?} {reduction:?}", own.name);
                for (own, expected) in results.iter().zip(&expected) {
                    let of_numbers = expected.is_floating_point();
                    assert_eq!(own.kind(), if of_numbers { kind } else { expected.kind() }, "{what}");
                    assert!(own.isfinite().all().int64_value(&[]) == 1, "{what}: {own:?}");
                }
                if !expected[0].is_floating_point() {
                    continue;
                }
                // Some losses are made of several elementwise ones, and some numbers on the way are up to 4.
                let tolerance = 4.0 * few_roundings(kind);
                let largest = expected[0].abs().max().clamp_min(1.0);
                let close = Relative::ToElement { floor: value(&largest) };
                assert_close(&what, &results[0].to_kind(Kind::Double), &expected[0], tolerance, close);
            }
        }
    }
}

/// A loss that is not in the table would not be tested.
#[test]
fn every_loss_is_in_the_table() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nn_losses.json");
    let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(recorded).unwrap()).unwrap();
    let recorded: Vec<String> = serde_json::from_value(recorded["losses"].clone()).unwrap();
    let images = ["Sobel", "Laplacian", "VggPerceptual"].map(str::to_owned);
    let expected: BTreeSet<String> = recorded.into_iter().chain(images).collect();
    let tested: BTreeSet<String> =
        subjects(Kind::Double).iter().map(|subject| subject.loss.to_owned()).collect();
    assert_eq!(tested, expected);
}
