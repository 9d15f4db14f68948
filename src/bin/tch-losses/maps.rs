//! Pictures of what the losses of pairs see.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tch_losses::printable;
use tch_losses::visual::{file_names, save_png, ContactSheet};

use crate::inputs::Source;
use crate::losses::Entry;
use crate::note;
use crate::pair::Pair;
use crate::picture::Ends;

/// The folder for the pictures of all pairs.
pub struct Maps<'a> {
    folder: &'a Path,
    /// Whether each pair has a folder of its own in it.
    by_pair: bool,
    /// Whether the losses without a map were told.
    told: bool,
}

impl<'a> Maps<'a> {
    pub fn new(folder: &'a Path, by_pair: bool) -> Maps<'a> {
        Maps { folder, by_pair, told: false }
    }

    /// The folder for the pictures of a pair.
    fn folder(&self, source: &Source) -> PathBuf {
        if self.by_pair {
            self.folder.join(&source.stem)
        } else {
            self.folder.into()
        }
    }

    /// The files that the pictures of a pair go to, one for each loss.
    pub fn files(&self, source: &Source, entries: &[Entry]) -> Vec<PathBuf> {
        let folder = self.folder(source);
        let names: Vec<&str> = entries.iter().map(|entry| entry.key).collect();
        file_names(&names).into_iter().map(|name| folder.join(name)).collect()
    }

    /// Writes the pictures of a pair.
    pub fn write(
        &mut self,
        pair: &Pair,
        source: &Source,
        entries: &[Entry],
        values: &[f64],
        range: Ends,
    ) -> Result<()> {
        let folder = self.folder(source);
        fs::create_dir_all(&folder)
            .with_context(|| format!("--maps: cannot make the folder {}", folder.display()))?;
        let files = self.files(source, entries);
        for ((Entry { key, headline, loss, reach, .. }, value), path) in entries.iter().zip(values).zip(files)
        {
            let Some(map) = pair.map(*loss, *reach)? else {
                if !self.told {
                    note(format_args!("{} has no map: no picture is written of it", printable(key)));
                }
                continue;
            };
            let sheet = ContactSheet {
                name: headline,
                value: *value,
                fake: &pair.fake,
                real: &pair.real,
                range,
                responses: pair.responses(*loss, *reach)?,
                map,
            };
            save_png(&sheet.render()?, &path).context("--maps")?;
            note(format_args!("wrote {}", path.display()));
        }
        self.told = true;
        Ok(())
    }
}
