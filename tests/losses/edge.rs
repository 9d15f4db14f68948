//! The losses on edges.

use tch::{Kind, Tensor};
use tch_losses::{EdgeLoss, GradientDifferenceLoss, L1Loss, Laplacian, Loss, Reduction, Sobel};

use crate::common::{assert_close, device, few_roundings, noise, value, values, waves, Relative};
use crate::support::{images, leaf, refusal, with_gradients, zeros};

#[test]
fn responses_are_what_the_losses_compare() {
    let (input, target) = images(Kind::Double);
    for loss in [&Sobel::default() as &dyn Loss, &Laplacian::default()] {
        let response = |image| loss.response(image).unwrap().unwrap();
        let expected = (response(&input) - response(&target)).abs();
        let map = loss.loss_map(&input, &target).unwrap().unwrap();
        assert_close(&format!("{loss:?}"), &map, &expected, 1e-12, Relative::ToLargest);
    }
    assert!(L1Loss::default().response(&input).unwrap().is_none());
}

/// A single column of ones in a black image: every number below is counted by hand.
#[test]
fn responses_by_hand() {
    let image = Tensor::from_slice(&[0.0, 1.0, 0.0].repeat(3)).view([1, 1, 3, 3]).to_device(device());
    let sobel = Sobel { eps: 0.0, ..Default::default() }.response(&image).unwrap().unwrap();
    // Left and right of the column gx is ±(1 + 2 + 1), at the border rows ±3; on it gy is ±2 at the ends.
    let expected = [10f64.sqrt(), 2.0, 10f64.sqrt(), 4.0, 0.0, 4.0, 10f64.sqrt(), 2.0, 10f64.sqrt()];
    assert_eq!(values(&sobel), expected);
    let laplacian = Laplacian::default().response(&image).unwrap().unwrap();
    assert_eq!(values(&laplacian), [1.0, -3.0, 1.0, 1.0, -2.0, 1.0, 1.0, -3.0, 1.0]);
}

#[test]
fn large_values_do_not_overflow_in_half_precision() {
    // Gx² of a 0..255 image is past what f16 holds; the sums are in f32.
    let (input, target) =
        (noise(6, &[1, 3, 8, 8], Kind::Float) * 255.0, noise(7, &[1, 3, 8, 8], Kind::Float) * 255.0);
    let (half, half_target) = (input.to_kind(Kind::Half), target.to_kind(Kind::Half));
    for loss in [&Sobel::default() as &dyn Loss, &Laplacian::default()] {
        let expected = value(&loss.forward(&input, &target));
        let actual = value(&loss.forward(&half, &half_target).to_kind(Kind::Float));
        // The images and the result are rounded, to half an epsilon.
        let tolerance = few_roundings(Kind::Half);
        assert!((actual - expected).abs() < tolerance * expected, "{loss:?}: {actual} for {expected}");
    }
}

