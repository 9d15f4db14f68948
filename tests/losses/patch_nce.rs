//! The contrastive loss of patches, and where its patches come from.

use std::collections::BTreeSet;

use tch::{Kind, Tensor};
use tch_losses::{Loss, PatchNceLoss, PatchSampler, Reduction};

use crate::common::{assert_as_in_pytorch, assert_close, device, few_roundings, noise, value, values};
use crate::common::{Case, Fixture, Relative, Rounding};
use crate::support::{leaf, message_of, zeros};

/// Patches of features at given places, through a network of two layers, as CUT has them.
#[test]
fn layers_of_features_as_in_cut() {
    let fixture = Fixture::load("gan_steps");
    let mut run = 0;
    for case in fixture.cases.iter().filter(|case| case.loss == "PatchNCELoss") {
        let leaves: Vec<(&String, Tensor)> =
            case.arguments.iter().map(|role| (role, leaf(&fixture.get(case, role)))).collect();
        let own = cut(case, &leaves);
        assert_as_in_pytorch(&case.name, &own, &fixture.get(case, "value"), Rounding::OfResult);
        own.backward();
        for (role, leaf) in leaves {
            let what = format!("{} {role}", case.name);
            match fixture.find(case, &format!("grad_{role}")) {
                Some(expected) => assert_as_in_pytorch(&what, &leaf.grad(), &expected, Rounding::OfLarger),
                // Keys are constants.
                None => assert!(!leaf.grad().defined(), "{what}"),
            }
        }
        run += 1;
    }
    assert_eq!(run, 2);
}

fn cut(case: &Case, leaves: &[(&String, Tensor)]) -> Tensor {
    let places: Vec<Vec<i64>> = serde_json::from_value(case.options["places"].clone()).unwrap();
    let given = |role: String| &leaves.iter().find(|(name, _)| **name == role).unwrap().1;
    let patches = |role: &str, layer: usize| {
        let patches =
            PatchSampler::default().sample(given(format!("{role}_{layer}")), &places[layer]).unwrap();
        let linear = |input: &Tensor, place: usize| {
            input.linear(
                given(format!("weight_{layer}_{place}")),
                Some(given(format!("bias_{layer}_{place}"))),
            )
        };
        linear(&linear(&patches, 0).relu(), 1)
    };
    let loss = |made: &str, given: &str| {
        let of_layer = |layer| PatchNceLoss::default().forward(&patches(made, layer), &patches(given, layer));
        (of_layer(0) + of_layer(1)) / 2.0
    };
    match case.options["identity"] == true {
        true => (loss("output", "input") + loss("identity", "target")) * 0.5,
        false => loss("output", "input"),
    }
}

/// The definition: a column with the positive, and the products with the place of the positive masked.
fn defined(loss: &PatchNceLoss, query: &Tensor, key: &Tensor) -> Tensor {
    let shape = query.size();
    let unit = |x: &Tensor| match loss.normalize {
        true => x / (x.square().sum_dim_intlist([-1i64].as_slice(), true, None).sqrt() + 1e-7),
        false => x.shallow_clone(),
    };
    let groups = if loss.negatives_from_batch { 1 } else { shape[0] };
    let arranged = |x: &Tensor| unit(x).reshape([groups, -1, shape[2]]);
    let (query, key) = (arranged(query), arranged(&key.detach()));
    let rows = query.size()[1];
    let products = query.bmm(&key.transpose(1, 2));
    let diagonal = Tensor::eye(rows, (Kind::Bool, query.device()));
    let positive = products.diagonal(0, 1, 2).unsqueeze(-1);
    let logits = Tensor::cat(&[positive, products.masked_fill(&diagonal, -10.0)], -1) / loss.temperature;
    -logits.log_softmax(-1, None).select(-1, 0).reshape([shape[0], shape[1]])
}

#[test]
fn random_features_have_the_loss_of_the_definition() {
    for (seed, shape) in
        [[1, 1, 1], [2, 1, 3], [1, 9, 2], [3, 7, 5], [4, 16, 8], [2, 33, 1]].iter().enumerate()
    {
        for (normalize, temperature) in [(true, 0.07), (true, 2.0), (false, 0.07), (false, 3.0)] {
            for negatives_from_batch in [false, true] {
                let loss =
                    PatchNceLoss { temperature, negatives_from_batch, normalize, reduction: Reduction::None };
                let seed = seed as i64;
                let (query, key) =
                    (noise(seed, shape, Kind::Double) * 3.0, noise(70 + seed, shape, Kind::Double));
                let (own_leaf, other_leaf) = (leaf(&query), leaf(&query));
                let (own, expected) = (loss.forward(&own_leaf, &key), defined(&loss, &other_leaf, &key));
                let what = format!("{loss:?} {shape:?}");
                // Logits of up to 100 are rounded to 1e-14, and the loss of a single patch is the difference of two.
                let floor = Relative::ToElement { floor: 1.0 };
                assert_close(&what, &own, &expected, 1e-12, floor);
                let upstream = noise(99, &own.size(), Kind::Double);
                (own * &upstream).sum(None).backward();
                (expected * upstream).sum(None).backward();
                let largest = value(&other_leaf.grad().abs().max()).max(1.0);
                let floor = Relative::ToElement { floor: largest };
                assert_close(&what, &own_leaf.grad(), &other_leaf.grad(), 1e-12, floor);
            }
        }
    }
}

/// The loss of patches that are told apart is small, and keeps its digits in f32.
#[test]
fn a_small_loss_keeps_its_digits() {
    let key = Tensor::eye(8, (Kind::Float, device())).unsqueeze(0);
    let loss = PatchNceLoss::default();
    // Seven products of 0 and one of 1.
    let expected = (7.0 * (-1.0 / 0.07f64).exp()).ln_1p();
    let own = value(&loss.forward(&key, &key).to_kind(Kind::Double));
    // 1 / 0.07 is off by half an epsilon, and the sum of the exponentials is a number near 1.
    assert!((own - expected).abs() < 2e-7, "{own:e} instead of {expected:e}");
}

