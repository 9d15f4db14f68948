//! What is in a folder of images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What is in a folder, by name.
#[derive(Debug, Default)]
pub struct Entries {
    /// PNG and JPEG files.
    pub images: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    others: Vec<PathBuf>,
}

impl Entries {
    pub fn of(folder: &Path) -> Result<Entries> {
        let unreadable = || format!("cannot read the folder {}", folder.display());
        let mut entries = Entries::default();
        for entry in fs::read_dir(folder).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            // Hidden files are the system's: macOS puts a `._0.png` beside `0.png`.
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
            let kind = if path.is_dir() {
                &mut entries.folders
            } else if ["png", "jpg", "jpeg"].iter().any(|known| extension == *known) {
                &mut entries.images
            } else {
                &mut entries.others
            };
            kind.push(path);
        }
        for kind in [&mut entries.images, &mut entries.folders, &mut entries.others] {
            kind.sort();
        }
        Ok(entries)
    }

    /// What there is beside images, in words.
    pub fn found(&self) -> String {
        let mut parts = Vec::new();
        for (kind, paths) in [("the folders", &self.folders), ("the files", &self.others)] {
            let names = paths.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
            let some = names.take(5).collect::<Vec<_>>().join(", ");
            match paths.len() {
                0 => {}
                1..=5 => parts.push(format!("{kind} {some}")),
                more => parts.push(format!("{kind} {some} and {} more", more - 5)),
            }
        }
        if parts.is_empty() {
            "is empty".into()
        } else {
            format!("has {}", parts.join(" and "))
        }
    }
}
