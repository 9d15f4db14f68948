//! The losses on embeddings.

use tch::{Kind, Tensor};
use tch_losses::{
    CosineEmbeddingLoss, Distance, Error, HingeEmbeddingLoss, Loss, MarginRankingLoss, Reduction,
    TernaryLoss, TripletMarginLoss, TripletMarginWithDistanceLoss,
};

use crate::common::{value, values};
use crate::support::{assert_values, integers, leaf, longer_than_a_piece, matrix, message_of, vector, zeros};

#[test]
fn by_hand() {
    let reduction = Reduction::None;
    let labels = integers(&[1, -1, -1]);

    let hinge = HingeEmbeddingLoss { margin: 2.0, reduction };
    assert_values(&hinge.forward(&vector(&[-0.5, 0.5, 2.5]), &labels), &[-0.5, 1.5, 0.0]);

    let ranking = MarginRankingLoss { margin: 0.5, reduction };
    let (one, other) = (vector(&[1.0, 1.0, 0.0]), vector(&[2.0, 2.0, 0.25]));
    assert_values(&ranking.forward(&one, &other, &labels), &[1.5, 0.0, 0.25]);

    // Cosines of 0.6, 0.6 and -1.
    let cosine = CosineEmbeddingLoss { margin: 0.1, reduction };
    let (one, other) =
        (matrix(&[[3.0, 4.0], [3.0, 4.0], [1.0, 0.0]]), matrix(&[[2.0, 0.0], [2.0, 0.0], [-3.0, 0.0]]));
    assert_values(&cosine.forward(&one, &other, &labels), &[0.4, 0.5, 0.0]);

    // Distances 7, 5 and 4 by p; to the negative 3 from the anchor, and from the positive 4 + 4, √32, 4.
    let (anchor, positive) = (vector(&[0.0, 0.0]), vector(&[3.0, 4.0]));
    let negative = vector(&[-1.0, 0.0]);
    for (p, expected) in [(1.0, 7.0), (2.0, 5.0), (f64::INFINITY, 4.0)] {
        for swap in [false, true] {
            let loss = TripletMarginLoss { margin: 0.25, p, eps: 0.0, swap, reduction };
            // The swap changes nothing: the positive is farther from the negative than the anchor.
            assert_values(&loss.forward(&anchor, &positive, &negative), &[expected - 1.0 + 0.25]);
        }
    }
    let loss = TripletMarginLoss { eps: 0.0, swap: true, ..Default::default() };
    assert_values(&loss.forward(&anchor, &positive, &vector(&[3.0, 8.0])), &[5.0 - 4.0 + 1.0]);
}

