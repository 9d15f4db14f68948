//! Files that are damaged or lie.

use super::*;

/// Opens the file and reads all of it: what fails must do so with an error.
#[track_caller]
fn read_all(path: &Path) -> tch_losses::Result<()> {
    let attempt = || {
        let mut file = WeightsFile::open(path)?;
        file.metadata();
        for name in file.names() {
            file.find(&name);
            drop(file.read(&name)?);
        }
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| panic!("a panic, see above"))
}

#[test]
fn headers_that_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let check = |data: &[u8], what: &str| {
        fs::write(&path, data).unwrap();
        read_all(&path).map_err(|error| {
            assert!(
                error.to_string().contains(text(&path)) || matches!(error, Error::Torch(_)),
                "{what}: {error}"
            )
        })
    };
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    check(&with_header(&one("U8", "[3]", "[0,3]"), 3), "right").unwrap();
    check(&with_header(&one("U8", "[]", "[0,1]"), 1), "scalar").unwrap();
    check(&with_header(&one("U8", "[0]", "[0,0]"), 0), "empty").unwrap();
    check(&with_header("{}", 0), "no tensors").unwrap();
    // Dtypes that tch does not have are named, and keep nothing else from being read.
    for dtype in ["U16", "U32", "U64"] {
        let size = dtype[1..].parse::<usize>().unwrap() / 8;
        let header = one(dtype, "[1]", &format!("[0,{size}]"));
        check(&with_header(&header, size), dtype).unwrap();
        let mut file = WeightsFile::open(&path).unwrap();
        let reason = format!("of the dtype {dtype}, which tch does not have");
        assert_eq!((file.names(), file.unreadable()), (vec![], vec![("a".into(), reason.clone())]));
        assert!(file.read("a").unwrap_err().to_string().ends_with(&format!("the tensor `a` is {reason}")));
    }
    for (dtype, shape, offsets, data) in [
        ("U8", "[18446744073709551615]", "[0,18446744073709551615]", 0),
        ("U8", "[2305843009213693951]", "[0,2305843009213693951]", 0),
        ("F64", "[18446744073709551615]", "[0,18446744073709551608]", 0),
        ("U8", "[4294967296,4294967296]", "[0,0]", 0),
        ("U8", "[-1]", "[0,1]", 1),
        ("U8", "[1.5]", "[0,1]", 1),
        ("U8", "[4]", "[1,4]", 4),
        ("U8", "[4]", "[4,0]", 4),
        ("U8", "[4]", "[0,8]", 8),
        ("U8", "[4]", "[0,4]", 3),
        ("U8", "[4]", "[0,4]", 5),
        ("U9", "[4]", "[0,4]", 4),
        ("F4", "[1]", "[0,1]", 1),
        ("U8", "[0,9223372036854775808]", "[0,0]", 0),
        ("U8", "[0,18446744073709551615]", "[0,0]", 0),
    ] {
        let header = one(dtype, shape, offsets);
        assert!(check(&with_header(&header, data), &header).is_err(), "{header}");
    }
    // Absurd, and empty all the same; libtorch decides.
    for shape in
        ["[0,4611686018427387904]", "[0,4611686018427387904,4611686018427387904]", "[9223372036854775807,0]"]
    {
        let _ = check(&with_header(&one("F64", shape, "[0,0]"), 0), shape);
    }
    // Sizes whose sum is the largest there is.
    let tensors: Vec<String> = (0..9u64)
        .map(|index| {
            let size = if index < 8 { (1 << 61) - 1 } else { 7 };
            let start = index * ((1 << 61) - 1);
            let end = start + size;
            format!(r#""{index}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    let header = format!("{{{}}}", tensors.join(","));
    assert!(check(&with_header(&header, 16), &header).is_err());

    for header in ["", "[]", "null", "{", "{\"a\":1}", "{\"__metadata__\":{\"a\":1}}", "\u{0}", "{\"a\":{}}"]
    {
        assert!(check(&with_header(header, 0), header).is_err(), "{header}");
    }
    // Nested as deep as there is room.
    let deep = "[".repeat(1 << 20);
    assert!(check(&with_header(&deep, 0), "deep").is_err());
    assert!(check(&with_header(&format!("{{\"a\":{deep}"), 0), "deep").is_err());
    for length in [u64::MAX, 1 << 63, 1 << 40, 100_000_001, 3] {
        let data = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(check(&data, &length.to_string()).is_err(), "{length}");
    }
}

#[test]
fn cut_or_changed_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    convert(alex(), &path, &keep("lin0.")).unwrap();
    let mut files = vec![fs::read(&path).unwrap()];
    for form in ["zip", "legacy"] {
        files.push(fs::read(fixture(&format!("pth/cuda_{form}.pth"))).unwrap());
    }
    for whole in files {
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(read_all(&path).is_err(), "cut at {len} of {}", whole.len());
        }
        // The reader of .pth files has tests of its own; here it is chosen by how the file begins.
        let end = if whole[8] == b'{' { whole.len() } else { 32 };
        for at in 0..end {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                fs::write(&path, &changed).unwrap();
                let _ = read_all(&path);
            }
        }
    }
}

#[test]
fn every_dtype_is_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (dtype, kind) in [
        ("BOOL", Kind::Bool),
        ("U8", Kind::Uint8),
        ("I8", Kind::Int8),
        ("I16", Kind::Int16),
        ("I32", Kind::Int),
        ("I64", Kind::Int64),
        ("F8_E5M2", Kind::Float8e5m2),
        ("F8_E4M3", Kind::Float8e4m3fn),
        ("F16", Kind::Half),
        ("BF16", Kind::BFloat16),
        ("F32", Kind::Float),
        ("F64", Kind::Double),
        ("C64", Kind::ComplexFloat),
    ] {
        let size = 3 * kind.elt_size_in_bytes();
        let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[1,3],"data_offsets":[0,{size}]}}}}"#);
        fs::write(&path, with_header(&header, size)).unwrap();
        assert_eq!(contents(&path)["a"], (vec![1, 3], kind, vec![0; size]), "{dtype}");
    }
}

/// Bytes that are neither 0 nor 1 are no `bool`s for libtorch.
#[test]
fn bools_of_any_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let header = r#"{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#;
    let data = [&with_header(header, 0)[..], &[0, 1, 2, 255]].concat();
    fs::write(&path, data).unwrap();
    let tensor = WeightsFile::open(&path).unwrap().read("a").unwrap();
    assert_eq!((tensor.kind(), bytes(&tensor)), (Kind::Bool, vec![0, 1, 1, 1]));
}

#[test]
fn tensors_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let converted = folder.path().join("out.safetensors");
    convert(alex(), &converted, &ALL).unwrap();
    for path in [alex(), converted] {
        let mut file = WeightsFile::open(&path).unwrap();
        assert_eq!(file.find("lin9"), None);
        let error = file.read("lin9").unwrap_err().to_string();
        assert!(error.contains(text(&path)) && error.contains("`lin9`"), "{error}");
    }
}
