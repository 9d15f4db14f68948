//! VGG19's weights: from a file, from a variable store.

use std::path::{Path, PathBuf};

use crate::common::{device, noise, vgg, vgg_parameters};
use tch::{nn, Kind, Tensor};
use tch_losses::weights::{convert, ConvertOptions, WeightsError};
use tch_losses::{Architecture, Error, Network, Tap};

fn write(folder: &Path, name: &str, tensors: &[(String, Tensor)]) -> PathBuf {
    let path = folder.join(name);
    Tensor::write_safetensors(tensors, &path).unwrap();
    path
}

/// Networks with the same parameters give the same bits: they run the same operations on the same numbers, with the same
/// number of threads, in memory that libtorch always aligns alike.
fn features(vgg: &Network) -> Tensor {
    vgg.features(&noise(1, &[1, 3, 16, 16], Kind::Float), &[Tap::RELU5_4]).unwrap().remove(0)
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
    let loaded = Network::from_file(
        write(folder.path(), "vgg.safetensors", &parameters),
        &Architecture::VGG19,
        device(),
    )
    .unwrap();
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
    let loaded =
        Network::from_file(write(folder.path(), "f64.safetensors", &doubles), &Architecture::VGG19, device())
            .unwrap();
    assert_eq!(loaded.kind(), Kind::Float);
    assert_eq!(features(&loaded), features(&vgg()));
}

#[test]
fn tensors_of_other_kinds_in_the_file_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "vgg.safetensors", &vgg_parameters());
    // A tensor of a kind that tch lacks: four bytes, taken from the end of the header's padding.
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (header, data) = bytes[8..].split_at(length);
    let end = data.len();
    let other = format!(r#"{{"other":{{"dtype":"U32","shape":[1],"data_offsets":[{end},{}]}},"#, end + 4);
    let header = other + std::str::from_utf8(header).unwrap().trim_end().strip_prefix('{').unwrap();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data, &[1, 0, 0, 0]].concat();
    std::fs::write(&path, file).unwrap();
    assert_eq!(
        features(&Network::from_file(&path, &Architecture::VGG19, device()).unwrap()),
        features(&vgg())
    );
}

#[test]
fn a_variable_store_of_another_kind() {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(Kind::BFloat16);
    assert_eq!(Network::new(&vs.root(), &Architecture::VGG19).kind(), Kind::BFloat16);
}

#[test]
fn from_a_variable_store_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "vgg.safetensors", &vgg_parameters());
    let mut vs = nn::VarStore::new(device());
    let vgg = Network::new(&vs.root(), &Architecture::VGG19);
    vs.load(&path).unwrap();
    assert_eq!(features(&vgg), features(&crate::common::vgg()));
    // Frozen: an optimizer over this store would find nothing to train.
    assert!(vs.trainable_variables().is_empty());
    // And below a trainer's own path.
    let vs = nn::VarStore::new(device());
    let _vgg = Network::new(&(vs.root() / "loss" / "vgg"), &Architecture::VGG19);
    assert!(vs.variables().contains_key("loss.vgg.features.34.bias"));
}

/// A trainer's store, with its generator and the loss's network in it, as `VarStore` writes and reads it.
#[test]
fn a_store_with_a_network_is_saved_and_loaded() {
    let store = || {
        let vs = nn::VarStore::new(device());
        let _generator = nn::conv2d(vs.root() / "generator", 3, 4, 3, Default::default());
        let vgg = Network::new(&(vs.root() / "vgg"), &Architecture::VGG19);
        (vs, vgg)
    };
    let (vs, vgg) = store();
    for (name, parameter) in vs.variables() {
        assert!(parameter.is_contiguous(), "{name}");
    }
    let expected = features(&vgg);
    let folder = tempfile::tempdir().unwrap();
    // By the ending: safetensors, else libtorch's archives.
    for name in ["store.safetensors", "store.ot"] {
        let path = folder.path().join(name);
        vs.save(&path).unwrap();
        let (mut other, loaded) = store();
        assert_ne!(features(&loaded), expected, "{name}");
        other.load(&path).unwrap();
        assert_eq!(features(&loaded), expected, "{name}");
    }
    let mut stream = Vec::new();
    vs.save_to_stream(&mut stream).unwrap();
    let (mut other, loaded) = store();
    other.load_from_stream(std::io::Cursor::new(stream)).unwrap();
    assert_eq!(features(&loaded), expected);
}

#[test]
fn a_clone_shares_the_parameters() {
    let vs = nn::VarStore::new(device());
    let vgg = Network::new(&vs.root(), &Architecture::VGG19);
    let clone = vgg.clone();
    let of_the_same_kind = vgg.to_kind(Kind::Float).unwrap();
    let mut variables = vs.variables();
    for (name, parameter) in vgg_parameters() {
        variables.get_mut(&name).unwrap().copy_(&parameter);
    }
    assert_eq!(features(&clone), features(&vgg));
    assert_eq!(features(&of_the_same_kind), features(&vgg));
    assert_eq!(features(&clone), features(&crate::common::vgg()));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.safetensors");
    let error = Network::from_file(&missing, &Architecture::VGG19, device()).unwrap_err();
    let expected = format!("cannot read {}: No such file or directory (os error 2)", missing.display());
    assert_eq!(error.to_string(), expected);
    assert!(matches!(
        Network::from_file(folder.path(), &Architecture::VGG19, device()),
        Err(Error::Read { .. })
    ));
}

