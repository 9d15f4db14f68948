//! The losses on spectra.
//!
//! Bounds: 1e-12 in f64 and 1e-5 in f32 are for one number reached in two ways, as in `properties/images.rs`.

use tch::{no_grad, Kind, Tensor};
use tch_losses::{
    FftLoss, FftNorm, FftParts, FftSpectrum, FocalFrequencyLoss, Loss, Reduction, WeightTensor,
};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::{leaf, message_of, with_gradients, zeros};

fn focal() -> FocalFrequencyLoss {
    FocalFrequencyLoss::default()
}

fn fft(parts: FftParts, spectrum: FftSpectrum) -> FftLoss {
    FftLoss { parts, spectrum, ..Default::default() }
}

/// Each option that changes the way of the computation.
fn all() -> Vec<Box<dyn Loss>> {
    let mut losses: Vec<Box<dyn Loss>> = vec![
        Box::new(focal()),
        Box::new(focal().with_alpha(0.5).with_loss_weight(3.0)),
        Box::new(focal().with_alpha(0.0)),
        Box::new(focal().with_patch_factor(2)),
        Box::new(focal().with_ave_spectrum(true)),
        Box::new(focal().with_log_matrix(true)),
        Box::new(focal().with_batch_matrix(true).with_reduction(Reduction::Sum)),
        Box::new(focal().with_matrix(0.5)),
        Box::new(FftLoss::default().with_norm(FftNorm::Ortho)),
        Box::new(FftLoss::default().with_norm(FftNorm::Forward).with_reduction(Reduction::Sum)),
    ];
    for parts in [FftParts::RealImag, FftParts::Modulus, FftParts::Amplitude] {
        for spectrum in [FftSpectrum::Full, FftSpectrum::Half] {
            losses.push(Box::new(fft(parts, spectrum)));
        }
    }
    losses
}

/// Numbers of the references for images that formulas give.
#[test]
fn golden_numbers() {
    let (input, target) = waves([2, 3, 64, 48]);
    let half = FftSpectrum::Half;
    let cases: [(Box<dyn Loss>, f64); 10] = [
        (Box::new(focal()), 0.0031313775889510185),
        (Box::new(focal().with_alpha(2.0)), 0.002828969841122977),
        (Box::new(focal().with_patch_factor(2)), 0.002893707655930234),
        (Box::new(focal().with_ave_spectrum(true)), 0.003092662693969862),
        (Box::new(focal().with_log_matrix(true)), 0.003275694984054805),
        (Box::new(focal().with_batch_matrix(true)), 0.0031063693334748557),
        (Box::new(FftLoss::default()), 0.4160055935176976),
        (Box::new(FftLoss::default().with_parts(FftParts::Modulus)), 0.6576721532538998),
        (Box::new(FftLoss::default().with_spectrum(half)), 0.42988136616974665),
        (Box::new(FftLoss::default().with_parts(FftParts::Amplitude)), 0.4969812949187248),
    ];
    for (loss, expected) in cases {
        let own = value(&loss.forward(&input, &target));
        assert!((own - expected).abs() < 1e-10 * expected, "{loss:?}: {own}");
    }
}

/// Forward takes half the spectrum; in the graph, it is the whole.
#[test]
fn half_the_spectrum_is_as_good_as_the_whole() {
    // Odd and even, of a single row, column and pixel.
    for size in [[6, 4], [4, 6], [2, 2], [16, 10], [30, 34]] {
        for (height, width) in [(size[0], size[1]), (size[0] - 1, size[1]), (size[0], size[1] - 1)] {
            let shape = [3, 2, height, width];
            for loss in all() {
                if format!("{loss:?}").contains("patch_factor: 2") && (height % 2 + width % 2) > 0 {
                    continue;
                }
                let what = format!("{loss:?} {shape:?}");
                let (input, target) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
                let (expected, gradient, _) = with_gradients(loss.as_ref(), &input, &target);
                let input = leaf(&input);
                let own = loss.forward(&input, &target);
                own.backward();
                assert_close(&what, &own.detach(), &expected, 1e-12, Relative::ToLargest);
                assert_close(&what, &input.grad(), &gradient, 1e-12, Relative::ToLargest);
                let free = no_grad(|| loss.forward(&input, &target));
                assert_close(&what, &free, &expected, 1e-12, Relative::ToLargest);
            }
        }
    }
}

#[test]
fn the_losses_are_symmetric_and_grow_with_noise() {
    let shape = [2, 3, 16, 12];
    let (image, disturbance) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
    for loss in all() {
        let mut last = 0.0;
        for step in 0..4 {
            let noisy = &image + &disturbance * (0.1 * f64::from(step));
            let own = loss.forward(&noisy, &image);
            assert_close("symmetry", &own, &loss.forward(&image, &noisy), 1e-12, Relative::ToLargest);
            let own = value(&own);
            assert!(if step == 0 { own == 0.0 } else { own > last }, "{loss:?}: {own} after {last}");
            last = own;
        }
    }
}

