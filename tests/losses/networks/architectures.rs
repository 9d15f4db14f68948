//! What architectures say of themselves, and their parameters.

use crate::common::{device, hashed_network, noise, values};
use tch::{nn, Kind};
use tch_losses::{Architecture, Network, Tap};

#[test]
fn images_that_are_too_small_are_told_the_least_size() {
    // What lpips 0.1.4 needs at its deepest taps.
    for (architecture, tap, least) in [
        (Architecture::ALEXNET, "relu5", 31),
        (Architecture::VGG16, "relu5_3", 16),
        (Architecture::SQUEEZENET1_1, "fire9", 17),
    ] {
        let network = hashed_network(architecture);
        let taps = [Tap::from(tap)];
        let error = network.features(&noise(1, &[1, 3, 40, least - 1], Kind::Float), &taps).unwrap_err();
        let expected = format!(
            "`images` has shape [1, 3, 40, {}], expected [N, 3, H, W] with H and W at least {least} to reach {tap}",
            least - 1
        );
        assert_eq!(error.to_string(), expected);
        let features = network.features(&noise(1, &[1, 3, least, least], Kind::Float), &taps).unwrap();
        assert_eq!(features[0].size()[2..], [1, 1]);
    }
}

#[test]
fn unknown_taps_are_told_what_there_is() {
    let message = |architecture: Architecture| architecture.place(&"relu3_1".into()).unwrap_err().to_string();
    assert_eq!(
        message(Architecture::ALEXNET),
        "option `taps` is \"relu3_1\", expected a layer of alexnet: conv1 to conv5, relu1 to relu5, pool1, \
         pool2, pool5 or features.0 to features.12"
    );
    assert_eq!(
        message(Architecture::SQUEEZENET1_1),
        "option `taps` is \"relu3_1\", expected a layer of squeezenet1_1: conv1, relu1, fire2 to fire9, pool1, \
         pool3, pool5 or features.0 to features.12"
    );
}

/// torchvision's: uniform up to a bound for AlexNet and SqueezeNet.
#[test]
fn random_parameters_are_distributed_as_those_of_torchvision() {
    tch::manual_seed(0);
    for (architecture, name, fan_in, bound) in [
        (Architecture::ALEXNET, "features.3.weight", 64 * 25, (1.0f64 / 1600.0).sqrt()),
        (Architecture::ALEXNET, "features.8.bias", 384 * 9, (1.0f64 / 3456.0).sqrt()),
        (Architecture::SQUEEZENET1_1, "features.12.expand3x3.weight", 64 * 9, (6.0f64 / 576.0).sqrt()),
        (Architecture::SQUEEZENET1_1, "features.12.expand3x3.bias", 64 * 9, 0.0),
    ] {
        let vs = nn::VarStore::new(device());
        let _network = Network::new(&vs.root(), &architecture);
        let parameter = &vs.variables()[name];
        let largest = values(parameter).into_iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        // Of 256 numbers at least, the largest is near the bound, which is rounded to f32.
        assert!(largest <= bound * (1.0 + 1e-6) && largest >= 0.95 * bound, "{name} {fan_in}: {largest}");
    }
}

/// Under the names that torchvision gives the parameters, those of submodules included.
#[test]
fn networks_from_files() {
    for (architecture, other) in [
        (Architecture::ALEXNET, Architecture::SQUEEZENET1_1),
        (Architecture::SQUEEZENET1_1, Architecture::ALEXNET),
    ] {
        let vs = nn::VarStore::new(device());
        let network = Network::new(&vs.root(), &architecture);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.safetensors");
        vs.save(&path).unwrap();
        let loaded = Network::from_file(&path, &architecture, device()).unwrap();
        let image = noise(1, &[1, 3, 65, 65], Kind::Float);
        let last = architecture.taps().pop().unwrap();
        let features =
            |network: &Network| network.features(&image, std::slice::from_ref(&last)).unwrap().remove(0);
        // To the bit: the same operations on the same numbers.
        assert_eq!(features(&loaded), features(&network));
        let error = Network::from_file(&path, &other, device()).unwrap_err().to_string();
        assert!(error.contains("`features.0.weight` has shape"), "{error}");
    }
}
