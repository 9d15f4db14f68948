//! Phase congruency and saliency.

use tch::{Kind, Tensor};
use tch_losses::{DataRange, FsimLoss, Loss, Reduction, SaliencyRange, SrSimLoss, VsiLoss};

use super::gmsd::assert_both_ways_agree;
use crate::common::{device, noise, value, values, waves};

fn losses() -> [Box<dyn Loss>; 3] {
    [
        Box::new(FsimLoss::default()),
        Box::new(VsiLoss::default()),
        Box::new(SrSimLoss { chromatic: true, ..SrSimLoss::default() }),
    ]
}

/// The scores are those that piq gives.
fn assert_scores(loss: &dyn Loss, shape: [i64; 4], expected: &[f64]) {
    let (input, target) = waves(shape);
    let own = values(&(1.0 - loss.forward(&input, &target)));
    assert_eq!(own.len(), expected.len());
    for (own, expected) in own.iter().zip(expected) {
        assert!((own - expected).abs() < 1e-10, "{loss:?} {shape:?}: {own}, not {expected}");
    }
}

#[test]
fn scores_of_fsim() {
    let loss = FsimLoss::default().with_reduction(Reduction::None);
    assert_scores(&loss, [2, 3, 64, 48], &[0.9400236204803515, 0.9409293891881467]);
    let without_color = loss.with_chromatic(false);
    assert_scores(&without_color, [2, 3, 64, 48], &[0.9458421350647763, 0.9468974896278429]);
    // Grey has no colour.
    for loss in [loss, without_color] {
        assert_scores(&loss, [2, 1, 64, 48], &[0.9219691583357401, 0.9240975961672213]);
    }
    // Averages of 2x2, odd sizes.
    assert_scores(&loss, [1, 3, 517, 389], &[0.9450935458685928]);
}

#[test]
fn scores_of_vsi() {
    let loss = VsiLoss::default().with_reduction(Reduction::None);
    assert_scores(&loss, [2, 3, 64, 48], &[0.9780479018780591, 0.9773804926541791]);
    assert_scores(&loss, [2, 1, 64, 48], &[0.9549646255905423, 0.9448890938889563]);
    assert_scores(&loss, [1, 3, 517, 389], &[0.9736111869149151]);
}

fn photo(seed: i64, kind: Kind) -> Tensor {
    let (waves, _) = waves([1, 3, 44, 42]);
    (waves * 0.6 + noise(seed, &[1, 3, 44, 42], Kind::Double) * 0.05 + 0.2).clamp(0.0, 1.0).to_kind(kind)
}

#[test]
fn equal_images_have_no_loss_and_others_are_compared_both_ways() {
    let (input, target) = (photo(1, Kind::Double), photo(2, Kind::Double));
    for loss in losses() {
        assert!(value(&loss.forward(&input, &input)).abs() < 1e-12, "{loss:?}");
        let (there, back) = (value(&loss.forward(&input, &target)), value(&loss.forward(&target, &input)));
        assert!(there > 1e-5 && (there - back).abs() < 1e-12 * there.max(1e-3), "{loss:?}: {there} {back}");
    }
}

#[test]
fn the_loss_grows_with_the_noise() {
    let (image, noise) = (photo(1, Kind::Float), noise(3, &[1, 3, 44, 42], Kind::Float));
    for loss in losses() {
        let of = |size: f64| value(&loss.forward(&(&image + &noise * size).clamp(0.0, 1.0), &image));
        let growing: Vec<f64> = [0.0, 0.02, 0.05, 0.15].into_iter().map(of).collect();
        assert!(growing.windows(2).all(|pair| pair[0] + 1e-4 < pair[1]), "{loss:?}: {growing:?}");
    }
}

/// Where piq has NaN.
#[test]
fn gradients_are_finite_on_flat_and_equal_images() {
    for kind in [Kind::Float, Kind::Double] {
        let image = photo(1, kind);
        let flat = |value: f64| image.full_like(value);
        let pairs = [
            (image.copy(), image.copy()),
            (flat(0.5), image.copy()),
            (flat(0.0), image.copy()),
            (flat(1.0), image.copy()),
            (image.copy(), flat(0.0)),
            (flat(0.0), flat(0.0)),
            (flat(0.3), flat(1.0)),
        ];
        for loss in losses() {
            for (index, (input, target)) in pairs.iter().enumerate() {
                for with_target in [false, true] {
                    let input = input.detach().set_requires_grad(true);
                    let target = target.detach().set_requires_grad(with_target);
                    let of_pair = loss.forward(&input, &target);
                    of_pair.backward();
                    let what = format!("{loss:?} {kind:?} pair {index}");
                    assert!((-1e-6..=1.0 + 1e-6).contains(&value(&of_pair)), "{what}: {of_pair:?}");
                    assert!(input.grad().isfinite().all().int64_value(&[]) == 1, "{what}: input");
                    let finite = || target.grad().isfinite().all().int64_value(&[]) == 1;
                    assert!(!with_target || finite(), "{what}: target");
                }
            }
        }
    }
}

