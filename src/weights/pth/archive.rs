//! The format of `torch.save` since PyTorch 1.6: a zip archive of stored entries, `NAME/data.pkl` with the
//! object and `NAME/data/KEY` with the bytes of each storage.
//!
//! This walks the central directory by itself: a general zip library keeps some hundred bytes for each of the
//! entries, of which a hostile file can have one per 47 bytes, where here nothing is kept but what the pickle
//! asks for.

use std::io::{Read, Seek};

use super::graph::Graph;
use super::input::{Budget, Input};
use super::{pickle, PthError};
use crate::printable;

/// What the file begins with.
pub(super) const MAGIC: [u8; 4] = *b"PK\x03\x04";

const DIRECTORY_END: usize = 22;
/// How much may follow the directory's end.
const LONGEST_COMMENT: usize = 0xffff;

/// The object in the file, with the places of its storages.
pub(super) fn open<R: Read + Seek>(input: &mut Input<R>, budget: &mut Budget) -> Result<Graph, PthError> {
    let directory = Directory::find(input)?;
    let mut object: Option<(Vec<u8>, Entry)> = None;
    let mut order = None;
    let mut first: Option<Vec<u8>> = None;
    let mut torch_script = false;
    directory.entries(input, |name, entry| {
        if first.is_none() {
            first = Some(name.to_vec());
        }
        if let Some(folder) = name.strip_suffix(b"data.pkl").filter(|folder| is_folder(folder)) {
            entry.check_stored(name)?;
            if object.replace((folder.to_vec(), entry)).is_some() {
                return Err(PthError::Archive { problem: "has two entries `data.pkl`" });
            }
        } else if name.strip_suffix(b"byteorder").is_some_and(is_folder) {
            entry.check_stored(name)?;
            if order.replace(entry).is_some() {
                return Err(PthError::Archive { problem: "has two entries `byteorder`" });
            }
        } else if name.strip_suffix(b"constants.pkl").is_some_and(is_folder) {
            torch_script = true;
        }
        Ok(())
    })?;
    let Some((mut folder, object)) = object else {
        return Err(PthError::NotPth { looks: other_archive(first.as_deref()) });
    };
    if torch_script {
        return Err(PthError::TorchScript);
    }
    if let Some(order) = order {
        order.window(input, &directory)?;
        let mut bytes = vec![0; order.size.min(8) as usize];
        input.read(&mut bytes)?;
        match &*bytes {
            b"little" => {}
            b"big" => return Err(PthError::BigEndian),
            _ => return Err(PthError::Archive { problem: "has an unknown byte order" }),
        }
    }
    object.window(input, &directory)?;
    let mut graph = pickle::load(input, budget)?;

    folder.extend(b"data/");
    let mut found = Vec::new();
    directory.entries(input, |name, entry| {
        let Some(index) = name.strip_prefix(&*folder).and_then(|key| graph.find_storage(key)) else {
            return Ok(());
        };
        let root = &graph.storages[index];
        if entry.size != root.bytes() {
            return Err(graph.storage_error(root.key, "has another size in the pickle than in the archive"));
        }
        entry.check_stored(name)?;
        budget.push(&mut found, (index, entry))
    })?;
    // The entries' own headers lie elsewhere: only now, so that the directory is read in one go.
    for (index, entry) in found {
        let position = entry.data(input, &directory)?;
        if graph.storages[index].position.replace(position).is_some() {
            return Err(graph.storage_error(graph.storages[index].key, "is twice in the archive"));
        }
    }
    Ok(graph)
}

/// What an archive is that torch.save did not write.
fn other_archive(first: Option<&[u8]>) -> String {
    let Some(first) = first else { return "a zip archive without entries".into() };
    let first: String = String::from_utf8_lossy(first).chars().take(80).collect();
    format!("a zip archive of something else than a state dict; its first entry is `{}`", printable(&first))
}

/// Whether it is the path of a folder at the top of the archive.
fn is_folder(path: &[u8]) -> bool {
    path.is_empty() || path.iter().position(|byte| *byte == b'/') == Some(path.len() - 1)
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]]).into()
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u16_at(bytes, at) | u16_at(bytes, at + 2) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at) | u32_at(bytes, at + 4) << 32
}

struct Directory {
    start: u64,
    size: u64,
    entries: u64,
}

