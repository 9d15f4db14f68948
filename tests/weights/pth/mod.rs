//! `.pth` files: what PyTorch wrote, what it would not write, and what was written to do harm.

mod damaged;
mod random;
mod storages;

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use crate::files::{archive, fixtures, legacy, legacy_head, one, readable, zip, Pickle};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tch::{nn, Kind, Tensor};
use tch_losses::weights::pth::{PthError, PthFile, Unreadable};
use tch_losses::weights::{WeightsError, WeightsFile};
use tch_losses::Error;

fn open(bytes: &[u8]) -> Result<PthFile<Cursor<&[u8]>>, PthError> {
    PthFile::from_reader(Cursor::new(bytes), "bytes").map_err(|error| match error {
        Error::Weights(WeightsError::Pth { reason, .. }) => reason,
        other => panic!("{other:?}"),
    })
}

fn refusal(bytes: &[u8]) -> PthError {
    open(bytes).map(|file| panic!("{file:?}")).unwrap_err()
}

fn chunks<R: Read + Seek>(file: &mut PthFile<R>, name: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.read_chunks(name, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok::<_, Error>(())
    })?;
    Ok(bytes)
}

/// Opens the file and reads what is not too large, whatever comes of it.
fn exercise(bytes: &[u8]) {
    let Ok(mut file) = open(bytes) else { return };
    for tensor in file.tensors().to_vec().iter().filter(|tensor| tensor.size_in_bytes() < 1 << 16).take(20) {
        // What has been checked can be read.
        assert_eq!(chunks(&mut file, tensor.name()).unwrap().len() as u64, tensor.size_in_bytes());
    }
}

/// The bytes in row-major order.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    assert!(tensor.is_contiguous());
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

#[test]
fn every_value_is_what_pytorch_loads() {
    for (path, _) in readable() {
        let expected = Tensor::read_safetensors(path.with_extension("safetensors")).unwrap();
        let mut file = PthFile::open(&path).unwrap();
        let names: HashSet<_> = file.tensors().iter().map(|tensor| tensor.name().to_string()).collect();
        let expected_names: HashSet<_> = expected.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, expected_names, "{}", path.display());
        for (name, expected) in expected {
            let what = format!("{name} of {}", path.display());
            let info = file.find(&name).unwrap().clone();
            let tensor = file.read(&name).unwrap();
            assert_eq!((tensor.size(), tensor.kind()), (info.shape().to_vec(), info.kind()), "{what}");
            assert!(!tensor.requires_grad(), "{what}");
            let shape = expected.size();
            match info.kind() {
                // safetensors has these as pairs of reals.
                Kind::ComplexHalf | Kind::ComplexFloat | Kind::ComplexDouble => {
                    assert_eq!(shape.split_last(), Some((&2, info.shape())), "{what}");
                }
                // And tch's reader does not know these: they are stored as bytes.
                Kind::Float8e5m2 | Kind::Float8e4m3fn | Kind::Float8e5m2fnuz | Kind::Float8e4m3fnuz => {
                    assert_eq!((&*shape, expected.kind()), (info.shape(), Kind::Uint8), "{what}");
                }
                kind => assert_eq!((&*shape, expected.kind()), (info.shape(), kind), "{what}"),
            }
            assert_eq!(bytes(&tensor), bytes(&expected), "{what}");
            assert_eq!(chunks(&mut file, &name).unwrap(), bytes(&expected), "{what}");
        }
    }
}

#[test]
fn tensors_are_listed_in_the_order_of_the_file_with_their_layout() {
    let file = PthFile::open(fixtures().join("views_legacy.pth")).unwrap();
    let names: Vec<_> = file.tensors().iter().map(|tensor| tensor.name()).collect();
    assert_eq!(names[..4], ["whole", "matrix", "transposed", "sliced"]);
    let sliced = file.find("sliced").unwrap();
    assert_eq!((sliced.shape(), sliced.stride()), (&[3, 3][..], &[6, 1][..]));
    assert_eq!((sliced.storage_offset(), sliced.size_in_bytes()), (15, 36));
    assert!(!sliced.is_contiguous() && file.find("matrix").unwrap().is_contiguous());
    assert!(file.find("slice").is_none());
}

