//! Visual information fidelity and information-weighted SSIM.

use tch::{no_grad, Kind, Tensor};
use tch_losses::{DataRange, InformationWeightedSsimLoss, Loss, Reduction, VifLoss};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::{leaf, message_of};

fn close(own: &[f64], expected: &[f64]) {
    assert_eq!(own.len(), expected.len());
    for (own, expected) in own.iter().zip(expected) {
        assert!((own - expected).abs() < 1e-10, "{own}, expected {expected}");
    }
}

/// For images that are smaller than 161.
fn small() -> InformationWeightedSsimLoss {
    InformationWeightedSsimLoss::default().with_kernel_size(5).with_scale_weights(vec![0.2, 0.5, 0.3])
}

fn losses() -> [(&'static str, Box<dyn Loss>); 2] {
    [("VIF", Box::new(VifLoss::default())), ("IW-SSIM", Box::new(small()))]
}

/// The scores of piq 0.8.
#[test]
fn vif_of_waves() {
    let (x, y) = waves([2, 3, 64, 48]);
    let vif = VifLoss::default().with_reduction(Reduction::None);
    let scores = |x: &Tensor, y: &Tensor| values(&(1.0 - vif.forward(x, y)));
    close(&scores(&x, &y), &[0.31086060211642724, 0.3144673251482483]);
    // It is not symmetric.
    close(&scores(&y, &x), &[0.31975331035343557, 0.3237591965070368]);
    let grey = |images: &Tensor| images.narrow(1, 0, 1);
    close(&scores(&grey(&x), &grey(&y)), &[0.28595567144585604, 0.2755304235060763]);
}

/// The scores of piq 0.8 with its defaults, and its gradients along a direction. The images are too large for a file.
#[test]
fn information_weighted_ssim_of_noisy_waves() {
    let shape = [2, 3, 161, 170];
    let y = waves(shape).1 * 0.8 + 0.1 + noise(1, &shape, Kind::Double) * 0.1;
    let x = (&y + noise(2, &shape, Kind::Double) * 0.1).clamp(0.0, 1.0);
    let y = y.clamp(0.0, 1.0);
    let loss = InformationWeightedSsimLoss::default().with_reduction(Reduction::None);
    let (input, target) = (leaf(&x), leaf(&y));
    let losses = loss.forward(&input, &target);
    close(&values(&(1.0 - &losses)), &[0.9672624496944938, 0.967079466099034]);
    losses.sum(None).backward();
    let direction = noise(3, &shape, Kind::Double);
    let along = |gradient: Tensor| value(&(gradient * &direction).sum(None));
    close(&[along(input.grad()), along(target.grad())], &[0.007673093692659499, -0.007489909370014163]);
    let grey = |images: &Tensor| images.narrow(1, 0, 1);
    let scores = values(&(1.0 - loss.forward(&grey(&x), &grey(&y))));
    close(&scores, &[0.9453933263685007, 0.943613578875064]);
}

/// With and without a target that requires a gradient, VIF takes two ways.
#[test]
fn both_ways_have_the_same_gradient() {
    let shape = [3, 3, 46, 57];
    let y = waves(shape).1;
    // A flat part and a black one: the masks of the definition matter there.
    let _ = y.narrow(3, 0, 20).narrow(2, 0, 20).fill_(0.25);
    let x = (&y + noise(2, &shape, Kind::Double) * 0.1).clamp(0.0, 1.0);
    let _ = x.narrow(3, 30, 20).narrow(2, 20, 20).fill_(0.0);
    let gradient = |target: &Tensor| {
        let input = leaf(&x);
        let loss = VifLoss::default().with_reduction(Reduction::None).forward(&input, target);
        (loss * Tensor::from_slice(&[1.0, -2.0, 3.0]).to_device(device())).sum(None).backward();
        input.grad()
    };
    assert_close("gradient", &gradient(&y), &gradient(&leaf(&y)), 1e-10, Relative::ToLargest);
}

#[test]
fn equal_images_cost_nothing() {
    for shape in [[2, 3, 45, 47], [1, 1, 64, 64]] {
        let image = waves(shape).1;
        for (name, loss) in losses() {
            // The constants of VIF are 1e-8 of the variances at least.
            let own = value(&loss.forward(&image, &image));
            assert!(own.abs() < 1e-6, "{name}: {own}");
        }
    }
}

#[test]
fn more_distortion_costs_more() {
    let shape = [1, 3, 64, 56];
    let image = waves(shape).1 * 0.6 + 0.2 + noise(1, &shape, Kind::Double) * 0.1;
    let error = noise(2, &shape, Kind::Double);
    let blurred = |size: i64| {
        let margin = size / 2;
        image.avg_pool2d([size, size], [1, 1], [margin, margin], false, false, None)
    };
    let noisy = [0.02, 0.05, 0.1, 0.2].map(|size| &image + &error * size);
    let blurred = [3, 5, 7].map(blurred);
    for (name, loss) in losses() {
        for distorted in [&noisy[..], &blurred[..]] {
            let costs: Vec<f64> = distorted.iter().map(|input| value(&loss.forward(input, &image))).collect();
            let grows = costs[0] > 0.0 && costs.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(grows && costs.iter().all(|cost| *cost < 1.0), "{name}: {costs:?}");
        }
    }
}

/// More contrast than the target has: a score above 1.
#[test]
fn vif_is_clamped() {
    let image = waves([2, 1, 48, 48]).1 * 0.25 + noise(1, &[2, 1, 48, 48], Kind::Double) * 0.05 + 0.4;
    let input = leaf(&(&image * 2.0 - 0.4));
    for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
        let loss = VifLoss::default().with_reduction(reduction).forward(&input, &image).sum(None);
        assert_eq!(value(&loss), 0.0);
        loss.backward();
        assert_eq!(value(&input.grad().abs().max()), 0.0);
    }
}