impl Directory {
    fn find<R: Read + Seek>(input: &mut Input<R>) -> Result<Directory, PthError> {
        let tail = input.len().min((DIRECTORY_END + LONGEST_COMMENT) as u64);
        let start = input.len() - tail;
        input.window(start, tail)?;
        let mut bytes = vec![0; tail as usize];
        input.read(&mut bytes)?;
        // The last one, whatever follows it: like PyTorch (whose limit is some KiB further), this reads archives with up
        // to 64 KiB behind their end.
        let at = (0..bytes.len().saturating_sub(DIRECTORY_END - 1))
            .rev()
            .find(|&at| bytes[at..].starts_with(b"PK\x05\x06"));
        let Some(at) = at else {
            return Err(PthError::Archive { problem: "has no directory at its end: it is incomplete" });
        };
        let end = &bytes[at..];
        let mut directory =
            Directory { start: u32_at(end, 16), size: u32_at(end, 12), entries: u16_at(end, 10) };
        let mut directory_end = start + at as u64;
        // Archives beyond 4 GB say where the numbers are that do not fit.
        if let Some(locator) = at.checked_sub(20).map(|start| &bytes[start..at]) {
            if locator.starts_with(b"PK\x06\x07") {
                directory_end = u64_at(locator, 8);
                input.window(directory_end, 56)?;
                let end: [u8; 56] = input.array()?;
                if !end.starts_with(b"PK\x06\x06") {
                    return Err(PthError::Archive { problem: "has a damaged zip64 directory" });
                }
                directory =
                    Directory { start: u64_at(&end, 48), size: u64_at(&end, 40), entries: u64_at(&end, 32) };
            }
        }
        match directory.start.checked_add(directory.size) {
            Some(end) if end <= directory_end => Ok(directory),
            _ => Err(PthError::Archive { problem: "has a directory that overlaps its end" }),
        }
    }

    /// Calls `visit` for each entry.
    fn entries<R: Read + Seek>(
        &self,
        input: &mut Input<R>,
        mut visit: impl FnMut(&[u8], Entry) -> Result<(), PthError>,
    ) -> Result<(), PthError> {
        input.window(self.start, self.size)?;
        let mut variable = Vec::new();
        for _ in 0..self.entries {
            let fixed: [u8; 46] = input.array()?;
            if !fixed.starts_with(b"PK\x01\x02") {
                return Err(PthError::Archive { problem: "has a damaged directory" });
            }
            let (name, extra) = (u16_at(&fixed, 28) as usize, u16_at(&fixed, 30) as usize);
            variable.resize(name + extra, 0);
            input.read(&mut variable)?;
            input.skip(u16_at(&fixed, 32))?;
            let (name, extra) = variable.split_at(name);
            visit(name, Entry::parse(&fixed, extra)?)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Entry {
    /// Where its own header is, which lies before the data.
    header: u64,
    size: u64,
    stored: bool,
}

impl Entry {
    fn parse(fixed: &[u8; 46], extra: &[u8]) -> Result<Entry, PthError> {
        let [mut compressed, mut size, mut header] = [20, 24, 42].map(|at| u32_at(fixed, at));
        // Numbers that do not fit are in an extra field, in this order.
        let mut large = zip64(extra);
        for number in [&mut size, &mut compressed, &mut header] {
            if *number == 0xffff_ffff {
                let Some((value, rest)) = large.split_first_chunk::<8>() else {
                    return Err(PthError::Archive { problem: "lacks the size of a large entry" });
                };
                (*number, large) = (u64::from_le_bytes(*value), rest);
            }
        }
        let encrypted = u16_at(fixed, 8) & 1 != 0;
        let stored = u16_at(fixed, 10) == 0 && !encrypted && compressed == size;
        Ok(Entry { header, size, stored })
    }

    fn check_stored(&self, name: &[u8]) -> Result<(), PthError> {
        if self.stored {
            return Ok(());
        }
        Err(PthError::Compressed { entry: String::from_utf8_lossy(name).into_owned() })
    }

    /// Where the data are.
    fn data<R: Read + Seek>(&self, input: &mut Input<R>, directory: &Directory) -> Result<u64, PthError> {
        input.window(self.header, 30)?;
        let fixed: [u8; 30] = input.array()?;
        if !fixed.starts_with(&MAGIC) {
            return Err(PthError::Archive { problem: "has an entry without a header" });
        }
        let data = self.header + 30 + u16_at(&fixed, 26) + u16_at(&fixed, 28);
        match data.checked_add(self.size) {
            Some(end) if end <= directory.start => Ok(data),
            _ => Err(PthError::Truncated { offset: data, wanted: self.size, end: directory.start }),
        }
    }

    /// Confines the input to the data.
    fn window<R: Read + Seek>(&self, input: &mut Input<R>, directory: &Directory) -> Result<(), PthError> {
        let data = self.data(input, directory)?;
        input.window(data, self.size)
    }
}

/// The content of the extra field for large numbers, or nothing.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let size = u16_at(head, 2) as usize;
        let Some((content, rest)) = rest.split_at_checked(size) else { break };
        if u16_at(head, 0) == 1 {
            return content;
        }
        extra = rest;
    }
    &[]
}
