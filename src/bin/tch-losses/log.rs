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
    },
}

/// Runs the subcommand.
pub fn run(command: &Command) -> Result<()> {
    let Command::Export { log, output } = command;
    let output = output.clone().unwrap_or_else(|| log.with_file_name("loss_log.json"));
    let place = |path: &Path| fs::canonicalize(path).ok();
    let onto_itself = place(log).is_some_and(|log| place(&output) == Some(log));
    ensure!(!onto_itself, "{} is the log itself", output.display());
    LoggedRun::read(log)?.export(&output)?;
    note(format_args!("wrote {}", output.display()));
    Ok(())
}
