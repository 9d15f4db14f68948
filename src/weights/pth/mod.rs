//! Reads PyTorch's `.pth` files without running what is in them.
//!
//! [`PthFile::open`] lists the tensors of a file. [`PthFile::read`] reads one of them.
//!
//! ```
//! use tch::{Kind, Tensor};
//! use tch_losses::weights::pth::PthFile;
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pth/lpips/alex.pth");
//! // What torch.save(model.state_dict(), path) wrote, then or now.
//! let mut file = PthFile::open(path)?;
//! for tensor in file.tensors() {
//!     println!("{}: {:?} {:?}", tensor.name(), tensor.kind(), tensor.shape());
//! }
//! let weight: Tensor = file.read("lin0.model.1.weight")?;
//! assert_eq!((weight.size(), weight.kind()), (vec![1, 64, 1, 1], Kind::Float));
//! # Ok::<(), tch_losses::Error>(())
//! ```
//!
//! # What can be read
//!
//! Both formats of `torch.save` can be read: the zip archive, written since PyTorch 1.6, and the stream of
//! pickles, written from 0.1.10 on. The pickle protocols are 2 to 5, from Python 2 or 3. A file may hold
//!
//! - dicts, lists and tuples in any nesting;
//! - tensors and parameters of every [`Kind`](tch::Kind) that is not quantized. They may have any strides,
//!   share storages and come from any device. They are read to the CPU.
//! - whatever else `torch.load(..., weights_only=True)` of PyTorch 2.13 accepts, such as the number of the
//!   epoch, a complex number or a layout. It is skipped.
//!
//! Up to 64 KiB may follow an archive, as in PyTorch.
//!
//! The keys that lead to a tensor are its name: `torch.save({"net": {"weight": w}, "steps": [a, b]})` gives
//! `net.weight`, `steps.0` and `steps.1`. An outermost dict with a dict `state_dict`, `model_state_dict` or
//! `model` is a checkpoint: the first of these is the state dict, and the names of its tensors leave out that
//! key. A file that is nothing but one tensor calls it `tensor`.
//!
//! # What cannot be read
//!
//! A tensor that cannot be read does not affect the others. [`PthFile::unreadable`] names such tensors with
//! the reason:
//!
//! - they are quantized, sparse, nested or lazily conjugated;
//! - they have a dtype that tch lacks, or no values (device `meta`);
//! - they are below a key that cannot be part of a name;
//! - they share their name with another tensor: `{1: v}` and `{"1": w}`, or `{"a.b": v}` and `{"a": {"b":
//!   w}}`, in one dict.
//!
//! Whole files that cannot be read give a [`PthError`]: tar files (PyTorch before 0.1.10), files from
//! big-endian machines, TorchScript archives (also tch's `.ot` files) and whole modules (`torch.save(model)`
//! instead of its state dict). For a file that is no `.pth` file at all, the error says what it seems to be.
//!
//! # Safety
//!
//! A pickle is a program, and Python's reader runs it. This reader imports and calls nothing. It knows a
//! fixed list of the names that tensors are made of, and the meaning of each. Any other name in the file is
//! an error that gives the name.
//!
//! A damaged or hostile file gives an error. Before use, every length, offset, shape and stride is checked
//! against the size of the file, with arithmetic that cannot overflow. Neither reading nor freeing recurses.
//! Compressed storages in an archive are refused, so that no storage is larger in memory than in the file. A
//! change of the tensors' values is not detected; compare a hash of the file for that.
//!
//! The limits:
//!
//! - The objects in the pickle, names and shapes included, may use as much memory as the size of the file (up
//!   to 1 GiB) plus 64 MiB.
//! - Containers may be nested 128 deep.
//! - Tensors may have 64 dimensions.
//! - Keys may be 64 KiB long.
//! - A tensor whose elements share memory (strides of 0, or overlapping) may be read if it takes at most 1
//!   GiB, or the size of the file if that is more.
//!
//! [`open`](PthFile::open) needs memory within the first limit, and reads no tensor's data.
//! [`read_chunks`](PthFile::read_chunks) reads a [contiguous](TensorInfo::is_contiguous) tensor in pieces of
//! at most 256 KiB. For another tensor it needs memory for the part of the file in which the elements lie
//! scattered. [`read`](PthFile::read) needs memory for the tensor in addition.

mod archive;
mod data;
mod dtype;
mod error;
mod flatten;
mod graph;
mod input;
mod legacy;
mod pickle;
mod rebuild;
mod scalar;
mod unreadable;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::looks::{looks, HEAD};
use super::{fill, open, WeightsError};
use crate::{Error, Result};

pub use error::PthError;
pub use flatten::TensorInfo;
use flatten::Tensors;
use input::{Budget, Input};
pub use unreadable::{Unreadable, UnreadableTensor};

/// A tensor may always become this large, whatever the size of the file.
const EXPANSION: u64 = 1 << 30;

/// An open `.pth` file. Its tensors are known, and read on demand.
///
/// The [module](self) describes what can be read, and the limits.
pub struct PthFile<R = File> {
    path: PathBuf,
    input: Input<R>,
    tensors: Tensors,
    /// The places of the tensors, ordered by name.
    by_name: Vec<u32>,
}

impl PthFile {
    /// Opens the file at `path` and lists its tensors, without reading their data.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be opened; [`WeightsError::Pth`] if it is no file that can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<PthFile> {
        let path = path.as_ref();
        PthFile::from_reader(open::to_read(path)?, path)
    }
}