#[test]
fn reductions() {
    let (x, y) = waves([3, 3, 48, 48]);
    let vif = VifLoss::default();
    let iw = small();
    let each: [(Tensor, Tensor, Tensor); 2] = [
        [Reduction::None, Reduction::Mean, Reduction::Sum]
            .map(|r| vif.with_reduction(r).forward(&x, &y))
            .into(),
        [Reduction::None, Reduction::Mean, Reduction::Sum]
            .map(|r| iw.clone().with_reduction(r).forward(&x, &y))
            .into(),
    ];
    for (none, mean, sum) in each {
        close(&[value(&mean), value(&sum)], &[value(&none.mean(None)), value(&none.sum(None))]);
    }
}

/// The same images in other ranges.
#[test]
fn ranges() {
    let (x, y) = waves([1, 3, 48, 48]);
    let bytes = |images: &Tensor| images * 255.0;
    let signed = |images: &Tensor| images * 2.0 - 1.0;
    let vif = VifLoss::default();
    let expected = values(&vif.forward(&x, &y));
    close(&values(&vif.with_data_range(DataRange::Bytes).forward(&bytes(&x), &bytes(&y))), &expected);
    close(&values(&vif.with_data_range(DataRange::Signed).forward(&signed(&x), &signed(&y))), &expected);
    let expected = values(&small().forward(&x, &y));
    let loss = small().with_data_range(DataRange::Bytes);
    close(&values(&loss.forward(&bytes(&x), &bytes(&y))), &expected);
}

/// Images as they occur, in both kinds and on both ways.
#[test]
fn gradients_are_finite() {
    let shape = [1, 3, 44, 42];
    let wave = waves(shape).1;
    let flat = |number: f64| wave.full_like(number);
    let mut half = wave.copy();
    let _ = half.narrow(3, 0, 30).fill_(0.0);
    half = half.narrow(1, 0, 3);
    let images = [
        wave.shallow_clone(),
        flat(0.3),
        flat(0.0),
        flat(1.0),
        flat(1e-25),
        half,
        noise(1, &shape, Kind::Double),
    ];
    for (name, loss) in losses() {
        for kind in [Kind::Float, Kind::Double] {
            for (first, x) in images.iter().enumerate() {
                for (second, y) in images.iter().enumerate() {
                    for both in [false, true] {
                        let input = leaf(&x.to_kind(kind));
                        let target = y.to_kind(kind).detach().set_requires_grad(both);
                        let loss = loss.forward(&input, &target);
                        let finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
                        let what = format!("{name} {kind:?} {first} {second} {both}");
                        assert!(finite(&loss), "{what}: {loss:?}");
                        loss.backward();
                        assert!(finite(&input.grad()), "{what}: gradient");
                        assert!(!both || finite(&target.grad()), "{what}: gradient of target");
                    }
                }
            }
        }
    }
}

/// In f32, a sum of 2 * 17 squares is off by 34 roundings of 255² at most, that is 0.13, and by a tenth of that in the
/// mean of all places. Stripes and noise have variances of more than 1000 on all scales: the relative error of what is
/// summed up is below 1e-4, and that of a gradient, which divides by variances twice, a few times as large.
#[test]
fn f32_is_near_f64() {
    let shape = [2, 3, 60, 52];
    let rows = Tensor::arange(shape[2], (Kind::Double, device())).view([1, 1, -1, 1]);
    let stripes = (rows * 0.4).sin() * 0.25 + 0.5;
    for seed in 0..4 {
        let y = &stripes + noise(2 * seed, &shape, Kind::Double) * 0.25;
        let x = &y * 0.7 + noise(2 * seed + 1, &shape, Kind::Double) * 0.15 + 0.15;
        for (name, loss) in losses() {
            let run = |kind, both| {
                let input = leaf(&x.to_kind(kind));
                let target = y.to_kind(kind).detach().set_requires_grad(both);
                let loss = loss.forward(&input, &target);
                loss.backward();
                assert_eq!((loss.kind(), input.grad().kind()), (kind, kind));
                (value(&loss.to_kind(Kind::Double)), input.grad().to_kind(Kind::Double))
            };
            let (exact, exact_gradient) = run(Kind::Double, true);
            for both in [false, true] {
                let (own, gradient) = run(Kind::Float, both);
                assert!((own - exact).abs() < 1e-4, "{name} {both}: {own} {exact}");
                let error = value(&((gradient - &exact_gradient).norm() / exact_gradient.norm()));
                assert!(error < 5e-4, "{name} {both}: {error}");
            }
        }
    }
}

