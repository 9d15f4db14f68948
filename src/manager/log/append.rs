//! A file that grows by whole pieces.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::{Error, Result};

/// A file at whose end pieces are written, each in full or not at all.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    file: File,
    /// The length of what was written in full.
    length: u64,
    /// Whether something may follow that was not.
    torn: bool,
}

impl Appender {
    /// Takes up `file` at `length`; what follows is cut off.
    pub fn new(path: PathBuf, file: File, length: u64) -> Result<Appender> {
        let mut appender = Appender { path, file, length, torn: true };
        appender.append(&[])?;
        Ok(appender)
    }

    /// Writes `bytes` at the end, in one call to the operating system where that takes them all at once.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        match self.write(bytes) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(reason) => {
                // At once, for there may be no later call.
                self.torn = self.file.set_len(self.length).is_err();
                Err(Error::Write { path: self.path.clone(), reason })
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)
    }
}
