//! Focal losses and their kin, by hand.

use tch::{Kind, Tensor};
use tch_losses::{
    AsymmetricLoss, AsymmetricSingleLabelLoss, CrossEntropyLoss, FocalLoss, FocalMean, FocalModulation, Loss,
    PolyBinaryCrossEntropyLoss, PolyCrossEntropyLoss, Reduction, SigmoidFocalLoss,
};

use crate::common::{assert_as_in_pytorch, assert_close, noise, value, values, Fixture, Relative, Rounding};
use crate::support::{differences, indices, integers, leaf, message_of, vector, zeros};

pub(super) const MODULATIONS: [FocalModulation; 4] = [
    FocalModulation::Expectation,
    FocalModulation::Likelihood,
    FocalModulation::Logit,
    FocalModulation::Separate,
];

#[test]
fn a_golden_number() {
    let (input, target) = (vector(&[0.5, -1.2, 2.0]), vector(&[1.0, 0.0, 1.0]));
    for modulation in MODULATIONS {
        let loss = SigmoidFocalLoss { modulation, reduction: Reduction::Sum, ..Default::default() };
        assert!((value(&loss.forward(&input, &target)) - 0.0279244225).abs() < 1e-10, "{modulation:?}");
    }
}

/// A weight that f16 has no number for.
#[test]
fn weights_keep_their_digits_in_half_precision() {
    let (input, target) = (vector(&[4.0, -4.0, 3.5]), vector(&[1.0, 0.0, 1.0]));
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean] {
        let loss = SigmoidFocalLoss { reduction, ..Default::default() }.with_weight([7e4, 1.0, 1.0]);
        let of = |kind| {
            let own = leaf(&input.to_kind(kind));
            let value = loss.forward(&own, &target.to_kind(kind));
            assert_eq!(value.kind(), kind);
            value.sum(None).backward();
            [value.to_kind(Kind::Double), own.grad().to_kind(Kind::Double)]
        };
        for (own, expected) in of(Kind::Half).iter().zip(&of(Kind::Double)) {
            assert_close("half", own, expected, 1e-3, Relative::ToLargest);
        }
    }
}

/// The presets are the options of what is recorded of the libraries.
#[test]
fn presets() {
    let fixture = Fixture::load("classification");
    let presets: [(&str, Box<dyn Loss>); 5] = [
        ("sigmoid_focal.kornia.ignored", Box::new(SigmoidFocalLoss::kornia())),
        ("sigmoid_focal.monai", Box::new(SigmoidFocalLoss::monai())),
        ("sigmoid_focal.smp", Box::new(SigmoidFocalLoss::smp())),
        ("focal.kornia", Box::new(FocalLoss::kornia())),
        ("focal.kornia", Box::new(FocalLoss::monai())),
    ];
    for (name, loss) in presets {
        let (short, case) = name.split_once('.').unwrap();
        let mut found = 0;
        for case in fixture
            .cases
            .iter()
            .filter(|own| ["f32", "f64"].iter().any(|kind| own.name == format!("{short}.{kind}.mean.{case}")))
        {
            let own = loss.forward(&fixture.get(case, "input"), &fixture.get(case, "target"));
            assert_as_in_pytorch(&case.name, &own, &fixture.get(case, "value"), Rounding::OfResult);
            found += 1;
        }
        assert!(found > 0, "{name}");
    }
}

#[test]
fn without_focus_they_are_cross_entropies() {
    let (input, classes) = (noise(1, &[6, 3], Kind::Double) * 4.0, integers(&[0, 2, 1, 2, 0, 1]));
    let weight = [0.5, 2.0, 1.0];
    for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
        let focal = FocalLoss { gamma: 0.0, ignore_index: 2, reduction, ..Default::default() };
        let entropy = CrossEntropyLoss { ignore_index: 2, reduction, ..Default::default() };
        let pairs: [(Box<dyn Loss>, Box<dyn Loss>); 3] = [
            (Box::new(focal.clone()), Box::new(entropy.clone())),
            (Box::new(focal.with_weight(weight)), Box::new(entropy.clone().with_weight(weight))),
            (
                Box::new(PolyCrossEntropyLoss {
                    epsilon: 0.0,
                    label_smoothing: 0.1,
                    ignore_index: 2,
                    reduction,
                }),
                Box::new(entropy.with_label_smoothing(0.1)),
            ),
        ];
        for (own, expected) in pairs {
            let (own_value, expected) = (own.forward(&input, &classes), expected.forward(&input, &classes));
            assert_close(&format!("{own:?}"), &own_value, &expected, 1e-12, Relative::ToLargest);
        }
    }
}

