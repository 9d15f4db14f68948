//! The losses on pixels.

use tch::{Device, Kind, Tensor};
use tch_losses::{
    CauchyLoss, CharbonnierLoss, DataRange, GemanMcclureLoss, HuberLoss, L1Loss, Loss, MseLoss, PsnrLoss,
    Reduction, SmoothL1Loss, TernaryLoss, TotalVariationLoss, TotalVariationNorm, UnaryLoss,
    WeightedCharbonnierLoss, WeightedL1Loss, WeightedMseLoss, WeightedTotalVariationLoss, WelschLoss,
    WingLoss,
};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::{assert_values, leaf, longer_than_a_piece, message_of, refusal, with_gradients, zeros};

#[test]
fn the_smooth_losses_lie_between_the_plain_ones() {
    let (input, target) = (noise(1, &[50], Kind::Double), noise(2, &[50], Kind::Double));
    let huber = |delta| value(&HuberLoss { delta, ..Default::default() }.forward(&input, &target));
    let smooth = |beta| value(&SmoothL1Loss { beta, ..Default::default() }.forward(&input, &target));
    let difference = &input - &target;
    let (mse, l1) = (value(&difference.square().mean(None)), value(&difference.abs().mean(None)));
    // Beyond the largest difference it is half the squared error; near 0, the absolute one, but for half the threshold.
    assert!((huber(2.0) - mse / 2.0).abs() < 1e-12 && (smooth(2.0) - mse / 4.0).abs() < 1e-12);
    assert!((huber(1e-9) / 1e-9 - l1).abs() < 1e-8 && (smooth(1e-9) - l1).abs() < 1e-8);
}

const SHAPE: [i64; 4] = [2, 3, 64, 48];

/// Sums of some ten thousand numbers, in f64.
#[track_caller]
fn assert_golden(loss: &Tensor, expected: f64) {
    let loss = value(loss);
    assert!((loss - expected).abs() <= 1e-10 * expected.abs(), "{loss:?}, expected {expected:?}");
}

#[test]
fn numbers_of_other_libraries() {
    let (x, y) = waves(SHAPE);
    let charbonnier = CharbonnierLoss::default();
    assert_golden(&charbonnier.forward(&x, &y), 0.05621020761873839);
    assert_golden(&charbonnier.with_eps(1e-6).forward(&x, &y), 0.056251914814075515);
    assert_golden(&CharbonnierLoss::kornia().forward(&x, &y), 0.0021271456377640946);
    assert_golden(&WingLoss::default().forward(&x, &y), 0.2758669711740997);
    let wing = WingLoss::default();
    assert_golden(&wing.forward(&(&x * 100.0), &(&y * 100.0)), 12.123239340885062);
    // mmpose divides the sum by the batch.
    let [x1, y1] = [&x, &y].map(|images| images.select(1, 0) * 100.0);
    let sum = wing.with_reduction(Reduction::Sum).forward(&x1, &y1);
    assert_golden(&(sum / 2.0), 37236.042574576146);
}

#[test]
fn psnr_of_other_libraries() {
    let (x, y) = waves(SHAPE);
    let loss = PsnrLoss::default();
    assert_golden(&loss.forward(&x, &y), -23.703843120025752);
    assert_golden(&loss.with_to_y(true).forward(&x, &y), -26.848180656051387);
    let ratios = loss.with_loss_weight(3.0).with_reduction(Reduction::None).psnr(&x, &y).unwrap();
    for (index, expected) in [23.68967070817218, 23.718015531879338].into_iter().enumerate() {
        assert_golden(&ratios.get(index as i64), expected);
    }
    // In another range of the same images.
    let bytes = loss.with_data_range(DataRange::Bytes).psnr(&(&x * 255.0), &(&y * 255.0)).unwrap();
    assert_golden(&bytes, 23.703843120025752);
}