#[test]
fn files_without_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |tensors: &[(String, Tensor)]| {
        let path = write(folder.path(), "bad.safetensors", tensors);
        let error = Network::from_file(&path, &Architecture::VGG19, device()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("no usable weights in {}: ", path.display())));
        match error {
            Error::Weights(WeightsError::Unusable { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(problem(&with("features.34.bias", |_| None)), "the tensor `features.34.bias` is missing");
    assert_eq!(
        problem(&with("features.0.weight", |weight| Some(weight.narrow(0, 0, 63).contiguous()))),
        "`features.0.weight` has shape [63, 3, 3, 3], expected [64, 3, 3, 3]"
    );
    // As many elements, in another order.
    assert_eq!(
        problem(&with("features.0.weight", |weight| Some(weight.transpose(0, 1).contiguous()))),
        "`features.0.weight` has shape [3, 64, 3, 3], expected [64, 3, 3, 3]"
    );
    assert_eq!(
        problem(&with("features.2.bias", |bias| Some(bias.to_kind(Kind::Int64)))),
        "`features.2.bias` has kind Int64, expected Half, BFloat16, Float or Double"
    );
}

#[test]
fn files_that_are_not_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(write(folder.path(), "whole.safetensors", &vgg_parameters())).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 8;
    let mut huge_header = whole[..header].to_vec();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let with_header = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let overflow = with_header(
        r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#,
    );
    let wrong: [(&str, &[u8], &str); 7] = [
        ("empty", b"", "it is empty"),
        (
            "text",
            b"this is no safetensors file",
            "it is text that begins with \"this is no safetensors file\"",
        ),
        ("a shape that overflows", &overflow, "the header of a safetensors file is damaged"),
        (
            "a header that is no JSON",
            &with_header(r#"{"a": 1 "b": 2}"#),
            "the header of a safetensors file is damaged: expected `,` or `}` after a value in an object",
        ),
        ("cut in the header", &whole[..header / 2], "the safetensors file is incomplete"),
        ("cut in the data", &whole[..whole.len() - 1], "the safetensors file is incomplete or damaged"),
        (
            "a header of 2^64 bytes",
            &huge_header,
            "it is neither a safetensors file nor one that torch.save wrote",
        ),
    ];
    for (name, bytes, words) in wrong {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Network::from_file(&path, &Architecture::VGG19, device()).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

/// The names that `torch.nn.DataParallel` and `torch.compile` give to parameters, and checkpoints within checkpoints.
#[test]
fn wrapped_networks() {
    let expected =
        features(&Network::from_file(fixture("vgg19_zip.pth"), &Architecture::VGG19, device()).unwrap());
    for name in ["data_parallel", "compiled", "both", "nested", "nested_otherwise"] {
        let loaded =
            Network::from_file(fixture(&format!("wrapped/{name}.pth")), &Architecture::VGG19, device());
        assert_eq!(features(&loaded.unwrap()), expected, "{name}");
    }
    // As safetensors, and with the name itself beside a wrapped one.
    let folder = tempfile::tempdir().unwrap();
    let wrapped = |(name, tensor): (String, Tensor)| (format!("_orig_mod.module.{name}"), tensor);
    let mut tensors: Vec<_> = vgg_parameters().into_iter().map(wrapped).collect();
    let path = write(folder.path(), "wrapped.safetensors", &tensors);
    assert_eq!(
        features(&Network::from_file(path, &Architecture::VGG19, device()).unwrap()),
        features(&vgg())
    );
    tensors.iter_mut().for_each(|(_, tensor)| *tensor = tensor.zeros_like());
    tensors.extend(vgg_parameters());
    let path = write(folder.path(), "both.safetensors", &tensors);
    assert_eq!(
        features(&Network::from_file(path, &Architecture::VGG19, device()).unwrap()),
        features(&vgg())
    );
}

#[test]
fn wrappers_that_leave_a_doubt() {
    let path = fixture("wrapped/ambiguous.pth");
    let error = Network::from_file(&path, &Architecture::VGG19, device()).unwrap_err().to_string();
    let words = "`features.0.weight` is there with the prefix `module.` and with `_orig_mod.`: ";
    assert!(error.contains(words) && error.contains("weights convert --strip"), "{error}");
    // The way out.
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.safetensors");
    let options = ConvertOptions { strip: "module.", keep: "features.", expand: true };
    assert_eq!(convert(path, &one, &options).unwrap().written, 32);
    assert_eq!(Network::from_file(one, &Architecture::VGG19, device()).unwrap().kind(), Kind::Float);
}

#[test]
fn other_prefixes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let small = |prefix: &str| (format!("{prefix}features.0.weight"), Tensor::from(1f32));
    let problem = |tensors: &[(String, Tensor)]| {
        let path = write(folder.path(), "bad.safetensors", tensors);
        Network::from_file(&path, &Architecture::VGG19, device()).unwrap_err().to_string()
    };
    let error = problem(&[small("loss.network.")]);
    let words = "the tensor `features.0.weight` is missing, but there is `loss.network.features.0.weight`";
    assert!(error.ends_with(words), "{error}");
    let error = problem(&[small("model."), small("module.")]);
    assert!(error.contains("with the prefix `model.` and with `module.`"), "{error}");
    // Of a `.pth` file, it says what takes the prefix off.
    let lpips = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth/lpips/alex.pth");
    let mut bytes = std::fs::read(lpips).unwrap();
    let name = b"lin0.model.1.weight";
    let place = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[place..][..name.len()].copy_from_slice(b"a.features.0.weight");
    let path = folder.path().join("prefixed.pth");
    std::fs::write(&path, bytes).unwrap();
    let error = Network::from_file(&path, &Architecture::VGG19, device()).unwrap_err().to_string();
    assert!(error
        .ends_with("`a.features.0.weight`: `tch-losses weights convert --strip a.` takes the prefix off"));
    let error = problem(&[small("module.")]);
    assert!(error.contains("`module.features.0.weight` has shape []"), "{error}");
}
