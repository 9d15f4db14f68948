//! What LPIPS has learnt: the weights of the channels at each tap.

use std::sync::{Mutex, PoisonError};

use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

use super::LpipsVersion;
use crate::base::tensor::on_device;
use crate::{Architecture, Result};

/// From the package lpips, by `scripts/lpips_weights.py`. Its licence is in the file and beside it.
const FILE: &[u8] = include_bytes!("weights.safetensors");

/// The weights of a tap on a device, in a kind.
struct Placed {
    name: String,
    device: Device,
    kind: Kind,
    weight: Tensor,
}

/// The weights `[C]` of a network's taps, from shallow to deep.
///
/// They are brought to a device once: a copy from the host waits for all that is queued there.
pub(super) fn linear(
    version: LpipsVersion,
    architecture: Architecture,
    taps: usize,
    device: Device,
    kind: Kind,
) -> Result<Vec<Tensor>> {
    static PLACED: Mutex<Vec<Placed>> = Mutex::new(Vec::new());
    let mut placed = PLACED.lock().unwrap_or_else(PoisonError::into_inner);
    let names = (0..taps).map(|tap| format!("{}.{architecture}.{tap}", version.name()));
    let weights = names.map(|name| {
        let known = placed.iter().find(|own| own.name == name && own.device == device && own.kind == kind);
        if let Some(known) = known {
            return Ok(known.weight.shallow_clone());
        }
        let weight = on_device(&Tensor::f_from_slice(&numbers(&name))?, device, kind)?;
        placed.push(Placed { name, device, kind, weight: weight.shallow_clone() });
        Ok(weight)
    });
    weights.collect()
}

/// A tensor of the file.
fn numbers(name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(FILE).expect("the file was checked when it was made");
    let tensor = file.tensor(name).expect("the file has the weights of all versions and networks");
    let (numbers, _) = tensor.data().as_chunks::<4>();
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::super::{taps, LpipsVersion};
    use super::{linear, numbers};
    use crate::Architecture;

    /// The first two numbers and the sum of the first tap, as read from lpips 0.1.4 by PyTorch.
    #[test]
    fn the_numbers_are_those_of_lpips() {
        let networks = [Architecture::ALEXNET, Architecture::VGG16, Architecture::SQUEEZENET1_1];
        let expected = [
            (
                LpipsVersion::V0_1,
                [
                    [3.7879954e-06, 0.14750125, 2.34953231],
                    [0.05011166, 0.03931232, 6.9259917],
                    [0.20470907, 0.0, 5.69010078],
                ],
            ),
            (
                LpipsVersion::V0_0,
                [[0.0, 0.53300446, 2.56588723], [0.0, 0.0, 3.64160755], [0.32206655, 0.0, 5.30183949]],
            ),
        ];
        for (version, rows) in expected {
            for (network, [first, second, sum]) in networks.into_iter().zip(rows) {
                let found = numbers(&format!("{}.{network}.0", version.name()));
                let total: f64 = found.iter().copied().map(f64::from).sum();
                for (own, expected) in
                    [(f64::from(found[0]), first), (f64::from(found[1]), second), (total, sum)]
                {
                    // Eight digits are given.
                    assert!((own - expected).abs() <= 1e-7 * expected, "{version:?} {network}: {own}");
                }
            }
        }
    }

    #[test]
    fn each_channel_has_a_weight() {
        for version in [LpipsVersion::V0_0, LpipsVersion::V0_1] {
            for network in [Architecture::ALEXNET, Architecture::VGG16, Architecture::SQUEEZENET1_1] {
                let taps = taps(network).unwrap();
                let weights = linear(version, network, taps.len(), Device::Cpu, Kind::Double).unwrap();
                for (weight, tap) in weights.iter().zip(taps) {
                    assert_eq!(weight.size(), [network.place(tap).unwrap().channels]);
                    assert!(weight.min().double_value(&[]) >= 0.0);
                }
            }
        }
    }
}
