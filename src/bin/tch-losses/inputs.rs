//! Which pictures `compare` compares: two images, those of two folders, or the parts of strips.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use tch_losses::printable;

use crate::note;
use crate::picture::{self, Ends, Limit, Picture};

/// The endings of the files that are taken from a folder.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];
/// More files than these are counted, not named.
const MOST_NAMED: usize = 8;

/// The pairs to compare.
pub struct Inputs {
    pub pairs: Vec<Source>,
    /// Whether they come from folders. A folder may have one pair.
    pub from_folders: bool,
    /// What was asked for, in words: the head of the table.
    pub head: Vec<(&'static str, String)>,
}

/// Where the pictures of a pair are.
pub struct Source {
    /// The file's name without its ending.
    pub stem: OsString,
    files: Files,
}

enum Files {
    Two { fake: PathBuf, real: PathBuf },
    Strip { path: PathBuf, order: Order },
}

/// What the parts of a strip are, from left to right.
#[derive(Debug, Clone)]
pub struct Order {
    parts: Vec<String>,
    fake: usize,
    real: usize,
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Order, String> {
        let parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        let place = |name: &str| {
            let mut places = parts.iter().enumerate().filter(|(_, part)| *part == name);
            match (places.next(), places.next()) {
                (Some((place, _)), None) => Ok(place),
                _ => Err(format!("expected one part `{name}`, as in `fake,real` or `input,fake,real`")),
            }
        };
        let (fake, real) = (place("fake")?, place("real")?);
        Ok(Order { parts, fake, real })
    }
}

impl Inputs {
    /// Two images, or the images of two folders that have the same names but for their endings.
    pub fn of_two(fake: &Path, real: &Path) -> Result<Inputs> {
        let head = vec![("fake", shown(fake)), ("real", shown(real))];
        let pairs = match (is_folder(fake)?, is_folder(real)?) {
            (false, false) => {
                let files = Files::Two { fake: fake.into(), real: real.into() };
                return Ok(Inputs {
                    pairs: vec![Source { stem: stem(fake), files }],
                    from_folders: false,
                    head,
                });
            }
            (true, true) => paired(fake, real)?,
            (true, false) => bail!(
                "--fake {} is a folder, --real {} is none: name two images or two folders",
                shown(fake),
                shown(real)
            ),
            (false, true) => bail!(
                "--real {} is a folder, --fake {} is none: name two images or two folders",
                shown(real),
                shown(fake)
            ),
        };
        Ok(Inputs { pairs, from_folders: true, head })
    }

    /// A strip, or all strips of a folder.
    pub fn of_strips(path: &Path, order: &Order) -> Result<Inputs> {
        let head = vec![("strips", shown(path)), ("parts", order.parts.join(", "))];
        let of_file = |(stem, path)| Source { stem, files: Files::Strip { path, order: order.clone() } };
        if !is_folder(path)? {
            let pairs = vec![of_file((stem(path), path.into()))];
            return Ok(Inputs { pairs, from_folders: false, head });
        }
        let pairs = images_of(path)?.into_iter().map(of_file).collect();
        Ok(Inputs { pairs, from_folders: true, head })
    }
}

impl Source {
    /// The name of the pair.
    pub fn name(&self) -> String {
        self.stem.to_string_lossy().into_owned()
    }

    /// The files that are read.
    pub fn paths(&self) -> Vec<&PathBuf> {
        match &self.files {
            Files::Two { fake, real } => vec![fake, real],
            Files::Strip { path, .. } => vec![path],
        }
    }

    /// The files, for messages.
    pub fn files(&self) -> String {
        match &self.files {
            Files::Two { fake, real } => format!("{} and {}", shown(fake), shown(real)),
            Files::Strip { path, .. } => shown(path),
        }
    }

    /// Reads the fake picture and the real one, which are of one size.
    pub fn load(&self, ends: Ends, limit: Limit) -> Result<(Picture, Picture)> {
        let (path, order) = match &self.files {
            Files::Two { fake, real } => {
                let fake = picture::load(fake, ends, limit)?;
                let real = picture::load(real, ends, limit)?;
                ensure!(
                    fake.size() == real.size(),
                    "{} differ in size, {} and {} pixels: crop or resize one of them",
                    self.files(),
                    fake.size_in_words(),
                    real.size_in_words()
                );
                return Ok((fake, real));
            }
            Files::Strip { path, order } => (path, order),
        };
        let strip = picture::load(path, ends, limit)?;
        let (width, count) = (strip.size().0, order.parts.len() as i64);
        ensure!(
            width % count == 0,
            "{} is {width} pixels wide, which {count} equal parts are not: name its parts with --order, such as \
             input,fake,real",
            self.files()
        );
        Ok((strip.part(order.fake as i64, count), strip.part(order.real as i64, count)))
    }

