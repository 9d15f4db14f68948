//! Losses that work on long arguments in pieces of libtorch's graph: what they give is what the whole gives.

use tch::{Kind, Tensor};
use tch_losses::{
    BceWithLogitsLoss, CosineEmbeddingLoss, Distance, GaussianNllLoss, KlDivLoss, L1Loss, Loss,
    MarginRankingLoss, PoissonNllLoss, Reduction, SoftMarginLoss, TernaryLoss, TripletMarginLoss,
    TripletMarginWithDistanceLoss,
};

use crate::common::{assert_close, device, noise, Relative};
use crate::support::{leaf, longer_than_a_piece, message_of};

/// The value, the gradients, and the gradients of the sum of their squares.
fn derivatives(loss: &Tensor, leaves: &[Tensor]) -> Vec<Tensor> {
    let first = Tensor::run_backward(&[loss], leaves, true, true);
    let squares = first.iter().map(|gradient| gradient.square().sum(None)).sum::<Tensor>();
    let mut all = vec![loss.detach()];
    // A penalty of slopes that are constant has no graph.
    if squares.requires_grad() {
        for (second, leaf) in Tensor::run_backward(&[&squares], leaves, false, false).iter().zip(leaves) {
            // libtorch's zeros may be undefined, or have no memory that could be read.
            let zeros = leaf.detach().zeros_like();
            all.push(if second.defined() { second + zeros } else { zeros });
        }
    }
    all.extend(first.iter().map(Tensor::detach));
    all
}

/// Elements are computed as a whole, means and sums in pieces. All floating `arguments` get gradients.
fn assert_as_the_whole(name: &str, arguments: &[Tensor], loss: &dyn Fn(&[Tensor], Reduction) -> Tensor) {
    let fresh = || -> (Vec<Tensor>, Vec<Tensor>) {
        let floating = |tensor: &Tensor| tensor.kind() == Kind::Double;
        let own = |tensor: &Tensor| if floating(tensor) { leaf(tensor) } else { tensor.shallow_clone() };
        let all: Vec<Tensor> = arguments.iter().map(own).collect();
        let leaves = all.iter().filter(|tensor| floating(tensor)).map(Tensor::shallow_clone).collect();
        (all, leaves)
    };
    for reduction in [Reduction::Mean, Reduction::Sum] {
        let (all, leaves) = fresh();
        let pieces = derivatives(&loss(&all, reduction), &leaves);
        let (all, leaves) = fresh();
        let elements = loss(&all, Reduction::None);
        let whole = if reduction == Reduction::Mean { elements.mean(None) } else { elements.sum(None) };
        let whole = derivatives(&whole, &leaves);
        assert_eq!(pieces.len(), whole.len(), "{name}");
        for (index, (own, expected)) in pieces.iter().zip(&whole).enumerate() {
            let what = format!("{name}, {reduction}, {index}");
            // Of sums of many numbers in f64, in two orders.
            assert_close(&what, own, expected, 1e-11, Relative::ToLargest);
        }
    }
}

fn signs(shape: &[i64]) -> Tensor {
    noise(9, shape, Kind::Double).sign().to_kind(Kind::Int64)
}

#[test]
fn numbers_in_pieces() {
    let shape = [3, longer_than_a_piece() / 3 + 1];
    let (input, other) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
    let positive = noise(3, &shape, Kind::Double).abs() + 0.1;
    let pair = [input.shallow_clone(), other.shallow_clone()];
    assert_as_the_whole("L1", &pair, &|all, reduction| {
        L1Loss::default().with_reduction(reduction).forward(&all[0], &all[1])
    });
    for pos_weight in [None, Some(3.0)] {
        let mut loss = BceWithLogitsLoss::default();
        if let Some(weight) = pos_weight {
            loss = loss.with_pos_weight(Tensor::from_slice(&[weight]).to_device(device()));
        }
        assert_as_the_whole("BCE", &pair, &|all, reduction| {
            loss.clone().with_reduction(reduction).forward(&all[0], &all[1])
        });
    }
    assert_as_the_whole("soft margin", &[input.shallow_clone(), signs(&shape)], &|all, reduction| {
        SoftMarginLoss::default().with_reduction(reduction).forward(&all[0], &all[1])
    });
    let triple = [input.shallow_clone(), other.shallow_clone(), signs(&shape)];
    assert_as_the_whole("ranking", &triple, &|all, reduction| {
        MarginRankingLoss::default().with_reduction(reduction).forward(&all[0], &all[1], &all[2])
    });
    let counts = [input.shallow_clone(), positive.shallow_clone()];
    for log_input in [true, false] {
        let loss = PoissonNllLoss { log_input, full: true, eps: 5.0, ..Default::default() };
        assert_as_the_whole("Poisson", &counts, &|all, reduction| {
            loss.with_reduction(reduction).forward(&all[0], &all[1])
        });
    }
    assert_as_the_whole("KL", &counts, &|all, reduction| {
        KlDivLoss::default().with_reduction(reduction).forward(&all[0], &all[1])
    });
    let all = [input, other, positive];
    assert_as_the_whole("Gaussian", &all, &|all, reduction| {
        let loss = GaussianNllLoss::default().with_full(true).with_reduction(reduction);
        loss.forward(&all[0], &all[1], &all[2])
    });
    assert_as_the_whole("Gaussian, constant", &all[..2], &|all, reduction| {
        GaussianNllLoss::default().with_reduction(reduction).forward(&all[0], &all[1], 0.7)
    });
}

