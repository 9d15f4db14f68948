//! Losses of predicted numbers, by hand.

use tch::{Kind, Tensor};
use tch_losses::{
    CoralLoss, CornLoss, GaussianKlLoss, HlGaussLoss, HuberLoss, L1Loss, LogCoshLoss, Loss, LpLoss, MseLoss,
    NegativeBinomialNllLoss, NormalKlLoss, QuantileHuberLoss, QuantileLoss, Reduction, RmseLoss, TernaryLoss,
};

use crate::common::{assert_close, device, noise, value, values, Relative};
use crate::support::{
    assert_values, indices, integers, leaf, longer_than_a_piece, matrix, message_of, vector, zeros,
};

#[test]
fn powers() {
    let (input, target) = (noise(1, &[3, 4], Kind::Double), noise(2, &[3, 4], Kind::Double));
    let lp = |p| LpLoss::default().with_p(p).forward(&input, &target);
    assert_close("1", &lp(1.0), &L1Loss::default().forward(&input, &target), 1e-12, Relative::ToLargest);
    let square = MseLoss::default().forward(&input, &target);
    assert_close("2", &lp(2.0), &square, 1e-12, Relative::ToLargest);
    let root = RmseLoss::default().forward(&input, &target);
    assert_close("root", &root, &square.sqrt(), 1e-12, Relative::ToLargest);
    // Equal numbers cost nothing, however small the power.
    for p in [0.001, 0.25, 0.5, 1.0, 1.5, 4.0] {
        for reduction in [Reduction::None, Reduction::Sum] {
            let input = leaf(&vector(&[0.0, 1.0, -16.0]));
            let loss = LpLoss { p, reduction }.forward(&input, &vector(&[0.0, 0.0, 0.0]));
            loss.sum(None).backward();
            assert_values(&loss.sum(None), &[1.0 + 16f64.powf(p)]);
            assert_values(&input.grad(), &[0.0, p, -p * 16f64.powf(p - 1.0)]);
            // Tiny differences, whose slopes are steep, and infinite ones.
            let input = leaf(&vector(&[1e-30, f64::INFINITY]).to_kind(Kind::Float));
            let loss = LpLoss { p, reduction }.forward(&input, &vector(&[0.0, 0.0]).to_kind(Kind::Float));
            loss.sum(None).backward();
            assert_eq!(value(&loss.sum(None)), f64::INFINITY);
            let slopes = vector(&[p * 1e-30f64.powf(p - 1.0), p * f64::INFINITY.powf(p - 1.0)]);
            assert_close(
                "slopes",
                &input.grad(),
                &slopes.to_kind(Kind::Float),
                1e-4,
                Relative::ToElement { floor: 0.0 },
            );
        }
    }
}

#[test]
fn the_root_of_nothing_is_0() {
    for kind in [Kind::Float, Kind::Double, Kind::Half] {
        let input = leaf(&noise(1, &[5], kind));
        let loss = RmseLoss::default().forward(&input, &input.detach());
        loss.backward();
        assert_eq!(value(&loss), 0.0);
        assert_eq!(values(&input.grad()), [0.0; 5]);
    }
}

#[test]
fn log_cosh() {
    for reduction in [Reduction::None, Reduction::Sum] {
        let loss = LogCoshLoss { reduction };
        let input = leaf(&vector(&[0.0, 1e-6, -0.5, 3.0, -1e6, 1e300]));
        let value = loss.forward(&input, &vector(&[0.0; 6]));
        value.sum(None).backward();
        let slopes = vector(&[0.0, 1e-6, -0.5f64.tanh(), 3f64.tanh(), -1.0, 1.0]);
        assert_close("slopes", &input.grad(), &slopes, 1e-12, Relative::ToLargest);
    }
    let none = LogCoshLoss { reduction: Reduction::None };
    let own = none.forward(&vector(&[0.0, 0.5, -3.0, 1e6]), &vector(&[0.0; 4]));
    assert_values(&own, &[0.0, 0.5f64.cosh().ln(), 3f64.cosh().ln(), 1e6 - 2f64.ln()]);
    // Half the square of small ones, to some digits.
    let small = none.forward(&vector(&[1e-4]), &vector(&[0.0]));
    assert!((value(&small.sum(None)) / 0.5e-8 - 1.0).abs() < 1e-6);
}

