//! Lists of scales and of features.

use tch::{Kind, Tensor};
use tch_losses::{
    FeatureCriterion, FeatureMatchingLoss, GanLoss, GanMode, ListReduction, Pairing, Predictions,
    RelativisticLoss,
};

use crate::common::{assert_close, noise, value, Relative};
use crate::support::{leaf, message_of, zeros};

const MODES: [GanMode; 6] = [
    GanMode::Vanilla,
    GanMode::Lsgan,
    GanMode::Wgan,
    GanMode::NonSaturating,
    GanMode::Hinge,
    GanMode::Saturating,
];

/// Scales of some sizes.
fn scales(seed: i64, count: i64) -> Vec<Tensor> {
    (0..count).map(|scale| noise(seed + scale, &[2, 1, 5 - scale, 4], Kind::Double) * 3.0).collect()
}

fn features(seed: i64, layers: &[usize]) -> Vec<Vec<Tensor>> {
    let layer = |scale: usize, layer: usize| {
        noise(seed + 10 * scale as i64 + layer as i64, &[2, layer as i64 + 1, 3, 2], Kind::Double)
    };
    let scale = |(scale, count): (usize, &usize)| (0..*count).map(|index| layer(scale, index)).collect();
    layers.iter().enumerate().map(scale).collect()
}

