//! The algorithm against a convolution in f64.

use tch::{Device, Kind, Tensor};

use super::super::in_order;
use super::matrices::{transform, INPUT, RESULT, WEIGHT};
use super::{elements, Filter, Scratch, POINTS, TILE, WINDOW};
use crate::base::integer::div_ceil;

// Whole tiles and parts, one piece and several, by images and by rows; one running sum and several.
const SIZES: [[i64; 4]; 7] = [
    [1, 3, 4, 4],
    [2, 5, 1, 7],
    [3, 8, 13, 18],
    [40, 4, 12, 9],
    [2, 3, 70, 66],
    [1, 2, 3, 1100],
    [2, 131, 9, 6],
];

/// Several running sums, too, on the way back.
const OUT: i64 = 140;

/// Memory for a convolution, of which nothing is taken for granted.
fn scratch(weight: &Tensor, size: &[i64]) -> Scratch {
    let scratch = Scratch::new(elements(weight, size[3])).unwrap();
    for tensor in scratch.0.iter().flat_map(|buffers| &buffers.0) {
        let _ = tensor.shallow_clone().fill_(f64::NAN);
    }
    scratch
}

fn maps(size: &[i64]) -> Tensor {
    in_order(&Tensor::randn(size, (Kind::Float, Device::Cpu)).relu(), Device::Cpu, Kind::Float).unwrap()
}

fn convolution(maps: &Tensor, weight: &Tensor) -> Tensor {
    maps.conv2d(weight, None::<Tensor>, [1i64, 1], [1i64, 1], [1i64, 1], 1)
}

/// The algorithm written once more, in f64 and whole. Of `magnitudes`, the absolute values of all that occurs
/// are added up.
fn in_f64(maps: &Tensor, weight: &Tensor, magnitudes: bool) -> Tensor {
    let part = |tensor: Tensor| if magnitudes { tensor.abs() } else { tensor };
    let (maps, weight) = (part(maps.to_kind(Kind::Double)), part(weight.to_kind(Kind::Double)));
    let [count, channels, height, width] = maps.size()[..] else { panic!("no maps") };
    let (rows, columns, out) = (div_ceil(height, TILE), div_ceil(width, TILE), weight.size()[0]);
    let padded =
        maps.constant_pad_nd([1i64, columns * TILE + 1 - width, 1, rows * TILE + 1 - height].as_slice());
    let windows = padded.unfold(2, WINDOW, TILE).unfold(3, WINDOW, TILE).permute([4i64, 5, 1, 0, 2, 3]);
    let input = part(transform(INPUT, Kind::Double).unwrap());
    let values = input.matmul(&windows.reshape([POINTS, -1])).view([POINTS, channels, -1]);
    let kernel = part(transform(WEIGHT, Kind::Double).unwrap());
    let weight =
        kernel.matmul(&weight.permute([2i64, 3, 0, 1]).reshape([9, -1])).view([POINTS, out, channels]);
    let products = weight.bmm(&values).view([POINTS, -1]);
    let results = part(transform(RESULT, Kind::Double).unwrap()).matmul(&products);
    let results = results.view([TILE, TILE, out, count, rows, columns]).permute([3i64, 2, 4, 0, 5, 1]);
    let whole = results.reshape([count, out, rows * TILE, columns * TILE]);
    whole.narrow(2, 0, height).narrow(3, 0, width)
}

#[test]
fn the_matrices_are_those_of_a_convolution() {
    tch::manual_seed(0);
    let options = (Kind::Double, Device::Cpu);
    let (maps, weight) = (Tensor::randn([2, 3, 13, 18], options), Tensor::randn([5, 3, 3, 3], options));
    let difference = in_f64(&maps, &weight, false) - convolution(&maps, &weight);
    // Both round in f64; all numbers are far below 1000.
    assert!(difference.abs().max().double_value(&[]) < 1e-12);
}

/// Panics if a result is further from the exact one than rounding explains.
///
/// Each result is a sum of products, of which every one is rounded as often as numbers are added and
/// multiplied on its way. In whatever order a machine adds, that moves the result by no more than
/// n u / (1 - n u) of the sum of the magnitudes, where u is 2^-24 and n the length of the way
/// (N. Higham, *Accuracy and stability of numerical algorithms*, section 3.1).
fn assert_rounded(what: &str, result: &Tensor, exact: &Tensor, magnitudes: &Tensor, channels: i64) {
    // The transforms of input, weight (whose matrix is rounded, too), and results, the sum over the
    // channels, and the bias.
    let length = (POINTS + 10 + POINTS + channels + 1) as f64;
    let unit = 2f64.powi(-24);
    let bound = magnitudes * (length * unit / (1.0 - length * unit));
    assert_eq!(result.size(), exact.size());
    let excess = ((result.to_kind(Kind::Double) - exact).abs() - bound).max().double_value(&[]);
    // Not merely "not above": NaN is neither.
    assert!(excess <= 0.0, "{what}: {excess} beyond the bound");
}

#[test]
fn it_is_a_convolution_with_bias_and_relu() {
    tch::manual_seed(0);
    for size in SIZES {
        let options = (Kind::Float, Device::Cpu);
        let (maps, weight) = (maps(&size), Tensor::randn([OUT, size[1], 3, 3], options));
        let bias = Tensor::randn([OUT], options);
        let shifts = bias.to_kind(Kind::Double).view([1, OUT, 1, 1]);
        let exact = convolution(&maps.to_kind(Kind::Double), &weight.to_kind(Kind::Double)) + &shifts;
        let magnitudes = in_f64(&maps, &weight, true) + shifts.abs();
        let (filter, scratch) = (Filter::new(&weight).unwrap(), scratch(&weight, &size));
        for (relu, exact) in [(false, exact.shallow_clone()), (true, exact.relu())] {
            let result = filter.forward(&maps, &bias, relu, &scratch).unwrap();
            assert_rounded(&format!("{size:?} {relu}"), &result, &exact, &magnitudes, size[1]);
        }
    }
}

#[test]
fn back_is_the_gradient_of_relu_and_convolution() {
    tch::manual_seed(0);
    for size in SIZES {
        let weight = Tensor::randn([OUT, size[1], 3, 3], (Kind::Float, Device::Cpu));
        let input = maps(&size).to_kind(Kind::Double).set_requires_grad(true);
        let output = convolution(&input, &weight.to_kind(Kind::Double)).relu();
        // The signs that ReLU asks for are those of the activations given, whatever their rounding.
        let activations = in_order(&output.detach().to_kind(Kind::Float), Device::Cpu, Kind::Float).unwrap();
        let gradients = in_order(&activations.randn_like(), Device::Cpu, Kind::Float).unwrap();
        let (filter, scratch) = (Filter::new(&weight).unwrap(), scratch(&weight, &size));
        let wide = gradients.to_kind(Kind::Double);
        let behind_relu = &wide * activations.gt(0.0);
        for (passed, output) in [(wide, None), (behind_relu, Some(&activations))] {
            let whole = (convolution(&input, &weight.to_kind(Kind::Double)) * &passed).sum(Kind::Double);
            let exact = Tensor::run_backward(&[whole], &[&input], false, false).remove(0);
            // The gradient of a convolution is one with the channels swapped and the kernel turned.
            let magnitudes = in_f64(&passed, &weight.transpose(0, 1).flip([2i64, 3]), true);
            let result = filter.back(&gradients, output, &scratch).unwrap();
            assert_rounded(&format!("{size:?} {}", output.is_some()), &result, &exact, &magnitudes, OUT);
        }
    }
}