#[test]
fn quantiles() {
    let (input, target) = (noise(1, &[3, 4], Kind::Double), noise(2, &[3, 4], Kind::Double));
    let half = L1Loss::default().forward(&input, &target) / 2.0;
    let median = QuantileLoss::default().forward(&input, &target);
    assert_close("median", &median, &half, 1e-12, Relative::ToLargest);
    // The mean of the gradients to both sides, where the target is met.
    for reduction in [Reduction::None, Reduction::Sum] {
        let loss = QuantileLoss::default().with_quantiles([0.1, 0.9]).with_reduction(reduction);
        let input = leaf(&matrix(&[[0.0, 0.0], [1.0, -1.0]]));
        loss.forward(&input, &vector(&[0.0, 0.0])).sum(None).backward();
        assert_values(&input.grad(), &[0.4, -0.4, 0.9, -0.9]);
    }
    let message = |quantiles: &[f64], input: &[i64], target: &[i64]| {
        message_of(
            QuantileLoss::default().with_quantiles(quantiles).try_forward(&zeros(input), &zeros(target)),
        )
    };
    assert_eq!(message(&[1.5], &[2], &[2]), "option `quantiles` is 1.5, expected a number in [0, 1]");
    assert_eq!(message(&[], &[2], &[2]), "option `quantiles` is empty, expected at least one number");
    let three = [0.1, 0.5, 0.9];
    assert_eq!(
        message(&three, &[4, 2], &[4]),
        "`input` has shape [4, 2], expected a last axis of 3, the quantiles"
    );
    assert_eq!(
        message(&three, &[4, 3], &[4, 3]),
        "`target` has shape [4, 3], expected [4], the shape of `input` without its 3 quantiles"
    );
}

/// With one quantile and one target, and both sides alike, it is half of Huber's loss over its threshold.
#[test]
fn quantile_huber() {
    let (input, target) = (noise(1, &[6, 1], Kind::Double) * 3.0, noise(2, &[6, 1], Kind::Double) * 3.0);
    for kappa in [0.5, 2.0] {
        let loss = QuantileHuberLoss { kappa, ..Default::default() };
        let own = loss.forward(&input, &target, &vector(&[0.5]));
        let huber = HuberLoss { delta: kappa, ..Default::default() }.forward(&input, &target);
        assert_close("Huber", &own, &(huber / (2.0 * kappa)), 1e-12, Relative::ToLargest);
    }
    let refusal = |input: &[i64], target: &[i64], taus: &[i64]| {
        message_of(QuantileHuberLoss::default().try_forward(&zeros(input), &zeros(target), &zeros(taus)))
    };
    assert_eq!(refusal(&[3], &[3, 2], &[3]), "`input` has shape [3], expected [N, K]");
    assert_eq!(
        refusal(&[3, 4], &[2, 4], &[4]),
        "`target` has shape [2, 4], expected [3, M], of as many samples as `input`"
    );
    assert_eq!(
        refusal(&[3, 4], &[3, 2], &[2]),
        "`taus` has shape [2], expected [4] or [3, 4], one for each quantile of `input`"
    );
}

