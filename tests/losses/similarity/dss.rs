//! DCT subband similarity.

use tch::{Kind, Tensor};
use tch_losses::{DataRange, DssLoss, Loss, Reduction};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::{leaf, message_of};

fn close(own: &[f64], expected: &[f64]) {
    assert_eq!(own.len(), expected.len());
    for (own, expected) in own.iter().zip(expected) {
        assert!((own - expected).abs() < 1e-10, "{own}, expected {expected}");
    }
}

/// The scores of piq 0.8 with f64 as its default kind.
#[test]
fn of_waves() {
    let (x, y) = waves([2, 3, 64, 48]);
    let dss = DssLoss::default().with_reduction(Reduction::None);
    let scores = |x: &Tensor, y: &Tensor| values(&(1.0 - dss.forward(x, y)));
    close(&scores(&x, &y), &[0.8888452008823261, 0.8895079331682435]);
    let grey = |images: &Tensor| images.narrow(1, 0, 1);
    close(&scores(&grey(&x), &grey(&y)), &[0.8447193661331546, 0.8399706583167253]);
    assert_close("swapped", &dss.forward(&y, &x), &dss.forward(&x, &y), 1e-12, Relative::ToLargest);
    let expected = dss.forward(&x, &y);
    let bytes = dss.with_data_range(DataRange::Bytes).forward(&(&x * 255.0), &(&y * 255.0));
    close(&values(&bytes), &values(&expected));
    for (reduction, reduced) in [(Reduction::Mean, expected.mean(None)), (Reduction::Sum, expected.sum(None))]
    {
        close(&values(&dss.with_reduction(reduction).forward(&x, &y)), &values(&reduced));
    }
}

#[test]
fn equal_images_cost_nothing() {
    for shape in [[2, 3, 45, 47], [1, 1, 64, 64]] {
        let image = waves(shape).1;
        let own = value(&DssLoss::default().forward(&image, &image));
        assert!(own.abs() < 1e-12, "{own}");
    }
}

#[test]
fn more_distortion_costs_more() {
    let shape = [1, 3, 64, 56];
    let image = waves(shape).1 * 0.6 + 0.2 + noise(1, &shape, Kind::Double) * 0.1;
    let error = noise(2, &shape, Kind::Double);
    let noisy = [0.02, 0.05, 0.1, 0.2].map(|size| &image + &error * size);
    let blurred = [3, 5, 7].map(|size| {
        let margin = size / 2;
        image.avg_pool2d([size, size], [1, 1], [margin, margin], false, false, None)
    });
    for distorted in [&noisy[..], &blurred[..]] {
        let cost = |input| value(&DssLoss::default().forward(input, &image));
        let costs: Vec<f64> = distorted.iter().map(cost).collect();
        let grows = costs[0] > 0.0 && costs.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(grows && costs.iter().all(|cost| *cost < 1.0), "{costs:?}");
    }
}

#[test]
fn gradients_are_finite() {
    let shape = [1, 3, 44, 42];
    let wave = waves(shape).1;
    let flat = |number: f64| wave.full_like(number);
    let half = wave.copy();
    let _ = half.narrow(3, 0, 30).fill_(0.0);
    let images =
        [wave.shallow_clone(), flat(0.3), flat(0.0), flat(1.0), half, noise(1, &shape, Kind::Double)];
    let loss = DssLoss::default().with_percentile(1.0);
    for kind in [Kind::Float, Kind::Double] {
        for (first, x) in images.iter().enumerate() {
            for (second, y) in images.iter().enumerate() {
                for both in [false, true] {
                    let input = leaf(&x.to_kind(kind));
                    let target = y.to_kind(kind).detach().set_requires_grad(both);
                    let loss = loss.forward(&input, &target);
                    loss.backward();
                    let finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
                    let what = format!("{kind:?} {first} {second} {both}");
                    assert!(finite(&loss) && finite(&input.grad()), "{what}: {loss:?}");
                    assert!(!both || finite(&target.grad()), "{what}: gradient of target");
                }
            }
        }
    }
}

