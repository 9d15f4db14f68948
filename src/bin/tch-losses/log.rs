//! `tch-losses log`: what can be made of a loss log.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use tch_losses::manager::log::LoggedRun;

use crate::note;

/// Make other files of a loss log
#[derive(clap::Subcommand)]
pub enum Command {
    /// Write the log in the layout of NectarGAN's loss_log.json, which its tools read
    ///
    /// The training may still be running.
    Export {
        /// What LossLog wrote
        log: PathBuf,
        /// The file to write [default: loss_log.json in the folder of LOG]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        choice: Choice,
    },
}

/// Which run of a log is meant.
#[derive(clap::Args)]
pub struct Choice {
    /// Where the log has several runs: which one, counted from 1 [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    run: Option<u64>,
}

impl Choice {
    /// Reads the run from the log; says so where there are others.
    pub fn read(&self, log: &Path) -> Result<LoggedRun> {
        let mut runs = LoggedRun::read_all(log)?;
        let count = runs.len();
        let number = self.run.map_or(count, |number| usize::try_from(number).unwrap_or(usize::MAX));
        let has = format!("{} has {count} run{}", log.display(), if count == 1 { "" } else { "s" });
        ensure!(number <= count, "--run {number}: {has}");
        if count > 1 && self.run.is_none() {
            note(format_args!("{has}: taking the last one, --run N takes another"));
        }
        let run = runs.swap_remove(number - 1);
        if run.repeated > 0 {
            note(format_args!(
                "the run went back to an earlier step, as from a checkpoint: {} records that came again are left out \
                 (a run that begins at the first step anew is another run)",
                run.repeated
            ));
        }
        Ok(run)
    }
}

/// Runs the subcommand.
pub fn run(command: &Command) -> Result<()> {
    let Command::Export { log, output, choice } = command;
    let output = output.clone().unwrap_or_else(|| log.with_file_name("loss_log.json"));
    let place = |path: &Path| fs::canonicalize(path).ok();
    let onto_itself = place(log).is_some_and(|log| place(&output) == Some(log));
    ensure!(!onto_itself, "{} is the log itself", output.display());
    choice.read(log)?.export(&output)?;
    note(format_args!("wrote {}", output.display()));
    Ok(())
}