#[test]
fn the_mean_over_the_batch_counts_the_batch() {
    let shape = [2, longer_than_a_piece() / 2 + 1];
    let (input, target) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double).abs());
    let of = |reduction| KlDivLoss::default().with_reduction(reduction).forward(&input, &target);
    let half = of(Reduction::None).sum(None) / 2.0;
    assert_close("batch mean", &of(Reduction::BatchMean), &half, 1e-11, Relative::ToLargest);
}

#[test]
fn rows_in_pieces() {
    let shape = [longer_than_a_piece() / 33 + 1, 33];
    let [anchor, positive, negative] = [1, 2, 3].map(|seed| noise(seed, &shape, Kind::Double));
    let pairs = [anchor.shallow_clone(), positive.shallow_clone(), signs(&shape[..1])];
    assert_as_the_whole("cosine", &pairs, &|all, reduction| {
        CosineEmbeddingLoss::default().with_reduction(reduction).forward(&all[0], &all[1], &all[2])
    });
    let triplets = [anchor, positive, negative];
    for swap in [false, true] {
        assert_as_the_whole("triplets", &triplets, &|all, reduction| {
            let loss = TripletMarginLoss::default().with_swap(swap).with_reduction(reduction);
            loss.forward(&all[0], &all[1], &all[2])
        });
    }
    for distance in [Distance::Pairwise, Distance::Cosine, Distance::Chebyshev] {
        assert_as_the_whole(&format!("{distance:?}"), &triplets, &|all, reduction| {
            let loss = TripletMarginWithDistanceLoss::default().with_distance_function(distance.clone());
            loss.with_reduction(reduction).forward(&all[0], &all[1], &all[2])
        });
    }
}

/// A distance may depend on the other rows.
#[test]
fn a_custom_distance_gets_all_rows() {
    let rows = longer_than_a_piece() / 33 + 1;
    let [anchor, positive, negative] = [1, 2, 3].map(|seed| noise(seed, &[rows, 33], Kind::Double));
    let distance = Distance::custom(move |a, b| {
        assert_eq!(a.size()[0], rows);
        Ok((a - b).f_square()?.f_sum_dim_intlist([1i64].as_slice(), false, None)?)
    });
    let loss = TripletMarginWithDistanceLoss::default().with_distance_function(distance);
    let cost: Tensor = (&anchor - &positive).square().sum_dim_intlist([1i64].as_slice(), false, None) + 1.0
        - (&anchor - &negative).square().sum_dim_intlist([1i64].as_slice(), false, None);
    let expected = cost.clamp_min(0.0).mean(None);
    assert_close("cost", &loss.forward(&anchor, &positive, &negative), &expected, 1e-11, Relative::ToLargest);
}

/// Other orders in memory, shapes that are broadcast, and weights of classes are worked on as a whole.
#[test]
fn what_is_not_cut() {
    let shape = [3, longer_than_a_piece() / 3 + 1];
    let (input, target) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double).abs() + 0.1);
    let l1 = L1Loss::default();
    let turned = l1.forward(&input.tr(), &target.tr());
    assert_close("turned", &turned, &l1.forward(&input, &target), 1e-11, Relative::ToLargest);
    let gaussian = GaussianNllLoss::default();
    let (row, rows) = (target.narrow(0, 0, 1), target.narrow(0, 0, 1).repeat([3, 1]));
    let broadcast = gaussian.forward(&input, &target, &row);
    let expected = gaussian.forward(&input, &target, &rows);
    assert_close("broadcast", &broadcast, &expected, 1e-11, Relative::ToLargest);
    let weight = noise(3, &[shape[1]], Kind::Double).abs();
    let logits = BceWithLogitsLoss::default();
    let elements = logits.clone().with_reduction(Reduction::None).forward(&input, &target) * &weight;
    let weighted = logits.with_weight(weight).forward(&input, &target);
    assert_close("weighted", &weighted, &elements.mean(None), 1e-11, Relative::ToLargest);
}

#[test]
fn a_negative_variance_in_the_last_piece() {
    let numbers = longer_than_a_piece() + 7;
    let input = noise(1, &[numbers], Kind::Float);
    let variance = input.ones_like();
    let _ = variance.narrow(0, numbers - 1, 1).fill_(-1.0);
    if device() == tch::Device::Cpu {
        let message = message_of(GaussianNllLoss::default().try_forward(&input, &input, &variance));
        assert_eq!(message, "`var` holds negative values, expected 0 or more");
    }
}

#[test]
fn distances_of_integers() {
    let (a, b) = (Tensor::from_slice2(&[[0i64, 0]]), Tensor::from_slice2(&[[3i64, 4]]));
    let distance = Distance::Pairwise.between(&a, &b).unwrap();
    let expected = ((3f64 - 1e-6).powi(2) + (4f64 - 1e-6).powi(2)).sqrt();
    // f32, as PyTorch has it.
    assert!((f64::try_from(&distance).unwrap() - expected).abs() < 1e-6);
}

/// The smallest variance is below what f16 holds, and the sum of the doubles above.
#[test]
fn variances_in_f16() {
    let (input, variance) = (Tensor::from_slice(&[0f32]), Tensor::from_slice(&[0f32]));
    let half = |tensor: &Tensor| tensor.to_device(device()).to_kind(Kind::Half);
    let loss = GaussianNllLoss::default().with_eps(1e-8);
    let value = loss.forward(&half(&input), &half(&input), &half(&variance));
    assert_eq!(value.kind(), Kind::Half);
    assert!((value.double_value(&[]) - 0.5 * 1e-8f64.ln()).abs() < 0.01);
    let many = Tensor::full([1 << 15], 1.0, (Kind::Half, device()));
    let sum = loss.with_reduction(Reduction::Sum).forward(&many, &(&many + 1.5), 1.0);
    // 2^15 times 1.5² / 2.
    assert_eq!(sum.double_value(&[]), 36864.0);
}
