//! A file that is never read beyond its end, and that says how much memory its contents may take.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::PthError;

/// A seekable reader with its position, confined to a window of the file.
pub(super) struct Input<R> {
    reader: BufReader<R>,
    position: u64,
    /// Where the window ends.
    end: u64,
    len: u64,
}

impl<R: Read + Seek> Input<R> {
    pub(super) fn new(mut reader: R) -> Result<Self, PthError> {
        let len = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        Ok(Input { reader: BufReader::new(reader), position: 0, end: len, len })
    }

    /// The size of the whole file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn remaining(&self) -> u64 {
        self.end - self.position
    }

    /// Goes to `start` and confines what follows to `size` bytes from there.
    pub(super) fn window(&mut self, start: u64, size: u64) -> Result<(), PthError> {
        self.end = self.len;
        match start.checked_add(size) {
            Some(end) if end <= self.len => {
                self.seek(start)?;
                self.end = end;
                Ok(())
            }
            _ => Err(PthError::Truncated { offset: start, wanted: size, end: self.len }),
        }
    }

    /// `position` is not beyond the end.
    fn seek(&mut self, position: u64) -> Result<(), PthError> {
        // Relative where possible: that keeps what is buffered.
        match (i64::try_from(position), i64::try_from(self.position)) {
            (Ok(to), Ok(from)) => self.reader.seek_relative(to - from)?,
            _ => drop(self.reader.seek(SeekFrom::Start(position))?),
        }
        self.position = position;
        Ok(())
    }

    fn check(&self, wanted: u64) -> Result<(), PthError> {
        if wanted <= self.remaining() {
            return Ok(());
        }
        Err(PthError::Truncated { offset: self.position, wanted, end: self.end })
    }

    pub(super) fn skip(&mut self, count: u64) -> Result<(), PthError> {
        self.check(count)?;
        self.seek(self.position + count)
    }

    pub(super) fn read(&mut self, target: &mut [u8]) -> Result<(), PthError> {
        self.check(target.len() as u64)?;
        self.reader.read_exact(target)?;
        self.position += target.len() as u64;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PthError> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}

/// Counts the memory that objects take, so that a small file cannot ask for a lot of it.
pub(super) struct Budget {
    left: u64,
    limit: u64,
}

impl Budget {
    /// What a file of `len` bytes may use for everything but the data of its tensors: a constant that
    /// state dicts with tens of thousands of tensors stay below, plus the file's own size (which for such
    /// a file is larger anyway), up to a limit that keeps indices small.
    pub(super) fn new(len: u64) -> Budget {
        let limit = (64 << 20) + len.min(1 << 30);
        Budget { left: limit, limit }
    }

    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), PthError> {
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or(PthError::TooManyObjects { limit: self.limit })?;
        Ok(())
    }

    /// Makes room for `more` elements. Each new capacity is charged in full and the old one not given back:
    /// both exist while one is copied to the other.
    pub(super) fn reserve<T>(&mut self, vector: &mut Vec<T>, more: usize) -> Result<(), PthError> {
        if vector.capacity() - vector.len() < more {
            let capacity = (vector.len() + more).max(2 * vector.capacity());
            self.charge(capacity.saturating_mul(size_of::<T>()).saturating_add(ALLOCATION))?;
            vector.reserve_exact(capacity - vector.len());
        }
        Ok(())
    }

    pub(super) fn push<T>(&mut self, vector: &mut Vec<T>, value: T) -> Result<(), PthError> {
        self.reserve(vector, 1)?;
        vector.push(value);
        Ok(())
    }
}

/// What an allocation costs beyond its size.
pub(super) const ALLOCATION: usize = 32;
