//! Gradient magnitudes, wavelets and chromaticity.

use std::path::Path;

use tch::{Kind, Tensor};
use tch_losses::{
    DataRange, GmsdLoss, HaarPsiLoss, Loss, MdsiCombination, MdsiLoss, MultiScaleGmsdLoss, Reduction,
};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::{leaf, refusal, with_gradients, zeros};

/// Every loss here, with the options that change the way it goes.
fn losses() -> Vec<Box<dyn Loss>> {
    vec![
        Box::new(GmsdLoss::default()),
        Box::new(MultiScaleGmsdLoss::default()),
        Box::new(HaarPsiLoss::default()),
        Box::new(HaarPsiLoss::default().with_subsample(false)),
        Box::new(MdsiLoss::default()),
        Box::new(MdsiLoss::default().with_combination(MdsiCombination::Mult)),
        Box::new(MdsiLoss::default().with_rho(0.5)),
    ]
}

/// Those and the one that takes colours only.
fn losses_of_colors() -> Vec<Box<dyn Loss>> {
    let mut losses = losses();
    losses.push(Box::new(MultiScaleGmsdLoss::default().with_chromatic(true)));
    losses
}

#[track_caller]
fn assert_golden(loss: &dyn Loss, (input, target): &(Tensor, Tensor), expected: &[f64]) {
    let own = values(&loss.forward(input, target));
    assert_eq!(own.len(), expected.len());
    for (own, expected) in own.iter().zip(expected) {
        assert!((own - expected).abs() < 1e-10 * expected, "{loss:?}: {own}, expected {expected}");
    }
}

/// What piq 0.8.0 gives, per image.
#[test]
fn golden_numbers() {
    let none = Reduction::None;
    let gmsd = GmsdLoss::default().with_reduction(none);
    let scales = MultiScaleGmsdLoss::default().with_reduction(none);
    let chromatic = scales.clone().with_chromatic(true);
    let haar = HaarPsiLoss::default().with_reduction(none);
    let mdsi = MdsiLoss::default().with_reduction(none);
    let mult = mdsi.with_combination(MdsiCombination::Mult);

    let color = waves([2, 3, 64, 48]);
    assert_golden(&gmsd, &color, &[0.08292368266535984, 0.08423856146229075]);
    assert_golden(&scales, &color, &[0.09498300657075388, 0.08879700834938799]);
    assert_golden(&chromatic, &color, &[0.09502878085685004, 0.08993791838426209]);
    assert_golden(&haar, &color, &[1.0 - 0.7206277472668036, 1.0 - 0.7411104711800494]);
    assert_golden(&mdsi, &color, &[0.31118117495867226, 0.3127764316439274]);
    assert_golden(&mult, &color, &[0.23891991204062088, 0.2398597600426882]);

    let grey = waves([2, 1, 64, 48]);
    assert_golden(&gmsd, &grey, &[0.11881289701369066, 0.11617893978508019]);
    assert_golden(&scales, &grey, &[0.1127107344812536, 0.11334648153836453]);
    assert_golden(&haar, &grey, &[1.0 - 0.631709236464416, 1.0 - 0.6477549764758692]);
    assert_golden(&mdsi, &grey, &[0.32670546174880716, 0.3242282678221004]);

    // Odd sides; MDSI takes means of 2x2 pixels.
    let large = waves([1, 3, 517, 389]);
    assert_golden(&gmsd, &large, &[0.08546129635589629]);
    assert_golden(&scales, &large, &[0.091867884569049]);
    assert_golden(&haar, &large, &[1.0 - 0.7360419050570042]);
    assert_golden(&mdsi, &large, &[0.32721726624104247]);
}

/// The gradient that forward takes where `input` alone needs one is that of libtorch's graph.
#[track_caller]
pub(super) fn assert_both_ways_agree(loss: &dyn Loss, (input, target): (Tensor, Tensor)) {
    let (_, expected, _) = with_gradients(loss, &input, &target);
    let own = leaf(&input);
    loss.forward(&own, &target).backward();
    let what = format!("{loss:?} {:?}", input.size());
    assert_close(&what, &own.grad(), &expected, 1e-10, Relative::ToLargest);
}