/// Logits that no digit is left for, in f32 and f64.
#[test]
fn sure_answers_are_finite() {
    for kind in [Kind::Float, Kind::Double] {
        let input = vector(&[1e4, -1e4, 200.0, -200.0, 90.0, -90.0, 40.0, -40.0, 0.0, 1e30]).to_kind(kind);
        for right in [0.0, 0.25, 1.0] {
            let target = input.full_like(right);
            let mut losses: Vec<Box<dyn Loss>> = Vec::new();
            for gamma in [0.0, 0.5, 1.0, 2.0] {
                for modulation in MODULATIONS {
                    let focal = SigmoidFocalLoss { gamma, modulation, ..Default::default() };
                    losses.push(Box::new(focal.clone().with_reduction(Reduction::Sum)));
                    losses.push(Box::new(focal));
                }
                let poly = PolyBinaryCrossEntropyLoss { gamma, ..Default::default() };
                losses.push(Box::new(poly));
                losses.push(Box::new(poly.with_reduction(Reduction::None)));
                let asymmetric = AsymmetricLoss { gamma_neg: gamma, gamma_pos: gamma, ..Default::default() };
                losses.push(Box::new(asymmetric.clone()));
                losses.push(Box::new(asymmetric.with_reduction(Reduction::None)));
            }
            for loss in losses {
                let input = leaf(&input);
                let value = loss.forward(&input, &target);
                value.sum(None).backward();
                let numbers = [values(&value), values(&input.grad())].concat();
                assert!(
                    numbers.iter().all(|number| number.is_finite()),
                    "{loss:?} {kind:?} {right}: {numbers:?}"
                );
            }
        }
        let scores = Tensor::stack(&[&input, &-&input], 1);
        for class in [0, 1] {
            let target = indices(&[10]) + class;
            let mut losses: Vec<Box<dyn Loss>> = Vec::new();
            for gamma in [0.0, 0.5, 2.0] {
                losses.push(Box::new(FocalLoss { gamma, ..Default::default() }));
                losses.push(Box::new(AsymmetricSingleLabelLoss {
                    gamma_neg: gamma,
                    gamma_pos: gamma,
                    ..Default::default()
                }));
            }
            losses.push(Box::new(PolyCrossEntropyLoss::default().with_label_smoothing(0.1)));
            for loss in losses {
                let scores = leaf(&scores);
                let value = loss.forward(&scores, &target);
                value.backward();
                let numbers = [values(&value), values(&scores.grad())].concat();
                assert!(numbers.iter().all(|number| number.is_finite()), "{loss:?} {kind:?}: {numbers:?}");
            }
        }
    }
}