/// Whatever is 0, be it a difference, a coefficient or a spectrum, gradients are numbers, and those of equal images 0.
#[test]
fn gradients_of_flat_images() {
    for kind in [Kind::Float, Kind::Double] {
        let black = Tensor::zeros([2, 3, 6, 8], (kind, device()));
        let pictures = [black.shallow_clone(), black.ones_like(), noise(3, &[2, 3, 6, 8], kind)];
        for loss in all() {
            for (row, input) in pictures.iter().enumerate() {
                for (column, target) in pictures.iter().enumerate() {
                    let alone = leaf(input);
                    let own = loss.forward(&alone, target);
                    own.backward();
                    let (in_graph, to_input, to_target) = with_gradients(loss.as_ref(), input, target);
                    for tensor in [own.detach(), alone.grad(), in_graph, to_input, to_target] {
                        let largest = value(&tensor.abs().max());
                        assert!(largest.is_finite(), "{loss:?} {kind:?} {row} {column}");
                        assert!(row != column || largest == 0.0, "{loss:?} {kind:?} {row} {column}");
                    }
                }
            }
        }
    }
}

/// As in the package, where the greatest weight is infinite there are none.
#[test]
fn weights_that_overflow() {
    let shape = [1, 3, 8, 8];
    let (input, target) = (noise(1, &shape, Kind::Float) * 255.0, noise(2, &shape, Kind::Float) * 255.0);
    for loss in [focal().with_alpha(1e3), focal().with_alpha(1e3).with_log_matrix(true)] {
        let alone = leaf(&input);
        let own = loss.forward(&alone, &target);
        own.backward();
        let (in_graph, gradient, _) = with_gradients(&loss, &input, &target);
        for tensor in [own.detach(), in_graph, alone.grad(), gradient] {
            assert_eq!(value(&tensor.abs().max()), 0.0, "{loss:?}");
        }
    }
}

/// Half of a matrix is not enough: weights need not have the symmetry of the spectrum.
#[test]
fn a_matrix_of_any_symmetry() {
    let (input, target) = (noise(1, &[1, 1, 3, 4], Kind::Double), noise(2, &[1, 1, 3, 4], Kind::Double));
    // One coefficient, that of row 2 and column 3: of its mirror image in row 1 and column 1 as much.
    let single = |row: i64, column: i64| {
        let matrix = Tensor::zeros([3, 4], (Kind::Double, device()));
        let _ = matrix.get(row).get(column).fill_(1.0);
        value(&focal().with_matrix(matrix).forward(&input, &target))
    };
    let squares = values(&focal().with_reduction(Reduction::None).with_alpha(0.0).forward(&input, &target));
    for row in 0..3 {
        for column in 0..4 {
            let (own, expected) = (single(row, column), squares[(4 * row + column) as usize] / 12.0);
            assert!((own - expected).abs() < 1e-14, "{row} {column}: {own} for {expected}");
        }
    }
    assert!((single(2, 3) - single(1, 1)).abs() < 1e-14);
}

#[test]
fn what_focal_frequency_refuses() {
    let image = zeros(&[2, 3, 6, 8]);
    let message = |loss: FocalFrequencyLoss| message_of(loss.try_forward(&image, &image));
    let expected =
        "`input` has shape [2, 3, 6, 8], expected [N, C, H, W] with H and W divisible by 4, the option `patch_factor`";
    assert_eq!(message(focal().with_patch_factor(4)), expected);
    assert_eq!(
        message(focal().with_patch_factor(i64::MAX)),
        expected.replace(" 4,", " 9223372036854775807,")
    );
    for (patch_factor, given) in [(0, "0"), (-1, "-1"), (i64::MIN, "-9223372036854775808")] {
        let expected = format!("option `patch_factor` is {given}, expected a number of at least 1");
        assert_eq!(message(focal().with_patch_factor(patch_factor)), expected);
    }
    assert_eq!(
        message(focal().with_alpha(-0.5)),
        "option `alpha` is -0.5, expected a finite number, 0 or more"
    );
    assert_eq!(
        message(focal().with_loss_weight(f64::NAN)),
        "option `loss_weight` is NaN, expected a finite number, 0 or more"
    );
    assert_eq!(
        message(focal().with_matrix([0.5, 1.5])),
        "option `matrix` is 1.5, expected a number in [0, 1]"
    );
    let matrix = |shape: &[i64]| WeightTensor::from(zeros(shape));
    assert_eq!(
        message(focal().with_patch_factor(2).with_matrix(matrix(&[6, 8]))),
        "`matrix` has shape [6, 8], expected a shape that broadcasts to [2, 4, 3, 3, 4], [N, P, C, h, w] of the \
         spectra of `input`"
    );
    // The mean of a batch is one image.
    let one = focal().with_ave_spectrum(true).with_matrix(matrix(&[2, 1, 3, 6, 8]));
    assert!(message(one).ends_with("[1, 1, 3, 6, 8], [N, P, C, h, w] of the spectra of `input`"));
}

#[test]
fn spectra_have_no_map() {
    let image = zeros(&[1, 3, 4, 4]);
    for loss in all() {
        assert!(loss.loss_map(&image, &image).unwrap().is_none(), "{loss:?}");
    }
}

/// The elements lie as `torch.fft` has them.
#[test]
fn shapes_of_elements() {
    let image = zeros(&[2, 3, 4, 6]);
    let shape = |loss: &dyn Loss| loss.forward(&image, &image).size();
    let none = FftLoss::default().with_reduction(Reduction::None);
    assert_eq!(shape(&none), [2, 3, 4, 6, 2]);
    assert_eq!(shape(&none.with_spectrum(FftSpectrum::Half)), [2, 3, 4, 4, 2]);
    assert_eq!(shape(&none.with_parts(FftParts::Modulus)), [2, 3, 4, 6]);
    let none = focal().with_reduction(Reduction::None).with_patch_factor(2);
    assert_eq!(shape(&none), [2, 4, 3, 2, 3]);
    assert_eq!(shape(&none.with_ave_spectrum(true)), [1, 4, 3, 2, 3]);
}
