//! Safetensors files, read and written tensor by tensor.
//!
//! The crate `safetensors` checks the header; the data stay in the file until a tensor is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata};
use serde_json::{json, Map, Value};
use tch::{Kind, Tensor};
use xxhash_rust::xxh3::Xxh3;

use super::{fill, open, WeightsError};
use crate::base::atomic;
use crate::base::json::in_words;
use crate::{printable, Error, Result};

/// How the header of a file with a checksum begins: with the XXH3 of the whole file, its own 16 hexadecimal digits
/// taken as zeros. It finds damage, not malice.
const CHECKSUM: &str = r#"{"__metadata__":{"xxh3":""#;
const DIGITS: usize = 16;

/// No header is longer, as in the reference implementation.
pub(super) const LONGEST_HEADER: u64 = 100_000_000;

const DTYPES: [(Dtype, Kind); 13] = [
    (Dtype::BOOL, Kind::Bool),
    (Dtype::U8, Kind::Uint8),
    (Dtype::I8, Kind::Int8),
    (Dtype::I16, Kind::Int16),
    (Dtype::I32, Kind::Int),
    (Dtype::I64, Kind::Int64),
    (Dtype::F8_E5M2, Kind::Float8e5m2),
    (Dtype::F8_E4M3, Kind::Float8e4m3fn),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
    (Dtype::C64, Kind::ComplexFloat),
];

/// A safetensors file whose header has been read and checked against the file's size.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_start: u64,
}

impl SafetensorsFile {
    pub fn open(path: &Path) -> Result<SafetensorsFile> {
        SafetensorsFile::new(open::to_read(path)?, path)
    }

    /// The same for a file that is open. Errors call it `path`.
    pub fn new(mut file: File, path: &Path) -> Result<SafetensorsFile> {
        let unreadable = |reason| Error::Read { path: path.into(), reason };
        let unusable = |problem: String| Error::from(WeightsError::unusable(path, problem));
        let size = file.metadata().map_err(unreadable)?.len();
        let mut length = [0; 8];
        if size < 8 {
            return Err(unusable(format!("{size} bytes are no safetensors file")));
        }
        file.read_exact(&mut length).map_err(unreadable)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER.min(size - 8) {
            return Err(unusable(format!(
                "the safetensors file is incomplete: a header of {length} bytes in a file of {size}"
            )));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(unreadable)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| {
            unusable(format!("the header of a safetensors file is damaged: {}", in_words(&error)))
        })?;
        let (data_start, data) = (8 + length, header.data_len() as u64);
        if data != size - data_start {
            return Err(unusable(format!(
                "the safetensors file is incomplete or damaged: {data} bytes of data expected, found {}",
                size - data_start
            )));
        }
        Ok(SafetensorsFile { path: path.into(), file, header, data_start })
    }

    /// The names of the tensors that can be read, in the order of the data.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.retain(|name| self.header.info(name).is_some_and(|info| kind(info.dtype).is_some()));
        names
    }

    /// The tensors that cannot be read, and why.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        let reason = |name: &String| {
            let dtype = self.header.info(name)?.dtype;
            kind(dtype).is_none().then(|| lacking(dtype))
        };
        let names = self.header.offset_keys().into_iter();
        names.filter_map(|name| reason(&name).map(|reason| (name, reason))).collect()
    }

    /// Shape and kind of a tensor, if it is there and of a kind that tch has.
    pub fn find(&self, name: &str) -> Option<(Vec<i64>, Kind)> {
        let info = self.header.info(name)?;
        Some((info.shape.iter().map(|size| *size as i64).collect(), kind(info.dtype)?))
    }

    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Reads one tensor, copying it once.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let Some(((shape, kind), info)) = self.find(name).zip(self.header.info(name)) else {
            let reason = self.header.info(name).map_or_else(|| "missing".into(), |info| lacking(info.dtype));
            let problem = format!("the tensor `{}` is {reason}", printable(name));
            return Err(WeightsError::unusable(&self.path, problem).into());
        };
        let start = self.data_start + info.data_offsets.0 as u64;
        let (file, path) = (&mut self.file, &self.path);
        fill::tensor(&shape, kind, |bytes| {
            let done = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(bytes));
            done.map_err(|reason| Error::Read { path: path.clone(), reason })
        })
    }

    /// Whether the file has a checksum, and it is right.
    pub fn is_intact(&mut self) -> Result<bool> {
        self.matches_checksum().map_err(|reason| Error::Read { path: self.path.clone(), reason })
    }

    fn matches_checksum(&mut self) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut header = vec![0; self.data_start as usize];
        self.file.read_exact(&mut header)?;
        let place = 8 + CHECKSUM.len()..8 + CHECKSUM.len() + DIGITS;
        if !header[8..].starts_with(CHECKSUM.as_bytes()) || header.len() < place.end {
            return Ok(false);
        }
        let expected = header[place.clone()].to_vec();
        header[place].fill(b'0');
        let mut hasher = Xxh3::new();
        hasher.update(&header);
        let mut chunk = vec![0; 1 << 18];
        loop {
            match self.file.read(&mut chunk)? {
                0 => return Ok(expected == digits(&hasher).as_bytes()),
                count => hasher.update(&chunk[..count]),
            }
        }
    }
}