/// f32 and its gradients are near those of f64; the gradient taken in forward is that of the graph.
#[test]
fn single_precision_is_near_double() {
    let (input, target) = (photo(1, Kind::Double), photo(2, Kind::Double));
    for loss in losses() {
        let of = |kind: Kind, of_target: bool| {
            let input = input.detach().to_kind(kind).set_requires_grad(true);
            let of_pair = loss.forward(&input, &target.detach().to_kind(kind).set_requires_grad(of_target));
            of_pair.backward();
            (value(&of_pair), input.grad().to_kind(Kind::Double))
        };
        let (expected, direction) = of(Kind::Double, true);
        for (kind, of_target, bound) in
            [(Kind::Double, false, 1e-9), (Kind::Float, false, 0.02), (Kind::Float, true, 0.02)]
        {
            let (own, gradient) = of(kind, of_target);
            assert!((own - expected).abs() < 1e-4 * expected, "{loss:?} {kind:?}: {own}, not {expected}");
            let off = value(&((gradient - &direction).norm() / direction.norm()));
            assert!(off < bound, "{loss:?} {kind:?}: gradient off by {off}");
        }
    }
}

#[test]
fn ranges_are_converted() {
    let (input, target) = (photo(1, Kind::Double), photo(2, Kind::Double));
    let expected = value(&VsiLoss::default().forward(&input, &target));
    for (range, lowest, size) in [
        (DataRange::Bytes, 0.0, 255.0),
        (DataRange::Signed, -1.0, 2.0),
        (DataRange::Between(1.0, 5.0), 1.0, 4.0),
    ] {
        let in_range = |images: &Tensor| images * size + lowest;
        let loss = VsiLoss::default().with_data_range(range);
        let own = value(&loss.forward(&in_range(&input), &in_range(&target)));
        assert!((own - expected).abs() < 1e-10, "{range}: {own}, not {expected}");
    }
}

/// Among other images, an image has another loss, unless each has a range of its own.
#[test]
fn the_range_of_the_salience() {
    let (first, second) = (photo(1, Kind::Double), &photo(2, Kind::Double) * 0.5);
    let (input, target) = (Tensor::cat(&[&first, &second], 0), Tensor::cat(&[&second, &first], 0));
    let of_first = |range: SaliencyRange| {
        let loss = SrSimLoss::default().with_saliency_range(range).with_reduction(Reduction::None);
        (values(&loss.forward(&input, &target))[0], values(&loss.forward(&first, &second))[0])
    };
    let (among_others, alone) = of_first(SaliencyRange::Image);
    assert!((among_others - alone).abs() < 1e-12, "{among_others} {alone}");
    let (among_others, alone) = of_first(SaliencyRange::Batch);
    assert!((among_others - alone).abs() > 1e-6, "{among_others} {alone}");
}

#[test]
fn images_that_are_averaged_have_maps_of_their_size() {
    let (input, target) = waves([1, 3, 385, 390]);
    for loss in losses() {
        let map = loss.loss_map(&input, &target).unwrap().unwrap();
        assert_eq!(map.size(), [1, 1, 385, 390]);
        let (mean, expected) = (value(&map.mean(None)), value(&loss.forward(&input, &target)));
        assert!((mean - expected).abs() < 0.05 * expected, "{loss:?}: {mean}, not {expected}");
    }
}

#[test]
fn what_is_refused() {
    let images = |shape: [i64; 4]| Tensor::zeros(shape, (Kind::Float, device()));
    let of = |loss: &dyn Loss, shape: [i64; 4]| {
        loss.try_forward(&images(shape), &images(shape)).unwrap_err().to_string()
    };
    assert_eq!(
        of(&FsimLoss::default(), [1, 3, 1, 8]),
        "`input` has shape [1, 3, 1, 8], expected [N, C, H, W] with H and W at least 2"
    );
    assert_eq!(
        of(&VsiLoss::default(), [1, 2, 8, 8]),
        "`input` has shape [1, 2, 8, 8], expected [N, C, H, W] with 1 or 3 channels"
    );
    assert_eq!(
        of(&SrSimLoss::default(), [1, 3, 39, 60]),
        "`input` has shape [1, 3, 39, 60], expected [N, C, H, W] with H and W at least 40; smaller `kernel_size` and \
         `gaussian_size`, or a larger `scale`, ask for less"
    );
    let refused = |loss: &dyn Loss| loss.check_options().unwrap_err().to_string();
    assert_eq!(
        refused(&FsimLoss::default().with_sigma_f(1.0)),
        "option `sigma_f` is 1, expected another number, as a band of no width has no response"
    );
    assert_eq!(
        refused(&FsimLoss::default().with_scales(0)),
        "option `scales` is 0, expected a number from 1 to 64"
    );
    assert_eq!(
        refused(&SrSimLoss::default().with_scale(0.05)),
        "option `gaussian_size` is 10, expected at most 9, which is 192 times `scale`"
    );
    assert_eq!(
        refused(&SrSimLoss::default().with_scale(1.5)),
        "option `scale` is 1.5, expected a number in [0, 1]"
    );
}

/// VSI averages large images: 2x2 pixels, and 3x3 with a row before and one behind. Powers of 0 are 1.
#[test]
fn both_ways_to_the_gradient_of_vsi_agree() {
    let vsi = VsiLoss::default();
    for shape in [[2, 3, 45, 52], [1, 1, 33, 17], [2, 1, 386, 401], [1, 3, 643, 650]] {
        assert_both_ways_agree(&vsi, waves(shape));
    }
    // With a small constant, colours that oppose each other have a negative similarity.
    for (alpha, beta, c3) in [(0.0, 0.02, 130.0), (0.4, 0.0, 130.0), (1.7, 0.3, 0.5)] {
        let loss = vsi.with_alpha(alpha).with_beta(beta).with_c3(c3);
        assert_both_ways_agree(&loss, waves([2, 3, 45, 52]));
    }
}
