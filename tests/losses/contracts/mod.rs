//! What holds for every loss.
//!
//! The losses and their arguments come from the fixtures: a loss that is recorded there gets every contract. Of each
//! loss and each set of its options, for each shape of the arguments, one case is taken.

mod arithmetic;
mod bad_input;
pub mod data;
mod devices;
mod gradients;
mod kinds;
pub mod layouts;
mod memory;
mod ranges;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use tch::{Kind, Tensor};
use tch_losses::manager::LossSpec;
use tch_losses::Result;

use crate::common::{epsilon, Case, Fixture};
use crate::recorded::{list_of, Built, Recorded, FAMILIES};

/// A loss with arguments that it takes.
pub struct Subject<'a> {
    pub name: &'a str,
    pub family: &'a str,
    pub case: &'a Case,
    pub fixture: &'a Fixture,
    pub arguments: Vec<Argument>,
    /// The loss by kind and reduction: a network takes a second to load.
    built: RefCell<HashMap<(String, Option<String>), Built>>,
}

pub struct Argument {
    pub role: String,
    pub tensor: Tensor,
    pub differentiable: bool,
}

impl Argument {
    /// What errors call it: of a tensor in a list, the name of the list.
    pub fn called(&self) -> &str {
        list_of(&self.role).unwrap_or(&self.role)
    }
}

/// Losses behind a filter, as those behind a network: equal numbers side by side put them on a kink, where rounding
/// chooses the gradient.
const WITH_KINKS: [&str; 4] = ["Sobel", "Laplacian", "GradientDifferenceLoss", "FftLoss"];

/// Losses of which libtorch, or the definition, makes a mean that is weighted: by classes, by lengths, by
/// pixels, by directions.
const WITH_WEIGHTED_MEAN: [&str; 21] = [
    "CrossEntropyLoss",
    "NllLoss",
    "LinearCrossEntropyLoss",
    "CtcLoss",
    "WeightedL1Loss",
    "WeightedMseLoss",
    "WeightedCharbonnierLoss",
    "WeightedTotalVariationLoss",
    "GradientDifferenceLoss",
    "SigmoidFocalLoss",
    "FocalLoss",
    "PolyCrossEntropyLoss",
    "CornLoss",
    "DiceLoss",
    "JaccardLoss",
    "TverskyLoss",
    "FocalTverskyLoss",
    "SupConLoss",
    "LabelNtXentLoss",
    "ContrastiveLoss",
    "CircleLoss",
];

/// Losses that define the mean over the batch.
const WITH_BATCH_MEAN: [&str; 6] = [
    "KlDivLoss",
    "GaussianKlLoss",
    "NormalKlLoss",
    "AsymmetricLoss",
    "PolyBinaryCrossEntropyLoss",
    "DistillationLoss",
];

/// The cases whose bounds are the narrowest.
const KIND: &str = "float64";

impl<'a> Subject<'a> {
    fn new(family: &'a str, fixture: &'a Fixture, case: &'a Case) -> Subject<'a> {
        let recorded = Recorded::new(fixture, case);
        let argument = |(role, tensor): (String, Tensor)| {
            let differentiable = recorded.is_differentiable(&role);
            Argument { role, tensor, differentiable }
        };
        let arguments = recorded.arguments().into_iter().map(argument).collect();
        Subject { name: &case.name, family, case, fixture, arguments, built: RefCell::default() }
    }

    pub fn recorded(&self) -> Recorded<'a> {
        Recorded::new(self.fixture, self.case)
    }

