//! Networks whose weights come from the hash that the fixtures were made with: real weights are too large to ship.

use std::collections::HashMap;
use std::sync::Mutex;

use tch::{nn, no_grad, Device, Tensor};
use tch_losses::{Architecture, Network};

use super::{device, uniform};

/// In (-bound, bound), as `scripts/fixtures/hashed.py` computes it.
pub fn hashed(stream: usize, shape: &[i64], bound: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let value = |i| ((2.0 * uniform(i as u32, stream as u32) - 1.0) * bound) as f32;
    Tensor::from_slice(&(0..count).map(value).collect::<Vec<_>>()).view(shape)
}

/// The name and the value of each parameter, from shallow to deep.
pub fn hashed_parameters(architecture: Architecture) -> Vec<(String, Tensor)> {
    type Parameters = Vec<(String, Vec<i64>, Vec<f32>)>;
    /// Twenty million hashes for VGG19, made once a process.
    static MADE: Mutex<Option<HashMap<&'static str, Parameters>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap();
    let parameters = made.get_or_insert_default().entry(architecture.name()).or_insert_with(|| {
        let numbers = |tensor: Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
        let parameters = shapes(architecture).into_iter();
        parameters.map(|(name, shape, values)| (name, shape, numbers(values))).collect()
    });
    let tensor = |(name, shape, values): &(String, Vec<i64>, Vec<f32>)| {
        (name.clone(), Tensor::from_slice(values).view(&shape[..]))
    };
    parameters.iter().map(tensor).collect()
}

/// A network with these parameters on the test device.
pub fn hashed_network(architecture: Architecture) -> Network {
    let vs = nn::VarStore::new(device());
    let network = Network::new(&vs.root(), &architecture);
    let mut variables = vs.variables();
    let parameters = hashed_parameters(architecture);
    assert_eq!(variables.len(), parameters.len());
    for (name, parameter) in parameters {
        no_grad(|| variables.get_mut(&name).unwrap().copy_(&parameter));
    }
    network
}

fn shapes(architecture: Architecture) -> Vec<(String, Vec<i64>, Tensor)> {
    let vs = nn::VarStore::new(Device::Cpu);
    let _network = Network::new(&vs.root(), &architecture);
    let variables = vs.variables();
    let mut parameters = Vec::new();
    for (name, parameter) in &variables {
        let parts: Vec<&str> = name.split('.').collect();
        let (index, layer, role) = match parts[..] {
            ["features", index, role] => (index, index.parse().unwrap(), role),
            ["features", index, part, role] => {
                let part = ["squeeze", "expand1x1", "expand3x3"].iter().position(|own| *own == part);
                (index, 100 * index.parse::<usize>().unwrap() + part.unwrap() + 1, role)
            }
            _ => panic!("{name}"),
        };
        let shape = parameter.size();
        let numbers = |role, bound| hashed(2 * layer + role + 1, &shape, bound);
        let has_statistics = variables.contains_key(&format!("features.{index}.running_var"));
        let (order, values) = match (role, shape.len()) {
            ("weight", 4) => (0, numbers(0, (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt())),
            ("weight", _) => (0, numbers(0, 0.5) + 1.0),
            // The bias of a batch norm, or of a convolution.
            ("bias", _) if has_statistics => (1, numbers(1, 0.1)),
            ("bias", _) => (1, numbers(1, 0.05)),
            ("running_mean", _) => (2, numbers(2, 0.1)),
            ("running_var", _) => (3, numbers(3, 0.5) + 1.0),
            _ => panic!("{name}"),
        };
        parameters.push(((layer, order), (name.clone(), shape, values)));
    }
    parameters.sort_by_key(|(order, _)| *order);
    parameters.into_iter().map(|(_, parameter)| parameter).collect()
}