/// More rows than one piece has.
#[test]
fn pieces_are_the_graph() {
    let rows = longer_than_a_piece() / 4 + 1;
    let (input, target) = (noise(1, &[rows, 4], Kind::Double), noise(2, &[rows], Kind::Double));
    let taus = noise(3, &[rows, 4], Kind::Double).sigmoid();
    let check = |what: &str, reduced: &dyn Fn(&Tensor) -> Tensor, plain: &dyn Fn(&Tensor) -> Tensor| {
        let (own, expected) = (leaf(&input), leaf(&input));
        let (loss, sum) = (reduced(&own), plain(&expected).sum(None));
        loss.backward();
        sum.backward();
        assert_close(what, &loss.detach(), &sum.detach(), 1e-10, Relative::ToLargest);
        assert_close(what, &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
    };
    let [sum, none] = [Reduction::Sum, Reduction::None];
    let loss = |reduction| QuantileLoss { quantiles: [0.1, 0.3, 0.5, 0.9].into(), reduction };
    check("quantiles", &|x| loss(sum).forward(x, &target), &|x| loss(none).forward(x, &target));
    let two = Tensor::stack(&[&target, &(&target * 2.0)], 1);
    let loss = |reduction| QuantileHuberLoss { kappa: 0.3, reduction };
    check("Huber", &|x| loss(sum).forward(x, &two, &taus), &|x| loss(none).forward(x, &two, &taus));
    for p in [0.5, 1.5] {
        let loss = |reduction| LpLoss { p, reduction };
        let zeros = input.zeros_like();
        check("Lp", &|x| loss(sum).forward(x, &zeros), &|x| loss(none).forward(x, &zeros));
    }
    let moments = noise(4, &[rows, 4], Kind::Double);
    let loss = |reduction| NormalKlLoss { reduction };
    check("normal", &|x| loss(sum).forward(x, &moments), &|x| loss(none).forward(x, &moments));
    let counts = (&taus * 9.0).floor();
    let loss = |reduction| NegativeBinomialNllLoss { reduction, ..Default::default() };
    // One theta for each column, for each row, and for each element.
    for theta in [taus.get(0), taus.narrow(1, 0, 1), taus.shallow_clone()] {
        check("counts", &|x| loss(sum).forward(&x.exp(), &counts, &theta), &|x| {
            loss(none).forward(&x.exp(), &counts, &theta)
        });
    }
}

/// More histograms than one piece has: all bins of each, and those near the target. In f32, the sums keep their digits.
#[test]
fn histograms_in_pieces() {
    for bins in [4, 90] {
        let rows = longer_than_a_piece() / bins + 1;
        let (input, target) = (noise(1, &[rows, bins], Kind::Double), noise(2, &[rows], Kind::Double) * 1.2);
        let mean = HlGaussLoss::default().with_min_value(-1.0);
        let (own, expected) = (leaf(&input), leaf(&input));
        let loss = mean.forward(&own, &target);
        let of_rows = mean.with_reduction(Reduction::None).forward(&expected, &target).mean(None);
        loss.backward();
        of_rows.backward();
        assert_close("value", &loss.detach(), &of_rows.detach(), 1e-12, Relative::ToLargest);
        assert_close("slopes", &own.grad(), &expected.grad(), 1e-11, Relative::ToLargest);
        let single = mean.forward(&leaf(&input.to_kind(Kind::Float)), &target.to_kind(Kind::Float));
        assert_close("f32", &single.to_kind(Kind::Double), &of_rows, 1e-6, Relative::ToLargest);
    }
}

/// Bins that f32 cannot tell from each other: some have the whole share of a target, and none is lost.
#[test]
fn bins_narrower_than_rounding() {
    let target = Tensor::arange(50, (Kind::Float, device())) / 50.0 + 1e6;
    let input = leaf(&noise(1, &[50, 201], Kind::Float));
    let loss = HlGaussLoss::default().with_min_value(1e6).with_max_value(1e6 + 1.0).forward(&input, &target);
    loss.backward();
    assert!(value(&loss).is_finite() && value(&input.grad().sum(None)).abs() < 1e-5);
}

#[test]
fn empty_batches() {
    for (reduction, expected) in [(Reduction::Mean, f64::NAN), (Reduction::Sum, 0.0)] {
        let losses: [(Box<dyn Loss>, Tensor); 6] = [
            (Box::new(CoralLoss { reduction, ..Default::default() }), indices(&[0])),
            (Box::new(CornLoss { reduction }), indices(&[0])),
            (Box::new(HlGaussLoss { reduction, ..Default::default() }), zeros(&[0])),
            (Box::new(HlGaussLoss { reduction, ..Default::default() }.with_sigma_ratio(0.01)), zeros(&[0])),
            (Box::new(LpLoss { reduction, ..Default::default() }), zeros(&[0, 3])),
            (Box::new(NormalKlLoss { reduction }), zeros(&[0, 4])),
        ];
        for (loss, target) in losses {
            let input = leaf(&zeros(&[0, if target.dim() == 2 { target.size()[1] } else { 20 }]));
            let own = loss.forward(&input, &target);
            own.backward();
            let own = value(&own);
            assert!(own == expected || own.is_nan() && expected.is_nan(), "{loss:?}: {own}");
        }
        let loss = QuantileHuberLoss { reduction, ..Default::default() };
        let own = value(&loss.forward(&leaf(&zeros(&[0, 3])), &zeros(&[0, 2]), &zeros(&[3])));
        assert!(own == expected || own.is_nan() && expected.is_nan(), "{loss:?}: {own}");
    }
}

/// The number in the documentation of coral-pytorch.
#[test]
fn ordered_classes() {
    let logits = matrix(&[[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]]);
    let levels = matrix(&[[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]);
    let loss = CoralLoss::default();
    let of_levels = loss.forward(&logits, &levels);
    assert!((value(&of_levels) - 0.6920).abs() < 5e-5, "{of_levels:?}");
    assert_eq!(loss.forward(&logits, &integers(&[2, 1, 4])), of_levels);
    // Two of the four answers of the first row, and so on.
    let zeros_of = |rows: i64| Tensor::zeros([rows, 4], (Kind::Double, logits.device()));
    let none = CornLoss { reduction: Reduction::None }.forward(&zeros_of(2), &integers(&[1, 4]));
    let log = 2f64.ln();
    assert_values(&none, &[log, log, 0.0, 0.0, log, log, log, log]);
    assert_values(&CornLoss::default().forward(&zeros_of(2), &integers(&[1, 4])), &[log]);
    let message = |shape: &[i64], target: Tensor| message_of(loss.try_forward(&zeros(shape), &target));
    let expected = "`target` has shape [3], expected [2], a class for each row of `input`";
    assert_eq!(message(&[2, 4], indices(&[3])), expected);
    assert_eq!(
        message(&[4], indices(&[4])),
        "`input` has shape [4], expected [N, K - 1], one less than there are classes, of which there are two at least"
    );
    let expected = "`weight` has shape [2], expected [4], a weight for each logit of a row";
    let weighted = CoralLoss::default().with_weight([1.0, 2.0]);
    assert_eq!(message_of(weighted.try_forward(&zeros(&[2, 4]), &indices(&[2]))), expected);
}

#[test]
fn histograms() {
    let loss = HlGaussLoss::default().with_min_value(-2.0).with_max_value(2.0);
    // The slopes of equal logits are equal shares less those of the target, which stand for the number.
    let (target, bins) = (vector(&[0.3, -1.0]), 40);
    let logits = leaf(&Tensor::zeros([2, bins], (Kind::Double, target.device())));
    loss.with_reduction(Reduction::Sum).forward(&logits, &target).backward();
    let shares: Tensor = 1.0 / bins as f64 - logits.grad();
    assert_values(&shares.sum_dim_intlist([1i64].as_slice(), false, None), &[1.0, 1.0]);
    let learnt = shares.clamp_min(1e-30).log();
    assert_close("number", &loss.decode(&learnt).unwrap(), &target, 1e-3, Relative::ToLargest);
    // Numbers far beyond the range count as its ends.
    let far = loss.forward(&learnt, &vector(&[1e9, -1e9]));
    let ends = loss.forward(&learnt, &vector(&[2.0, -2.0]));
    assert_eq!(far, ends);
    let narrow = HlGaussLoss::default().with_max_value(0.0);
    assert_eq!(
        message_of(narrow.try_forward(&zeros(&[2, 3]), &zeros(&[2]))),
        "option `max_value` is 0, expected a number above `min_value`, which is 0"
    );
    assert_eq!(
        message_of(HlGaussLoss::default().decode(&zeros(&[3]))),
        "`input` has shape [3], expected [N, B] with two bins at least"
    );
    assert_eq!(
        message_of(HlGaussLoss::default().try_forward(&zeros(&[2, 3]), &zeros(&[3]))),
        "`target` has shape [3], expected [2], a number for each row of `input`"
    );
}

#[test]
fn normal_distributions() {
    let parts = [1, 2, 3, 4].map(|seed| noise(seed, &[2, 3, 2], Kind::Double));
    let [mu1, logvar1, mu2, logvar2] = &parts;
    let loss = NormalKlLoss::default();
    let moments = loss.forward_moments(mu1, logvar1, mu2, logvar2);
    let joined = |mu, logvar| Tensor::cat(&[mu, logvar], 1);
    assert_eq!(loss.forward(&joined(mu1, logvar1), &joined(mu2, logvar2)), moments);
    assert_eq!(value(&loss.forward_moments(mu1, logvar1, mu1, logvar1)), 0.0);
    let standard = loss.forward_moments(mu1, logvar1, &mu1.zeros_like(), &mu1.zeros_like());
    let expected = GaussianKlLoss::default().forward(mu1, logvar1);
    assert_close("standard", &standard, &expected, 1e-12, Relative::ToLargest);
    assert_eq!(
        message_of(loss.try_forward(&zeros(&[2, 3]), &zeros(&[2, 3]))),
        "`input` has shape [2, 3], expected [N, 2 * D, ...], means and logarithms of variances"
    );
    assert_eq!(
        message_of(loss.try_forward_moments(&zeros(&[2]), &zeros(&[2]), &zeros(&[2]), &zeros(&[3]))),
        "`logvar2` has shape [3], expected [2], the shape of `mu1`"
    );
}

/// The probabilities of all counts add up to 1, and have the mean that was asked for.
#[test]
fn negative_binomial_distributions() {
    let counts = Tensor::arange(2000, (Kind::Double, zeros(&[]).device()));
    for (mean, theta) in [(3.0, 0.5), (0.5, 2.0), (8.0, 100.0)] {
        let loss = NegativeBinomialNllLoss { reduction: Reduction::None, ..Default::default() };
        let nll = loss.forward(&counts.full_like(mean), &counts, &vector(&[theta]));
        let probabilities = (-nll).exp();
        assert!((value(&probabilities.sum(None)) - 1.0).abs() < 1e-6);
        assert!((value(&probabilities.dot(&counts)) - mean).abs() < 1e-5);
        // With zeros of another reason, of which there are a part of σ(-1).
        let logits = counts.full_like(-1.0);
        let inflated =
            loss.forward_zero_inflated(&counts.full_like(mean), &counts, &vector(&[theta]), &logits);
        let more = 1.0 / (1.0 + 1f64.exp());
        let first = counts.eq(0.0).to_kind(Kind::Double) * more;
        let expected = probabilities * (1.0 - more) + first;
        assert_close("zero inflated", &(-inflated).exp(), &expected, 1e-10, Relative::ToLargest);
    }
    let (one, logits) = (vector(&[1.0, 1.0]), leaf(&vector(&[800.0, -800.0])));
    for target in [0.0, 3.0] {
        let loss = NegativeBinomialNllLoss::default();
        loss.forward_zero_inflated(&one, &one.full_like(target), &one, &logits).backward();
        assert!(values(&logits.grad()).iter().all(|slope| slope.is_finite()));
    }
    let short =
        NegativeBinomialNllLoss::default().try_forward_zero_inflated(&one, &one, &one, &vector(&[1.0]));
    assert_eq!(message_of(short), "`logits` has shape [1], expected [2], the shape of `input`");
    assert_eq!(
        message_of(NegativeBinomialNllLoss::default().try_forward(&zeros(&[2]), &zeros(&[2]), &zeros(&[3]))),
        "`theta` has shape [3], expected a shape that broadcasts to [2], the shape of `input`"
    );
}