#[test]
fn total_variation_of_other_libraries() {
    let (x, _) = waves(SHAPE);
    let loss = TotalVariationLoss::default().with_reduction(Reduction::None);
    assert_values(&loss.forward(&x), &[7.625464183986692, 7.623979632176195]);
    let of = |norm| loss.with_norm(norm).forward(&x);
    assert_values(&of(TotalVariationNorm::L1), &[777.2631915105065, 776.974731405819]);
    assert_values(&of(TotalVariationNorm::L2Squared), &[58.14770402126383, 58.12506543183747]);
    assert_golden(&TotalVariationLoss::basicsr().forward(&x), 0.08577912585156211);
    let sum = TotalVariationLoss { norm: TotalVariationNorm::L1, reduction: Reduction::Sum, ..loss };
    assert_golden(&sum.forward(&x), 1554.2379229163255);
    let ones = x.ones_like();
    assert_golden(&WeightedTotalVariationLoss::default().forward(&x, &ones), 0.08577912585156211);
    assert_golden(&WeightedTotalVariationLoss::default().forward(&x, &bright(&x)), 0.08576264429283487);
}

/// A mask of one channel.
fn bright(images: &Tensor) -> Tensor {
    images.narrow(1, 0, 1).gt(0.5).to_kind(images.kind())
}

#[test]
fn weights_of_basicsr() {
    let (x, y) = waves(SHAPE);
    let loss = WeightedCharbonnierLoss::default();
    assert_golden(&loss.forward(&x, &y, &bright(&x)), 0.05614638284893732);
    let none = loss.with_reduction(Reduction::None).forward(&x, &y, &bright(&x));
    assert_golden(&none.sum(None), 522.8351170893043);
}

/// The losses with weights are those without where all weights are the same.
#[test]
fn equal_weights_are_none() {
    let (x, y) = waves([2, 3, 9, 7]);
    let pairs: [(&dyn TernaryLoss, &dyn Loss); 3] = [
        (&WeightedL1Loss::default(), &L1Loss::default()),
        (&WeightedMseLoss::default(), &MseLoss::default()),
        (&WeightedCharbonnierLoss::default(), &CharbonnierLoss::default()),
    ];
    for (weighted, plain) in pairs {
        for weight in [x.full_like(0.25), x.narrow(1, 0, 1).full_like(3.0)] {
            assert_golden(&weighted.forward(&x, &y, &weight), value(&plain.forward(&x, &y)));
            let [own, expected] =
                [weighted.loss_map(&x, &y, &weight), plain.loss_map(&x, &y)].map(|map| map.unwrap().unwrap());
            assert_close(&format!("{weighted:?}"), &own, &expected, 1e-12, Relative::ToLargest);
        }
    }
}

/// Without a pixel that counts, there is no error, and no NaN that would end the training.
#[test]
fn weights_of_nothing() {
    let (x, y) = waves([2, 3, 5, 4]);
    let losses: [&dyn TernaryLoss; 3] =
        [&WeightedL1Loss::default(), &WeightedMseLoss::default(), &WeightedCharbonnierLoss::default()];
    let weight = leaf(&x.narrow(1, 0, 1).zeros_like());
    for loss in losses {
        let input = leaf(&x);
        let nothing = loss.forward(&input, &y, &weight);
        nothing.backward();
        assert_eq!(value(&nothing), 0.0, "{loss:?}");
        assert_eq!(value(&input.grad().abs().sum(None)), 0.0, "{loss:?}");
    }
    let input = leaf(&x);
    let nothing = WeightedTotalVariationLoss::default().forward(&input, &weight);
    nothing.backward();
    assert_eq!((value(&nothing), value(&input.grad().abs().sum(None))), (0.0, 0.0));
    assert!(values(&weight.grad()).iter().all(|slope| slope.is_finite()));
}

/// All but the weighted ones, with what equal values cost.
fn pair_losses() -> [(Box<dyn Loss>, f64); 7] {
    [
        (Box::new(CharbonnierLoss::default().with_eps(1e-6)), 1e-3),
        (Box::new(CharbonnierLoss::kornia()), 0.0),
        (Box::new(CauchyLoss::default()), 0.0),
        (Box::new(GemanMcclureLoss::default()), 0.0),
        (Box::new(WelschLoss::default()), 0.0),
        (Box::new(WingLoss::default()), 0.0),
        (Box::new(PsnrLoss::default()), -80.0),
    ]
}

