//! `tch-losses objective`: what an objective's file says, and files of those that are published.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tch_losses::manager::Objective;

use crate::print;

/// Look into the file of an objective, or begin with a published one
#[derive(clap::Subcommand)]
pub enum Command {
    /// Print a summary of the file: losses, options that are not the defaults, weights, tags
    ///
    /// Exits with 1, and one line that says what is wrong and where, if it is no objective. Nothing is loaded or
    /// fetched: whether the weights of a network can be had is not looked at.
    Check {
        /// A .toml or .json file
        file: PathBuf,
    },
    /// Print the file of a published objective: pix2pix, pix2pixhd, cyclegan, esrgan or real_esrgan
    ///
    /// The file is TOML: `tch-losses objective show cyclegan > objective.toml`. The functions of the same names in the
    /// module `manager` of the documentation say what each of its losses is computed from.
    Show {
        /// The objective
        name: String,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the subcommand.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Check { file } => check(file),
        Command::Show { name, json } => {
            let objective = Objective::named(name)?;
            print(&if *json { objective.to_json()? + "\n" } else { objective.to_toml()? })
        }
    }
}

fn check(file: &Path) -> Result<()> {
    let objective = Objective::from_file(file)?;
    let count = match objective.losses.len() {
        0 => "no losses".into(),
        1 => "1 loss".into(),
        count => format!("{count} losses"),
    };
    print(&format!("{}: {count}\n\n{objective}", file.display()))
}
