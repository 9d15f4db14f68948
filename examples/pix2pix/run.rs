//! The folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use tch_losses::manager::Objective;

use crate::checkpoint::atomically;
use crate::options::Options;
use crate::settings::Settings;

const SETTINGS: &str = "settings.toml";
const OBJECTIVE: &str = "objective.toml";

/// What a run was started with, and its folder with everything that comes of it.
///
/// ```text
/// settings.toml       what the run was started with
/// objective.toml      its losses and their weights
/// loss_log.jsonl      every loss of every step
/// checkpoints/        latest.safetensors, for --resume; best.safetensors, the generator with the lowest L1
/// samples/            strips of input | output | truth
/// maps/               where in the image the losses come from
/// curves.png          the losses over the steps
/// data/               the pairs, if the demo has made them
/// ```
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    pub settings: Settings,
    pub objective: Objective,
}

impl Run {
    /// A new run, of which nothing is written yet.
    pub fn new(options: &Options) -> Result<Run> {
        let (settings, objective) = (options.settings()?, options.objective()?);
        let run = Run { folder: options.runs.join(&settings.name), settings, objective };
        ensure!(!run.folder.exists(), "{}", run.taken());
        Ok(run)
    }

    /// A run that was interrupted, or that has ended.
    pub fn open(folder: &Path) -> Result<Run> {
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
        for folder in [self.checkpoints(), self.samples(), self.maps()] {
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

    fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    pub fn latest(&self) -> PathBuf {
        self.checkpoints().join("latest.safetensors")
    }

    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    fn samples(&self) -> PathBuf {
        self.folder.join("samples")
    }

    pub fn sample(&self, epochs: u64) -> PathBuf {
        self.samples().join(format!("epoch_{epochs:03}.png"))
    }

    pub fn maps(&self) -> PathBuf {
        self.folder.join("maps")
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