impl<R: Read + Seek> PthFile<R> {
    /// As [`open`](PthFile::open), for a file in memory or elsewhere. Errors call it `path`.
    ///
    /// # Errors
    /// [`WeightsError::Pth`] if it is no file that can be read.
    ///
    /// ```
    /// use std::io::Cursor;
    /// use tch_losses::weights::pth::PthFile;
    ///
    /// let error = PthFile::from_reader(Cursor::new("no pickle"), "upload.pth").err().unwrap();
    /// assert_eq!(error.to_string(), "cannot use upload.pth: it is text that begins with \"no pickle\"");
    /// ```
    pub fn from_reader(reader: R, path: impl Into<PathBuf>) -> Result<PthFile<R>> {
        let path = path.into();
        match parse(reader) {
            Ok((input, tensors, by_name)) => Ok(PthFile { path, input, tensors, by_name }),
            Err(reason) => Err(WeightsError::Pth { path, reason }.into()),
        }
    }

    /// The tensors that can be read, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors.readable
    }

    /// The tensors that cannot be read, in the order of the file. Tensors that share a name come last.
    ///
    /// ```
    /// use tch_losses::weights::pth::{PthFile, Unreadable};
    ///
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pth/unreadable_zip.pth");
    /// // torch.save({"count": torch.ones(2, dtype=torch.uint16), ..., "weight": torch.ones(2)}, path)
    /// let file = PthFile::open(path)?;
    /// assert_eq!(file.unreadable()[0].reason, Unreadable::Dtype("uint16"));
    /// assert_eq!(file.unreadable()[0].to_string(), "`count` is of the dtype uint16, which tch does not have");
    /// assert!(file.find("weight").is_some());
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn unreadable(&self) -> &[UnreadableTensor] {
        &self.tensors.unreadable
    }

    /// The size of the file.
    pub(super) fn size(&self) -> u64 {
        self.input.len()
    }

    /// The description of a tensor, if the file has it.
    pub fn find(&self, name: &str) -> Option<&TensorInfo> {
        let tensors = self.tensors();
        let place = self.by_name.binary_search_by(|place| tensors[*place as usize].name().cmp(name)).ok()?;
        Some(&tensors[self.by_name[place] as usize])
    }

    /// Reads one tensor to the CPU. It is contiguous, requires no gradient and shares memory with no other.
    ///
    /// # Errors
    /// [`WeightsError::Pth`] if there is no tensor of that name, or it cannot be read or does not fit into
    /// memory.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let info = self.expandable(name)?;
        fill::tensor(info.shape(), info.kind(), |mut rest| {
            self.read_chunks(name, |chunk| {
                let (place, later) = std::mem::take(&mut rest).split_at_mut(chunk.len());
                place.copy_from_slice(chunk);
                rest = later;
                Ok(())
            })
        })
    }

    /// Passes the values of a tensor to `sink`, piece by piece, in row-major order and little-endian, as in a
    /// safetensors file.
    ///
    /// # Errors
    /// As for [`read`](Self::read), and the errors of `sink`.
    pub fn read_chunks<E: From<Error>>(
        &mut self,
        name: &str,
        sink: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let info = self.expandable(name).map_err(Error::from)?;
        self.read_chunks_of(&info, sink)
    }

    /// As [`read_chunks`](Self::read_chunks), for any tensor of this file, however large.
    pub(super) fn read_chunks_of<E: From<Error>>(
        &mut self,
        info: &TensorInfo,
        mut sink: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let result = data::read(&mut self.input, info, |chunk| sink(chunk).map_err(Interrupted::Sink));
        result.map_err(|interrupted| match interrupted {
            Interrupted::Sink(error) => error,
            Interrupted::Source(reason) => Error::from(self.error(reason)).into(),
        })
    }

    /// The description of a tensor, if it may be read.
    fn expandable(&self, name: &str) -> std::result::Result<TensorInfo, WeightsError> {
        let limit = self.input.len().max(EXPANSION);
        let reason = match self.find(name) {
            None => match self.unreadable().iter().find(|tensor| tensor.name == name) {
                Some(tensor) => PthError::Unreadable(tensor.clone()),
                None => PthError::Missing { name: name.into() },
            },
            Some(info) if info.size_in_bytes() > limit => {
                PthError::Expansion { name: name.into(), bytes: info.size_in_bytes(), limit }
            }
            Some(info) => return Ok(info.clone()),
        };
        Err(self.error(reason))
    }

    fn error(&self, reason: PthError) -> WeightsError {
        WeightsError::Pth { path: self.path.clone(), reason }
    }
}

impl<R> std::fmt::Debug for PthFile<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("PthFile").field("path", &self.path).field("tensors", &self.tensors.readable).finish()
    }
}

/// Which side ended the reading of a tensor.
enum Interrupted<E> {
    Source(PthError),
    Sink(E),
}

impl<E> From<PthError> for Interrupted<E> {
    fn from(error: PthError) -> Self {
        Interrupted::Source(error)
    }
}

type Parsed<R> = (Input<R>, Tensors, Vec<u32>);

fn parse<R: Read + Seek>(reader: R) -> std::result::Result<Parsed<R>, PthError> {
    let mut input = Input::new(reader)?;
    let mut budget = Budget::new(input.len());
    let mut start = vec![0; input.len().min(HEAD as u64) as usize];
    input.read(&mut start)?;
    input.window(0, input.len())?;
    let mut graph = if start.starts_with(&archive::MAGIC) {
        archive::open(&mut input, &mut budget)?
    } else if start.first() == Some(&0x80) {
        legacy::open(&mut input, &mut budget)?
    } else {
        return Err(PthError::NotPth { looks: looks(&start) });
    };
    graph.settle_dicts(&mut budget)?;
    let mut tensors = flatten::tensors(&graph, &mut budget)?;
    let mut by_name = tensors.by_name(&mut budget)?;
    if tensors.set_namesakes_apart(&by_name, &mut budget)? {
        by_name = tensors.by_name(&mut budget)?;
    }
    Ok((input, tensors, by_name))
}
