//! How tensors lie in memory, and what happens to them.

use std::collections::BTreeSet;

use tch::{no_grad, Kind, Tensor};

use super::layouts::{self, layouts_of, Layout};
use super::{for_each, for_each_of, Argument, Subject};
use crate::common::{assert_close, noise, value, Relative};
use crate::recorded::FAMILIES;

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
pub fn run(
    subject: &Subject,
    kind: Kind,
    tensors: &[Tensor],
    reduction: Option<&str>,
    head: &Head,
) -> Vec<Tensor> {
    let leaves = subject.leaves(tensors);
    let value = subject
        .compute_in(kind, reduction, &leaves)
        .unwrap_or_else(|error| panic!("{}: {error}", subject.name));
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
    let on_a_kink = subject.has_kinks() && arguments.iter().any(|argument| argument.repeats);
    for reduction in subject.reductions() {
        for head in if reduction == Some("none") { heads } else { &PLAIN } {
            let own = run(subject, kind, &given, reduction, head);
            let expected = run(subject, kind, &copies, reduction, head);
            assert_eq!(own.len(), expected.len());
            let compared = if on_a_kink { 1 } else { own.len() };
            for (position, (own, expected)) in own.iter().zip(&expected).take(compared).enumerate() {
                let what = format!("{} {kind:?} {reduction:?}, {what}, {}, {position}", subject.name, head.0);
                let finite = expected.abs().nan_to_num(0.0, 0.0, 0.0).max().to_kind(Kind::Double);
                let close = Relative::ToElement { floor: value(&finite.clamp_min(1.0)) };
                assert_close(&what, own, expected, subject.tolerance(kind), close);
            }
        }
    }
}

fn layouts_of_family(family: &str) {
    let mut seen = BTreeSet::new();
    for_each_of(family, |subject| {
        // How an option is set changes little of what is read. One case of a loss that works on whole images, by a
        // network or by windows and filters, goes through all of it, and one of each number of dimensions of a loss
        // on elements or spectra.
        let shape = |argument: &Argument| (argument.tensor.size(), format!("{:?}", argument.tensor.kind()));
        let dimensions = |argument: &Argument| (vec![argument.tensor.dim() as i64], String::new());
        let shapes: Vec<_> = match family {
            "perceptual" | "structure" | "similarity" => Vec::new(),
            // One case with classes and one with labels.
            "segmentation" => {
                let dims = |index: usize| subject.arguments[index].tensor.dim() as i64;
                vec![(vec![dims(0) - dims(1)], String::new())]
            }
            // Whether an axis is broadcast, not how long it is.
            "embedding" => {
                let few = |argument: &Argument| {
                    let (size, kind) = shape(argument);
                    (size.into_iter().map(|side| side.min(2)).collect(), kind)
                };
                subject.arguments.iter().map(few).collect()
            }
            "pixel" | "frequency" | "audio" => subject.arguments.iter().map(dimensions).collect(),
            _ => subject.arguments.iter().map(shape).collect(),
        };
        if seen.insert((subject.loss(), shapes, subject.case.tensor_options.len())) {
            layouts_of_one_argument(subject);
            layouts_of_all_arguments(subject);
        }
    });
}

fn tensors_in(subject: &Subject, kind: Kind) -> Vec<Tensor> {
    let cast = |tensor: &Tensor| match tensor.is_floating_point() {
        true => tensor.to_kind(kind),
        false => tensor.shallow_clone(),
    };
    subject.tensors().iter().map(cast).collect()
}

/// In f64. The other arguments are as they are.
fn layouts_of_one_argument(subject: &Subject) {
    let tensors = tensors_in(subject, Kind::Double);
    for (position, argument) in subject.arguments.iter().enumerate() {
        for layout in layouts_of(&tensors[position]) {
            let what = format!("{} {}", argument.role, layout.name);
            let mut arguments: Vec<Layout> = tensors.iter().map(Layout::plain).collect();
            arguments[position] = layout;
            check(subject, &what, Kind::Double, &arguments, &PLAIN);
        }
    }
}

/// In f32, which some losses compute otherwise.
fn layouts_of_all_arguments(subject: &Subject) {
    // Rounding alone turns signs behind a network's ReLUs.
    let kind = if subject.family == "perceptual" { Kind::Double } else { Kind::Float };
    let tensors = tensors_in(subject, kind);
    for name in layouts::NAMES {
        let named = |tensor: &Tensor| layouts_of(tensor).into_iter().find(|layout| layout.name == name);
        let layout = |tensor| named(tensor).unwrap_or_else(|| Layout::plain(tensor));
        let arguments: Vec<Layout> = tensors.iter().map(layout).collect();
        check(subject, &format!("all {name}"), kind, &arguments, &HEADS);
    }
}

/// A test for each family, so that they run side by side.
macro_rules! how_the_tensors_lie_in_memory_does_not_matter {
    ($($family:ident),*) => {
        mod how_the_tensors_lie_in_memory_does_not_matter {
            $(#[test]
            fn $family() {
                super::layouts_of_family(stringify!($family));
            })*

            #[test]
            fn these_are_all_families() {
                assert_eq!([$(stringify!($family)),*], super::FAMILIES);
            }
        }
    };
}

how_the_tensors_lie_in_memory_does_not_matter!(
    pixel,
    edge,
    structure,
    similarity,
    frequency,
    adversarial,
    penalty,
    classification,
    embedding,
    distribution,
    regression,
    sequence,
    perceptual,
    segmentation,
    boxes,
    self_supervised,
    audio
);

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

#[test]
fn nothing_that_the_caller_passes_is_modified() {
    for_each(|subject| {
        for reduction in subject.reductions() {
            let given = subject.tensors();
            let _ = run(subject, Kind::Double, &given, reduction, &PLAIN[0]);
            for (given, argument) in given.iter().zip(&subject.arguments) {
                let (given, original) =
                    (given.nan_to_num(7.0, None, None), argument.tensor.nan_to_num(7.0, None, None));
                assert_eq!(given, original, "{} {}", subject.name, argument.role);
            }
        }
    });
}

#[test]
fn without_gradients_there_is_no_graph() {
    for_each(|subject| {
        let tensors = subject.tensors();
        let leaves = subject.leaves(&tensors);
        for reduction in subject.reductions() {
            let free = no_grad(|| subject.compute(reduction, &leaves).unwrap());
            assert!(!free.requires_grad(), "{} {reduction:?} under no_grad", subject.name);
            if subject.case.parameters.is_empty() {
                let constant = subject.compute(reduction, &tensors).unwrap();
                assert!(!constant.requires_grad(), "{} {reduction:?} of constants", subject.name);
            }
            // The value is the same with and without.
            let with_graph = subject.compute(reduction, &leaves).unwrap().detach();
            let floor = Relative::ToElement { floor: 1.0 };
            assert_close(subject.name, &free, &with_graph, subject.tolerance(Kind::Double), floor);
        }
    });
}

#[test]
fn losses_move_to_other_threads() {
    for_each(|subject| {
        let objective = subject.recorded().objective();
        if subject.case.parameters.is_empty() {
            let manager = objective.build(crate::common::device()).unwrap();
            let names = std::thread::spawn(move || manager.names(&[]).len()).join().unwrap();
            assert_eq!(names, 1);
        }
    });
}
