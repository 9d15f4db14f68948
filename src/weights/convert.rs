//! From `.pth` to safetensors.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;

use super::hash;
use super::pth::{PthError, PthFile, TensorInfo};
use super::safetensors::{self, Entry};
use super::WeightsError;
use crate::{printable, Error, Result};

/// What [`convert`] makes of a file.
///
/// ```
/// use tch_losses::weights::ConvertOptions;
///
/// // What nn.DataParallel saved: `module.features.0.weight` becomes `features.0.weight`, and `module.classifier...`
/// // is left behind.
/// let options = ConvertOptions { strip: "module.", keep: "features.", ..Default::default() };
/// # assert!(!options.expand);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConvertOptions<'a> {
    /// A prefix that is taken off the names that begin with it; other names stay. Default: `""`.
    pub strip: &'a str,
    /// Only tensors whose names, after `strip`, begin so are written. Default: `""`, all tensors.
    pub keep: &'a str,
    /// Whether tensors that share memory may be written out to any size. Default: false, which allows four times the
    /// size of the `.pth` file and 64 MiB: more than tied weights need, and nothing that fills a disk.
    pub expand: bool,
}

/// What [`convert`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// How many tensors were written.
    pub written: usize,
    /// The tensors that were asked for, but could not be written.
    pub left_out: Vec<LeftOut>,
}

/// A tensor that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name in the `.pth` file.
    pub name: String,
    /// Why, as the end of a sentence: "sparse".
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "`{}` is {}", printable(&self.name), self.reason)
    }
}

/// The tensors of a file may together be this many times as large as the file. Sequence-to-sequence models save one
/// embedding under four names.
const SHARED: u64 = 4;
/// And that much larger: small files may hold filters that are spread over many channels.
const SLACK: u64 = 64 << 20;

/// Writes the tensors of a state dict in a `.pth` file to a safetensors file.
///
/// The values are copied as they are, tensor by tensor, in little memory. The metadata of the new file tell where it
/// comes from: `source`, the name of the `.pth` file, `source_sha256`, its hash, `stripped` and `kept`, the options;
/// `xxh3` is a checksum. It appears under its name when it is whole; a file that was there is replaced.
///
/// Tensors that cannot be [read](super::pth::PthFile::unreadable), or that safetensors files cannot hold (some complex
/// and 8-bit kinds), are left out: [`Converted::left_out`] names them.
///
/// Most of the time goes into the hash: the 575 MB of VGG19 take half a second on a machine whose processor has
/// instructions for SHA-256 (0.96 to 1.1 times a plain hash and copy), and less than a megabyte beyond the program itself.
/// Without optimisation, as in a dependent's debug build, hashing takes twenty seconds.
///
/// # Errors
/// - [`Error::Option`] where both are the same file, or no name begins with `strip`;
/// - [`Error::Read`] and [`WeightsError::Pth`] where `pth` cannot be read, or its tensors share so much memory that writing
///   them needs [`expand`](ConvertOptions::expand);
/// - [`WeightsError::Unusable`] where nothing is left to write, or two tensors have one name after `strip`;
/// - [`Error::Write`] where `safetensors` cannot be written.
///
/// ```no_run
/// use tch_losses::weights::{convert, ConvertOptions};
///
/// let options = ConvertOptions { keep: "features.", ..Default::default() };
/// let converted = convert("vgg19-dcbb9e9d.pth", "vgg19.safetensors", &options)?;
/// assert_eq!((converted.written, converted.left_out.len()), (32, 0));
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub fn convert(
    pth: impl AsRef<Path>,
    safetensors: impl AsRef<Path>,
    options: &ConvertOptions,
) -> Result<Converted> {
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
    let file = PthFile::open(pth)?;
    write(file, pth, safetensors, options, &hash::sha256(pth)?)
}

/// [`convert`] for a file whose hash has been checked: it is what its publisher meant, however large.
pub(super) fn convert_known(pth: &Path, safetensors: &Path, keep: &str, sha256: &str) -> Result<Converted> {
    let options = ConvertOptions { keep, strip: "", expand: true };
    write(PthFile::open(pth)?, pth, safetensors, &options, sha256)
}

