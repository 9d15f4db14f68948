//! Files that are made at random.

use super::*;

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
