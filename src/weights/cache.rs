//! Where pretrained weights are kept.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::convert::{convert_known, KEPT, SOURCE_SHA256};
use super::safetensors::SafetensorsFile;
use super::{hash, open, KnownFile, WeightsError, WrongFile};
use crate::{Error, Result};

/// The folder of pretrained weights, ready to load, and the places that spare a download.
///
/// The cache keeps a [known file](KnownFile) as a safetensors file with only the needed tensors: 80 MB of
/// the 575 of VGG19. Its metadata name the source. Each request checks the file; a damaged file is
/// made anew.
///
/// ```no_run
/// use tch_losses::weights::{Cache, VGG19};
///
/// let path = Cache::from_env()?.get(&VGG19)?; // fetches, verifies and converts, the first time
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The folder. Default: `$TCH_LOSSES_CACHE`, else `tch-losses` in the platform's cache folder
    /// (`$XDG_CACHE_HOME` or `~/.cache` on Linux).
    pub directory: PathBuf,
    /// The folder of `torch.hub`'s downloads. Correct files in it are used; the folder is never written.
    /// Default: `$TORCH_HOME/hub/checkpoints`, with `$XDG_CACHE_HOME/torch` or `~/.cache/torch` for
    /// `$TORCH_HOME`.
    pub hub: Option<PathBuf>,
    /// Whether the network is forbidden. Default: whether `$TCH_LOSSES_OFFLINE` is set to something other
    /// than `0`.
    pub offline: bool,
}

impl Cache {
    /// The cache that the environment variables describe.
    ///
    /// # Errors
    /// [`Error::Option`] if there is neither `TCH_LOSSES_CACHE` nor a home folder.
    pub fn from_env() -> Result<Cache> {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let directory = folder("TCH_LOSSES_CACHE").or_else(|| Some(dirs::cache_dir()?.join("tch-losses")));
        let Some(directory) = directory else {
            return Err(Error::Option {
                option: "TCH_LOSSES_CACHE",
                given: "not set, and there is no home folder".into(),
                expected: "a folder to keep weights in".into(),
            });
        };
        // As torch.hub does on every platform: ~/.cache, not the platform's folder.
        let torch_home = folder("TORCH_HOME").or_else(|| {
            let caches = folder("XDG_CACHE_HOME").or_else(|| Some(dirs::home_dir()?.join(".cache")))?;
            Some(caches.join("torch"))
        });
        Ok(Cache {
            directory,
            hub: torch_home.map(|home| home.join("hub").join("checkpoints")),
            offline: variable("TCH_LOSSES_OFFLINE").is_some_and(|value| value != "0"),
        })
    }

    /// The path of a file in the cache, whether or not the file exists.
    pub fn path(&self, file: &KnownFile) -> PathBuf {
        self.folder().join(file.source.file_name()).with_extension("safetensors")
    }

    /// The path of the file, checked. A missing file is made from `torch.hub`'s download, or else from a new
    /// download.
    ///
    /// When several processes want the same file, one of them makes it and the others wait.
    ///
    /// # Errors
    /// - [`WeightsError::Unavailable`] if a download is needed, but forbidden or not built in;
    /// - `WeightsError::Fetch` (feature `download`) if the download fails;
    /// - [`Error::Write`] if the file cannot be written, for instance to a full disk;
    /// - [`WeightsError::Pth`] if the content is not what its hash promises.
    ///
    /// The first two name the wrong files in these places, if there are any. A line on stderr names them
    /// before a download.
    pub fn get(&self, file: &KnownFile) -> Result<PathBuf> {
        let path = self.path(file);
        if is_whole(&path, file) {
            return Ok(path);
        }
        let lock = path.with_extension("lock");
        let _lock = open::lock(&lock, &path).map_err(|reason| Error::Write { path: lock, reason })?;
        // Another process may have made it in the meantime.
        if is_whole(&path, file) {
            return Ok(path);
        }
        remove_left_overs(&path);
        let downloaded = self.folder().join(file.source.file_name());
        let in_hub = self.hub.as_ref().map(|hub| hub.join(file.source.file_name()));
        // One that cannot be read is as good as none.
        let is_there = |candidate: &&PathBuf| file.source.is_at(candidate).unwrap_or(false);
        let original = match in_hub.iter().chain([&downloaded]).find(is_there) {
            Some(original) => original,
            None => {
                self.fetch(file, &downloaded, in_hub.as_deref())?;
                &downloaded
            }
        };
        // Of all digits, even where some are known.
        let sha256 = match file.source.has_whole_hash() {
            true => file.source.sha256.to_owned(),
            false => hash::sha256(original)?,
        };
        convert_known(original, &path, file.keep, &sha256)?;
        if *original == downloaded && Some(&downloaded) != in_hub.as_ref() {
            // Seven times the size of what was made of it. (Where both folders are one, it is torch.hub's.)
            let _ = fs::remove_file(&downloaded);
        }
        Ok(path)
    }