/// A NaN in one pixel, of either image, shows.
#[test]
fn nan_does_not_hide() {
    let (x, y) = waves([1, 1, 48, 48]);
    let broken = |images: &Tensor| {
        let images = images.copy();
        let _ = images.narrow(2, 20, 1).narrow(3, 30, 1).fill_(f64::NAN);
        images
    };
    for (name, loss) in losses() {
        for (x, y) in [(broken(&x), y.shallow_clone()), (x.shallow_clone(), broken(&y))] {
            for tracked in [false, true] {
                let loss = loss.forward(&x.detach().set_requires_grad(tracked), &y);
                assert!(value(&loss).is_nan(), "{name}: {loss:?}");
            }
        }
    }
}

#[test]
fn refusals() {
    let images =
        |channels, height, width| Tensor::zeros([1, channels, height, width], (Kind::Float, device()));
    let message = |loss: &dyn Loss, shape: (i64, i64, i64)| {
        let image = images(shape.0, shape.1, shape.2);
        message_of(loss.try_forward(&image, &image))
    };
    let vif = VifLoss::default();
    assert_eq!(
        message(&vif, (3, 40, 64)),
        "`input` has shape [1, 3, 40, 64], expected [N, C, H, W] with H and W at least 41"
    );
    assert_eq!(
        message(&vif, (2, 64, 64)),
        "`input` has shape [1, 2, 64, 64], expected [N, C, H, W] with 1 or 3 channels"
    );
    let iw = InformationWeightedSsimLoss::default();
    assert_eq!(
        message(&iw, (3, 161, 160)),
        "`input` has shape [1, 3, 161, 160], expected [N, C, H, W] with H and W at least 161; fewer `scale_weights` or a \
         smaller `kernel_size` need less"
    );
    assert_eq!(
        message(&iw, (4, 200, 200)),
        "`input` has shape [1, 4, 200, 200], expected [N, C, H, W] with 1 or 3 channels"
    );
    let option = |loss: InformationWeightedSsimLoss| message_of(loss.check_options());
    assert_eq!(
        option(small().with_kernel_size(4)),
        "option `kernel_size` is 4, expected an odd number of at least 3"
    );
    assert_eq!(
        option(small().with_blk_size(7)),
        "option `blk_size` is 7, expected an odd number from 1 to `kernel_size`"
    );
    assert_eq!(
        option(small().with_scale_weights(vec![])),
        "option `scale_weights` is [], expected one finite number for each level"
    );
    assert_eq!(
        option(small().with_scale_weights(vec![1.0, 0.0])),
        "option `scale_weights` is 0, expected a finite number greater than 0"
    );
    assert_eq!(
        message_of(vif.with_sigma_n_sq(0.0).check_options()),
        "option `sigma_n_sq` is 0, expected a finite number greater than 0"
    );
    // As many levels as nobody needs, and no overflow.
    let many = small().with_scale_weights(vec![1.0; 100]).with_kernel_size(i64::MAX);
    assert!(message(&many, (1, 64, 64)).contains("at least 9223372036854775807;"));
}

/// The smallest images, and windows as large as patches: they take as many pixels as there are.
#[test]
fn smallest_images() {
    let loss = |size: i64, levels: usize, patch: i64| {
        let loss = InformationWeightedSsimLoss::default().with_kernel_size(size).with_blk_size(patch);
        loss.with_scale_weights(vec![1.0; levels])
    };
    for (size, levels, patch, least) in
        [(3, 1, 3, 3), (3, 2, 1, 5), (3, 3, 3, 9), (5, 2, 5, 9), (11, 2, 3, 21)]
    {
        let shape = [1, 1, least, least + 1];
        let y = noise(1, &shape, Kind::Double) * 0.5 + 0.5;
        let x = leaf(&(&y * 0.9));
        let loss = loss(size, levels, patch);
        let cost = loss.forward(&x, &y);
        cost.backward();
        assert!((0.0..1.0).contains(&value(&cost)), "{size} {levels} {patch}: {cost:?}");
        assert!(value(&x.grad().abs().sum(None)) > 0.0, "{size} {levels} {patch}");
        let smaller = y.narrow(2, 0, least - 1);
        assert!(no_grad(|| loss.try_forward(&smaller, &smaller)).is_err());
    }
}
