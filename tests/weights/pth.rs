//! `.pth` files: what PyTorch wrote, what it would not write, and what was written to do harm.

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

#[test]
fn truncation_at_every_byte_is_an_error() {
    for (path, whole) in readable() {
        assert!(open(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(open(&whole[..end]).is_err(), "{} up to byte {end}", path.display());
        }
    }
}

#[test]
fn flipped_bytes_are_survived() {
    for (_, mut bytes) in readable() {
        // All of the small files, samples of the others: for time.
        for place in (0..bytes.len()).step_by(1 + bytes.len() / 2000) {
            let flip = [0x01, 0x80, 0xff][place % 3];
            bytes[place] ^= flip;
            exercise(&bytes);
            bytes[place] ^= flip;
        }
    }
}

#[test]
fn bombs_are_refused() {
    for (name, bytes, words) in crate::files::bombs() {
        let message = refusal(&bytes).to_string();
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn views_beyond_their_storage() {
    let float = ("FloatStorage", "0", 4);
    let data: &[u8] = &[0; 16];
    let wrong = [
        (0, vec![5], vec![1], "lies beyond the end of its storage"),
        (1, vec![4], vec![1], "lies beyond the end of its storage"),
        (0, vec![2, 2], vec![3, 1], "lies beyond the end of its storage"),
        (5, vec![1], vec![1], "lies beyond the end of its storage"),
        (4, vec![], vec![], "lies beyond the end of its storage"),
        (0, vec![2], vec![i64::MAX], "lies beyond the end of its storage"),
        (i64::MAX, vec![2], vec![1], "lies beyond the end of its storage"),
        (1 << 62, vec![2], vec![1], "lies beyond the end of its storage"),
        (-1, vec![1], vec![1], "has a negative size, stride or offset"),
        (0, vec![-1], vec![1], "has a negative size, stride or offset"),
        (3, vec![2], vec![-1], "has a negative size, stride or offset"),
        (0, vec![2, 2], vec![1], "has not as many strides as dimensions"),
        (0, vec![1 << 32, 1 << 32], vec![0, 0], "has more elements than can be counted"),
        (0, vec![1 << 32, 0, 1 << 32], vec![0, 0, 0], "has more elements than can be counted"),
    ];
    for (offset, shape, stride, problem) in wrong {
        let object = one(float, offset, &shape, &stride);
        for file in [legacy(&object, &[("0", 4, data)]), archive(&object, &[("0", 4, data)])] {
            assert_eq!(refusal(&file).to_string(), format!("the tensor `a` {problem}"));
        }
    }
    // And those that only look like it.
    for (offset, shape, stride) in
        [(4, vec![0], vec![1]), (9, vec![3, 0], vec![7, 7]), (3, vec![1], vec![99])]
    {
        let object = one(float, offset, &shape, &stride);
        let mut file = legacy(&object, &[("0", 4, data)]);
        file.extend(b"PyTorch leaves room for another object here");
        assert_eq!(open(&file).unwrap().read("a").unwrap().size(), shape);
    }
}

#[test]
fn small_storages_may_be_spread_to_a_gigabyte() {
    let storage = ("FloatStorage", "0", 9);
    let data: Vec<u8> = (0..9u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    let read = |shape: &[i64], stride: &[i64]| {
        let file = legacy(&one(storage, 0, shape, stride), &[("0", 9, &data)]);
        open(&file).unwrap().read("a")
    };
    let tensor = read(&[512, 512, 3, 3], &[0, 0, 3, 1]).unwrap();
    assert_eq!(tensor.size(), [512, 512, 3, 3]);
    assert_eq!(tensor.double_value(&[511, 400, 2, 1]), 7.0);
    assert_eq!(f64::try_from(tensor.sum(Kind::Double)).unwrap(), 36.0 * 512.0 * 512.0);
    // 4 bytes more, and much more.
    for shape in [(1 << 28) + 1, 1 << 40] {
        let error = read(&[shape], &[0]).unwrap_err();
        let Error::Weights(WeightsError::Pth { reason: PthError::Expansion { bytes, limit, .. }, .. }) =
            error
        else {
            panic!("{error:?}")
        };
        assert_eq!((bytes, limit), (4 * shape as u64, 1 << 30));
    }
}

#[test]
fn bytes_that_are_no_bools_become_true() {
    let file = archive(&one(("BoolStorage", "0", 4), 0, &[2, 2], &[1, 2]), &[("0", 4, &[0, 1, 2, 255])]);
    let tensor = open(&file).unwrap().read("a").unwrap();
    assert_eq!(Vec::<bool>::try_from(tensor.view([-1])).unwrap(), [false, true, true, true]);
}

/// As `torch.load` of PyTorch 2.13 does: a dict has a key once, with the last value in the first one's place.
#[test]
fn of_a_key_that_comes_again_the_last_value_counts() {
    let at = |pickle: Pickle, offset| pickle.tensor(("FloatStorage", "0", 3), offset, &[], &[]);
    let data: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let read = |pickle: Pickle| {
        let file = legacy(&pickle.end(), &[("0", 3, &data)]);
        let mut file = open(&file).unwrap();
        assert_eq!(file.unreadable(), []);
        let names: Vec<String> = file.tensors().iter().map(|tensor| tensor.name().into()).collect();
        let value = |name: String| (file.read(&name).unwrap().double_value(&[]), name);
        names.into_iter().map(value).collect::<Vec<_>>()
    };
    let named = |values: &[(f64, &str)]| {
        values.iter().map(|(value, name)| (*value, (*name).to_owned())).collect::<Vec<_>>()
    };
    // {"a": 1, "b": 2, "a": 3}, at once and one by one.
    let together = at(at(at(Pickle::new().raw(b"}(").text("a"), 0).text("b"), 1).text("a"), 2).raw(b"u");
    let single =
        at(at(at(Pickle::new().raw(b"}").text("a"), 0).raw(b"s").text("b"), 1).raw(b"s").text("a"), 2);
    for pickle in [together, single.raw(b"s")] {
        assert_eq!(read(pickle), named(&[(3.0, "a"), (2.0, "b")]));
    }
    // OrderedDict([("a", 1), ("a", 2), ("a", 3)])
    let pairs = (0..3)
        .fold(Pickle::new().global("collections", "OrderedDict").raw(b"(]("), |pickle, offset| {
            at(pickle.raw(b"(").text("a"), offset).raw(b"t")
        });
    assert_eq!(read(pairs.raw(b"etR")), named(&[(3.0, "a")]));
    // {1: 1, True: 2, 2: 3}
    let number = at(Pickle::new().raw(b"}(").int(1), 0).raw(b"\x88");
    assert_eq!(read(at(at(number, 1).int(2), 2).raw(b"u")), named(&[(2.0, "1"), (3.0, "2")]));
    // {"a": {"x": 1}, "a": {"y": 2}}: nothing is left of the first.
    let first = at(Pickle::new().raw(b"}(").text("a").raw(b"}").text("x"), 0).raw(b"s");
    assert_eq!(read(at(first.text("a").raw(b"}").text("y"), 1).raw(b"su")), named(&[(2.0, "a.y")]));
}

#[test]
fn tensors_that_share_a_name_do_not_keep_others_from_being_read() {
    let tensor = |pickle: Pickle| pickle.tensor(("FloatStorage", "0", 1), 0, &[], &[]);
    // {"c": .., "a.b": .., "a": {"b": ..}, 1: .., "1": .., 1.5: .., "d": ..}
    let pickle = tensor(tensor(Pickle::new().raw(b"}(").text("c")).text("a.b")).text("a").raw(b"}");
    let pickle = tensor(tensor(pickle.text("b")).raw(b"s").int(1)).text("1");
    let pickle = tensor(tensor(pickle).raw(b"G?\xf8\0\0\0\0\0\0")).text("d");
    let bytes = legacy(&tensor(pickle).raw(b"u").end(), &[("0", 1, &[0; 4])]);
    let mut file = open(&bytes).unwrap();
    let unreadable: Vec<_> = file.unreadable().iter().map(|tensor| (&*tensor.name, tensor.reason)).collect();
    let namesakes = ["a.b", "a.b", "1", "1"].map(|name| (name, Unreadable::Name));
    assert_eq!(unreadable, [vec![("<5>", Unreadable::Key)], namesakes.into()].concat());
    assert_eq!(file.tensors().iter().map(|tensor| tensor.name()).collect::<Vec<_>>(), ["c", "d"]);
    for name in ["c", "d"] {
        assert_eq!(file.read(name).unwrap().double_value(&[]), 0.0);
    }
    let error = file.read("a.b").unwrap_err();
    assert_eq!(error.to_string(), "cannot use bytes: the tensor `a.b` is one of several with this name");
    assert!(file.find("1").is_none());
}

#[test]
fn names_that_cannot_be() {
    let tensor = |pickle: Pickle| pickle.tensor(("FloatStorage", "0", 1), 0, &[], &[]);
    let file = |pickle: Pickle| legacy(&pickle.end(), &[("0", 1, &[0; 4])]);
    for key in [&b"N"[..], b")", b"U\x01\xff", b"G\0\0\0\0\0\0\0\0"] {
        let pickle = tensor(Pickle::new().raw(b"}").text("a").raw(b"}").raw(key)).raw(b"ss");
        let bytes = file(pickle);
        let unreadable = open(&bytes).unwrap().unreadable().to_vec();
        assert_eq!((&*unreadable[0].name, unreadable[0].reason), ("a.<0>", Unreadable::Key));
        // No tensor, no name.
        assert_eq!(open(&file(Pickle::new().raw(b"}").raw(key).raw(b"Ns"))).unwrap_err().to_string(), {
            "the storage `0` is not part of the object"
        });
    }
    let wrapped = Pickle::new().raw(b"}(").text("epoch").int(3).text("state_dict").raw(b"}");
    let wrapped = tensor(tensor(wrapped.text("w")).raw(b"s").text("best")).raw(b"u");
    let wrapped =
        open(&file(wrapped)).unwrap().tensors().iter().map(|t| t.name().to_string()).collect::<Vec<_>>();
    assert_eq!(wrapped, ["w", "best"]);
}

#[test]
fn damaged_pickles() {
    for (instructions, words) in [
        (&b"."[..], "takes from an empty stack"),
        (b"0.", "takes from an empty stack"),
        (b"1.", "takes from an empty stack"),
        (b"N(0.0.", "takes from an empty stack"),
        (b"N(.", "takes from an empty stack"),
        (b"N(\x85.", "takes from an empty stack"),
        (b"](Na.", "takes from an empty stack"),
        (b"(e.", "takes from an empty stack"),
        (b"N(e.", "wrong kind of object to APPEND"),
        (b"N(u.", "wrong kind of object to SETITEM"),
        (b"}(Nu.", "wrong kind of object to SETITEM"),
        (b"h\x07.", "memo 7"),
        (b"j\xff\xff\xff\xff.", "memo 4294967295"),
        (b"NQ.", "wrong kind of object to BINPERSID"),
        (b")Q.", "wrong kind of object to BINPERSID"),
        (b"N)R.", "wrong kind of object to REDUCE"),
        (b"ccollections\nOrderedDict\nNR.", "wrong kind of object to REDUCE"),
        (b"ccollections\nOrderedDict\nN\x85R.", "wrong kind of object to OrderedDict"),
        (b"ccollections\nOrderedDict\n]Na\x85R.", "wrong kind of object to OrderedDict"),
        (b"ctorch\nFloatStorage\n)R.", "wrong kind of object to REDUCE"),
        (b"ctorch.nn.parameter\nParameter\n)R.", "wrong kind of object to REDUCE"),
        (b"ctorch.nn.parameter\nParameter\nN\x85R.", "wrong kind of object to Parameter"),
        (b"ctorch._utils\n_rebuild_tensor\n(NNNNtR.", "wrong kind of object to _rebuild_tensor"),
        (b"NN\x93.", "wrong kind of object to STACK_GLOBAL"),
        (b"\x80\x01.", "pickle protocol 1 at offset"),
        (b"\x80\x06.", "pickle protocol 6 at offset"),
        (b"Ione\n.", "wrong kind of object to INT"),
        (b"I\n.", "wrong kind of object to INT"),
        (b"I-\n.", "wrong kind of object to INT"),
        (b"I1", "the data end at"),
        (b"L1L\n.", "pickle instruction 0x4c at offset"),
        (b"\x82\x01.", "pickle instruction 0x82 at offset"),
        (b"\x97.", "pickle instruction 0x97 at offset"),
        (b"ccollections\n", "the data end at"),
    ] {
        let file = [&legacy_head()[..], b"\x80\x02", instructions].concat();
        let message = refusal(&file).to_string();
        assert!(message.contains(words), "{}: {message}", instructions.escape_ascii());
    }
}

#[test]
fn damaged_legacy_files() {
    let object = one(("FloatStorage", "0", 2), 0, &[2], &[1]);
    let data: &[u8] = &[0; 8];
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    for (file, words) in [
        (legacy(&object, &[]), "the storage `0` is missing"),
        (legacy(&object, &[("1", 2, data)]), "the storage `1` is not part of the object"),
        (legacy(&object, &[("0", 3, data)]), "the storage `0` has another size"),
        (legacy(&object, &[("0", 2, data), ("0", 2, data)]), "the storage `0` has another size"),
        (magic.to_vec(), "1 bytes are needed at offset 15, but the data end at 15"),
        ([magic, &b"\x80\x02M\xea\x03."[..]].concat(), "legacy protocol version 1002"),
        ([magic, &b"\x80\x02N."[..]].concat(), "legacy protocol version unknown"),
        (Pickle::new().int(5).end(), "it is a Python pickle, but not one that torch.save wrote"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "it is a PNG picture"),
        (Vec::new(), "it is empty"),
    ] {
        let message = refusal(&file).to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn damaged_archives() {
    let object = one(("FloatStorage", "0", 2), 0, &[2], &[1]);
    let (pickle, storage) = (("a/data.pkl", &*object), ("a/data/0", &[0; 8][..]));
    assert_eq!(open(&zip(&[pickle, storage])).unwrap().tensors().len(), 1);
    let good = zip(&[pickle, storage]);
    let end = good.len() - 22;
    let changed = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let directory = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    // The end says where a zip64 directory is, which promises 2^60 entries.
    let mut large = good[..end].to_vec();
    let directory_end = [b"PK\x06\x06".as_slice(), &[0; 28], &(1u64 << 60).to_le_bytes()].concat();
    let size = ((end - directory) as u64).to_le_bytes();
    large.extend([&directory_end[..], &size, &(directory as u64).to_le_bytes()].concat());
    let locator = [b"PK\x06\x07\0\0\0\0".as_slice(), &(end as u64).to_le_bytes(), &[1, 0, 0, 0]].concat();
    large.extend([&locator, &good[end..]].concat());
    for (file, words) in [
        (zip(&[storage]), "its first entry is `a/data/0`"),
        (zip(&[]).repeat(2), "it is a zip archive, incomplete or of something else"),
        (zip(&[pickle, storage, ("b/data.pkl", b"")]), "has two entries `data.pkl`"),
        (zip(&[pickle, storage, storage]), "the storage `0` is twice in the archive"),
        (zip(&[pickle]), "the storage `0` is missing"),
        (zip(&[pickle, ("b/data/0", &[0; 8])]), "the storage `0` is missing"),
        (zip(&[pickle, ("a/data/0", &[0; 7])]), "the storage `0` has another size"),
        (zip(&[pickle, storage, ("a/byteorder", b"middle")]), "has an unknown byte order"),
        (changed(end + 16, 0xff), "has a directory that overlaps its end"),
        (changed(end + 18, 0xff), "has a directory that overlaps its end"),
        (changed(end + 12, 1), "the data end at"),
        (good[..good.len() - 1].to_vec(), "has no directory at its end"),
        (changed(directory, 0), "has a damaged directory"),
        (changed(directory + 42, 1), "has an entry without a header"),
        (changed(directory + 44, 1), "the data end at"),
        (changed(directory + 10, 8), "`a/data.pkl` in the zip archive is compressed"),
        (changed(directory + 8, 1), "`a/data.pkl` in the zip archive is compressed or encrypted"),
        (large, "the data end at"),
    ] {
        let message = refusal(&file).to_string();
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// A file that begins with `head` and goes on with zeros, and counts what is read of it.
struct Sparse {
    head: Vec<u8>,
    len: u64,
    position: u64,
    read: Rc<Cell<u64>>,
}

impl Read for Sparse {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let count = (target.len() as u64).min(self.len - self.position) as usize;
        for (offset, byte) in target[..count].iter_mut().enumerate() {
            *byte = self.head.get(self.position as usize + offset).copied().unwrap_or(0);
        }
        self.position += count as u64;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(distance) => self.len.checked_add_signed(distance).unwrap(),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance).unwrap(),
        };
        Ok(self.position)
    }
}

#[test]
fn only_what_is_asked_for_is_read() {
    let large = 10_000_000_000i64; // 40 GB
    let object = Pickle::new().raw(b"}(").text("small").tensor(("FloatStorage", "0", 4), 0, &[4], &[1]);
    let object = object.text("large").tensor(("FloatStorage", "1", large), 0, &[large], &[1]);
    let object = object.text("part").tensor(("FloatStorage", "1", large), large - 4, &[2, 2], &[1, 2]);
    let head = legacy(&object.raw(b"u").end(), &[("0", 4, &[1; 16]), ("1", large as u64, &[])]);
    let read = Rc::new(Cell::new(0));
    let sparse = Sparse { len: head.len() as u64 + 4 * large as u64, head, position: 0, read: read.clone() };
    let mut file = PthFile::from_reader(sparse, "sparse").unwrap();
    assert_eq!(file.find("large").unwrap().size_in_bytes(), 40_000_000_000);
    // The reader's buffer has 8 KiB, and is filled at the file's start and after each of the two storages. This is twice
    // that, of 40 GB.
    assert!(read.take() < 50_000);
    assert_eq!(file.read("small").unwrap(), Tensor::from_slice(&[f32::from_bits(0x0101_0101); 4]));
    assert!(read.take() < 50_000);
    assert_eq!(file.read("part").unwrap(), Tensor::zeros([2, 2], (Kind::Float, tch::Device::Cpu)));
    assert!(read.take() < 50_000);
    // A sink that has enough ends it.
    let error = file.read_chunks("large", |_| Err(Error::from(tch::TchError::Shape("enough".into()))));
    assert!(matches!(error, Err(Error::Torch(_))));
    // One piece of 256 KiB.
    assert!(read.take() < 300_000);
}

/// Always the same cases.
fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = |value| {
        test(value);
        Ok(())
    };
    TestRunner::new_with_rng(config, rng).run(&strategy, run).unwrap();
}

#[test]
fn any_bytes_are_survived() {
    check(2000, prop::collection::vec(any::<u8>(), 0..600), |bytes| {
        exercise(&bytes);
        exercise(&[&b"PK\x03\x04"[..], &bytes].concat());
        exercise(&[&legacy_head()[..], b"\x80\x02", &bytes].concat());
    });
}

/// Pickles that make more sense than random bytes.
#[test]
fn any_instructions_are_survived() {
    let instructions: Vec<Vec<u8>> = [
        &b"N"[..],
        b"\x88",
        b"K\x01",
        b"K\x02",
        b"K\0",
        b"M\0\x01",
        b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"]",
        b"}",
        b")",
        b"(",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"a",
        b"e",
        b"s",
        b"u",
        b"2",
        b"0",
        b"1",
        b"b",
        b"R",
        b"\x81",
        b"Q",
        b"q\0",
        b"q\x01",
        b"h\0",
        b"h\x01",
        b"\x94",
        b"U\x07storage",
        b"U\x010",
        b"U\x05model",
        b"ccollections\nOrderedDict\n",
        b"ctorch._utils\n_rebuild_tensor\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"ctorch\nBoolStorage\n",
        b"ctorch\nSize\n",
        b"I01\n",
        b"I7\n",
        b"ctorch\nuint16\n",
        b"ctorch\nQInt8Storage\n",
        b"ctorch\nFloatTensor\n",
        b"c__builtin__\ncomplex\n",
        b"ctorch._utils\n_rebuild_sparse_tensor\n",
        b"ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n",
        b"ctorch.nn.parameter\nParameter\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    let pickle = prop::collection::vec(select(instructions), 0..60).prop_map(|parts| parts.concat());
    check(5000, pickle, |pickle| {
        let object = [b"\x80\x02", &pickle[..], b"."].concat();
        exercise(&legacy(&object, &[("0", 1, &[0; 4])]));
        exercise(&archive(&object, &[("0", 1, &[0; 4])]));
    });
}

/// Fixtures with a piece of one put into another.
#[test]
fn mixed_files_are_survived() {
    let files: Vec<_> =
        readable().into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 4000).collect();
    let file = || select(files.clone());
    let piece = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..40usize, 0..40usize);
    check(3000, (file(), file(), piece), |(mut target, source, (to, from, removed, added))| {
        let (to, from) = (to.index(target.len()), from.index(source.len()));
        let piece = source[from..source.len().min(from + added)].to_vec();
        let end = target.len().min(to + removed);
        target.splice(to..end, piece);
        exercise(&target);
    });
}

#[test]
fn any_layout_is_read_as_libtorch_reads_it() {
    let dimension = (0..5i64, 0..7i64);
    let layout = (prop::collection::vec(dimension, 0..5), 0..6i64, 0..4usize, any::<bool>());
    check(1000, layout, |(dimensions, offset, kind, zipped)| {
        let (shape, stride): (Vec<_>, Vec<_>) = dimensions.into_iter().unzip();
        let last: i64 = shape.iter().zip(&stride).map(|(size, stride)| (size - 1).max(0) * stride).sum();
        let count = offset + last + 1;
        let (class, kind, size) = [
            ("ByteStorage", Kind::Uint8, 1),
            ("ShortStorage", Kind::Int16, 2),
            ("FloatStorage", Kind::Float, 4),
            ("ComplexDoubleStorage", Kind::ComplexDouble, 16),
        ][kind];
        let data: Vec<u8> = (0..count * size).map(|index| (index * 37 % 251) as u8).collect();
        let object = one((class, "0", count), offset, &shape, &stride);
        let write = if zipped { archive } else { legacy };
        let file = write(&object, &[("0", count as u64, &data)]);
        let mut file = open(&file).unwrap();
        let storage = Tensor::from_data_size(&data, &[count], kind);
        let expected = storage.as_strided(&shape, &stride, offset).contiguous();
        assert_eq!(bytes(&file.read("a").unwrap()), bytes(&expected));
        let info = file.find("a").unwrap();
        assert_eq!(info.is_contiguous(), storage.as_strided(&shape, &stride, offset).is_contiguous());
    });
}