/// In f32, a sum of six squares of the blocks' means is off by some roundings of 2040², which is 1 at most, beside a
/// constant of 1000: 1e-3 in the one subband of means, and less in all others, of which no mean is far from 0. All
/// blocks count, so that no rounding decides which.
#[test]
fn f32_is_near_f64() {
    let shape = [2, 3, 52, 50];
    let y = waves(shape).1 * 0.8 + 0.1 + noise(1, &shape, Kind::Double) * 0.1;
    let x = &y + noise(2, &shape, Kind::Double) * 0.1;
    let run = |kind, both| {
        let input = leaf(&x.to_kind(kind));
        let target = y.to_kind(kind).detach().set_requires_grad(both);
        let cost = DssLoss::default().with_percentile(1.0).forward(&input, &target);
        cost.backward();
        (value(&cost.to_kind(Kind::Double)), input.grad().to_kind(Kind::Double))
    };
    let (exact, exact_gradient) = run(Kind::Double, true);
    for both in [false, true] {
        let (own, gradient) = run(Kind::Float, both);
        assert!((own - exact).abs() < 1e-3, "{both}: {own} {exact}");
        let error = value(&((gradient - &exact_gradient).norm() / exact_gradient.norm()));
        assert!(error < 2e-3, "{both}: {error}");
    }
}

/// A NaN in one pixel is in one block of each subband.
#[test]
fn nan_does_not_hide() {
    let (x, y) = waves([1, 1, 48, 48]);
    let _ = x.narrow(2, 20, 1).narrow(3, 30, 1).fill_(f64::NAN);
    assert!(value(&DssLoss::default().forward(&x, &y)).is_nan());
}

#[test]
fn refusals() {
    let message = |loss: DssLoss, shape: [i64; 4]| {
        let image = Tensor::zeros(shape, (Kind::Float, device()));
        message_of(loss.try_forward(&image, &image))
    };
    let dss = DssLoss::default();
    assert_eq!(
        message(dss, [1, 3, 64, 7]),
        "`input` has shape [1, 3, 64, 7], expected [N, C, H, W] with H and W at least 8; a smaller `dct_size` needs less"
    );
    assert_eq!(
        message(dss.with_kernel_size(9), [1, 3, 64, 8]),
        "`input` has shape [1, 3, 64, 8], expected [N, C, H, W] with H and W at least 9; a smaller `kernel_size` needs less"
    );
    assert_eq!(
        message(dss, [1, 1, 16, 47]),
        "`input` has shape [1, 1, 16, 47], expected [N, C, H, W] with at least 11 blocks of 8 by 8 pixels; a larger \
         `percentile` or a smaller `dct_size` needs less"
    );
    assert_eq!(
        message(dss, [1, 2, 64, 64]),
        "`input` has shape [1, 2, 64, 64], expected [N, C, H, W] with 1 or 3 channels"
    );
    let option = |loss: DssLoss| message_of(loss.check_options());
    assert_eq!(option(dss.with_dct_size(0)), "option `dct_size` is 0, expected a number of at least 1");
    assert_eq!(
        option(dss.with_kernel_size(2)),
        "option `kernel_size` is 2, expected an odd number of at least 1"
    );
    assert_eq!(
        option(dss.with_sigma_weight(0.2)),
        "option `sigma_weight` is 0.2, expected a finite number of at least 0.233"
    );
    assert_eq!(
        option(dss.with_percentile(0.0)),
        "option `percentile` is 0, expected a number above 0 and at most 1"
    );
    assert_eq!(
        option(dss.with_sigma_similarity(-1.0)),
        "option `sigma_similarity` is -1, expected a finite number greater than 0"
    );
}

/// The options at the ends of their ranges, and images that are just large enough.
#[test]
fn ends_of_the_options() {
    let defaults = DssLoss::default();
    let options = [
        defaults.with_sigma_weight(0.233),
        defaults.with_sigma_weight(1e200),
        defaults.with_dct_size(1),
        defaults.with_percentile(1e-9 + 0.5 / 11.0),
        defaults.with_kernel_size(31).with_sigma_similarity(1e-3),
    ];
    for loss in options {
        let y = noise(1, &[1, 1, 32, 32], Kind::Double) * 0.5 + 0.5;
        let x = leaf(&(&y * 0.5));
        let cost = loss.forward(&x, &y);
        cost.backward();
        assert!((0.0..1.0).contains(&value(&cost)), "{loss:?}: {cost:?}");
        assert!(x.grad().isfinite().all().int64_value(&[]) == 1, "{loss:?}");
    }
    let least = noise(1, &[1, 1, 8, 88], Kind::Double);
    assert!(DssLoss::default().try_forward(&least, &least).is_ok());
    assert!(DssLoss::default().try_forward(&least.narrow(3, 0, 87), &least.narrow(3, 0, 87)).is_err());
}
