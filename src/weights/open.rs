//! Opening files, and waiting for other processes.

use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal};
use std::path::Path;

use crate::{Error, Result};

/// Opens a file to read, and not a folder, which some systems open as well.
pub(super) fn to_read(path: &Path) -> Result<File> {
    let open = || {
        let file = File::open(path)?;
        match file.metadata()?.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        }
    };
    open().map_err(|reason| Error::Read { path: path.into(), reason })
}

/// Waits until no other process makes `target`, which is what holding the lock file at `path` stands for.
///
/// The lock lives and dies with the file handle, so that a crash leaves none behind. Its file does stay:
/// if it were removed, one process could hold the old and another the new one.
pub(super) fn lock(path: &Path, target: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            if io::stderr().is_terminal() {
                eprintln!("waiting for another process that makes {}", target.display());
            }
            file.lock()?;
        }
        locked => locked?,
    }
    Ok(file)
}
