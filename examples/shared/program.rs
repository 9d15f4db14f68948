//! The beginning and the end of a program.

use std::process::ExitCode;

use anyhow::{Error, Result};
use tch_losses::printable;

use super::course::Ended;
use super::progress::say;

/// The exit code of the program `name`. An error is told.
pub fn end(name: &str, ended: Result<Ended>) -> ExitCode {
    match ended {
        Ok(Ended::Finished) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted(code)) => code.into(),
        Err(error) => {
            // Names of files and texts in them are in these lines.
            message(name, &error).lines().for_each(|line| say(printable(line)));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, and why. Where an error repeats its cause, as those of images do, the cause is said once.
fn message(name: &str, error: &Error) -> String {
    let mut message = format!("{name}: {error}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message += &format!(": {cause}");
        }
    }
    message
}
