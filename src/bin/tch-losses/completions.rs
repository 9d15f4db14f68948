//! `tch-losses completions`: what makes a shell complete the command line.

use anyhow::Result;
use clap::Command;
use clap_complete::{generate, Shell};

use crate::print;

/// Print the completions of a shell
///
/// For bash, add `eval "$(tch-losses completions bash)"` to ~/.bashrc. For fish, write them to
/// ~/.config/fish/completions/tch-losses.fish; for zsh, to a file _tch-losses in a folder of $fpath. For PowerShell, add
/// `tch-losses completions powershell | Out-String | Invoke-Expression` to $PROFILE.
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the subcommand.
pub fn run(args: &Args, program: &mut Command) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, program, "tch-losses", &mut script);
    print(&String::from_utf8(script)?)
}