#[track_caller]
fn assert_same(own: &Tensor, expected: f64) {
    assert!((value(own) - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{own:?} {expected}");
}

/// The loss of a list is the mean or the sum of those of its tensors.
#[test]
fn several_scales() {
    for mode in MODES {
        for count in 1..4 {
            let (real, fake) = (scales(1, count), scales(20, count));
            let one = GanLoss::basicsr(mode);
            let each =
                |side: &dyn Fn(usize) -> Tensor| (0..count as usize).map(|i| value(&side(i))).sum::<f64>();
            let on_real = each(&|i| one.discriminator_real(&real[i]));
            let on_fake = each(&|i| one.discriminator_fake(&fake[i]));
            let on_both = each(&|i| one.discriminator(&real[i], &fake[i]));
            let generator = each(&|i| one.generator(&fake[i]));
            for (reduction, share) in [(ListReduction::Mean, 1.0 / count as f64), (ListReduction::Sum, 1.0)] {
                let gan = one.with_scales(reduction);
                assert_same(&gan.discriminator_real(&real), share * on_real);
                assert_same(&gan.discriminator_fake(&fake), share * on_fake);
                assert_same(&gan.discriminator(&real, &fake), share * on_both);
                assert_same(&gan.generator(&fake), share * generator);
            }
        }
    }
}

/// The relativistic loss of a list compares each scale with itself.
#[test]
fn relativistic_scales() {
    for pairing in [Pairing::Average, Pairing::Paired] {
        let one = RelativisticLoss::default().with_pairing(pairing).with_mode(GanMode::Lsgan);
        for count in 1..4 {
            let (real, fake) = (scales(1, count), scales(20, count));
            let each =
                |side: &dyn Fn(usize) -> Tensor| (0..count as usize).map(|i| value(&side(i))).sum::<f64>();
            let discriminator = each(&|i| one.discriminator(&real[i], &fake[i]));
            let generator = each(&|i| one.generator(&real[i], &fake[i]));
            for (reduction, share) in [(ListReduction::Mean, 1.0 / count as f64), (ListReduction::Sum, 1.0)] {
                let gan = one.with_scales(reduction);
                assert_same(&gan.discriminator(&real, &fake), share * discriminator);
                assert_same(&gan.generator(&real, &fake), share * generator);
            }
        }
        let (real, fake) = (scales(1, 2), scales(20, 1));
        let message = message_of(one.try_generator(&real, &fake));
        assert_eq!(message, "`fake` holds 1 scale, expected 2, as many as `real`");
    }
    let paired = RelativisticLoss::r3gan();
    let (real, fake) = ([zeros(&[2]), zeros(&[2, 3])], [zeros(&[2]), zeros(&[3])]);
    let message = message_of(paired.try_discriminator(&real, &fake));
    assert_eq!(message, "`fake` has shape [3], expected [2, 3], the shape of `real`");
}

/// Every form of the same predictions.
#[test]
fn forms_of_predictions() {
    let gan = GanLoss::default();
    let [first, second] = [1, 2].map(|seed| noise(seed, &[3, 1], Kind::Double));
    let expected = gan.generator(&first);
    assert_eq!(gan.generator(Predictions::One(&first)), expected);
    assert_eq!(gan.generator(&[first.shallow_clone()]), expected);
    assert_eq!(gan.generator(&vec![first.shallow_clone()]), expected);
    let scales = [first.shallow_clone(), second.shallow_clone()];
    let expected = gan.generator(&scales);
    assert_eq!(gan.generator(&scales[..]), expected);
    assert_eq!(gan.generator(&scales.iter().map(Tensor::shallow_clone).collect::<Vec<_>>()), expected);
    // The last one counts.
    let with_features = scales.map(|outputs| vec![outputs.zeros_like(), outputs]);
    assert_eq!(gan.generator(&with_features), expected);
    assert_eq!(gan.generator(&with_features[..]), expected);
    let with_features = with_features.into_iter().collect::<Vec<_>>();
    assert_eq!(gan.generator(&with_features), expected);
    assert_eq!(
        gan.discriminator(&with_features, &[first, second]),
        gan.discriminator(&with_features, &with_features)
    );
}

#[test]
fn lists_that_are_refused() {
    let gan = GanLoss::default();
    let none: [Tensor; 0] = [];
    let good = [zeros(&[2]), zeros(&[3])];
    assert_eq!(message_of(gan.try_generator(&none)), "`fake` holds no scale, expected one scale at least");
    let no_features: [Vec<Tensor>; 0] = [];
    assert_eq!(
        message_of(gan.try_discriminator_real(&no_features)),
        "`real` holds no scale, expected one scale at least"
    );
    assert_eq!(
        message_of(gan.try_discriminator_fake(&[vec![zeros(&[2])], vec![]])),
        "`fake` holds a scale without tensors, expected the features of each scale"
    );
    assert_eq!(
        message_of(gan.try_discriminator(&good, &zeros(&[2]))),
        "`fake` holds 1 scale, expected 2, as many as `real`"
    );
    let mixed = [zeros(&[2]), zeros(&[2]).to_kind(Kind::Double)];
    let expected = "`fake` has kind Double, expected Float, the kind of the first scale";
    assert_eq!(message_of(gan.try_generator(&mixed)), expected);
    assert_eq!(message_of(gan.try_discriminator(&good, &mixed)), expected);
    assert_eq!(
        message_of(gan.try_discriminator(&good[0], &mixed[1])),
        "`fake` has kind Double, expected Float, the kind of `real`"
    );
    let integers = zeros(&[2]).to_kind(Kind::Int64);
    assert_eq!(
        message_of(gan.try_generator(&[zeros(&[2]), integers])),
        "`fake` has kind Int64, expected Half, BFloat16, Float or Double"
    );
    assert_eq!(message_of(gan.try_generator(&[zeros(&[2]), Tensor::new()])), "`fake` is an undefined tensor");
}

/// Each scale is cast before it is added.
#[test]
fn scales_of_half_precision() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let fake: Vec<Tensor> = scales(3, 3).iter().map(|scale| scale.to_kind(kind)).collect();
        let wide: Vec<Tensor> = fake.iter().map(|scale| scale.to_kind(Kind::Double)).collect();
        for mode in MODES {
            let gan = GanLoss::basicsr(mode).with_scales(ListReduction::Sum);
            let (own, exact) = (gan.generator(&fake), gan.generator(&wide));
            assert_eq!(own.kind(), kind);
            // One rounding at the end.
            let exact = exact.to_kind(kind).to_kind(Kind::Double);
            let epsilon = crate::common::epsilon(kind);
            assert_close("sum", &own.to_kind(Kind::Double), &exact, epsilon, Relative::ToLargest);
        }
    }
}