#[test]
fn both_ways_to_the_gradient_agree() {
    for shape in [[2, 3, 45, 52], [1, 1, 33, 17]] {
        for loss in losses() {
            assert_both_ways_agree(loss.as_ref(), waves(shape));
        }
    }
}

/// Large images are taken one at a time. MDSI shrinks them: by 2, and by 3 with a zero before and one behind. Fixtures
/// are too small for that.
#[test]
fn both_ways_agree_for_large_images() {
    for loss in [&GmsdLoss::default() as &dyn Loss, &MdsiLoss::default()] {
        assert_both_ways_agree(loss, waves([2, 1, 386, 401]));
    }
    assert_both_ways_agree(&MdsiLoss::default(), waves([1, 1, 643, 650]));
}

/// A photo `[1, 3, H, W]` in f64, from 0 to 1.
fn photo(name: &str) -> Tensor {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name);
    let pixels = tch::vision::image::load(path).unwrap().to_device(device());
    pixels.unsqueeze(0).to_kind(Kind::Double) / 255.0
}

/// Growing noise and growing blur cost more and more.
#[test]
fn the_loss_grows_with_the_distortion() {
    for name in ["fake.png", "real.png"] {
        let photo = photo(name);
        let shape = photo.size();
        let noisy = |strength: f64| (&photo + noise(5, &shape, Kind::Double) * strength).clamp(0.0, 1.0);
        let blurred = |size: i64| {
            photo.avg_pool2d([size, size], [1, 1], [size / 2, size / 2], false, false, None::<i64>)
        };
        let distortions = [[0.02, 0.1, 0.4].map(noisy), [3, 7, 15].map(blurred)];
        for loss in losses_of_colors() {
            for distorted in &distortions {
                let costs: Vec<f64> =
                    distorted.iter().map(|image| value(&loss.forward(image, &photo))).collect();
                assert!(0.0 < costs[0] && costs.is_sorted(), "{loss:?} {name}: {costs:?}");
            }
        }
    }
}

#[test]
fn identical_images_cost_nothing() {
    for kind in [Kind::Float, Kind::Double] {
        for channels in [1, 3] {
            let image = noise(1, &[2, channels, 18, 23], kind).abs();
            for loss in losses() {
                let cost = value(&loss.forward(&image, &image).to_kind(Kind::Double));
                // Each root of 0 is 1e-19. The logarithms of HaarPSI are exact to some epsilons, of which there are
                // some hundreds behind the steep end of its sigmoid.
                let least = if kind == Kind::Double { 1e-12 } else { 1e-4 };
                let bound = if format!("{loss:?}").contains("Haar") { least } else { 1e-18 };
                assert!(cost.abs() < bound, "{loss:?}: {cost:e}");
            }
        }
    }
}

/// All but MDSI, which counts the edges of one image and subtracts those of the other.
#[test]
fn the_order_of_the_images_does_not_matter() {
    let (input, target) = waves([2, 3, 30, 25]);
    for loss in losses_of_colors() {
        let (own, other) = (value(&loss.forward(&input, &target)), value(&loss.forward(&target, &input)));
        let symmetric = !format!("{loss:?}").contains("Mdsi");
        assert_eq!((own - other).abs() < 1e-12, symmetric, "{loss:?}: {own} and {other}");
    }
}

/// Where piq's gradients are NaN: equal, flat and black images, in each pair of them.
#[test]
fn gradients_are_finite() {
    for kind in [Kind::Float, Kind::Double] {
        let image = (noise(1, &[1, 3, 20, 17], kind) + 1.0) / 2.0;
        let flat = |level: f64| image.full_like(level);
        let images = [image.shallow_clone(), flat(0.0), flat(0.3), flat(0.7), flat(1.0)];
        for loss in losses_of_colors() {
            for input in &images {
                for target in &images {
                    let (cost, to_input, to_target) = with_gradients(loss.as_ref(), input, target);
                    let alone = leaf(input);
                    loss.forward(&alone, target).backward();
                    for tensor in [cost, to_input, to_target, alone.grad()] {
                        let finite = tensor.isfinite().all().int64_value(&[]) == 1;
                        assert!(finite, "{loss:?} {kind:?}\n{input:?}\n{target:?}");
                    }
                }
            }
        }
    }
}

