//! Losses on sounds.

use std::f64::consts::PI;

use tch::{Device, Kind, Tensor};
use tch_losses::{Loss, MultiResolutionStftLoss, Reduction, SdSdrLoss, SiSdrLoss, SnrLoss, StftLoss};

use crate::common::{assert_close, device, noise, value, values, Relative};
use crate::support::{assert_values, leaf, longer_than_a_piece, message_of, vector, with_gradients, zeros};

fn ratios(reduction: Reduction) -> [Box<dyn Loss>; 3] {
    [
        Box::new(SiSdrLoss::default().with_reduction(reduction)),
        Box::new(SdSdrLoss::default().with_reduction(reduction)),
        Box::new(SnrLoss::default().with_reduction(reduction)),
    ]
}

fn spectral() -> [Box<dyn Loss>; 2] {
    [
        Box::new(StftLoss::default().with_w_lin_mag(0.5)),
        Box::new(MultiResolutionStftLoss::default().with_w_lin_mag(0.5)),
    ]
}

/// The loss, and the gradient with respect to `input` alone.
fn step(loss: &dyn Loss, input: &Tensor, target: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let value = loss.forward(&input, target);
    value.sum(None).backward();
    (value.detach(), input.grad())
}

/// The target has the energy 4, the noise 0.16 and no part in its direction. The `eps` of 1e-8 is seen in the eighth
/// digit.
#[test]
fn ratios_by_hand() {
    let target = vector(&[1.0, -1.0, 1.0, -1.0]);
    let noisy = &target + vector(&[0.2, 0.2, -0.2, -0.2]);
    let decibels = |ratio: f64| -10.0 * ratio.log10();
    let of = |input: &Tensor| -> Vec<f64> {
        ratios(Reduction::Sum).iter().map(|loss| value(&loss.forward(input, &target))).collect()
    };
    let close = |own: Vec<f64>, expected: [f64; 3]| {
        assert_close("decibels", &vector(&own), &vector(&expected), 1e-6, Relative::ToElement { floor: 1.0 });
    };
    close(of(&noisy), [decibels(4.0 / 0.16); 3]);
    // An offset is no part of a wave.
    close(of(&(&noisy + 3.0)), [decibels(4.0 / 0.16); 3]);
    // At twice the volume, the signal is four times as strong, and the target is missing once more.
    let missing = 4.0 + 4.0 * 0.16;
    close(of(&(&noisy * 2.0)), [decibels(4.0 / 0.16), decibels(16.0 / missing), decibels(4.0 / missing)]);
}

#[test]
fn silence_and_equal_waves() {
    for kind in [Kind::Float, Kind::Double] {
        let wave = noise(1, &[2, 1, 3000], kind);
        let silence = wave.zeros_like();
        for loss in ratios(Reduction::Mean).into_iter().chain(spectral()) {
            for (input, target) in
                [(&wave, &wave), (&silence, &wave), (&wave, &silence), (&silence, &silence)]
            {
                let (value, of_input, of_target) = with_gradients(&loss, input, target);
                let (again, alone) = step(&loss, input, target);
                for tensor in [value, of_input, of_target, again, alone] {
                    assert!(values(&tensor).iter().all(|number| number.is_finite()), "{loss:?} {kind:?}");
                }
            }
        }
        // Nothing of the target: 80 decibels.
        for loss in ratios(Reduction::Mean) {
            let (silent, gradient) = step(&loss, &wave, &silence);
            assert!((value(&silent.to_kind(Kind::Double)) - 80.0).abs() < 0.1, "{loss:?}");
            assert_eq!(values(&gradient.abs().max()), [0.0]);
        }
        for loss in spectral() {
            let (equal, gradient) = step(&loss, &wave, &wave);
            assert_eq!((values(&equal), values(&gradient.abs().max())), (vec![0.0], vec![0.0]), "{loss:?}");
        }
    }
}

#[test]
fn huge_and_tiny_waves() {
    for (size, kind) in
        [(1e12, Kind::Float), (1e-30, Kind::Float), (1e100, Kind::Double), (1e-200, Kind::Double)]
    {
        let input = (noise(1, &[2, 1, 3000], Kind::Double) * size).to_kind(kind);
        let target = (noise(2, &[2, 1, 3000], Kind::Double) * size).to_kind(kind);
        for loss in ratios(Reduction::Mean).into_iter().chain(spectral()) {
            let (value, of_input, of_target) = with_gradients(&loss, &input, &target);
            let (again, alone) = step(&loss, &input, &target);
            for tensor in [value, of_input, of_target, again, alone] {
                let finite = values(&tensor).iter().all(|number| number.is_finite());
                assert!(finite, "{loss:?} {size:e} {kind:?}");
            }
        }
    }
}

