//! `.pth` files made by hand, for what PyTorch would not write.

#![allow(dead_code)] // each test binary uses its own part

use std::fs;
use std::path::{Path, PathBuf};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth")
}

/// All files that can be read, by path.
pub fn readable() -> Vec<(PathBuf, Vec<u8>)> {
    let folders = [fixtures(), fixtures().join("lpips")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pth"));
    paths.sort();
    assert!(paths.len() > 20, "the fixtures are there");
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A pickle of protocol 2, written instruction by instruction.
#[derive(Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Pickle {
        Pickle(vec![0x80, 2])
    }

    pub fn raw(mut self, instructions: &[u8]) -> Pickle {
        self.0.extend(instructions);
        self
    }

    pub fn int(self, value: i64) -> Pickle {
        self.raw(&[0x8a, 8]).raw(&value.to_le_bytes())
    }

    pub fn text(self, text: &str) -> Pickle {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Pickle {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn ints(self, values: &[i64]) -> Pickle {
        values.iter().fold(self.raw(b"("), |pickle, value| pickle.int(*value)).raw(b"t")
    }

    /// `storage` is the name of the type, the key and the number of elements.
    pub fn tensor(self, storage: (&str, &str, i64), offset: i64, shape: &[i64], stride: &[i64]) -> Pickle {
        let (class, key, count) = storage;
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", class)
            .text(key)
            .text("cpu")
            .int(count)
            .raw(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(stride)
            .raw(b"\x89NtR")
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// A pickle of a dict of nothing but a tensor `a`.
pub fn one(storage: (&str, &str, i64), offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
    Pickle::new().raw(b"}").text("a").tensor(storage, offset, shape, stride).raw(b"s").end()
}

/// What comes before the object in a legacy file.
pub fn legacy_head() -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let system = Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").end();
    [&magic[..], &Pickle::new().int(1001).end(), &system].concat()
}

/// A legacy file: the object's pickle, and of each storage the key, the number of elements and the data.
pub fn legacy(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut file = legacy_head();
    file.extend(object);
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |pickle, (key, ..)| pickle.text(key));
    file.extend(keys.raw(b"e").end());
    for (_, count, data) in storages {
        file.extend(count.to_le_bytes());
        file.extend(*data);
    }
    file
}

/// An archive of stored entries. Its checksums are 0: PyTorch does not look at them either.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let header = file.len() as u32;
        let size = (data.len() as u32).to_le_bytes();
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend([size, size].concat());
        common.extend((name.len() as u32).to_le_bytes()); // and no extra field
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &header.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let end =
        [[0; 4], [count[0], count[1], count[0], count[1]], (directory.len() as u32).to_le_bytes()].concat();
    let start = (file.len() as u32).to_le_bytes();
    [&file, &directory[..], b"PK\x05\x06", &end, &start, &[0, 0]].concat()
}

/// The same as [`legacy`], as an archive.
pub fn archive(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let names: Vec<_> = storages.iter().map(|(key, ..)| format!("archive/data/{key}")).collect();
    let mut entries = vec![("archive/data.pkl", object), ("archive/byteorder", &b"little"[..])];
    entries.extend(names.iter().zip(storages).map(|(name, (_, _, data))| (&**name, *data)));
    zip(&entries)
}

/// Files that ask for much more memory or time than they are large, with words of the error.
pub fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let legacy = |object: Pickle| legacy(&object.end(), &[]);
    let list = || Pickle::new().raw(b"]q\0");
    let repeated = |head: Pickle, instructions: &[u8], count: usize| head.raw(&instructions.repeat(count));
    // Each level holds the one before twice.
    let laughs = |inside: Pickle| repeated(inside, b"2\x86", 100);
    let storage = b"\0\0\x80?".as_slice();
    let tensor = Pickle::new().tensor(("FloatStorage", "0", 1), 0, &[1], &[1]);
    let numbered = (0..1_000_000u32)
        .fold(Pickle::new().raw(b"N"), |pickle, index| pickle.raw(b"r").raw(&index.to_le_bytes()));
    let copies = Pickle::new().raw(b"}(").raw(&b"NN".repeat(10_000)).raw(b"uq\0");
    let copies = repeated(copies, b"ccollections\nOrderedDict\nh\0\x85R0", 10_000);
    vec![
        ("contains itself", legacy(list().raw(b"h\0a")), "nested more than 128 deep"),
        ("contains itself twice", legacy(list().raw(b"h\0ah\0a")), "nested more than 128 deep"),
        ("dict in itself", legacy(Pickle::new().raw(b"}q\0").text("a").raw(b"h\0s")), "nested more than"),
        ("deep tuples", legacy(repeated(Pickle::new().raw(b")"), b"\x85", 500_000)), "nested more than"),
        ("deep lists", legacy(repeated(list(), b"]", 1000).raw(&b"a".repeat(1000))), "nested more than"),
        ("laughs", legacy(laughs(Pickle::new().raw(b"N"))), "more than"),
        ("tensors that laugh", self::legacy(&laughs(tensor).end(), &[("0", 1, storage)]), "more than"),
        ("stack", legacy(repeated(Pickle::new().raw(b"N"), b"2", 3_000_000)), "bytes of memory"),
        ("marks", legacy(repeated(Pickle::new(), b"(", 5_000_000)), "bytes of memory"),
        ("lists", legacy(repeated(Pickle::new(), b"]0", 2_000_000)), "bytes of memory"),
        ("tuples", legacy(repeated(Pickle::new(), b"N\x850", 1_000_000)), "bytes of memory"),
        ("memo", legacy(numbered), "bytes of memory"),
        ("copies", legacy(copies), "bytes of memory"),
        ("long text", legacy(Pickle::new().raw(b"X\xff\xff\xff\xff")), "the data end at"),
        ("longer text", legacy(Pickle::new().raw(b"\x8d\0\0\0\0\0\0\0\x7f")), "the data end at"),
        ("long bytes", legacy(Pickle::new().raw(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff")), "the data end at"),
        ("long number", legacy(Pickle::new().raw(b"\x8b\xff\xff\xff\xff")), "the data end at"),
        (
            "2^60 elements",
            self::legacy(&one(("FloatStorage", "0", 1 << 60), 0, &[1], &[1]), &[("0", 1 << 60, storage)]),
            "the data end at",
        ),
        (
            "2^62 elements",
            self::legacy(&one(("FloatStorage", "0", 1 << 62), 0, &[1], &[1]), &[("0", 1 << 62, storage)]),
            "larger than any file",
        ),
        (
            "2^60 elements in an archive",
            archive(&one(("FloatStorage", "0", 1 << 60), 0, &[1], &[1]), &[("0", 0, storage)]),
            "another size in the pickle than in the archive",
        ),
    ]
}