#[test]
fn symmetric_least_for_equal_images_and_larger_with_noise() {
    let (clean, other) = waves([2, 3, 16, 12]);
    let grain = noise(7, &[2, 3, 16, 12], Kind::Double);
    for (loss, least) in pair_losses() {
        let of = |a: &Tensor, b: &Tensor| value(&loss.forward(a, b));
        assert!((of(&clean, &other) - of(&other, &clean)).abs() < 1e-12, "{loss:?}");
        let levels: Vec<f64> =
            [0.0, 0.01, 0.03, 0.1, 0.3].map(|level| of(&(&clean + &grain * level), &clean)).to_vec();
        assert!((levels[0] - least).abs() < 1e-12 * least.abs().max(1.0), "{loss:?}: {levels:?}");
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]), "{loss:?}: {levels:?}");
    }
}

#[test]
fn total_variation_grows_with_noise_and_falls_with_blur() {
    let (clean, _) = waves([2, 3, 16, 12]);
    let noisy = &clean + noise(7, &[2, 3, 16, 12], Kind::Double) * 0.2;
    let blurred = clean.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>);
    for norm in [TotalVariationNorm::L1, TotalVariationNorm::L2, TotalVariationNorm::L2Squared] {
        let of = |images: &Tensor| value(&TotalVariationLoss::default().with_norm(norm).forward(images));
        assert!(of(&blurred) < of(&clean) && of(&clean) < of(&noisy), "{norm:?}");
        assert!(of(&zeros(&[2, 3, 4, 4])) < 1e-15, "{norm:?}");
    }
}

/// What differs from one way to compute to the other: with `target` as a leaf, libtorch's graph computes.
#[test]
fn gradients_in_forward_are_those_of_the_graph() {
    // Several pieces, an odd number of elements, and channels last.
    let size = [3, 3, (longer_than_a_piece() / (9 * 157) + 1) | 1, 157];
    let (x, y) = (noise(1, &size, Kind::Double), noise(2, &size, Kind::Double));
    let channels_last = |images: &Tensor| images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    for (loss, _) in pair_losses() {
        let (expected, gradient, _) = with_gradients(loss.as_ref(), &x, &y);
        for input in [leaf(&x), leaf(&channels_last(&x))] {
            let own = loss.forward(&input, &y);
            own.backward();
            let what = format!("{loss:?}");
            assert_close(&what, &own.detach(), &expected, 1e-10, Relative::ToLargest);
            assert_close(&what, &input.grad(), &gradient, 1e-10, Relative::ToLargest);
        }
    }
    for norm in [TotalVariationNorm::L1, TotalVariationNorm::L2, TotalVariationNorm::L2Squared] {
        for average in [false, true] {
            let loss = TotalVariationLoss { norm, average, reduction: Reduction::Mean };
            let inputs = [leaf(&x), leaf(&x), leaf(&channels_last(&x))];
            let losses = [
                loss.with_reduction(Reduction::None).forward(&inputs[0]).mean(None),
                loss.forward(&inputs[1]),
                loss.forward(&inputs[2]),
            ];
            losses.iter().for_each(Tensor::backward);
            for own in 1..3 {
                let what = format!("{loss:?}");
                assert_close(&what, &losses[own], &losses[0], 1e-10, Relative::ToLargest);
                assert_close(&what, &inputs[own].grad(), &inputs[0].grad(), 1e-10, Relative::ToLargest);
            }
        }
    }
}

#[test]
fn gradients_are_finite_on_plain_images() {
    for kind in [Kind::Float, Kind::Double, Kind::Half] {
        let black = Tensor::zeros([2, 3, 6, 5], (kind, device()));
        let image = noise(3, &[2, 3, 6, 5], kind).abs();
        let white = black.ones_like();
        let pairs = [(&black, &black), (&white, &white), (&black, &white), (&image, &image)];
        for (input, target) in pairs {
            for (loss, _) in pair_losses() {
                let input = leaf(input);
                let own = loss.forward(&input, target);
                own.backward();
                let all = Tensor::cat(&[own.detach().view([-1]), input.grad().view([-1])], 0);
                assert!(values(&all).iter().all(|value| value.is_finite()), "{loss:?} {kind:?}");
            }
        }
        for norm in [TotalVariationNorm::L1, TotalVariationNorm::L2, TotalVariationNorm::L2Squared] {
            for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
                let (input, loss) = (leaf(&white), TotalVariationLoss { norm, reduction, average: false });
                loss.forward(&input).sum(None).backward();
                assert_eq!(value(&input.grad().abs().sum(Kind::Double)), 0.0, "{loss:?} {kind:?}");
            }
        }
    }
}