/// The loss of one wave by the definition: each coefficient a sum.
fn by_definition(loss: &StftLoss, input: &[f64], target: &[f64]) -> f64 {
    let (size, hop, length) = (loss.fft_size, loss.hop_size, loss.win_length);
    let last = input.len() as i64 - 1;
    let magnitudes = |wave: &[f64]| -> Vec<f64> {
        let mut all = Vec::new();
        let mut centre = 0;
        while centre + size / 2 + size % 2 <= last + 1 + size / 2 {
            for k in 0..=size / 2 {
                let (mut real, mut imaginary) = (0.0, 0.0);
                for n in 0..length {
                    let at = centre - size / 2 + (size - length) / 2 + n;
                    let reflected = if at < 0 {
                        -at
                    } else if at > last {
                        2 * last - at
                    } else {
                        at
                    };
                    let window = 0.5 - 0.5 * (2.0 * PI * n as f64 / length as f64).cos();
                    let angle = 2.0 * PI * (k * n) as f64 / size as f64;
                    real += window * wave[reflected as usize] * angle.cos();
                    imaginary -= window * wave[reflected as usize] * angle.sin();
                }
                all.push((real * real + imaginary * imaginary).max(loss.eps).sqrt());
            }
            centre += hop;
        }
        all
    };
    let (own, other) = (magnitudes(input), magnitudes(target));
    let pairs = || own.iter().zip(&other);
    let count = own.len() as f64;
    let squares: f64 = pairs().map(|(x, y)| (x - y).powi(2)).sum();
    let norm: f64 = other.iter().map(|y| y * y).sum();
    loss.w_sc * (squares / norm).sqrt()
        + loss.w_log_mag * pairs().map(|(x, y)| (x / y).ln().abs()).sum::<f64>() / count
        + loss.w_lin_mag * pairs().map(|(x, y)| (x - y).abs()).sum::<f64>() / count
}

#[test]
fn spectrograms_by_definition() {
    let (input, target) = (noise(1, &[1, 1, 41], Kind::Double), noise(2, &[1, 1, 41], Kind::Double));
    for (fft_size, hop_size, win_length) in [(16, 4, 16), (16, 5, 11), (9, 3, 4), (20, 30, 20), (2, 1, 2)] {
        let loss = StftLoss { fft_size, hop_size, win_length, w_lin_mag: 0.3, ..Default::default() };
        let expected = by_definition(&loss, &values(&input), &values(&target));
        assert_close(
            &format!("{loss:?}"),
            &loss.forward(&input, &target),
            &vector(&[expected]).view([0i64; 0]),
            1e-10,
            Relative::ToElement { floor: 1.0 },
        );
    }
    let several = MultiResolutionStftLoss {
        fft_sizes: vec![16, 9],
        hop_sizes: vec![4, 3],
        win_lengths: vec![16, 4],
        ..Default::default()
    };
    let one = |fft_size, hop_size, win_length| {
        let loss = StftLoss { fft_size, hop_size, win_length, ..Default::default() };
        by_definition(&loss, &values(&input), &values(&target))
    };
    let expected = (one(16, 4, 16) + one(9, 3, 4)) / 2.0;
    let own = several.forward(&input, &target);
    let expected = vector(&[expected]).view([0i64; 0]);
    assert_close("mean", &own, &expected, 1e-10, Relative::ToElement { floor: 1.0 });
}

/// What has no weight is not computed: of loud waves, the squares of the spectral convergence overflow in f32.
#[test]
fn terms_without_a_weight() {
    let loud = |seed| noise(seed, &[1, 1, 3000], Kind::Float) * 1e18;
    let (input, target) = (loud(1), loud(2));
    for (w_log_mag, w_lin_mag) in [(1.0, 0.0), (0.0, 1e-18), (0.5, 1e-18)] {
        let loss = StftLoss { fft_size: 64, hop_size: 16, win_length: 64, w_sc: 0.0, ..Default::default() };
        let loss = StftLoss { w_log_mag, w_lin_mag, ..loss };
        let wide = leaf(&input.to_kind(Kind::Double));
        let expected = loss.forward(&wide, &target.to_kind(Kind::Double));
        expected.backward();
        let (value_of_graph, gradient_of_graph, _) = with_gradients(&loss, &input, &target);
        let of_graph = (value_of_graph, gradient_of_graph);
        for (own, gradient) in [step(&loss, &input, &target), of_graph] {
            let (own, gradient) = (own.to_kind(Kind::Double), gradient.to_kind(Kind::Double));
            assert_close("value", &own, &expected, 1e-5, Relative::ToLargest);
            assert_close("gradient", &gradient, &wide.grad(), 1e-3, Relative::ToLargest);
        }
        let none = StftLoss { w_log_mag: 0.0, w_lin_mag: 0.0, ..loss };
        let (own, gradient) = step(&none, &wide.detach(), &target.to_kind(Kind::Double));
        assert_eq!((value(&own), gradient.abs().max().double_value(&[])), (0.0, 0.0));
    }
}