    /// The wrong files in the places where the file is looked for: a page that a server sent in its place, a
    /// part of a download, a damaged file.
    ///
    /// There are none if the file at [`path`](Self::path) is right, whatever the other places hold.
    /// [`get`](Self::get) uses none of these files; it mends or replaces those in its own folder.
    pub fn wrong_files(&self, file: &KnownFile) -> Vec<WrongFile> {
        let kept = self.path(file);
        if is_whole(&kept, file) {
            return Vec::new();
        }
        let name = file.source.file_name();
        let originals = self.hub.iter().map(|hub| hub.join(name)).chain([self.folder().join(name)]);
        let mut wrong: Vec<WrongFile> =
            originals.filter_map(|path| WrongFile::instead_of(&file.source, &path)).collect();
        if kept.exists() {
            wrong.push(WrongFile::at(&kept, None));
        }
        wrong
    }

    fn folder(&self) -> PathBuf {
        self.directory.join("weights")
    }

    fn fetch(&self, file: &KnownFile, target: &Path, in_hub: Option<&Path>) -> Result<()> {
        let source = &file.source;
        let wrong_files: Box<[WrongFile]> = self.wrong_files(file).into();
        let unavailable = |reason: &'static str| WeightsError::Unavailable {
            reason,
            url: source.url.into(),
            size: source.size,
            sha256: source.sha256.into(),
            places: [Some(target), in_hub].into_iter().flatten().map(Path::to_path_buf).collect(),
            wrong: wrong_files.clone(),
        };
        if self.offline {
            return Err(unavailable("TCH_LOSSES_OFFLINE is set").into());
        }
        #[cfg(feature = "download")]
        {
            // Before half a gigabyte comes, though there seems to be a file.
            wrong_files.iter().for_each(super::fetch::note);
            let fetched = super::fetch::Fetcher::default().fetch(source, target);
            fetched.map_err(|mut error| {
                if let Error::Weights(WeightsError::Fetch { wrong, .. }) = &mut error {
                    *wrong = wrong_files;
                }
                error
            })
        }
        #[cfg(not(feature = "download"))]
        Err(unavailable("tch-losses was built without its feature `download`").into())
    }
}

/// Whether this is what is made of `known`, undamaged. What is not, for whatever reason, is made anew.
fn is_whole(path: &Path, known: &KnownFile) -> bool {
    let check = || -> Result<bool> {
        let mut file = SafetensorsFile::open(path)?;
        let metadata = file.metadata();
        let of_source = metadata.get(SOURCE_SHA256).is_some_and(|hash| known.source.has_hash(hash));
        Ok(of_source && metadata.get(KEPT).map_or("", String::as_str) == known.keep && file.is_intact()?)
    };
    check().unwrap_or(false)
}

/// Removes what conversions that were killed have left beside `path`. Only while it is locked.
fn remove_left_overs(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|other| {
            other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".partial"))
        }) {
            // It only takes up room; the new one has another name.
            let _ = fs::remove_file(entry.path());
        }
    }
}