#[test]
fn what_is_ignored_does_not_count() {
    let input = noise(1, &[2, 4], Kind::Double) * 3.0;
    let target = vector(&[1.0, -100.0, 0.0, 1.0, -100.0, -100.0, 0.0, 1.0]).view([2, 4]);
    let kept = [0, 2, 3, 6, 7];
    let pick = |tensor: &Tensor| tensor.flatten(0, -1).index_select(0, &integers(&kept));
    for modulation in MODULATIONS {
        let loss = SigmoidFocalLoss { modulation, reduction: Reduction::Mean, ..Default::default() };
        let ignoring = loss.clone().with_ignore_index(-100);
        let leaf = leaf(&input);
        let (own, expected) = (ignoring.forward(&leaf, &target), loss.forward(&pick(&input), &pick(&target)));
        assert_close("mean of what counts", &own, &expected, 1e-12, Relative::ToLargest);
        own.backward();
        assert_eq!(values(&leaf.grad().flatten(0, -1).index_select(0, &integers(&[1, 4, 5]))), [0.0; 3]);
        let counting = ignoring.clone().with_count_ignored(true).forward(&input, &target);
        assert_close("mean of all", &counting, &(expected * 5.0 / 8.0), 1e-12, Relative::ToLargest);
        let nothing = ignoring.forward(&leaf, &target.full_like(-100.0));
        assert!(value(&nothing).is_nan());
        assert_eq!(value(&ignoring.with_count_ignored(true).forward(&leaf, &target.full_like(-100.0))), 0.0);
    }
    let (scores, classes) = (noise(1, &[3, 2], Kind::Double), indices(&[3]) - 100);
    assert!(value(&FocalLoss::default().forward(&scores, &classes)).is_nan());
    assert_eq!(value(&FocalLoss::kornia().forward(&scores, &classes)), 0.0);
    assert_eq!(FocalLoss::monai().mean, FocalMean::Logits);
    for reduction in [Reduction::Sum, Reduction::Mean] {
        let scores = leaf(&scores);
        FocalLoss::default().with_reduction(reduction).forward(&scores, &classes).backward();
        assert!(values(&scores.grad()).iter().all(|slope| *slope == 0.0 || slope.is_nan()));
    }
}

#[test]
fn second_derivatives_of_unreduced_losses() {
    let (input, target) = (noise(1, &[5], Kind::Double), noise(2, &[5], Kind::Double).sigmoid());
    let slope = |input: &Tensor| {
        let loss = SigmoidFocalLoss::default().forward(input, &target).sum(None);
        Tensor::run_backward(&[loss], &[input], true, true).remove(0)
    };
    let leaf = leaf(&input);
    slope(&leaf).sum(None).backward();
    let expected = differences(&input, 1e-5, |input| slope(input).sum(None));
    assert_close("second derivative", &leaf.grad(), &expected, 1e-7, Relative::ToLargest);
}

#[test]
fn options_and_arguments() {
    let (input, target) = (zeros(&[2, 3]), zeros(&[2, 3]));
    for (alpha, given) in [(-0.5, "-0.5"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let loss = SigmoidFocalLoss::default().with_alpha(alpha);
        let expected = format!("option `alpha` is {given}, expected a number in [0, 1], or -1");
        assert_eq!(message_of(loss.try_forward(&input, &target)), expected);
        let loss = FocalLoss::default().with_alpha(alpha);
        let expected = format!("option `alpha` is {given}, expected a number in [0, 1]");
        assert_eq!(message_of(loss.try_forward(&input, &indices(&[2]))), expected);
    }
    assert_eq!(
        message_of(SigmoidFocalLoss::default().with_gamma(-1.0).try_forward(&input, &target)),
        "option `gamma` is -1, expected a finite number, 0 or more"
    );
    assert_eq!(
        message_of(SigmoidFocalLoss::default().with_weight([1.0, 2.0]).try_forward(&input, &target)),
        "`weight` has shape [2], expected a shape that broadcasts to [2, 3], the shape of `input`"
    );
    assert_eq!(
        message_of(FocalLoss::default().with_weight([1.0, 2.0]).try_forward(&input, &indices(&[2]))),
        "`weight` has shape [2], expected [3], a weight for each class"
    );
    assert_eq!(
        message_of(FocalLoss::default().try_forward(&input, &indices(&[3]))),
        "`target` has shape [3], expected [2], a class for each place of the scores [2, 3]"
    );
    assert_eq!(
        message_of(PolyCrossEntropyLoss::default().with_ignore_index(1).try_forward(&input, &target)),
        "option `ignore_index` is 1, expected a negative number, for `target` holds probabilities, not classes"
    );
    assert_eq!(
        message_of(PolyBinaryCrossEntropyLoss::default().with_epsilon(1e4).try_forward(&input, &target)),
        "option `epsilon` is 10000, expected a number in [-1000, 1000]"
    );
    assert_eq!(
        message_of(AsymmetricLoss::default().with_clip(1.5).try_forward(&input, &target)),
        "option `clip` is 1.5, expected a number in [0, 1]"
    );
    assert_eq!(
        message_of(AsymmetricSingleLabelLoss::default().try_forward(&input, &target)),
        "`target` has kind Float, expected Int64 or Uint8, classes"
    );
}