#[test]
fn refused_files_say_why() {
    let expected = [
        ("big_endian_legacy", "big-endian"),
        ("big_endian_zip", "big-endian"),
        ("compressed", "`archive/data.pkl` in the zip archive is compressed"),
        ("global_eval", "`builtins.eval` at offset"),
        ("global_eval_zip", "`builtins.eval` at offset"),
        ("global_getattr", "`builtins.getattr` at offset"),
        ("global_getattr_zip", "`builtins.getattr` at offset"),
        ("global_os_system", "`os.system` at offset"),
        ("global_os_system_zip", "`os.system` at offset"),
        ("global_posix_system", "`posix.system` at offset"),
        ("global_posix_system_zip", "`posix.system` at offset"),
        ("global_torch_load", "`torch.load` at offset"),
        ("global_torch_load_zip", "`torch.load` at offset"),
        ("module", "the file holds a whole model; in Python, `torch.save(model.state_dict(), ...)`"),
        ("tar", "it is a tar archive"),
        ("torch_script", "it is a TorchScript archive"),
        (
            "zip_of_something_else",
            "it is a zip archive of something else than a state dict; its first entry is",
        ),
    ];
    let folder = fixtures().join("refused");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), expected.len());
    for (name, words) in expected {
        let message = refusal(&fs::read(folder.join(name).with_extension("pth")).unwrap()).to_string();
        assert!(message.contains(words), "{name}: {message}");
    }
}

/// What PyTorch loads, without the tensors that tch cannot hold: `every_value_is_what_pytorch_loads` has the others.
#[test]
fn tensors_that_cannot_be_read_are_named() {
    let dtype = |name| Unreadable::Dtype(name);
    let both = [
        ("quantized", Unreadable::Quantized),
        ("channels", Unreadable::Quantized),
        ("coo", Unreadable::Sparse),
        ("csr", Unreadable::Sparse),
        ("meta", Unreadable::Meta),
        ("conjugated", Unreadable::Lazy),
        ("negated", Unreadable::Lazy),
        ("keys.<0>", Unreadable::Key),
        ("keys.<1>.in", Unreadable::Key),
        ("keys.<2>.0", Unreadable::Key),
        ("parameter", Unreadable::Sparse),
    ];
    let zip =
        [("count", dtype("uint16")), ("fp4", dtype("float4_e2m1fn_x2")), ("nested", Unreadable::Nested)];
    for (form, expected) in [("legacy", both.to_vec()), ("zip", [&zip[..], &both[..]].concat())] {
        let mut file = PthFile::open(fixtures().join(format!("unreadable_{form}.pth"))).unwrap();
        let found: Vec<_> = file.unreadable().iter().map(|tensor| (&*tensor.name, tensor.reason)).collect();
        assert_eq!(found, expected, "{form}");
        for (name, reason) in expected {
            assert!(file.find(name).is_none());
            let error = file.read(name).unwrap_err().to_string();
            assert!(error.ends_with(&format!("the tensor `{name}` is {reason}")), "{error}");
        }
    }
    for (object, expected) in [
        ("ctorch\nFloatTensor\n)\u{81}", Unreadable::Form),
        ("ctorch.sparse\nFloatTensor\n)R", Unreadable::Form),
        ("ctorch._utils\n_rebuild_wrapper_subclass\n)R", Unreadable::Form),
    ] {
        let object = object.chars().map(|character| character as u8).collect::<Vec<_>>();
        let bytes = legacy(&Pickle::new().raw(b"}").text("a").raw(&object).raw(b"Nbs").end(), &[]);
        assert_eq!(open(&bytes).unwrap().unreadable()[0].reason, expected);
        let alone = legacy(&Pickle::new().raw(&object).end(), &[]);
        assert_eq!(open(&alone).unwrap().unreadable()[0].name, "tensor");
    }
}

/// Devices of which PyTorch saves a copy on the CPU: XLA, for one.
#[test]
fn a_tensor_that_was_copied_from_a_device() {
    let read = |dtype: &str| {
        let pickle = Pickle::new().raw(b"}").text("a");
        let pickle = pickle.global("torch._utils", "_rebuild_device_tensor_from_cpu_tensor").raw(b"(");
        let pickle = pickle.tensor(("FloatStorage", "0", 1), 0, &[1], &[1]).global("torch", dtype);
        let object = pickle.text("xla:0").raw(b"\x89tRs").end();
        let bytes = archive(&object, &[("0", 1, &1.5f32.to_le_bytes())]);
        let mut file = open(&bytes).unwrap();
        file.read("a").map_err(|error| error.to_string())
    };
    assert_eq!(read("float32").unwrap(), Tensor::from_slice(&[1.5f32]));
    assert!(read("bfloat16")
        .unwrap_err()
        .ends_with("`a` is saved in a form of its own, not as a plain tensor"));
}

