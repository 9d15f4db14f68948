//! From `.pth` to safetensors.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::hash;
use super::pth::PthFile;
use super::safetensors::{self, Entry};
use crate::{Error, Result};

/// Writes the tensors of a state dict in a `.pth` file whose names begin with `keep` (all of them for `""`) to a
/// safetensors file, and returns how many there were.
///
/// The values are copied as they are, tensor by tensor, in little memory. The metadata of the new file tell where it
/// comes from: `source`, the name of the `.pth` file, `source_sha256`, its hash, and `kept`, the argument `keep`; `xxh3` is a checksum. It
/// appears under its name when it is whole; a file that was there is replaced.
///
/// Most of the time goes into the hash: the 575 MB of VGG19 take half a second on a machine whose processor has
/// instructions for SHA-256 (0.96 to 1.1 times a plain hash and copy), and less than a megabyte beyond the program itself.
/// Without optimisation, as in a dependent's debug build, hashing takes twenty seconds.
///
/// # Errors
/// - [`Error::Option`] where both are the same file;
/// - [`Error::Read`] and [`Error::Pth`] where `pth` cannot be read;
/// - [`Error::Weights`] where no name begins with `keep`, or a tensor has a kind that safetensors files cannot hold
///   (complex numbers);
/// - [`Error::Write`] where `safetensors` cannot be written.
///
/// ```no_run
/// use tch_losses::weights::convert;
///
/// let count = convert("vgg19-dcbb9e9d.pth", "vgg19.safetensors", "features.")?;
/// assert_eq!(count, 32);
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub fn convert(pth: impl AsRef<Path>, safetensors: impl AsRef<Path>, keep: &str) -> Result<usize> {
    let (pth, safetensors) = (pth.as_ref(), safetensors.as_ref());
    if fs::canonicalize(safetensors)
        .is_ok_and(|output| fs::canonicalize(pth).is_ok_and(|input| input == output))
    {
        return Err(Error::Option {
            option: "safetensors",
            given: safetensors.display().to_string(),
            expected: "another file than the one that is read".into(),
        });
    }
    convert_known(pth, safetensors, keep, &hash::sha256(pth)?)
}

/// [`convert`] for a file whose hash is known.
pub(super) fn convert_known(pth: &Path, safetensors: &Path, keep: &str, sha256: &str) -> Result<usize> {
    let mut file = PthFile::open(pth)?;
    let entries: Vec<Entry> = file
        .tensors()
        .iter()
        .filter(|tensor| tensor.name().starts_with(keep))
        .map(|tensor| Entry {
            name: tensor.name().into(),
            kind: tensor.kind(),
            shape: tensor.shape().into(),
            bytes: tensor.size_in_bytes(),
        })
        .collect();
    let count = entries.len();
    if count == 0 {
        let problem = match file.tensors().first() {
            Some(tensor) => format!("no tensor's name begins with `{keep}`; one is `{}`", tensor.name()),
            None => "it has no tensors".into(),
        };
        return Err(Error::Weights { path: pth.into(), problem });
    }
    let unfit =
        entries.iter().find(|entry| !safetensors::can_hold(entry.kind) || entry.name == "__metadata__");
    if let Some(Entry { name, kind, .. }) = unfit {
        let problem = match safetensors::can_hold(*kind) {
            true => format!("safetensors files reserve the name `{name}`"),
            false => format!("`{name}` has kind {kind:?}, which safetensors files cannot hold"),
        };
        return Err(Error::Weights { path: pth.into(), problem });
    }
    let name = pth.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("source".to_owned(), name),
        (SOURCE_SHA256.to_owned(), sha256.to_owned()),
    ]);
    if !keep.is_empty() {
        metadata.insert(KEPT.to_owned(), keep.to_owned());
    }
    safetensors::write(safetensors, entries, &metadata, |entry, sink| file.read_chunks(&entry.name, sink))?;
    Ok(count)
}

/// The metadata keys of the hash of the file that was converted, and of what was kept of it.
pub(super) const SOURCE_SHA256: &str = "source_sha256";
pub(super) const KEPT: &str = "kept";
