//! `tch-losses plot`: the losses of runs as curves.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;

use anyhow::{bail, ensure, Context, Result};
use clap::ValueEnum;
use tch_losses::manager::log::LoggedRun;
use tch_losses::visual::{CurveScale, LossCurves};

use crate::{log, note};

/// Draw the loss curves of a training run from its log, also while it is running
///
/// Drawn are the weighted losses, as the training saw them. Of several runs, there is a panel for each loss, with a curve
/// for each run that has it.
#[derive(clap::Args)]
pub struct Args {
    /// The log that LossLog has written; several logs to compare their runs
    #[arg(required = true)]
    logs: Vec<PathBuf>,

    /// The picture to write, PNG or SVG as its name ends
    #[arg(short, long, value_name = "FILE", default_value = "curves.png")]
    output: PathBuf,

    /// A panel for each tag, with the losses that have it; not for several runs
    #[arg(long)]
    split_by_tag: bool,

    /// The vertical scale
    #[arg(long, value_enum, default_value_t = Scale::Auto)]
    scale: Scale,

    /// The span of the exponential moving average (a = 2 / (N + 1)) in records, 1 for none [default: a
    /// fiftieth of the longest loss's records]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    smooth: Option<u64>,

    /// One more panel, with the weights that were applied; one for each loss of several runs
    #[arg(long)]
    weights: bool,

    /// Where the log has several runs: which ones, counted from 1, such as 1,3 [default: the last]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    run: Vec<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scale {
    /// Logarithmic in panels where the medians of curves differ by more than 100 times and hardly any value is zero or
    /// negative
    Auto,
    Linear,
    /// Logarithmic; zero and negative losses are left out, and counted in a note
    Log,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let output = &args.output;
    let extension = output.extension().unwrap_or_default();
    if !["png", "svg"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
        bail!("--output {}: its name has to end in .png or .svg", output.display());
    }
    let count = args.logs.len();
    ensure!(args.run.is_empty() || count == 1, "--run chooses from one log, here are {count}");
    let (mut logs, mut runs, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    for log in &args.logs {
        // A run that has not written its first line yet.
        if count > 1 && fs::metadata(log).is_ok_and(|file| file.is_file() && file.len() == 0) {
            empty.push(format!("{} is an empty file", log.display()));
            continue;
        }
        for (place, run) in log::read(log, &args.run)?.into_iter().enumerate() {
            if run.losses.values().any(|loss| !loss.steps.is_empty()) {
                logs.push((log.clone(), args.run.get(place)));
                runs.push(run);
            } else {
                empty.push(format!("{} has no records yet", log.display()));
            }
        }
    }
    ensure!(!runs.is_empty(), "{}: there is nothing to draw", empty.join(", "));
    for log in empty {
        note(format_args!("left out: {log}"));
    }
    if args.split_by_tag && runs.len() > 1 {
        bail!("--split-by-tag is for one run: several runs have a panel for each loss");
    }
    let names = match count {
        1 => logs.iter().filter_map(|(_, number)| Some(format!("run {}", (*number)?))).collect(),
        _ => names(&logs.into_iter().map(|(log, _)| log).collect::<Vec<_>>(), &runs),
    };
    let curves = LossCurves {
        split_by_tag: args.split_by_tag,
        scale: match args.scale {
            Scale::Auto => CurveScale::Auto,
            Scale::Linear => CurveScale::Linear,
            Scale::Log => CurveScale::Logarithmic,
        },
        smooth: args.smooth,
        weights: args.weights,
        ..match &runs[..] {
            [run] => LossCurves::new(run),
            runs => LossCurves::of_runs(names.into_iter().zip(runs)),
        }
    };
    curves.save(output).context("--output")?;
    note(format_args!("wrote {}", output.display()));
    Ok(())
}

/// The names of the experiments; if these do not tell the runs apart, what does in the paths of their logs.
fn names(logs: &[PathBuf], runs: &[LoggedRun]) -> Vec<String> {
    let tell_apart = |names: &[String]| {
        let distinct: HashSet<&String> = names.iter().collect();
        distinct.len() == names.len() && names.iter().all(|name| !name.is_empty())
    };
    let experiments: Vec<String> = runs.iter().map(|run| run.run.experiment.clone()).collect();
    let parts: Vec<String> = distinct_parts(logs);
    let whole = || logs.iter().map(|log| log.display().to_string()).collect();
    [experiments, parts].into_iter().find(|names| tell_apart(names)).unwrap_or_else(whole)
}

/// The paths without what all begin with, and without what all end with.
fn distinct_parts(paths: &[PathBuf]) -> Vec<String> {
    let paths: Vec<Vec<&OsStr>> = paths.iter().map(|path| path.iter().collect()).collect();
    let shortest = paths.iter().map(Vec::len).min().unwrap_or(0);
    let same = |part: &dyn Fn(&Vec<&OsStr>) -> OsString| {
        let mut parts = paths.iter().map(part);
        let first = parts.next();
        parts.all(|part| Some(part) == first)
    };
    let head = (0..shortest).take_while(|at| same(&|path| path[*at].into())).count();
    let tail = (0..shortest - head).take_while(|at| same(&|path| path[path.len() - 1 - at].into())).count();
    let part = |path: &Vec<&OsStr>| path[head..path.len() - tail].iter().collect::<PathBuf>();
    paths.iter().map(|path| part(path).display().to_string()).collect()
}
