//! `tch-losses log`: what can be made of a loss log.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use tch_losses::manager::log::LoggedRun;

use crate::note;

/// Make other files of a loss log
#[derive(clap::Subcommand)]
pub enum Command {
    /// Write the log in the layout of NectarGAN's loss_log.json, which its tools read, or as CSV
    ///
    /// The training may still be running.
    Export {
        /// What LossLog wrote
        log: PathBuf,
        /// The file to write [default: loss_log.json or loss_log.csv in the folder of LOG]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Write CSV: a line for each record of a loss, with loss, step, epoch, value, weight and weighted
        #[arg(long)]
        csv: bool,
        /// Where the log has several runs: which one, counted from 1 [default: the last]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        run: Option<u64>,
    },
}

/// Reads runs of a log by their numbers from 1, or the last one; says so where there are others.
pub fn read(log: &Path, numbers: &[u64]) -> Result<Vec<LoggedRun>> {
    let mut runs = LoggedRun::read_all(log)?;
    let count = runs.len();
    let has = format!("{} has {count} run{}", log.display(), if count == 1 { "" } else { "s" });
    if count > 1 && numbers.is_empty() {
        note(format_args!("{has}: taking the last one, --run N takes another"));
    }
    let chosen: Vec<LoggedRun> = match numbers {
        [] => runs.split_off(count - 1),
        numbers => {
            let run = |number: &u64| {
                let run = usize::try_from(number - 1).ok().and_then(|index| runs.get(index));
                run.cloned().with_context(|| format!("--run {number}: {has}"))
            };
            numbers.iter().map(run).collect::<Result<_>>()?
        }
    };
    for run in chosen.iter().filter(|run| run.repeated > 0) {
        note(format_args!(
            "the run went back to an earlier step, as from a checkpoint: {} records that came again are left out (a run \
             that begins at the first step anew is another run)",
            run.repeated
        ));
    }
    Ok(chosen)
}

/// Runs the subcommand.
pub fn run(command: &Command) -> Result<()> {
    let Command::Export { log, output, csv, run } = command;
    let usual = if *csv { "loss_log.csv" } else { "loss_log.json" };
    let output = output.clone().unwrap_or_else(|| log.with_file_name(usual));
    let place = |path: &Path| fs::canonicalize(path).ok();
    let onto_itself = place(log).is_some_and(|log| place(&output) == Some(log));
    ensure!(!onto_itself, "{} is the log itself", output.display());
    for run in read(log, run.as_slice())? {
        match csv {
            true => run.export_csv(&output)?,
            false => run.export(&output)?,
        }
    }
    note(format_args!("wrote {}", output.display()));
    Ok(())
}