/// An `eps` that f32 does not hold is not 0 in it.
#[test]
fn charbonnier_with_very_small_eps() {
    for eps in [1e-50, f64::MIN_POSITIVE] {
        let input = leaf(&Tensor::from_slice(&[0f32, 1.0]).to_device(device()));
        let target = input.detach().zeros_like();
        let loss = CharbonnierLoss::default().with_eps(eps);
        loss.forward(&input, &target).backward();
        assert_values(&input.grad().to_kind(Kind::Double), &[0.0, 0.5]);
    }
}

#[test]
fn maps_by_hand() {
    let image = |pixels: [f64; 4]| Tensor::from_slice(&pixels).view([1, 1, 2, 2]).to_device(device());
    let input = image([0.0, 3.0, 4.0, 4.0]);
    let map =
        |norm| values(&TotalVariationLoss::default().with_norm(norm).loss_map(&input).unwrap().unwrap());
    assert_eq!(map(TotalVariationNorm::L1), [28.0, 4.0, 0.0, 0.0]);
    assert_eq!(map(TotalVariationNorm::L2Squared), [100.0, 4.0, 0.0, 0.0]);
    let root = 26f64.sqrt();
    let expected = [100.0 / root, 4.0 / root, 0.0, 0.0];
    for (own, expected) in map(TotalVariationNorm::L2).into_iter().zip(expected) {
        assert!((own - expected).abs() < 1e-12);
    }
    assert!(PsnrLoss::default().loss_map(&input, &input).unwrap().is_none());
}

#[test]
fn refusals_of_weights() {
    let image = zeros(&[2, 3, 4, 5]);
    let loss = WeightedL1Loss::default();
    let message = |weight: &[i64]| message_of(loss.try_forward(&image, &image, &zeros(weight)));
    for given in [[2i64, 2, 4, 5].as_slice(), &[1, 1, 4, 5], &[2, 1, 1, 1], &[4, 5], &[]] {
        let expected = "[2, 3, 4, 5], the shape of `input`, or [2, 1, 4, 5]";
        assert_eq!(message(given), format!("`weight` has shape {given:?}, expected {expected}"));
        let map = message_of(loss.loss_map(&image, &image, &zeros(given)));
        assert_eq!(map, message(given));
        let variation = WeightedTotalVariationLoss::default();
        assert_eq!(refusal(&variation, &image, &zeros(given)), message(given));
    }
    let mask = image.gt(0.5);
    let expected = "`weight` has kind Bool, expected Half, BFloat16, Float or Double";
    assert_eq!(message_of(loss.try_forward(&image, &image, &mask)), expected);
    let vector = zeros(&[5]);
    let expected = "`input` has shape [5], expected [N, C, H, W] with every size at least 1";
    assert_eq!(message_of(loss.try_forward(&vector, &vector, &vector)), expected);
    assert_eq!(message_of(TotalVariationLoss::default().try_forward(&vector)), expected);
}

#[test]
fn refusals_of_options() {
    let image = zeros(&[2, 1, 4, 5]);
    let message = |loss: &dyn Loss| message_of(loss.try_forward(&image, &image));
    let expected = "`input` has shape [2, 1, 4, 5], expected [N, C, H, W] with 3 channels";
    assert_eq!(message(&PsnrLoss::default().with_to_y(true)), expected);
    let expected = "option `loss_weight` is 0, expected a finite number greater than 0";
    assert_eq!(message(&PsnrLoss::default().with_loss_weight(0.0)), expected);
    let expected = "option `data_range` is [1, 1], expected two finite numbers, the lower one first";
    assert_eq!(message(&PsnrLoss::default().with_data_range(DataRange::Between(1.0, 1.0))), expected);
    let expected = "option `omega` is -1, expected a finite number greater than 0";
    assert_eq!(message(&WingLoss::default().with_omega(-1.0)), expected);
    let expected = "option `epsilon` is NaN, expected a finite number greater than 0";
    assert_eq!(message(&WingLoss::default().with_epsilon(f64::NAN)), expected);
}

/// Nothing has a mean of NaN, as in PyTorch.
#[test]
fn means_of_nothing() {
    let nothing = Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)).to_device(device());
    for (loss, _) in pair_losses().into_iter().take(6) {
        let input = leaf(&nothing);
        let mean = loss.forward(&input, &nothing);
        assert!(value(&mean).is_nan(), "{loss:?}");
        mean.backward();
    }
}