#[test]
fn feature_matching_by_hand() {
    let (fake, real) = (features(1, &[3, 2]), features(100, &[3, 2]));
    let distance = |scale: usize, layer: usize| {
        let difference: Tensor = &fake[scale][layer] - &real[scale][layer];
        value(&difference.abs().mean(None))
    };
    let first = distance(0, 0) + distance(0, 1);
    let last = distance(0, 2) + distance(1, 1);
    let loss = FeatureMatchingLoss::default();
    assert_same(&loss.forward(&fake, &real), (first + distance(1, 0)) / 2.0);
    assert_same(&loss.with_scales(ListReduction::Sum).forward(&fake, &real), first + distance(1, 0));
    let of_means = first / 2.0 + distance(1, 0);
    assert_same(&loss.with_layers(ListReduction::Mean).forward(&fake, &real), of_means / 2.0);
    assert_same(&loss.with_factor(3.0).forward(&fake, &real), 1.5 * (first + distance(1, 0)));
    assert_same(&loss.with_exclude_last(false).forward(&fake, &real), (first + distance(1, 0) + last) / 2.0);
    // The real features are constants, even if they have a graph.
    let (own, other) = (leaf(&fake[0][0]), leaf(&real[0][0]));
    let lists = |first: &Tensor, list: &[Vec<Tensor>]| {
        vec![vec![first.shallow_clone(), list[0][1].shallow_clone(), list[0][2].shallow_clone()]]
    };
    loss.forward(&lists(&own, &fake), &lists(&other, &real)).backward();
    let expected = (&fake[0][0] - &real[0][0]).sign() / own.numel() as f64;
    assert!(!other.grad().defined());
    assert_close("gradient", &own.grad(), &expected, 1e-15, Relative::ToLargest);
    // A sum of two squares, each beyond f16.
    let half = |number: f64| vec![vec![(zeros(&[4]) + number).to_kind(Kind::Half)]];
    let squares = FeatureMatchingLoss::imaginaire().with_criterion(FeatureCriterion::Mse).with_factor(1e-3);
    let loss = squares.forward(&half(300.0), &half(0.0));
    assert_eq!((loss.kind(), value(&loss)), (Kind::Half, 90.0));
}

#[test]
fn features_that_are_refused() {
    let loss = FeatureMatchingLoss::default();
    let good = features(1, &[3, 2]);
    let refused = |fake: &[Vec<Tensor>], real: &[Vec<Tensor>]| message_of(loss.try_forward(fake, real));
    assert_eq!(refused(&[], &[]), "`fake` holds no scale, expected one scale at least");
    assert_eq!(refused(&good, &good[..1]), "`real` holds 1 scale, expected 2, as many as `fake`");
    assert_eq!(
        refused(&good, &features(1, &[3, 3])),
        "`real` holds 3 layers in scale 1, expected 2, as many as `fake`"
    );
    for (layers, what) in [(0, "0 layers"), (1, "1 layer")] {
        let few = features(1, &[3, layers]);
        assert_eq!(
            refused(&few, &few),
            format!(
                "`fake` holds {what} in scale 1, expected one at least beside the last, which `exclude_last` \
                 leaves out"
            )
        );
    }
    let none = features(1, &[3, 0]);
    assert_eq!(
        message_of(FeatureMatchingLoss::imaginaire().try_forward(&none, &none)),
        "`fake` holds 0 layers in scale 1, expected one at least"
    );
    let mut other = features(1, &[3, 2]);
    other[1][0] = other[1][0].narrow(3, 0, 1);
    assert_eq!(
        refused(&good, &other),
        "`real` has shape [2, 1, 3, 1], expected [2, 1, 3, 2], the shape of `fake`, in layer 0 of scale 1"
    );
    // What is left out may be of another shape.
    let mut other = features(1, &[3, 2]);
    other[1][1] = zeros(&[1]);
    assert_eq!(value(&loss.forward(&good, &other)), 0.0);
    other[1][0] = other[1][0].to_kind(Kind::Float);
    assert_eq!(refused(&good, &other), "`real` has kind Float, expected Double, the kind of `fake`");
    assert_eq!(refused(&other, &good), "`fake` has kind Float, expected Double, the kind of the first layer");
    other[1][0] = Tensor::new();
    assert_eq!(refused(&other, &good), "`fake` is an undefined tensor");
    assert_eq!(refused(&good, &other), "`real` is an undefined tensor");
    for (criterion, name) in
        [(FeatureCriterion::Frobenius, "frobenius"), (FeatureCriterion::Charbonnier, "charbonnier")]
    {
        assert_eq!(
            message_of(loss.with_criterion(criterion).try_forward(&good, &good)),
            format!("option `criterion` is {name}, expected l1 or mse")
        );
    }
    assert_eq!(
        message_of(loss.with_factor(0.0).try_forward(&good, &good)),
        "option `factor` is 0, expected a finite number greater than 0"
    );
}
