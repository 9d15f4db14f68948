//! VGG19 with random weights: the seed is one for the whole process.

use tch::{nn, Kind, Tensor};
use tch_losses::{Architecture, Network, Tap};

use crate::common::{device, noise, relus, values};

pub fn random_weights_are_reproducible_and_distributed_as_in_torchvision() {
    let image = noise(1, &[1, 3, 16, 16], Kind::Float);
    let features = |seed| {
        tch::manual_seed(seed);
        let vgg = Network::new(&nn::VarStore::new(device()).root(), &Architecture::VGG19);
        vgg.features(&image, &[Tap::RELU5_4]).unwrap().remove(0)
    };
    // To the bit: the same operations on the same numbers with the same number of threads, in memory that libtorch
    // always aligns alike.
    assert_eq!(features(1), features(1));
    assert_ne!(features(1), features(2));

    // Kaiming's normal initialisation by fan-out: variance 2 / (9 * output channels), biases 0.
    let vs = nn::VarStore::new(device());
    let _vgg = Network::new(&vs.root(), &Architecture::VGG19);
    let variables = vs.variables();
    for (layer, place) in relus() {
        let name = |role| format!("features.{}.{role}", place.index - 1);
        let weight: &Tensor = &variables[&name("weight")];
        let expected = (2.0 / (9.0 * place.channels as f64)).sqrt();
        let deviation = weight.std(true).double_value(&[]);
        // A deviation of n numbers has a standard error of 1 / sqrt(2 n): 1.7 % for the smallest layer, which has 1728.
        // Five of them are 9 %; beyond that is one draw in two million.
        assert!((deviation / expected - 1.0).abs() < 0.09, "{layer}: {deviation} for {expected}");
        assert!(values(&variables[&name("bias")]).iter().all(|bias| *bias == 0.0));
    }
}