/// Made by hand; PyTorch loads all but the page, and the one of Python 2 only with `weights_only=False`.
#[test]
fn cases_made_by_hand() {
    let read = |name: &str| {
        let mut file = PthFile::open(fixtures().join("cases").join(name)).unwrap();
        file.read("w").unwrap()
    };
    for name in ["py2_int.pth", "trailing_bytes.pth", "value_complex.pth", "value_layout.pth"] {
        assert_eq!(read(name), Tensor::from_slice(&[1f32, 2.0, 3.0]), "{name}");
    }
}

#[test]
fn bytes_behind_an_archive() {
    let whole = fs::read(fixtures().join("single_zip.pth")).unwrap();
    let followed = |tail: &[u8]| [&whole, tail].concat();
    // As much as PyTorch looks through for the end of the directory, which may have a comment of that size.
    let most = vec![b'\n'; 0xffff];
    for tail in [&b"\n"[..], b"PK", b"PK\x01\x02 and more", &most] {
        assert_eq!(
            open(&followed(tail)).unwrap().read("tensor").unwrap(),
            Tensor::from_slice(&[0i64, 1, 2, 3])
        );
    }
    let error = refusal(&followed(&[&most[..], b"\n"].concat())).to_string();
    assert!(error.contains("has no directory at its end"), "{error}");
}

/// What the message about tch's own format says, done.
#[test]
fn files_of_tch_say_how_to_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut vs = nn::VarStore::new(tch::Device::Cpu);
    let weight = (vs.root() / "layer").ones("weight", &[2]);
    for name in ["weights.ot", "weights.pt"] {
        let path = folder.path().join(name);
        vs.save(&path).unwrap();
        let error = PthFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("VarStore::save") && error.contains("Tensor::load_multi(file)"), "{error}");
        let anew = folder.path().join("new.safetensors");
        Tensor::write_safetensors(&Tensor::load_multi(&path).unwrap(), &anew).unwrap();
        assert_eq!(WeightsFile::open(&anew).unwrap().read("layer.weight").unwrap(), weight);
    }
    vs.load(folder.path().join("weights.ot")).unwrap();
    // One tensor alone is the same kind of archive.
    let path = folder.path().join("one.ot");
    weight.save(&path).unwrap();
    assert!(PthFile::open(&path).unwrap_err().to_string().contains("it is a TorchScript archive"));
}

#[test]
fn no_message_has_control_characters() {
    let name = "a\u{1b}[2J\n\u{202e}b";
    let tensor = |pickle: Pickle| pickle.tensor(("FloatStorage", name, 1), 0, &[2], &[1]);
    let global = format!("c{}\u{7}\nx\n", "m");
    let objects = [
        tensor(Pickle::new().raw(b"}").text(name)).raw(b"s"),
        Pickle::new().raw(global.as_bytes()),
        Pickle::new().raw(b"}(").text(name).raw(b"}ccollections\nOrderedDict\n]Na\x85R"),
    ];
    let mut messages: Vec<String> = objects
        .into_iter()
        .map(|object| refusal(&legacy(&object.end(), &[(name, 1, &[0; 4])])).to_string())
        .collect();
    messages.push(refusal(&zip(&[(name, b"")])).to_string());
    let good = archive(&one(("FloatStorage", "0", 1), 0, &[1], &[1]), &[("0", 1, &[0; 4])]);
    messages.push(open(&good).unwrap().read(name).unwrap_err().to_string());
    messages.push(refusal(b"<\x1b[31m").to_string());
    for message in messages {
        assert!(
            !message.chars().any(|character| character.is_control() || character == '\u{202e}'),
            "{message:?}"
        );
    }
}

#[test]
fn a_missing_file_and_a_missing_tensor() {
    let missing = fixtures().join("missing.pth");
    assert!(matches!(PthFile::open(&missing), Err(Error::Read { path, .. }) if path == missing));
    assert!(matches!(PthFile::open(fixtures()), Err(Error::Read { .. })));
    let path = fixtures().join("single_zip.pth");
    let error = PthFile::open(&path).unwrap().read("weight").unwrap_err();
    assert_eq!(error.to_string(), format!("cannot use {}: the tensor `weight` is missing", path.display()));
}