#[test]
fn sobel_eps() {
    let image = zeros(&[1, 3, 8, 8]);
    for (eps, given) in [(-1e-6, "-0.000001"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let sobel = Sobel { eps, ..Default::default() };
        let expected = format!("option `eps` is {given}, expected a finite number, 0 or more");
        assert_eq!(refusal(&sobel, &image, &image), expected);
        assert_eq!(sobel.response(&image).unwrap_err().to_string(), expected);
    }
}

/// Numbers of the references for images that formulas give.
#[test]
fn golden_numbers() {
    let (input, target) = waves([2, 3, 64, 48]);
    let gradient_difference = GradientDifferenceLoss::default();
    let cases: [(&dyn Loss, f64); 3] = [
        (&EdgeLoss::default(), 0.010255404458729037),
        (&gradient_difference, 0.030884054819104986),
        (&gradient_difference.with_p(2.0), 0.0006620002343002928),
    ];
    for (loss, expected) in cases {
        let own = value(&loss.forward(&input, &target));
        assert!((own - expected).abs() < 1e-10 * expected, "{loss:?}: {own}");
        let single = loss.forward(&input.to_kind(Kind::Float), &target.to_kind(Kind::Float));
        let own = value(&single);
        assert!((own - expected).abs() < 1e-5 * expected, "{loss:?} in f32: {own}");
    }
}

fn of_detail() -> [Box<dyn Loss>; 6] {
    let gradient_difference = GradientDifferenceLoss::default();
    [
        Box::new(EdgeLoss::default()),
        Box::new(EdgeLoss { reduction: Reduction::Sum, eps: 1e-2 }),
        Box::new(gradient_difference),
        Box::new(gradient_difference.with_p(2.0)),
        Box::new(gradient_difference.with_p(0.5)),
        Box::new(gradient_difference.with_p(1.5)),
    ]
}

/// Against black, a white pixel in the middle of an even row and column, by the kernel: 1 minus what comes back.
#[test]
fn detail_by_hand() {
    let white = zeros(&[1, 1, 9, 9]).to_kind(Kind::Double);
    let _ = white.get(0).get(0).get(4).get(4).fill_(1.0);
    let detail = EdgeLoss::default().response(&white).unwrap().unwrap();
    // Of what is blurred, the pixels at distances of 0 and 2 are kept, 0.4 and 0.05 along each axis; from these, 0.4 and
    // 0.05 of twice as much come back: 2 (0.4² + 2 0.05²).
    let back = 2.0 * (0.4f64.powi(2) + 2.0 * 0.05f64.powi(2));
    let own = detail.double_value(&[0, 0, 4, 4]);
    // The weights are in f32.
    assert!((own - (1.0 - back * back)).abs() < 1e-7, "{own}");
    // And of a flat image, nothing is left.
    let flat = EdgeLoss::default().response(&white.ones_like()).unwrap().unwrap();
    assert!(value(&flat.narrow(2, 3, 3).narrow(3, 3, 3).abs().max()) < 1e-7);
}

#[test]
fn gradients_in_forward_are_those_of_the_graph() {
    // The last two are more than a piece: 2^18 pixels.
    for shape in [
        [1, 1, 1, 1],
        [2, 3, 1, 4],
        [3, 2, 5, 1],
        [2, 3, 7, 8],
        [2, 3, 2, 9],
        [3, 2, 300, 301],
        [300, 1, 37, 29],
    ] {
        for kind in [Kind::Double, Kind::Float] {
            let (input, target) = (noise(1, &shape, kind), noise(2, &shape, kind));
            for loss in of_detail() {
                let (expected, gradient, _) = with_gradients(loss.as_ref(), &input, &target);
                let alone = leaf(&input);
                let own = loss.forward(&alone, &target);
                own.backward();
                // In f32, the slope near 0 multiplies the rounding of the details by 1 / sqrt(eps), a thousand.
                let (tolerance, of_slopes) = if kind == Kind::Double { (1e-11, 1e-11) } else { (1e-5, 1e-3) };
                let what = format!("{loss:?} {shape:?} {kind:?}");
                assert_close(&what, &own.detach(), &expected, tolerance, Relative::ToLargest);
                assert_close(&what, &alone.grad(), &gradient, of_slopes, Relative::ToLargest);
            }
        }
    }
}

#[test]
fn losses_are_symmetric_and_grow_with_noise() {
    let shape = [2, 3, 16, 12];
    let (image, disturbance) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
    for loss in of_detail() {
        let mut last = value(&loss.forward(&image, &image));
        for step in 1..4 {
            let noisy = &image + &disturbance * (0.1 * f64::from(step));
            let own = loss.forward(&noisy, &image);
            assert_close("symmetry", &own, &loss.forward(&image, &noisy), 1e-12, Relative::ToLargest);
            assert!(value(&own) > last, "{loss:?}: {own:?} after {last}");
            last = value(&own);
        }
    }
}

#[test]
fn gradients_of_flat_images_are_numbers() {
    for kind in [Kind::Float, Kind::Double] {
        let shape = [2, 3, 6, 8];
        let black = zeros(&shape).to_kind(kind);
        let pictures = [black.shallow_clone(), black.ones_like(), noise(3, &shape, kind)];
        for loss in of_detail() {
            for (row, input) in pictures.iter().enumerate() {
                for (column, target) in pictures.iter().enumerate() {
                    let alone = leaf(input);
                    loss.forward(&alone, target).backward();
                    let (_, to_input, to_target) = with_gradients(loss.as_ref(), input, target);
                    for gradient in [alone.grad(), to_input, to_target] {
                        let largest = value(&gradient.abs().max());
                        assert!(largest.is_finite(), "{loss:?} {kind:?} {row} {column}");
                        assert!(row != column || largest == 0.0, "{loss:?} {kind:?} {row} {column}");
                    }
                }
            }
        }
    }
}

/// Each direction is scaled so that the mean of the map is the loss; the elements are not.
#[test]
fn gradient_difference_by_hand() {
    let row = |numbers: &[f64]| Tensor::from_slice(numbers).view([1, 1, 2, 3]).to_device(device());
    let (input, target) = (row(&[0.0, 2.0, 2.0, 0.0, 0.0, 0.0]), row(&[0.0; 6]));
    let of = |reduction| GradientDifferenceLoss { p: 2.0, reduction };
    // Along the rows 4 once, of four differences; along the columns 4 twice, of three.
    assert_eq!(value(&of(Reduction::Mean).forward(&input, &target)), 1.0 + 8.0 / 3.0);
    assert_eq!(value(&of(Reduction::Sum).forward(&input, &target)), 12.0);
    let elements = of(Reduction::None).forward(&input, &target);
    assert_eq!(values(&elements), [4.0, 4.0, 4.0, 0.0, 0.0, 0.0]);
    let map = of(Reduction::None).loss_map(&input, &target).unwrap().unwrap();
    assert_eq!(values(&map), [6.0, 8.0, 8.0, 0.0, 0.0, 0.0]);
    // A single pixel has no neighbours.
    let pixel = zeros(&[2, 3, 1, 1]);
    for reduction in [Reduction::Mean, Reduction::Sum] {
        assert_eq!(value(&of(reduction).forward(&pixel, &pixel.ones_like())), 0.0);
    }
}

#[test]
fn options_that_are_refused() {
    let image = zeros(&[1, 3, 8, 8]);
    for (number, given) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let expected =
            |option| format!("option `{option}` is {given}, expected a finite number greater than 0");
        let edge = EdgeLoss::default().with_eps(number);
        assert_eq!(refusal(&edge, &image, &image), expected("eps"));
        assert_eq!(edge.response(&image).unwrap_err().to_string(), expected("eps"));
        assert_eq!(refusal(&GradientDifferenceLoss::default().with_p(number), &image, &image), expected("p"));
    }
}