    /// Tells where another number of parts would make them square, as those of most data sets are: such a strip has
    /// been cut in the middle of a picture.
    pub fn doubt_parts(&self, part: &Picture) {
        let Files::Strip { path, order } = &self.files else { return };
        let ((width, height), count) = (part.size(), order.parts.len() as i64);
        let whole = width * count;
        if whole == height {
            note(format_args!("{}: it is square: is it a strip?", shown(path)));
        } else if width != height && whole % height == 0 {
            note(format_args!(
                "{}: its {count} parts are {} pixels; {} parts would be square, see --order",
                shown(path),
                part.size_in_words(),
                whole / height
            ));
        }
    }
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).to_string()
}

fn stem(path: &Path) -> OsString {
    path.file_stem().unwrap_or_default().to_owned()
}

/// An error where nothing is at `path`.
fn is_folder(path: &Path) -> Result<bool> {
    Ok(fs::metadata(path).with_context(|| format!("cannot read {}", shown(path)))?.is_dir())
}

/// The images of both folders, by the names that they share.
fn paired(fake: &Path, real: &Path) -> Result<Vec<Source>> {
    let (fakes, mut reals) = (images_of(fake)?, images_of(real)?);
    let mut pairs = Vec::new();
    let mut alone = Vec::new();
    let all = (named(fakes.values()), named(reals.values()));
    for (stem, fake) in fakes {
        match reals.remove(&stem) {
            Some(real) => pairs.push(Source { stem, files: Files::Two { fake, real } }),
            None => alone.push(fake),
        }
    }
    ensure!(
        !pairs.is_empty(),
        "no image of {} has the name of one of {}, endings aside: the first has {}, the second {}",
        shown(fake),
        shown(real),
        all.0,
        all.1
    );
    for (folder, alone, other) in [(fake, alone, real), (real, reals.into_values().collect::<Vec<_>>(), fake)]
    {
        if !alone.is_empty() {
            let (count, have) = match alone.len() {
                1 => ("1 image".into(), "has"),
                count => (format!("{count} images"), "have"),
            };
            note(format_args!(
                "left out: {count} of {} {have} no image of the same name in {}: {}",
                shown(folder),
                shown(other),
                named(&alone)
            ));
        }
    }
    Ok(pairs)
}

/// The images of a folder by their names without endings, but for hidden ones. What else is there is told.
fn images_of(folder: &Path) -> Result<BTreeMap<OsString, PathBuf>> {
    let cannot_read = || format!("cannot read {}", shown(folder));
    let mut images: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    let mut others = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // What is behind a link that leads nowhere may be an image: reading it tells.
        if is_hidden || path.is_dir() {
            continue;
        }
        let ending = path.extension().unwrap_or_default();
        if !ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
            others.push(path);
            continue;
        }
        if let Some(twin) = images.insert(stem(&path), path.clone()) {
            let mut twins = [twin, path];
            twins.sort();
            bail!(
                "{}: {} have the same name but for their endings: take one away",
                shown(folder),
                named(&twins)
            );
        }
    }
    others.sort();
    let endings = || ENDINGS.map(|ending| format!(".{ending}")).join(", ");
    ensure!(
        !images.is_empty(),
        "{} has no images, which are files whose names end in {}; folders in it are not looked into",
        shown(folder),
        endings()
    );
    if !others.is_empty() {
        note(format_args!(
            "left out of {}, as no images by their endings: {}",
            shown(folder),
            named(&others)
        ));
    }
    Ok(images)
}

/// The first few file names.
fn named<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let names: Vec<&Path> = paths.into_iter().filter_map(|path| path.file_name()).map(Path::new).collect();
    let mut text = names.iter().take(MOST_NAMED).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMED {
        text += &format!(" and {} more", names.len() - MOST_NAMED);
    }
    text
}