#[test]
fn distances_of_the_callers() {
    let image = zeros(&[2, 3, 4, 4]);
    let with = |distance_function: Distance| {
        let loss = TripletMarginWithDistanceLoss { distance_function, ..Default::default() };
        loss.try_forward(&image, &image, &image)
    };
    // Whatever the distance takes: here images, and one of this crate's losses.
    let l1 = |a: &Tensor, b: &Tensor| {
        let loss = tch_losses::L1Loss { reduction: Reduction::None };
        Ok(loss.try_forward(a, b)?.f_mean_dim([1i64, 2, 3].as_slice(), false, None)?)
    };
    assert_eq!(value(&with(Distance::custom(l1)).unwrap()), 1.0);
    // Integers, as for a table of embeddings.
    let table = matrix(&[[0.0, 0.0], [3.0, 4.0], [0.0, 6.0]]);
    let lookup = TripletMarginWithDistanceLoss {
        distance_function: Distance::custom(move |a, b| {
            let (a, b) = (table.f_index_select(0, a)?, table.f_index_select(0, b)?);
            Ok(Tensor::f_pairwise_distance(&a, &b, 2.0, 0.0, false)?)
        }),
        ..Default::default()
    };
    let loss = lookup.forward(&integers(&[0]), &integers(&[1]), &integers(&[2]));
    assert_eq!(value(&loss), 0.0);
    let loss = lookup.forward(&integers(&[0]), &integers(&[2]), &integers(&[1]));
    assert_eq!(value(&loss), 2.0);

    // Its errors, its own and libtorch's, come out as they are.
    let own = || Error::Option { option: "mine", given: "1".into(), expected: "2".into() };
    assert_eq!(message_of(with(Distance::custom(move |_, _| Err(own())))), own().to_string());
    let refusal =
        with(Distance::custom(|a, _| Ok(a.f_matmul(&Tensor::zeros([7], (Kind::Float, a.device())))?)));
    assert!(matches!(refusal, Err(Error::Torch(_))), "{refusal:?}");
    assert_eq!(
        message_of(with(Distance::custom(|_, _| Ok(Tensor::new())))),
        "`distance(anchor, positive)` is an undefined tensor"
    );
    assert_eq!(
        message_of(with(Distance::custom(|_, _| Ok(integers(&[1]))))),
        "`distance(anchor, positive)` has kind Int64, expected Half, BFloat16, Float or Double"
    );
    // Distances that do not go together: the second of them, or the third.
    let refused = |wrong: i64, shape: &'static [i64], kind: Kind| {
        let calls = std::cell::Cell::new(0);
        let distance = move |_: &Tensor, _: &Tensor| {
            calls.set(calls.get() + 1);
            Ok(if calls.get() == wrong { zeros(shape).to_kind(kind) } else { zeros(&[2]) })
        };
        let loss = TripletMarginWithDistanceLoss {
            distance_function: Distance::custom(distance),
            swap: true,
            ..Default::default()
        };
        message_of(loss.try_forward(&image, &image, &image))
    };
    for (wrong, name) in [(2, "distance(anchor, negative)"), (3, "distance(positive, negative)")] {
        assert_eq!(
            refused(wrong, &[2], Kind::Double),
            format!("`{name}` has kind Double, expected Float, the kind of `distance(anchor, positive)`")
        );
        let refusal = refused(wrong, &[3], Kind::Float);
        let expected = "one that broadcasts with [2], the shape of `distance(anchor, positive)`";
        let start = format!("`{name}` has shape [3], expected {expected}");
        assert!(refusal.starts_with(&start), "{refusal}");
    }
    let loss = TripletMarginWithDistanceLoss {
        distance_function: Distance::custom(|_, _| panic!("must not be called")),
        ..Default::default()
    };
    assert_eq!(
        message_of(loss.try_forward(&image, &image, &zeros(&[2, 3]))),
        "`negative` has shape [2, 3], expected one of 4 dimensions, as `anchor`"
    );
}

#[test]
fn triplets_with_a_distance_are_printed_and_sent() {
    let loss = TripletMarginWithDistanceLoss::default();
    assert_eq!(
        format!("{loss:?}"),
        "TripletMarginWithDistanceLoss { distance_function: pairwise, margin: 1.0, swap: false, reduction: Mean }"
    );
    let distance_function = Distance::custom(|a, b| Ok(a.f_sub(b)?.f_square()?.f_sum(None)?));
    let loss = TripletMarginWithDistanceLoss { distance_function, swap: true, ..Default::default() };
    let expected = "{ distance_function: custom, margin: 1.0, swap: true, reduction: Mean }";
    assert_eq!(format!("{loss:?}"), format!("TripletMarginWithDistanceLoss {expected}"));
    let thread = std::thread::spawn(move || {
        value(&loss.forward(&vector(&[0.0, 2.0]), &vector(&[0.0, 0.0]), &vector(&[1.0, 0.0])))
    });
    // From the positive to the negative it is 1, from the anchor 5.
    assert_eq!(thread.join().unwrap(), 4.0 - 1.0 + 1.0);
}

/// The reduced loss has its gradient from forward: for other labels too, at the margin, and for infinite distances.
#[test]
fn the_reduced_hinge_is_the_sum_of_the_elements() {
    let input = vector(&[0.5, 2.0, 3.0, f64::INFINITY, f64::NEG_INFINITY, 0.25, 1.0, 5.0]);
    let target = vector(&[1.0, -1.0, -1.0, -1.0, 1.0, 0.0, 2.0, 0.0]);
    // All of them are multiples of 1/4, so that sums are exact.
    let times = longer_than_a_piece() / 8 + 1;
    let (input, target) = (input.repeat([times]), target.repeat([times]));
    let hinge = HingeEmbeddingLoss { margin: 2.0, reduction: Reduction::Sum };
    for target in [target.shallow_clone(), target.to_kind(Kind::Int64)] {
        let (own, expected) = (leaf(&input), leaf(&input));
        let loss = hinge.forward(&own, &target);
        let sum = hinge.with_reduction(Reduction::None).forward(&expected, &target).sum(None);
        loss.backward();
        sum.backward();
        assert_eq!(values(&loss), values(&sum));
        assert_eq!(values(&own.grad()), values(&expected.grad()));
    }
}
