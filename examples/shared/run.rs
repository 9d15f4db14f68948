//! The folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use serde::de::DeserializeOwned;
use serde::Serialize;
use tch_losses::manager::Objective;

use super::checkpoint::atomically;

const SETTINGS: &str = "settings.toml";
const OBJECTIVE: &str = "objective.toml";

/// What a run was started with, and its folder with everything that comes of it.
///
/// ```text
/// settings.toml       what the run was started with
/// objective.toml      its losses and their weights
/// loss_log.jsonl      every loss of every step
/// checkpoints/        latest.safetensors, for --resume, and the generators
/// samples/            strips of what the generators make
/// curves.png          the losses over the steps
/// data/               the images, if the demo has made them
/// ```
#[derive(Debug)]
pub struct Run<S> {
    folder: PathBuf,
    pub settings: S,
    pub objective: Objective,
}

impl<S: Serialize + DeserializeOwned> Run<S> {
    /// A new run, of which nothing is written yet.
    pub fn new(folder: PathBuf, settings: S, objective: Objective) -> Result<Run<S>> {
        let run = Run { folder, settings, objective };
        ensure!(!run.folder.exists(), "{}", run.taken());
        Ok(run)
    }

    /// A run that was interrupted, or that has ended.
    pub fn open(folder: &Path) -> Result<Run<S>> {
        let path = folder.join(SETTINGS);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("{} is not the folder of a run: cannot read {SETTINGS}", folder.display())
        })?;
        let settings = toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        let objective = Objective::from_file(folder.join(OBJECTIVE))?;
        Ok(Run { folder: folder.into(), settings, objective })
    }

    /// Makes the folder, if it is not there yet.
    pub fn create(&self) -> Result<()> {
        let settings = self.folder.join(SETTINGS);
        if settings.exists() {
            return Ok(());
        }
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        fs::create_dir(&self.folder).with_context(|| self.taken())?;
        for folder in [self.checkpoints(), self.samples()] {
            fs::create_dir(&folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        // The settings last: a folder that has them can be resumed.
        write(&self.folder.join(OBJECTIVE), &self.objective.to_toml()?)?;
        write(&settings, &toml::to_string(&self.settings)?)
    }

    fn taken(&self) -> String {
        let name = self.folder.display();
        format!("{name} is there already: go on with it (--resume {name}), or take another --name")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("loss_log.jsonl")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    pub fn latest(&self) -> PathBuf {
        self.checkpoints().join("latest.safetensors")
    }

    fn samples(&self) -> PathBuf {
        self.folder.join("samples")
    }

    pub fn sample(&self, epochs: u64) -> PathBuf {
        self.samples().join(format!("epoch_{epochs:03}.png"))
    }

    pub fn curves(&self) -> PathBuf {
        self.folder.join("curves.png")
    }

    pub fn demo_data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    atomically(path, |partial| Ok(fs::write(partial, text)?))
        .with_context(|| format!("cannot write {}", path.display()))
}