/// Two black images are equal; piq gives minus infinity.
#[test]
fn black_images_are_equal_for_haar_psi() {
    let black = zeros(&[1, 3, 16, 16]);
    assert!(value(&HaarPsiLoss::default().forward(&black, &black)).abs() < 1e-5);
}

#[test]
fn ranges_are_converted() {
    let (input, target) = waves([2, 3, 24, 19]);
    let check = |expected: &dyn Loss, own: &dyn Loss, images: [Tensor; 2]| {
        let (expected, own) = (expected.forward(&input, &target), own.forward(&images[0], &images[1]));
        assert_close("range", &own, &expected, 1e-10, Relative::ToLargest);
    };
    for (range, lowest, highest) in [
        (DataRange::Bytes, 0.0, 255.0),
        (DataRange::Signed, -1.0, 1.0),
        (DataRange::Between(2.0, 9.0), 2.0, 9.0),
    ] {
        let images = || [&input, &target].map(|image| image * (highest - lowest) + lowest);
        check(&GmsdLoss::default(), &GmsdLoss::default().with_data_range(range), images());
        let scales = MultiScaleGmsdLoss::default().with_chromatic(true);
        check(&scales, &scales.clone().with_data_range(range), images());
        check(&HaarPsiLoss::default(), &HaarPsiLoss::default().with_data_range(range), images());
        check(&MdsiLoss::default(), &MdsiLoss::default().with_data_range(range), images());
    }
}

/// The sum of the losses, not 1 minus the sum of the scores.
#[test]
fn sums_are_those_of_the_losses() {
    let (input, target) = waves([3, 3, 24, 19]);
    let haar = HaarPsiLoss::default();
    let each = haar.with_reduction(Reduction::None).forward(&input, &target);
    let sum = haar.with_reduction(Reduction::Sum).forward(&input, &target);
    assert_eq!(each.size(), [3]);
    assert_close("sum", &sum, &each.sum(None), 1e-12, Relative::ToLargest);
}

/// Weights count by their ratio.
#[test]
fn scale_weights() {
    let (input, target) = waves([1, 3, 40, 33]);
    let cost = |weights: &[f64]| {
        let loss = MultiScaleGmsdLoss::default().with_scale_weights(weights.to_vec());
        value(&loss.forward(&input, &target))
    };
    assert!((cost(&[1.0, 3.0]) - cost(&[0.25, 0.75])).abs() < 1e-12);
    // The square is the mean of the squares.
    let (fine, coarse) = (cost(&[1.0]), cost(&[0.0, 2.0]));
    let both = (0.25 * fine * fine + 0.75 * coarse * coarse).sqrt();
    assert!((cost(&[1.0, 3.0]) - both).abs() < 1e-12);
}

fn map(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> Tensor {
    loss.loss_map(input, target).unwrap().unwrap()
}

/// What the pages say of the maps: 0 for equal images, and how the loss is made of the map.
#[test]
fn maps() {
    for (height, width) in [(24, 20), (25, 19), (40, 17)] {
        let (input, target) = waves([2, 3, height, width]);
        for loss in losses_of_colors() {
            assert_eq!(value(&map(loss.as_ref(), &input, &input).abs().max()), 0.0, "{loss:?}");
            let map = map(loss.as_ref(), &input, &target);
            assert_eq!(map.size(), [2, 1, height, width]);
            assert!(value(&map.min()) >= 0.0 && value(&map.max()) > 0.0, "{loss:?}");
        }
        let close = |what: &str, own: Tensor, expected: Tensor| {
            assert_close(what, &own, &expected, 1e-12, Relative::ToLargest);
        };
        let over_pixels = |map: &Tensor| map.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Double);
        let mdsi = MdsiLoss::default().with_reduction(Reduction::None);
        let own = over_pixels(&map(&mdsi, &input, &target)).pow_tensor_scalar(0.25).view([2]);
        close("MDSI", own, mdsi.forward(&input, &target));
        if height % 2 == 0 && width % 2 == 0 {
            let gmsd = GmsdLoss::default().with_reduction(Reduction::None);
            let map = map(&gmsd, &input, &target);
            let own = over_pixels(&(&map - over_pixels(&map)).square()).sqrt().view([2]);
            close("GMSD", own, gmsd.forward(&input, &target));
        }
    }
}