/// Batches that are worked on in pieces have the value and the gradient of libtorch's graph.
#[test]
fn large_batches() {
    let waves = longer_than_a_piece() / (2 * 9000) + 1;
    let of_ratios = ratios(Reduction::Mean).map(|loss| (loss, [waves, 2, 9000]));
    let of_spectra = spectral().map(|loss| (loss, [8, 2, 5000]));
    for (loss, shape) in of_ratios.into_iter().chain(of_spectra) {
        let (input, target) = (noise(1, &shape, Kind::Double), noise(2, &shape, Kind::Double));
        let (expected, of_graph, _) = with_gradients(&loss, &input, &target);
        let (value, gradient) = step(&loss, &input, &target);
        assert_close("value", &value, &expected, 1e-12, Relative::ToElement { floor: 1.0 });
        assert_close("gradient", &gradient, &of_graph, 1e-9, Relative::ToLargest);
        let free = tch::no_grad(|| loss.forward(&leaf(&input), &target));
        assert_close("without a gradient", &free, &expected, 1e-12, Relative::ToElement { floor: 1.0 });
    }
}

#[test]
fn nothing() {
    for shape in [[0i64, 1, 2000], [2, 0, 2000]] {
        let wave = zeros(&shape);
        for loss in ratios(Reduction::Mean).into_iter().chain(spectral()) {
            let (value, gradient) = step(&loss, &wave, &wave);
            assert!(values(&value)[0].is_nan(), "{loss:?}");
            assert_eq!(gradient.size(), shape);
        }
        for loss in ratios(Reduction::Sum) {
            assert_values(&step(&loss, &wave.to_kind(Kind::Double), &wave.to_kind(Kind::Double)).0, &[0.0]);
        }
        for loss in ratios(Reduction::None) {
            assert_eq!(step(&loss, &wave, &wave).0.size(), shape[..2]);
        }
    }
}

#[test]
fn refusals() {
    let refused = |loss: &dyn Loss, shape: &[i64]| message_of(loss.try_forward(&zeros(shape), &zeros(shape)));
    for loss in ratios(Reduction::Mean) {
        for shape in [&[][..], &[2, 1, 0]] {
            let expected = "[..., T] with T at least 1";
            assert_eq!(refused(&loss, shape), format!("`input` has shape {shape:?}, expected {expected}"));
        }
        let message = message_of(loss.try_forward(&zeros(&[2, 1, 8]), &zeros(&[2, 8])));
        assert_eq!(message, "`target` has shape [2, 8], expected [2, 1, 8], the shape of `input`");
    }
    for shape in [&[2000][..], &[1, 1, 1, 2000], &[2, 1, 512]] {
        let expected = "[N, C, T] or [N, T] with T at least 513, more than half of the largest transform";
        let message = refused(&StftLoss::default(), shape);
        assert_eq!(message, format!("`input` has shape {shape:?}, expected {expected}"));
    }
    let expected = "[N, C, T] or [N, T] with T at least 1025, more than half of the largest transform";
    assert_eq!(
        refused(&MultiResolutionStftLoss::default(), &[2, 1, 1024]),
        format!("`input` has shape [2, 1, 1024], expected {expected}")
    );
    let wave = Tensor::zeros([1, 1, 2000], (Kind::Float, Device::Cpu)).to_device(device());
    let message = |loss: &dyn Loss| message_of(loss.try_forward(&wave, &wave));
    let expected = "a number of at least 1";
    let loss = StftLoss::default();
    assert_eq!(message(&loss.with_fft_size(0)), format!("option `fft_size` is 0, expected {expected}"));
    assert_eq!(message(&loss.with_hop_size(-3)), format!("option `hop_size` is -3, expected {expected}"));
    for length in [0, 1025] {
        let expected = "a number from 1 to 1024";
        let message = message(&loss.with_win_length(length));
        assert_eq!(message, format!("option `win_length` is {length}, expected {expected}"));
    }
    let several = MultiResolutionStftLoss::default();
    let message = message_of(several.clone().with_fft_sizes(vec![]).try_forward(&wave, &wave));
    assert_eq!(message, "option `fft_sizes` is [], expected at least one size");
    let message = message_of(several.clone().with_hop_sizes(vec![1, 2]).try_forward(&wave, &wave));
    assert_eq!(message, "option `hop_sizes` is [1, 2], expected 3 numbers, as many as `fft_sizes`");
    let message = message_of(several.with_win_lengths(vec![1, 0, 2]).try_forward(&wave, &wave));
    assert_eq!(message, "option `win_lengths` is 0, expected a number from 1 to 2048");
}
