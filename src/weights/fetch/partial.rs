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
    /// Whether it was put together from more than one answer.
    resumed: bool,
}

impl<'a> Partial<'a> {
    /// Takes up what an earlier run left at `path`, unless that is too long to be a part of the file.
    pub(super) fn open(path: PathBuf, source: &'a Source<'a>) -> Result<Self, FetchError> {
        let open = || {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            if file.metadata()?.len() > source.size {
                file.set_len(0)?;
            }
            let mut hasher = Sha256::new();
            let len = hash::read(&file, &mut hasher)?;
            Ok((file, hasher, len))
        };
        match open() {
            Ok((file, hasher, len)) => Ok(Self { source, path, file, hasher, len, resumed: len > 0 }),
            Err(reason) => Err(FetchError::Write { path, reason }),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
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
        if bytes.len() as u64 > self.source.size - self.len {
            return Err(FetchError::TooLong { expected: self.source.size });
        }
        let written = self.file.write_all(bytes);
        self.written(written)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Checks the hash of a file that is complete.
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
