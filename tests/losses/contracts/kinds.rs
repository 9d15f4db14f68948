//! Every floating kind is taken.

use tch::{Kind, Tensor};

use super::memory::run;
use super::{for_each, Subject};
use crate::common::{assert_close, few_roundings, value, Relative};

const HEAD: (&str, fn(&Tensor) -> Tensor) = ("summed", |value| value.sum(None));

/// Half and BFloat16, too, give a loss and gradients of their kind, near the exact ones.
#[test]
fn every_floating_kind_is_taken() {
    for kind in [Kind::Half, Kind::BFloat16] {
        for_each(|subject| {
            // Parameters keep their kind; the network's kind is an option of its own.
            if !subject.case.parameters.is_empty() || subject.family == "perceptual" {
                return;
            }
            // The eps of a cosine, 1e-12, is 0 in f16, in PyTorch as well: vectors of zeros have none there.
            if subject.loss() == "CosineEmbeddingLoss" && subject.name.contains("special") {
                return;
            }
            // Squares over a variance of 1e-5 end beyond what f16 holds; a rate of 0 with an eps of 1e-8 is 0 there.
            let (loss, name) = (subject.loss(), subject.name);
            if loss == "GaussianNllLoss" && name.contains("small")
                || loss == "PoissonNllLoss" && name.contains("no_log")
            {
                return;
            }
            // On the way, some losses have the exponentials of numbers: those of f16 end at 65504.
            let large = |tensor: &Tensor| tensor.is_floating_point() && value(&tensor.abs().max()) > 8.0;
            if subject.tensors().iter().any(large) {
                return;
            }
            let cast = |tensor: &Tensor, kind| match tensor.is_floating_point() {
                true => tensor.to_kind(kind),
                false => tensor.copy(),
            };
            let given: Vec<Tensor> = subject.tensors().iter().map(|tensor| cast(tensor, kind)).collect();
            let same: Vec<Tensor> = given.iter().map(|tensor| cast(tensor, Kind::Double)).collect();
            for reduction in subject.reductions() {
                check(subject, kind, &given, &same, reduction);
            }
        });
    }
}

fn check(subject: &Subject, kind: Kind, given: &[Tensor], same: &[Tensor], reduction: Option<&str>) {
    let results = run(subject, kind, given, reduction, &HEAD);
    let expected = run(subject, Kind::Double, same, reduction, &HEAD);
    let what = format!("{} {kind:?} {reduction:?}", subject.name);
    for (own, expected) in results.iter().zip(&expected) {
        let of_numbers = expected.is_floating_point();
        assert_eq!(own.kind(), if of_numbers { kind } else { expected.kind() }, "{what}");
        assert_eq!(own.size(), expected.size(), "{what}");
    }
    // Some losses are made of several elementwise ones, and some numbers on the way are up to 4.
    let tolerance = 4.0 * few_roundings(kind);
    let largest = expected[0].abs().nan_to_num(0.0, 0.0, 0.0).max().clamp_min(1.0);
    let close = Relative::ToElement { floor: value(&largest) };
    assert_close(&what, &results[0].to_kind(Kind::Double), &expected[0], tolerance, close);
    if given.iter().any(|tensor| tensor.dim() != 4 || !tensor.is_floating_point()) {
        return;
    }
    if let Some(map) = subject.map(reduction, given).unwrap() {
        let expected = subject.map(reduction, same).unwrap().unwrap();
        assert_eq!((map.kind(), map.size()), (kind, expected.size()), "{what}, map");
        let largest = expected.abs().max().clamp_min(1.0);
        let close = Relative::ToElement { floor: value(&largest) };
        assert_close(&format!("{what}, map"), &map.to_kind(Kind::Double), &expected, tolerance, close);
    }
}
