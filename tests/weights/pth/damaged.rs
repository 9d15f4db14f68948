//! Files that are cut, changed, or made to do harm.

use super::*;

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
