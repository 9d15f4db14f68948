//! The part of a file that has come so far.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::FetchError;
use crate::weights::{hash, Source};

/// A file under a provisional name, hashed while it grows.
pub(super) struct Partial<'a> {
    source: &'a Source<'a>,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    len: u64,
    /// The size of the whole: the source's, or else what the server says.
    size: Option<u64>,
    /// Whether it was put together from more than one answer.
    resumed: bool,
}

impl<'a> Partial<'a> {
    /// Takes up what an earlier run left at `path`, unless that is too long to be a part of the file.
    pub(super) fn open(path: PathBuf, source: &'a Source<'a>) -> Result<Self, FetchError> {
        let open = || {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            let len = file.metadata()?.len();
            if source.size.is_some_and(|size| len > size) {
                file.set_len(0)?;
            }
            let mut hasher = Sha256::new();
            let len = hash::read(&file, &mut hasher)?;
            Ok((file, hasher, len))
        };
        match open() {
            Ok((file, hasher, len)) => {
                Ok(Self { source, path, file, hasher, len, size: source.size, resumed: len > 0 })
            }
            Err(reason) => Err(FetchError::Write { path, reason }),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Takes the size that the server says, or an error if the file has another.
    pub(super) fn expect(&mut self, given: Option<u64>) -> Result<(), FetchError> {
        match (given, self.source.size) {
            (Some(given), Some(expected)) if given != expected => Err(FetchError::Size { given, expected }),
            (given, known) => {
                self.size = known.or(given);
                Ok(())
            }
        }
    }

    /// Whether all of it has come. Where the size is not known, the hash tells.
    pub(super) fn is_complete(&self) -> bool {
        match self.source.size {
            Some(size) => self.len >= size,
            None => self.len > 0 && self.check().is_ok(),
        }
    }

    pub(super) fn resumed(&self) -> bool {
        self.resumed
    }

    pub(super) fn resume(&mut self) {
        self.resumed = true;
    }

    /// Forgets everything that has come.
    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        self.hasher.reset();
        self.len = 0;
        self.resumed = false;
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        self.written(cleared)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        if let Some(expected) = self.size.filter(|size| self.len + bytes.len() as u64 > *size) {
            return Err(FetchError::TooLong { expected });
        }
        let written = self.file.write_all(bytes);
        self.written(written)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Checks the hash.
    pub(super) fn check(&self) -> Result<(), FetchError> {
        let given = hash::hex(self.hasher.clone());
        if self.source.has_hash(&given) {
            return Ok(());
        }
        Err(FetchError::Hash { given, expected: self.source.sha256.to_ascii_lowercase() })
    }

    /// Gives the file its final name, whole or not at all.
    pub(super) fn publish(self, target: &Path) -> Result<(), FetchError> {
        // Without this, a machine that loses power may come up with the name but not the bytes.
        let synced = self.file.sync_all();
        self.written(synced)?;
        let Self { path, file, .. } = self;
        // Windows renames no open file.
        drop(file);
        fs::rename(path, target).map_err(|reason| FetchError::Write { path: target.into(), reason })
    }

    /// Removes what is of no use to a later run. It would only cost that run a moment, so that failing
    /// here must not hide the reason for it.
    pub(super) fn discard(self) {
        let Self { path, file, .. } = self;
        drop(file);
        let _ = fs::remove_file(path);
    }

    fn written(&self, result: io::Result<()>) -> Result<(), FetchError> {
        result.map_err(|reason| FetchError::Write { path: self.path.clone(), reason })
    }
}
