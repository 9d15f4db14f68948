//! Sobel and Laplacian.

use tch::{Kind, Tensor};
use tch_losses::{L1Loss, Laplacian, Loss, Sobel};

use crate::common::{assert_close, device, few_roundings, noise, value, values, Relative};
use crate::support::{images, refusal, zeros};

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