#[test]
fn half_kinds_are_computed_in_f32() {
    for kind in [Kind::Half, Kind::BFloat16] {
        // The squares are beyond f16.
        let (query, key) = (noise(1, &[2, 6, 4], kind) * 500.0, noise(2, &[2, 6, 4], kind) * 500.0);
        let loss = PatchNceLoss::default();
        let query = leaf(&query);
        let own = loss.forward(&query, &key);
        own.backward();
        let wide = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let expected = loss.forward(&wide(&query.detach()), &wide(&key));
        assert_eq!((own.kind(), query.grad().kind()), (kind, kind));
        assert_close("value", &wide(&own), &expected, few_roundings(kind), Relative::ToLargest);
    }
}

/// Rows of zeros have no direction; CUT has gradients of NaN there.
#[test]
fn rows_of_zeros() {
    let query = leaf(&zeros(&[1, 4, 3]));
    let own = PatchNceLoss::default().forward(&query, &noise(1, &[1, 4, 3], Kind::Float));
    assert!((value(&own) - 4f64.ln()).abs() < 1e-6);
    own.backward();
    assert!(value(&query.grad().abs().sum(None)).is_finite());
}

#[test]
fn places_are_different_and_the_same_everywhere() {
    let sampler = PatchSampler::default();
    for positions in [0, 1, 2, 255, 256, 257, 4096] {
        for seed in [0, 1, u64::MAX] {
            let places = sampler.indices(positions, seed).unwrap();
            let different: BTreeSet<i64> = places.iter().copied().collect();
            assert_eq!(places.len() as i64, positions.min(256));
            assert_eq!(different.len(), places.len());
            assert!(places.iter().all(|place| (0..positions).contains(place)));
            assert_eq!(places, sampler.indices(positions, seed).unwrap());
        }
    }
    let few = sampler.with_num_patches(6);
    assert_eq!(few.indices(100, 7).unwrap(), PLACES);
    // Fewer of them are the first of more.
    assert_eq!(sampler.indices(100, 7).unwrap()[..6], PLACES);
    assert_ne!(few.indices(100, 8).unwrap(), PLACES);
}

/// Of 100 places, with the seed 7.
const PLACES: [i64; 6] = [27, 65, 34, 14, 78, 3];

/// Each place comes as often as any other, first or last.
#[test]
fn places_are_equally_likely() {
    let sampler = PatchSampler::default().with_num_patches(3);
    let (positions, seeds) = (10, 10_000);
    let mut counts = [[0.0; 10]; 3];
    for seed in 0..seeds {
        for (drawn, place) in sampler.indices(positions, seed).unwrap().into_iter().enumerate() {
            counts[drawn][place as usize] += 1.0;
        }
    }
    // 1000 are expected, with a deviation of 30.
    for counts in counts {
        assert!(counts.iter().all(|count: &f64| (count - 1000.0).abs() < 150.0), "{counts:?}");
    }
}

#[test]
fn samples_are_the_features_at_their_places() {
    let features = noise(1, &[2, 3, 4, 5], Kind::Double);
    let places = [19, 0, 7, 7];
    let index = Tensor::from_slice(&places).to_device(device());
    let expected = features.permute([0, 2, 3, 1]).reshape([2, 20, 3]).index_select(1, &index);
    let channels_last = features.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    for given in [&features, &channels_last, &features.flip([3]).flip([3])] {
        let own = PatchSampler::default().sample(given, &places).unwrap();
        assert_eq!(values(&own), values(&expected));
    }
    let own = leaf(&features);
    PatchSampler::default().sample(&own, &places).unwrap().sum(None).backward();
    assert_eq!(value(&own.grad().sum(None)), 24.0);
    assert_eq!(value(&own.grad().get(1).get(2).get(1).get(2)), 2.0);
}

#[test]
fn refusals() {
    let loss = PatchNceLoss::default();
    let sampler = PatchSampler::default();
    let features = zeros(&[1, 2, 3, 4]);
    let messages = [
        message_of(loss.try_forward(&zeros(&[6, 4]), &zeros(&[6, 4]))),
        message_of(loss.try_forward(&zeros(&[2, 0, 4]), &zeros(&[2, 0, 4]))),
        message_of(loss.try_forward(&zeros(&[2, 3, 4]), &zeros(&[2, 3, 5]))),
        message_of(loss.with_temperature(0.0).try_forward(&zeros(&[1, 1, 1]), &zeros(&[1, 1, 1]))),
        message_of(sampler.with_num_patches(0).indices(9, 0)),
        message_of(sampler.indices(-1, 0)),
        message_of(sampler.sample(&features, &[0, 12])),
        message_of(sampler.sample(&features, &[-1])),
        message_of(sampler.sample(&zeros(&[2, 3]), &[0])),
    ];
    let expected = [
        "`query` has shape [6, 4], expected [B, P, C] with every size at least 1",
        "`query` has shape [2, 0, 4], expected [B, P, C] with every size at least 1",
        "`key` has shape [2, 3, 5], expected [2, 3, 4], the shape of `query`",
        "option `temperature` is 0, expected a finite number greater than 0",
        "option `num_patches` is 0, expected a number of at least 1",
        "`positions` holds -1, expected the height times the width",
        "`indices` holds 12, expected places from 0 to 11",
        "`indices` holds -1, expected places from 0 to 11",
        "`features` has shape [2, 3], expected [N, C, H, W] with every size at least 1",
    ];
    assert_eq!(messages, expected);
}
