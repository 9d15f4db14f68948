//! What the integration tests share: fixtures exported from PyTorch, comparison, a VGG19 without a weights file.

#![allow(dead_code)] // each test binary uses its own part

pub mod hashed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Once;

use safetensors::SafeTensors;
use serde::Deserialize;
use tch::{Cuda, Device, Kind, Tensor};
use tch_losses::networks::Place;
use tch_losses::{Architecture, Network, Tap};

pub use hashed::{hashed_network, hashed_parameters};

/// Where the tests run: the CUDA device with feature `cuda`, which must then be there.
pub fn device() -> Device {
    if !cfg!(feature = "cuda") {
        return Device::Cpu;
    }
    // Before CUDA starts: TF32, libtorch's default for convolutions, has 10 bits of mantissa only.
    static EXACT: Once = Once::new();
    EXACT.call_once(|| std::env::set_var("NVIDIA_TF32_OVERRIDE", "0"));
    assert!(Cuda::is_available(), "feature `cuda` is on, but libtorch finds no CUDA device");
    Device::Cuda(0)
}

/// One call of a PyTorch loss, as `scripts/fixtures` recorded it; `scripts/fixtures/record.py` says what the fields are.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub name: String,
    pub loss: String,
    pub dtype: String,
    pub options: HashMap<String, serde_json::Value>,
    pub arguments: Vec<String>,
    pub tensor_options: Vec<String>,
    pub parameters: Vec<String>,
    pub lengths: Option<Lengths>,
    /// The tensors that are recorded as bytes, in 256ths.
    #[serde(default)]
    pub bytes: Vec<String>,
    #[serde(default)]
    pub numbers: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
pub struct Lengths {
    pub input_lengths: Vec<i64>,
    pub target_lengths: Vec<i64>,
}

/// A file of `tests/fixtures`.
pub struct Fixture {
    pub cases: Vec<Case>,
    tensors: HashMap<String, Tensor>,
}

impl Fixture {
    pub fn load(family: &str) -> Fixture {
        let path = format!("{}/tests/fixtures/{family}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let cases: Vec<Case> = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
        assert!(!cases.is_empty());
        Fixture { cases, tensors: Tensor::read_safetensors(&path).unwrap().into_iter().collect() }
    }

    pub fn find(&self, case: &Case, role: &str) -> Option<Tensor> {
        let tensor = self.tensors.get(&format!("{}/{role}", case.name))?.to_device(device());
        let kind = if case.dtype == "float64" { Kind::Double } else { Kind::Float };
        Some(if case.bytes.iter().any(|own| own == role) { tensor.to_kind(kind) / 256.0 } else { tensor })
    }

    pub fn get(&self, case: &Case, role: &str) -> Tensor {
        self.find(case, role).unwrap_or_else(|| panic!("{} has no {role}", case.name))
    }
}

/// The distance from 1 to the next number.
pub fn epsilon(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::EPSILON,
        Kind::Float => f64::from(f32::EPSILON),
        Kind::Half => 2f64.powi(-10),
        Kind::BFloat16 => 2f64.powi(-7),
        kind => panic!("{kind:?} is exact"),
    }
}

/// The room for two ways to a number of reduced precision, or for one of them and the exact number: eight roundings,
/// of half an epsilon each. libtorch rounds after each step of an elementwise loss, at most six of them (means
/// run in f32), and once more in the end.
pub fn few_roundings(kind: Kind) -> f64 {
    4.0 * epsilon(kind)
}

/// Where an element of a result gets its rounding from.
#[derive(Debug, Clone, Copy)]
pub enum Rounding {
    /// From numbers of the magnitude of the largest element at most.
    OfResult,
    /// From larger numbers, which cancel: behind a layer or a filter.
    OfLarger,
}

/// Panics unless the elements are those that PyTorch recorded.
///
/// Both sides take the same steps. They differ in the order of sums and in the last digits of exp, log and
/// the like, which are each processor's and each build's own; that is, by some roundings of the numbers that an
/// element is made from. A sum of n numbers in another order is off by about √n / 2 of them, 34 for the largest
/// filter of VGG19 (4608). In f32 the room is 84 epsilons of the largest element (1e-5). In f64 it is 1e-10 of
/// each element, but at least 450 epsilons of the largest; where larger numbers cancel, 1e-10 of the largest.
#[track_caller]
pub fn assert_as_in_pytorch(what: &str, actual: &Tensor, expected: &Tensor, rounding: Rounding) {
    let finite = values(expected).into_iter().filter(|value| value.is_finite());
    let largest = finite.fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let (tolerance, relative) = match (expected.kind(), rounding) {
        (Kind::Double, Rounding::OfResult) => (1e-10, Relative::ToElement { floor: 1e-3 * largest }),
        (Kind::Double, Rounding::OfLarger) => (1e-10, Relative::ToLargest),
        // On CUDA, cuDNN chooses among algorithms that round differently.
        (Kind::Float, _) if expected.device().is_cuda() => (1e-4, Relative::ToLargest),
        (Kind::Float, _) => (1e-5, Relative::ToLargest),
        (Kind::Int64, _) => (0.0, Relative::ToLargest),
        (kind, _) => panic!("{what}: nothing is recorded in {kind:?}"),
    };
    assert_close(what, actual, expected, tolerance, relative);
}

