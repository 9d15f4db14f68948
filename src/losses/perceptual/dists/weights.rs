//! The weights of DISTS.

use std::sync::{Mutex, OnceLock, PoisonError};

use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

use crate::base::tensor::on_device;
use crate::Result;

/// `alpha` and `beta` of the package DISTS-pytorch 0.1, in its order of channels. `scripts/dists_weights.py` makes
/// this file; LICENSE beside it is the package's.
static FILE: &[u8] = include_bytes!("weights.safetensors");

/// The channels of the images, and of the features at each tap.
const CHANNELS: [usize; 6] = [3, 64, 128, 256, 512, 512];

/// The weights of the channels of a map, `[1, C, 1, 1]` each.
pub(super) struct Weights {
    /// Of the structures.
    pub alpha: Tensor,
    /// Of the textures.
    pub beta: Tensor,
}

impl Weights {
    /// Of a channel that stands for all of them.
    fn summed(&self) -> Result<Weights> {
        let summed = |weights: &Tensor| weights.f_sum_dim_intlist([1i64].as_slice(), true, None);
        Ok(Weights { alpha: summed(&self.alpha)?, beta: summed(&self.beta)? })
    }

    fn shared(&self) -> Weights {
        Weights { alpha: self.alpha.shallow_clone(), beta: self.beta.shallow_clone() }
    }
}

/// The weights in the file.
struct Numbers {
    alpha: Vec<f64>,
    beta: Vec<f64>,
}

fn numbers() -> &'static Numbers {
    static READ: OnceLock<Numbers> = OnceLock::new();
    READ.get_or_init(|| {
        let file = SafeTensors::deserialize(FILE).expect("the file is compiled in");
        let numbers = |name| -> Vec<f64> {
            let bytes = file.tensor(name).expect("the file has both").data();
            let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("there are four"));
            bytes.chunks_exact(4).map(|bytes| f64::from(number(bytes))).collect()
        };
        Numbers { alpha: numbers("alpha"), beta: numbers("beta") }
    })
}

/// The sum of all weights: nearly 1.
pub(super) fn total() -> f64 {
    let Numbers { alpha, beta } = numbers();
    alpha.iter().sum::<f64>() + beta.iter().sum::<f64>()
}

/// The weights of the channels of a map: of the images themselves, number 0, or of the features at a tap, from 1. They have
/// the kind and the device of `map`. If an image has one channel, it stands for all three.
///
/// They are brought to a device once: a copy from the host would wait for all that is queued there.
pub(super) fn weights(number: usize, map: &Tensor) -> Result<Weights> {
    static PLACED: Mutex<Vec<(Device, Kind, Vec<Weights>)>> = Mutex::new(Vec::new());
    let (device, kind) = (map.device(), map.kind());
    let mut placed = PLACED.lock().unwrap_or_else(PoisonError::into_inner);
    let place = match placed.iter().position(|(at, of, _)| (*at, *of) == (device, kind)) {
        Some(place) => place,
        None => {
            placed.push((device, kind, all(device, kind)?));
            placed.len() - 1
        }
    };
    let weights = &placed[place].2[number];
    if map.size()[1] == 1 {
        weights.summed()
    } else {
        Ok(weights.shared())
    }
}

fn all(device: Device, kind: Kind) -> Result<Vec<Weights>> {
    let tensor = |numbers: &[f64]| -> Result<Tensor> {
        let column = Tensor::f_from_slice(numbers)?.f_view([1i64, -1, 1, 1].as_slice())?;
        on_device(&column, device, kind)
    };
    let Numbers { alpha, beta } = numbers();
    let mut start = 0;
    let of = |channels: usize| {
        let range = start..start + channels;
        start = range.end;
        Ok(Weights { alpha: tensor(&alpha[range.clone()])?, beta: tensor(&beta[range])? })
    };
    CHANNELS.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{numbers, total, weights, CHANNELS};

    /// What the package's file has.
    #[test]
    fn the_numbers_are_those_of_the_package() {
        let (alpha, beta) = (&numbers().alpha, &numbers().beta);
        assert_eq!((alpha.len(), beta.len()), (1475, 1475));
        let near = |own: f64, expected: f64| assert!((own - expected).abs() < 1e-8, "{own}");
        near(alpha[0], 0.021066552);
        near(alpha[1], 0.021064762);
        near(beta[0], 0.020538773);
        near(alpha.iter().sum(), 0.876049624);
        near(beta.iter().sum(), 0.12395021);
        near(total(), 0.99999983);
        assert!(alpha.iter().all(|weight| *weight >= 0.00025) && beta.iter().all(|weight| *weight >= 0.0));
    }

    #[test]
    fn they_are_brought_to_a_device_once() {
        for kind in [Kind::Float, Kind::Double] {
            for (number, channels) in CHANNELS.into_iter().enumerate() {
                let map = Tensor::zeros([2, channels as i64, 1, 1], (kind, Device::Cpu));
                let (first, second) = (weights(number, &map).unwrap(), weights(number, &map).unwrap());
                assert_eq!(first.alpha.size(), [1, channels as i64, 1, 1]);
                assert_eq!((first.alpha.kind(), first.beta.kind()), (kind, kind));
                assert_eq!(first.alpha.data_ptr(), second.alpha.data_ptr());
            }
        }
        let gray = weights(0, &Tensor::zeros([1, 1, 4, 4], (Kind::Double, Device::Cpu))).unwrap();
        assert_eq!(gray.alpha.double_value(&[0, 0, 0, 0]), numbers().alpha[..3].iter().sum::<f64>());
    }
}
