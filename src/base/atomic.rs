//! Files that are there as a whole or as they were.

use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A new file beside the one to be at `path`, removed when it does not become that; the folder is made if it
/// is not there.
pub(crate) fn partial(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut prefix = path.file_name().unwrap_or_default().to_os_string();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    // The usual permissions: tempfile's own default lets nobody else read a cache that is shared.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Makes the file at `path`, in place of what may be there, of what `content` writes.
pub(crate) fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<NamedTempFile>) -> io::Result<()>,
) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(partial(path)?);
        content(&mut file)?;
        let file = file.into_inner()?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|reason| Error::Write { path: path.into(), reason })
}