    pub fn loss(&self) -> &'static str {
        self.recorded().loss()
    }

    pub fn tensors(&self) -> Vec<Tensor> {
        self.arguments.iter().map(|argument| argument.tensor.copy()).collect()
    }

    /// The reductions that all losses have, if this one has any.
    pub fn reductions(&self) -> Vec<Option<&'static str>> {
        let chunked =
            ["batch_chunk_size", "chunking_method"].iter().any(|name| self.case.options.contains_key(*name));
        match self.recorded().has_reduction() {
            // In chunks, the gradient has to be of a scalar.
            true if chunked => vec![Some("mean"), Some("sum")],
            true => vec![Some("mean"), Some("sum"), Some("none")],
            false => vec![None],
        }
    }

    /// The loss of the tensors, with parameters and networks of f64.
    pub fn compute(&self, reduction: Option<&str>, tensors: &[Tensor]) -> Result<Tensor> {
        self.compute_in(Kind::Double, reduction, tensors)
    }

    /// The same with parameters and networks of another kind.
    pub fn compute_in(&self, kind: Kind, reduction: Option<&str>, tensors: &[Tensor]) -> Result<Tensor> {
        self.with_built(kind, reduction, |built| built.compute(self.case, tensors))
    }

    /// The map of the loss, if it has one.
    pub fn map(&self, reduction: Option<&str>, tensors: &[Tensor]) -> Result<Option<Tensor>> {
        self.with_built(Kind::Double, reduction, |built| built.map(self.case, tensors))
    }

    fn with_built<T>(&self, kind: Kind, reduction: Option<&str>, run: impl FnOnce(&mut Built) -> T) -> T {
        let mut built = self.built.borrow_mut();
        let key = (format!("{kind:?}"), reduction.map(str::to_owned));
        let build = || {
            let recorded = self.recorded().in_kind(kind);
            match reduction {
                Some(reduction) => recorded.with("reduction", reduction.into()).build(),
                None => recorded.build(),
            }
        };
        run(built.entry(key).or_insert_with(build))
    }

    pub fn has_kinks(&self) -> bool {
        WITH_KINKS.contains(&self.loss()) || ["similarity", "perceptual"].contains(&self.family)
    }

    /// A bound for how far two orders of the same sums are apart, relative to the magnitude of the numbers.
    ///
    /// A sum of n terms is off by at most n / 2 epsilons of the sum of their magnitudes, which is here some times the
    /// magnitude of the result at most; and n is 400 at most. In a network there are sums of up to 1152 terms, ten in a
    /// row, of both signs.
    pub fn tolerance(&self, kind: Kind) -> f64 {
        let roundings = if self.family == "perceptual" { 65536.0 } else { 2048.0 };
        roundings * epsilon(kind)
    }

    /// The arguments on leaves that require gradients where the loss has some.
    pub fn leaves(&self, tensors: &[Tensor]) -> Vec<Tensor> {
        let leaf = |(argument, tensor): (&Argument, &Tensor)| {
            tensor.detach().set_requires_grad(argument.differentiable && tensor.is_floating_point())
        };
        self.arguments.iter().zip(tensors).map(leaf).collect()
    }
}

/// Gives each subject to a test.
pub fn for_each(mut test: impl FnMut(&Subject)) {
    for family in FAMILIES {
        for_each_of(family, &mut test);
    }
}

/// Those of one family.
pub fn for_each_of(family: &str, mut test: impl FnMut(&Subject)) {
    let fixture = Fixture::load(family);
    let mut seen = BTreeSet::new();
    // A preset is a set of options that other cases have, and a network of a second for each contract.
    let is_subject = |case: &&Case| case.dtype == KIND && !case.options.contains_key("preset");
    for case in fixture.cases.iter().filter(is_subject) {
        let subject = Subject::new(family, &fixture, case);
        // An image of 1x3x32x32 is enough for the network; other cases are smaller.
        if subject.arguments.iter().any(|argument| !(1..=3072).contains(&argument.tensor.numel())) {
            continue;
        }
        let shape = |argument: &Argument| (argument.tensor.size(), format!("{:?}", argument.tensor.kind()));
        let shapes: Vec<_> = subject.arguments.iter().map(shape).collect();
        let mut options: Vec<String> =
            case.options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        options.retain(|option| !option.starts_with("reduction"));
        options.sort();
        if seen.insert((&case.loss, options, &case.tensor_options, shapes)) {
            test(&subject);
        }
    }
}

/// A loss that is not recorded would not be tested.
#[test]
fn every_loss_of_the_catalogue_is_a_subject() {
    let mut tested = BTreeSet::new();
    for_each(|subject| {
        tested.insert(subject.loss());
    });
    let catalogue: BTreeSet<&str> = LossSpec::NAMES.iter().copied().collect();
    assert_eq!(tested, catalogue);
}

/// No loss of PyTorch is forgotten.
#[test]
fn every_loss_of_torch_nn_is_in_the_catalogue() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nn_losses.json");
    let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(recorded).unwrap()).unwrap();
    let losses: BTreeSet<String> = serde_json::from_value(recorded["losses"].clone()).unwrap();
    assert_eq!(losses.len(), 23);
    for loss in losses {
        assert!(LossSpec::named(&loss).is_ok(), "{loss}");
    }
}
