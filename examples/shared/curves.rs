//! What a run that has ended prints.

use std::io::{stdout, Write};
use std::path::Path;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::Serialize;
use tch_losses::manager::log::LoggedRun;
use tch_losses::visual::{CurveScale, LossCurves};

use super::run::Run;

/// Draws the curves of a run, and returns its log.
pub fn draw<S: Serialize + DeserializeOwned>(run: &Run<S>) -> Result<LoggedRun> {
    let log = LoggedRun::read(run.log())?;
    LossCurves { scale: CurveScale::Logarithmic, ..LossCurves::new(&log) }.save(run.curves())?;
    Ok(log)
}

/// Prints a text and where the results are.
pub fn print(mut text: String, files: &[(&str, &Path)]) {
    for (what, path) in files {
        text += &format!("{what:13} {}\n", path.display());
    }
    // That nobody may be reading there is no error.
    let _ = stdout().write_all(text.as_bytes());
}
