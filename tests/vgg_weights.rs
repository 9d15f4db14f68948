//! VGG19's weights: from a file, from a variable store.

mod common;

use std::path::{Path, PathBuf};

use common::{device, noise, vgg, vgg_parameters};
use tch::{nn, Kind, Tensor};
use tch_losses::{Error, Vgg19, VggLayer};

fn write(folder: &Path, name: &str, tensors: &[(String, Tensor)]) -> PathBuf {
    let path = folder.join(name);
    Tensor::write_safetensors(tensors, &path).unwrap();
    path
}

fn features(vgg: &Vgg19) -> Tensor {
    vgg.features(&noise(1, &[1, 3, 16, 16], Kind::Float), &[VggLayer::Relu5_4]).unwrap().remove(0)
}

/// The parameters with one of them changed.
fn with(name: &str, change: impl FnOnce(&Tensor) -> Option<Tensor>) -> Vec<(String, Tensor)> {
    let mut parameters = vgg_parameters();
    let index = parameters.iter().position(|(present, _)| present == name).unwrap();
    match change(&parameters[index].1) {
        Some(tensor) => parameters[index].1 = tensor,
        None => drop(parameters.remove(index)),
    }
    parameters
}

#[test]
fn from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = vgg_parameters();
    // A whole state dict: what does not belong to the features is left alone.
    parameters.push(("classifier.0.bias".into(), Tensor::ones([4096], (Kind::Float, tch::Device::Cpu))));
    let loaded = Vgg19::from_file(write(folder.path(), "vgg.safetensors", &parameters), device()).unwrap();
    assert_eq!((loaded.device(), loaded.kind()), (device(), Kind::Float));
    let output = features(&loaded);
    assert_eq!(output, features(&vgg()));
    assert!(!output.requires_grad());
}

#[test]
fn a_file_in_another_kind_is_loaded_as_f32() {
    let folder = tempfile::tempdir().unwrap();
    let doubles: Vec<_> =
        vgg_parameters().into_iter().map(|(name, tensor)| (name, tensor.to_kind(Kind::Double))).collect();
    let loaded = Vgg19::from_file(write(folder.path(), "f64.safetensors", &doubles), device()).unwrap();
    assert_eq!(loaded.kind(), Kind::Float);
    assert_eq!(features(&loaded), features(&vgg()));
}

#[test]
fn from_a_variable_store_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "vgg.safetensors", &vgg_parameters());
    let mut vs = nn::VarStore::new(device());
    let vgg = Vgg19::new(&vs.root());
    vs.load(&path).unwrap();
    assert_eq!(features(&vgg), features(&common::vgg()));
    // Frozen: an optimizer over this store would find nothing to train.
    assert!(vs.trainable_variables().is_empty());
    // And below a trainer's own path.
    let vs = nn::VarStore::new(device());
    let _vgg = Vgg19::new(&(vs.root() / "loss" / "vgg"));
    assert!(vs.variables().contains_key("loss.vgg.features.34.bias"));
}

#[test]
fn a_clone_shares_the_parameters() {
    let vs = nn::VarStore::new(device());
    let vgg = Vgg19::new(&vs.root());
    let clone = vgg.clone();
    let mut variables = vs.variables();
    for (name, parameter) in vgg_parameters() {
        variables.get_mut(&name).unwrap().copy_(&parameter);
    }
    assert_eq!(features(&clone), features(&vgg));
    assert_eq!(features(&clone), features(&common::vgg()));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.safetensors");
    let error = Vgg19::from_file(&missing, device()).unwrap_err();
    let expected = format!("cannot read {}: No such file or directory (os error 2)", missing.display());
    assert_eq!(error.to_string(), expected);
    assert!(matches!(Vgg19::from_file(folder.path(), device()), Err(Error::Read { .. })));
}

#[test]
fn files_without_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |tensors: &[(String, Tensor)]| {
        let path = write(folder.path(), "bad.safetensors", tensors);
        let error = Vgg19::from_file(&path, device()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("no usable weights in {}: ", path.display())));
        match error {
            Error::Weights { problem, .. } => problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(problem(&with("features.34.bias", |_| None)), "the tensor `features.34.bias` is missing");
    assert_eq!(
        problem(&with("features.0.weight", |weight| Some(weight.narrow(0, 0, 63).contiguous()))),
        "`features.0.weight` has shape [63, 3, 3, 3], expected [64, 3, 3, 3]"
    );
    assert_eq!(
        problem(&with("features.2.bias", |bias| Some(bias.to_kind(Kind::Int64)))),
        "`features.2.bias` has kind Int64, expected a float"
    );
}

#[test]
fn files_that_are_not_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(write(folder.path(), "whole.safetensors", &vgg_parameters())).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 8;
    let mut huge_header = whole[..header].to_vec();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let wrong: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("text", b"this is no safetensors file"),
        ("zip, as torch.save writes", b"PK\x03\x04 and more of an archive"),
        ("cut in the header", &whole[..header / 2]),
        ("cut in the data", &whole[..whole.len() - 1]),
        ("a header of 2^64 bytes", &huge_header),
    ];
    for (name, bytes) in wrong {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Vgg19::from_file(&path, device()).unwrap_err();
        assert!(error.to_string().contains("not a safetensors file"), "{name}: {error}");
    }
}
