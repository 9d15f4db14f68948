//! The networks of an objective, each once.

use std::collections::HashMap;

use tch::{nn, no_grad, Device, Kind, Tensor};

use super::NetworkWeights;
use crate::{Architecture, Network, Result};

/// The networks that were made, by what they were made of.
#[derive(Default)]
pub(in crate::manager) struct Networks(HashMap<(&'static str, NetworkWeights, i64, Kind), Network>);

impl Networks {
    pub fn get(
        &mut self,
        architecture: &Architecture,
        weights: &NetworkWeights,
        seed: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Network> {
        let mut key = (architecture.name(), weights.clone(), seed, Kind::Float);
        let loaded = match self.0.get(&key) {
            Some(network) => network.clone(),
            None => {
                let network = match weights {
                    NetworkWeights::Pretrained => Network::pretrained(architecture, device)?,
                    NetworkWeights::Random => random(architecture, seed, device)?,
                    NetworkWeights::File(path) => Network::from_file(path, architecture, device)?,
                };
                self.0.insert(key.clone(), network.clone());
                network
            }
        };
        key.3 = kind;
        if let Some(network) = self.0.get(&key) {
            return Ok(network.clone());
        }
        let network = loaded.to_kind(kind)?;
        self.0.insert(key, network.clone());
        Ok(network)
    }
}

/// A network with uniform weights of the variance that torchvision's begin with, no biases, and batch norms that change
/// nothing. The numbers are not from libtorch's generator, which the training program has seeded for something else.
fn random(architecture: &Architecture, seed: i64, device: Device) -> Result<Network> {
    let store = nn::VarStore::new(device);
    let network = Network::new(&store.root(), architecture);
    let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    for (_, bias) in variables.iter_mut().filter(|(name, _)| name.ends_with("bias")) {
        let _ = no_grad(|| bias.f_zero_())?;
    }
    // Those of convolutions.
    variables.retain(|(name, parameter)| name.ends_with("weight") && parameter.dim() == 4);
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut state = seed as u64;
    for (_, mut weight) in variables {
        let shape = weight.size();
        let bound = architecture.uniform_bound(&shape) as f32;
        let numbers: Vec<f32> = (0..weight.numel()).map(|_| bound * signed_unit(&mut state)).collect();
        let numbers = Tensor::f_from_slice(&numbers)?.f_view(shape.as_slice())?;
        no_grad(|| weight.f_copy_(&numbers))?;
    }
    Ok(network)
}

/// The next of evenly spread numbers in [-1, 1), by the generator SplitMix64.
fn signed_unit(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // As many bits as an `f32` has.
    (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::signed_unit;

    /// The first outputs of the reference implementation for the seed 1234567: 6457827717110365317,
    /// 3203168211198807973, 9817491932198370423 (<https://prng.di.unimi.it/splitmix64.c>).
    #[test]
    fn it_is_splitmix64() {
        let mut state = 1234567;
        for bits in [6457827717110365317u64, 3203168211198807973, 9817491932198370423] {
            // 2^63 is the middle of the range.
            let expected = bits as f64 / 2f64.powi(63) - 1.0;
            let error = expected - f64::from(signed_unit(&mut state));
            // Rounded down to a multiple of 2^-23.
            assert!((0.0..2f64.powi(-23)).contains(&error), "{error}");
        }
    }
}
