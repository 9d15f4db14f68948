//! Where the pairs of a data set are: which files, in which folders.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{bail, ensure, Result};
use serde::{Deserialize, Serialize};

use crate::shared::folder::Entries;
use crate::shared::pictures::size;

/// The end of every message about a folder that has no pairs.
const ACCEPTED: &str = "\
Accepted are
  DIR/*.png, *.jpg       strips: two squares side by side in each image (others with --strip)
  DIR/A/*, DIR/B/*       images of the same names
and either of them in DIR/train, with the pairs to validate on in DIR/val or kept back from DIR/train.";

/// How a strip is divided: a letter for each of the images side by side, `A`, `B`, or `_` for one to leave out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Strip(String);

impl Strip {
    /// How many images it has.
    pub fn columns(&self) -> usize {
        self.0.len()
    }

    /// Where A and B are.
    pub fn pair(&self) -> [usize; 2] {
        ['A', 'B'].map(|letter| self.0.find(letter).expect("checked when it was made"))
    }
}

impl Default for Strip {
    fn default() -> Self {
        Strip("AB".into())
    }
}

impl FromStr for Strip {
    type Err = String;

    fn from_str(text: &str) -> Result<Strip, String> {
        let count = |letter| text.chars().filter(|found| *found == letter).count();
        if count('A') == 1 && count('B') == 1 && count('_') + 2 == text.chars().count() {
            return Ok(Strip(text.into()));
        }
        Err("it has a letter for each image in a strip: one A, one B, and _ for each that is left out, as in A_B".into())
    }
}

impl TryFrom<String> for Strip {
    type Error = String;

    fn try_from(text: String) -> Result<Strip, String> {
        text.parse()
    }
}

impl From<Strip> for String {
    fn from(strip: Strip) -> String {
        strip.0
    }
}

impl Display for Strip {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The image files of a pair.
#[derive(Clone, Debug)]
pub enum PairFiles {
    /// A beside B in one image.
    Strip(PathBuf),
    Two {
        a: PathBuf,
        b: PathBuf,
    },
}

/// The pairs in `folder` to learn from and, if it has some of their own, those to validate on. Looks at the
/// sizes of all images.
pub fn find(folder: &Path, strip: Option<&Strip>) -> Result<(Vec<PairFiles>, Option<Vec<PairFiles>>)> {
    let (train, val) = (folder.join("train"), folder.join("val"));
    match (train.is_dir(), val.is_dir()) {
        (true, true) => Ok((pairs(&train, strip)?, Some(pairs(&val, strip)?))),
        (true, false) => Ok((pairs(&train, strip)?, None)),
        (false, true) => bail!("{} has the folder val, but no folder train\n{ACCEPTED}", folder.display()),
        (false, false) => Ok((pairs(folder, strip)?, None)),
    }
}

/// The pairs in `folder` itself.
fn pairs(folder: &Path, strip: Option<&Strip>) -> Result<Vec<PairFiles>> {
    let (a, b) = (folder.join("A"), folder.join("B"));
    let name = folder.display();
    match (a.is_dir(), b.is_dir()) {
        (true, true) => {
            if let Some(strip) = strip {
                bail!("--strip {strip}: {name} has the folders A and B, and no strips");
            }
            matched(&a, &b)
        }
        (true, false) => bail!("{name} has the folder A, but no folder B\n{ACCEPTED}"),
        (false, true) => bail!("{name} has the folder B, but no folder A\n{ACCEPTED}"),
        (false, false) => strips(folder, strip),
    }
}

fn strips(folder: &Path, strip: Option<&Strip>) -> Result<Vec<PairFiles>> {
    let entries = Entries::of(folder)?;
    if entries.images.is_empty() {
        bail!(
            "{} has no pairs: neither PNG or JPEG files nor the folders A and B; it {}\n{ACCEPTED}",
            folder.display(),
            entries.found()
        );
    }
    for path in &entries.images {
        let (width, height) = size(path)?;
        let name = path.display();
        match strip {
            Some(strip) => ensure!(
                (width as usize).is_multiple_of(strip.columns()),
                "{name} is {width} x {height} pixels: no strip of {} images (--strip {strip}), as the width is no \
                 multiple of that",
                strip.columns()
            ),
            None => ensure!(
                u64::from(width) == 2 * u64::from(height),
                "{name} is {width} x {height} pixels, and not two squares side by side. If it is a strip, say how it \
                 is divided: --strip AB for two images of any shape, --strip A_B for three of which the middle one \
                 is left out"
            ),
        }
    }
    Ok(entries.images.into_iter().map(PairFiles::Strip).collect())
}

fn matched(folder_a: &Path, folder_b: &Path) -> Result<Vec<PairFiles>> {
    let [mut by_name_a, mut by_name_b] = [BTreeMap::new(), BTreeMap::new()];
    for (folder, by_name) in [(folder_a, &mut by_name_a), (folder_b, &mut by_name_b)] {
        let entries = Entries::of(folder)?;
        if entries.images.is_empty() {
            bail!("{} has no PNG or JPEG files; it {}\n{ACCEPTED}", folder.display(), entries.found());
        }
        for path in entries.images {
            let stem = path.file_stem().unwrap_or_default().to_os_string();
            if let Some(other) = by_name.insert(stem, path.clone()) {
                bail!("{} and {} have the same name", other.display(), path.display());
            }
        }
    }
    for (mine, theirs, folder) in [(&by_name_a, &by_name_b, folder_b), (&by_name_b, &by_name_a, folder_a)] {
        if let Some((_, path)) = mine.iter().find(|(stem, _)| !theirs.contains_key(*stem)) {
            bail!("{} has no counterpart in {}", path.display(), folder.display());
        }
    }
    let pairs = by_name_a.into_values().zip(by_name_b.into_values());
    pairs
        .map(|(a, b)| {
            let ((aw, ah), (bw, bh)) = (size(&a)?, size(&b)?);
            ensure!(
                (aw, ah) == (bw, bh),
                "{} and {} differ in size: {aw} x {ah} and {bw} x {bh} pixels",
                a.display(),
                b.display()
            );
            Ok(PairFiles::Two { a, b })
        })
        .collect()
}
