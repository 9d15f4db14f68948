//! Tensors that share storages and names, and what is read of a file.

use super::*;

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