/// What an error is measured against.
#[derive(Debug, Clone, Copy)]
pub enum Relative {
    /// Each element's own magnitude (down to the given one).
    ToElement { floor: f64 },
    /// The largest magnitude in the tensor: for gradients whose small elements are differences of large ones.
    ToLargest,
}

/// Panics unless both have the same shape and kind, and all elements agree.
#[track_caller]
pub fn assert_close(what: &str, actual: &Tensor, expected: &Tensor, tolerance: f64, relative: Relative) {
    assert_eq!(actual.size(), expected.size(), "{what}: shape");
    assert_eq!(actual.kind(), expected.kind(), "{what}: kind");
    let (actual, expected) = (values(actual), values(expected));
    let finite = expected.iter().filter(|value| value.is_finite());
    let largest = finite.fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (index, (a, e)) in actual.iter().zip(&expected).enumerate() {
        let scale = match relative {
            Relative::ToElement { floor } => e.abs().max(floor),
            Relative::ToLargest => largest,
        };
        let same = a == e || (a.is_nan() && e.is_nan());
        assert!(
            same || (e.is_finite() && (a - e).abs() <= tolerance * scale),
            "{what}: element {index} is {a:e}, expected {e:e}, off by {:e} of {scale:e}",
            (a - e).abs() / scale
        );
    }
}

/// The elements in row-major order, as f64.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
    flat.try_into().unwrap()
}

pub fn value(tensor: &Tensor) -> f64 {
    assert_eq!(tensor.size(), [0i64; 0], "not a scalar");
    tensor.double_value(&[])
}

/// Reproducible values in `[-1, 1]`.
pub fn noise(seed: i64, shape: &[i64], kind: Kind) -> Tensor {
    let count: i64 = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|i| 2.0 * uniform(i as u32, seed as u32) - 1.0).collect();
    Tensor::from_slice(&data).view(shape).to_kind(kind).to_device(device())
}

/// A number in `[0, 1)` from an integer hash; the same as in `scripts/fixtures/networks.py`.
pub fn uniform(index: u32, stream: u32) -> f64 {
    let mut x = index.wrapping_mul(0x9E37_79B1).wrapping_add(stream.wrapping_mul(0x85EB_CA77));
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^= x >> 16;
    f64::from(x) / 4_294_967_296.0
}

/// The ReLUs of VGG19, from shallow to deep.
pub fn relus() -> Vec<(Tap, Place)> {
    let taps = Architecture::VGG19.taps().into_iter().filter(|tap| tap.as_str().starts_with("relu"));
    taps.map(|tap| (tap.clone(), Architecture::VGG19.place(&tap).unwrap())).collect()
}

/// The parameters of a hashed VGG19.
pub fn vgg_parameters() -> Vec<(String, Tensor)> {
    hashed_parameters(Architecture::VGG19)
}

/// A VGG19 with [`vgg_parameters`] on the test device.
pub fn vgg() -> Network {
    hashed_network(Architecture::VGG19)
}

/// A line of `/proc/self/status`, in bytes.
pub fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Two images of waves, from 0 to 1: formulas that other programs can compute as well. Of the second, some values are
/// cut off at the ends.
pub fn waves(shape: [i64; 4]) -> (Tensor, Tensor) {
    let [count, channels, height, width] = shape;
    let along = |length: i64, dim: usize| {
        let mut view = [1; 4];
        view[dim] = length;
        Tensor::arange(length, (Kind::Double, device())).view(view)
    };
    let (n, c, i, j) = (along(count, 0), along(channels, 1), along(height, 2), along(width, 3));
    let first = ((&i + 1.0) * (&c + 1.0) * 0.1 + &j * 0.07 + n).sin() * 0.5 + 0.5;
    let second = (&first + (i * 0.3 - j * 0.2 + c).cos() * 0.1).clamp(0.0, 1.0);
    (first, second)
}