fn write(
    mut file: PthFile,
    pth: &Path,
    safetensors: &Path,
    options: &ConvertOptions,
    sha256: &str,
) -> Result<Converted> {
    let unusable = |problem: String| Error::from(WeightsError::unusable(pth, problem));
    let Chosen { tensors, left_out } = choose(&file, options)?;
    let written = tensors.len();
    if written == 0 {
        return Err(unusable(nothing(&file, &left_out, options)));
    }
    let mut names = HashSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(unusable(format!(
            "two tensors are called `{}` without the prefix `{}`",
            printable(name),
            printable(options.strip)
        )));
    }
    let bytes = tensors.iter().fold(0u64, |sum, (_, info)| sum.saturating_add(info.size_in_bytes()));
    let limit = file.size().saturating_mul(SHARED).saturating_add(SLACK);
    if bytes > limit && !options.expand {
        let reason = PthError::SharedStorages { bytes, limit };
        return Err(WeightsError::Pth { path: pth.into(), reason }.into());
    }
    let name = pth.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("source".to_owned(), name),
        (SOURCE_SHA256.to_owned(), sha256.to_owned()),
    ]);
    for (key, value) in [(KEPT, options.keep), (STRIPPED, options.strip)] {
        if !value.is_empty() {
            metadata.insert(key.to_owned(), value.to_owned());
        }
    }
    let entry = |(name, info): &(String, TensorInfo)| Entry {
        name: name.clone(),
        kind: info.kind(),
        shape: info.shape().into(),
        bytes: info.size_in_bytes(),
    };
    let entries = tensors.iter().map(entry).collect();
    let tensors: BTreeMap<String, TensorInfo> = tensors.into_iter().collect();
    safetensors::write(safetensors, entries, &metadata, |entry, sink| {
        file.read_chunks_of(&tensors[&entry.name], sink)
    })?;
    Ok(Converted { written, left_out })
}

/// The tensors that are asked for, with the names that they are written under.
struct Chosen {
    tensors: Vec<(String, TensorInfo)>,
    left_out: Vec<LeftOut>,
}

fn choose(file: &PthFile, options: &ConvertOptions) -> Result<Chosen> {
    let &ConvertOptions { strip, keep, .. } = options;
    let readable = file.tensors().iter().map(|tensor| tensor.name());
    let mut names = readable.chain(file.unreadable().iter().map(|tensor| &*tensor.name)).peekable();
    let example = names.peek().copied();
    if let Some(example) = example.filter(|_| !names.any(|name| name.starts_with(strip))) {
        return Err(Error::Option {
            option: "strip",
            given: format!("`{}`", printable(strip)),
            expected: format!("what a tensor's name begins with; one is `{}`", printable(example)),
        });
    }
    let chosen = |name: &str| {
        let name = name.strip_prefix(strip).unwrap_or(name);
        name.starts_with(keep).then(|| name.to_owned())
    };
    let (mut tensors, mut left_out) = (Vec::new(), Vec::new());
    for info in file.tensors() {
        let Some(name) = chosen(info.name()) else { continue };
        let reason = if !safetensors::can_hold(info.kind()) {
            format!("of the kind {:?}, which safetensors files cannot hold", info.kind())
        } else if name == "__metadata__" {
            "of a name that safetensors files reserve".into()
        } else {
            tensors.push((name, info.clone()));
            continue;
        };
        left_out.push(LeftOut { name: info.name().into(), reason });
    }
    let unreadable = file.unreadable().iter().filter(|tensor| chosen(&tensor.name).is_some());
    left_out.extend(
        unreadable.map(|tensor| LeftOut { name: tensor.name.clone(), reason: tensor.reason.to_string() }),
    );
    Ok(Chosen { tensors, left_out })
}

/// Why nothing can be written.
fn nothing(file: &PthFile, left_out: &[LeftOut], options: &ConvertOptions) -> String {
    if let Some(tensor) = left_out.first() {
        let others = match left_out.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        return format!("no tensor can be written: {tensor}{others}");
    }
    match file.tensors().first() {
        Some(tensor) => {
            let (keep, name) = (printable(options.keep), printable(tensor.name()));
            format!("no tensor's name begins with `{keep}`; one is `{name}`")
        }
        None => "it has no tensors".into(),
    }
}

/// The metadata keys of the hash of the file that was converted, of what was kept of it, and of the prefix taken off.
pub(super) const SOURCE_SHA256: &str = "source_sha256";
pub(super) const KEPT: &str = "kept";
const STRIPPED: &str = "stripped";
