//! PyTorch's dtypes, by the names that pickles have for them.

use tch::Kind;

/// The type of a tensor's elements: its place in [`DTYPES`], for there can be millions of them in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dtype(u8);

struct Row {
    /// The name in `torch.float32`.
    name: &'static str,
    /// The name in `torch.FloatStorage`. Empty where PyTorch stores the elements without a type.
    storage: &'static str,
    /// In bytes.
    size: u64,
    /// What tch calls it; None where it has no such kind, or the bytes are not the values.
    kind: Option<Kind>,
}

const fn row(name: &'static str, storage: &'static str, size: u64, kind: Kind) -> Row {
    Row { name, storage, size, kind: Some(kind) }
}

const fn foreign(name: &'static str, storage: &'static str, size: u64) -> Row {
    Row { name, storage, size, kind: None }
}

/// All that PyTorch 2.13 allows in a state dict.
static DTYPES: [Row; 46] = [
    row("uint8", "Byte", 1, Kind::Uint8),
    row("int8", "Char", 1, Kind::Int8),
    row("int16", "Short", 2, Kind::Int16),
    row("int32", "Int", 4, Kind::Int),
    row("int64", "Long", 8, Kind::Int64),
    row("float16", "Half", 2, Kind::Half),
    row("bfloat16", "BFloat16", 2, Kind::BFloat16),
    row("float32", "Float", 4, Kind::Float),
    row("float64", "Double", 8, Kind::Double),
    row("complex32", "", 4, Kind::ComplexHalf),
    row("complex64", "ComplexFloat", 8, Kind::ComplexFloat),
    row("complex128", "ComplexDouble", 16, Kind::ComplexDouble),
    row("bool", "Bool", 1, Kind::Bool),
    row("float8_e5m2", "", 1, Kind::Float8e5m2),
    row("float8_e4m3fn", "", 1, Kind::Float8e4m3fn),
    row("float8_e5m2fnuz", "", 1, Kind::Float8e5m2fnuz),
    row("float8_e4m3fnuz", "", 1, Kind::Float8e4m3fnuz),
    foreign("qint8", "QInt8", 1),
    foreign("quint8", "QUInt8", 1),
    foreign("qint32", "QInt32", 4),
    foreign("quint4x2", "QUInt4x2", 1),
    foreign("quint2x4", "QUInt2x4", 1),
    foreign("uint16", "", 2),
    foreign("uint32", "", 4),
    foreign("uint64", "", 8),
    foreign("float8_e8m0fnu", "", 1),
    foreign("float4_e2m1fn_x2", "", 1),
    foreign("bits8", "", 1),
    foreign("bits16", "", 2),
    foreign("bits1x8", "", 1),
    foreign("bits2x4", "", 1),
    foreign("bits4x2", "", 1),
    foreign("int1", "", 1),
    foreign("int2", "", 1),
    foreign("int3", "", 1),
    foreign("int4", "", 1),
    foreign("int5", "", 1),
    foreign("int6", "", 1),
    foreign("int7", "", 1),
    foreign("uint1", "", 1),
    foreign("uint2", "", 1),
    foreign("uint3", "", 1),
    foreign("uint4", "", 1),
    foreign("uint5", "", 1),
    foreign("uint6", "", 1),
    foreign("uint7", "", 1),
];

impl Dtype {
    /// What a storage without a type holds: the first row.
    pub(super) const BYTE: Dtype = Dtype(0);

    /// The dtype `torch.name`.
    pub(super) fn find(name: &str) -> Option<Dtype> {
        Dtype::position(|row| row.name == name)
    }

    /// The elements of the storage class `torch.name`.
    pub(super) fn of_storage(name: &str) -> Option<Dtype> {
        Dtype::of_class(name.strip_suffix("Storage")?)
    }

    /// The elements of `torch.nameStorage` and `torch.nameTensor`.
    pub(super) fn of_class(name: &str) -> Option<Dtype> {
        Dtype::position(|row| !name.is_empty() && row.storage == name)
    }

    fn position(is_it: impl Fn(&Row) -> bool) -> Option<Dtype> {
        DTYPES.iter().position(is_it).map(|place| Dtype(place as u8))
    }

    fn row(self) -> &'static Row {
        &DTYPES[usize::from(self.0)]
    }

    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    /// The size of an element in bytes.
    pub(super) fn size(self) -> u64 {
        self.row().size
    }

    /// What tch calls it, if a tensor of it can be read.
    pub(super) fn kind(self) -> Option<Kind> {
        self.row().kind
    }

    pub(super) fn is_quantized(self) -> bool {
        self.row().storage.starts_with('Q')
    }
}