fn digits(hasher: &Xxh3) -> String {
    format!("{:0DIGITS$x}", hasher.digest())
}

/// Why a tensor of a dtype cannot be read, as the end of a sentence.
fn lacking(dtype: Dtype) -> String {
    format!("of the dtype {dtype:?}, which tch does not have")
}

/// What tch calls a dtype, if it has it.
fn kind(dtype: Dtype) -> Option<Kind> {
    Some(DTYPES.into_iter().find(|(known, _)| *known == dtype)?.1)
}

/// Whether a safetensors file can hold tensors of this kind.
pub(super) fn can_hold(kind: Kind) -> bool {
    DTYPES.iter().any(|(_, known)| *known == kind)
}

/// A tensor to be written.
pub(super) struct Entry {
    pub name: String,
    pub kind: Kind,
    pub shape: Vec<i64>,
    pub bytes: u64,
}

/// What a tensor's bytes are handed to, piece by piece.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// Writes a safetensors file that appears under its name when it is whole, adding a checksum to `metadata`. The
/// entries are of kinds that it [can hold](can_hold); `data` is called for each in turn.
pub(super) fn write(
    path: &Path,
    mut entries: Vec<Entry>,
    metadata: &BTreeMap<String, String>,
    mut data: impl FnMut(&Entry, Sink) -> Result<()>,
) -> Result<()> {
    let unwritable = |reason| Error::Write { path: path.into(), reason };
    // As the reference implementation does, so that every tensor is aligned to its elements.
    entries.sort_by(|a, b| {
        b.kind.elt_size_in_bytes().cmp(&a.kind.elt_size_in_bytes()).then_with(|| a.name.cmp(&b.name))
    });
    let header = header(&entries, metadata);

    let partial = atomic::partial(path).map_err(unwritable)?;
    let mut output = BufWriter::with_capacity(1 << 18, partial);
    output.write_all(&header).map_err(unwritable)?;
    let mut hasher = Xxh3::new();
    hasher.update(&header);
    for entry in &entries {
        let mut written = 0;
        data(entry, &mut |bytes| {
            hasher.update(bytes);
            written += bytes.len() as u64;
            output.write_all(bytes).map_err(unwritable)
        })?;
        assert_eq!(written, entry.bytes, "{}", entry.name);
    }
    let finish = || -> io::Result<()> {
        let mut partial = output.into_inner()?;
        partial.seek(SeekFrom::Start(8 + CHECKSUM.len() as u64))?;
        partial.write_all(digits(&hasher).as_bytes())?;
        partial.as_file().sync_all()?;
        partial.persist(path)?;
        Ok(())
    };
    finish().map_err(unwritable)
}

/// The header with its length before it, and zeros for the checksum.
fn header(entries: &[Entry], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut map = Map::new();
    let mut described: Map<String, Value> =
        [("xxh3".into(), "0".repeat(DIGITS).into())].into_iter().collect();
    described.extend(metadata.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
    map.insert("__metadata__".into(), described.into());
    let mut offset = 0;
    for Entry { name, kind, shape, bytes } in entries {
        let dtype = DTYPES.iter().find(|(_, known)| known == kind).expect("the caller has checked").0;
        map.insert(
            name.clone(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes] }),
        );
        offset += bytes;
    }
    let mut text = Value::from(map).to_string();
    debug_assert!(text.starts_with(CHECKSUM), "serde_json keeps the order");
    // The data begin at a multiple of eight bytes.
    text += &" ".repeat(text.len().next_multiple_of(8) - text.len());
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}