/// A spot is seen where it is, on whatever scale.
#[test]
fn maps_show_where_the_images_differ() {
    for (height, width) in [(64, 64), (520, 600), (650, 700)] {
        let target = waves([1, 3, height, width]).0;
        let input = target.copy();
        let (row, column) = (height / 2, width / 2);
        let _ =
            input.narrow(2, row, 6).narrow(3, column, 6).fill_(0.5).g_add_(&noise(3, &[6, 6], Kind::Double));
        for loss in losses() {
            let map = map(loss.as_ref(), &input, &target);
            let around = map.narrow(2, row - 32, 70.min(height - row + 32)).narrow(3, column - 32, 64);
            assert_eq!(value(&around.max()), value(&map.max()), "{loss:?} {height}");
        }
    }
}

#[test]
fn too_small_images() {
    let (image, other) = (zeros(&[1, 3, 16, 40]), zeros(&[1, 3, 15, 16]));
    let message = refusal(&MultiScaleGmsdLoss::default(), &image, &image);
    let expected = "`input` has shape [1, 3, 16, 40], expected [N, C, H, W] with H and W at least 17; fewer \
                    `scale_weights` need less";
    assert_eq!(message, expected);
    let message = refusal(&HaarPsiLoss::default(), &other, &other);
    assert_eq!(message, "`input` has shape [1, 3, 15, 16], expected [N, C, H, W] with H and W at least 16");
    let many = MultiScaleGmsdLoss::default().with_scale_weights(vec![1.0; 100]);
    assert!(refusal(&many, &image, &image).contains("at least 4611686018427387905"));
    // The others take any.
    for shape in [[1, 1, 1, 1], [2, 3, 1, 7]] {
        let image = noise(1, &shape, Kind::Double);
        let other = noise(2, &shape, Kind::Double);
        for loss in [&GmsdLoss::default() as &dyn Loss, &MdsiLoss::default()] {
            let (cost, gradient, _) = with_gradients(loss, &image, &other);
            assert!(value(&cost).is_finite() && gradient.isfinite().all().int64_value(&[]) == 1);
            assert_eq!(map(loss, &image, &other).size()[2..], shape[2..]);
        }
    }
}

#[test]
fn other_counts_of_channels() {
    let image = zeros(&[1, 2, 32, 32]);
    for loss in losses() {
        let expected = "`input` has shape [1, 2, 32, 32], expected [N, C, H, W] with 1 or 3 channels";
        assert_eq!(refusal(loss.as_ref(), &image, &image), expected);
    }
    let grey = zeros(&[1, 1, 32, 32]);
    let message = refusal(&MultiScaleGmsdLoss::default().with_chromatic(true), &grey, &grey);
    assert_eq!(message, "`input` has shape [1, 1, 32, 32], expected [N, C, H, W] with 3 channels");
}

#[test]
fn options_out_of_their_range() {
    let image = zeros(&[1, 3, 32, 32]);
    let message = |loss: &dyn Loss| refusal(loss, &image, &image);
    for weights in
        [vec![], vec![0.0, 0.0], vec![1.0, -0.5], vec![f64::NAN], vec![f64::INFINITY], vec![f64::MAX; 2]]
    {
        let expected = format!(
            "option `scale_weights` is {weights:?}, expected numbers of at least 0, with a finite sum greater than 0"
        );
        assert_eq!(message(&MultiScaleGmsdLoss::default().with_scale_weights(weights)), expected);
    }
    assert_eq!(
        message(&MultiScaleGmsdLoss::default().with_alpha(1.5)),
        "option `alpha` is 1.5, expected a number in [0, 1]"
    );
    assert_eq!(
        message(&HaarPsiLoss::default().with_c(0.0)),
        "option `c` is 0, expected a finite number greater than 0"
    );
    assert_eq!(
        message(&MdsiLoss::default().with_rho(-1.0)),
        "option `rho` is -1, expected a finite number greater than 0"
    );
    assert_eq!(
        message(&GmsdLoss::default().with_data_range(DataRange::Between(1.0, 1.0))),
        "option `data_range` is [1, 1], expected two finite numbers, the lower one first"
    );
}
