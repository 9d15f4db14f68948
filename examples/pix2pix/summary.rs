//! What came of a run.

use std::fs;
use std::io::{stdout, Write};
use std::path::Path;

use anyhow::Result;
use tch_losses::manager::log::LoggedRun;
use tch_losses::visual::LossCurves;

use crate::run::Run;
use crate::train::VALIDATION;

/// Draws the curves of a run that has ended, and prints what came of it all. `first` is the validation L1 of the
/// untrained generator.
pub fn summarise(run: &Run, first: f64) -> Result<()> {
    let log = LoggedRun::read(run.log())?;
    LossCurves { log_scale: true, ..LossCurves::new(&log) }.save(run.curves())?;
    let epochs = run.settings.epochs + run.settings.decay_epochs;
    let validation: Vec<(u64, f64)> = log.losses.get(VALIDATION).map_or(vec![], |curve| {
        // Epochs count from 0, and are named when they are done.
        curve.epochs.iter().map(|epoch| epoch + 1).zip(curve.values.iter().copied()).collect()
    });
    let mut text = verdict(first, &validation);
    let mut line = |what: &str, path: &Path| text += &format!("{what:13} {}\n", path.display());
    line("samples", &run.sample(epochs));
    // A run of few steps has none.
    if fs::read_dir(run.maps()).is_ok_and(|mut maps| maps.next().is_some()) {
        line("heat maps", &run.maps());
    }
    line("curves", &run.curves());
    line("generator", &run.best());
    // That nobody may be reading there is no error.
    let _ = stdout().write_all(text.as_bytes());
    Ok(())
}

/// Whether the generator has become better, by its L1 before the training and after some epochs.
fn verdict(first: f64, validation: &[(u64, f64)]) -> String {
    let mut text = format!("validation L1\n  untrained   {first:.4}\n");
    let best = validation.iter().copied().min_by(|(_, a), (_, b)| a.total_cmp(b));
    let (Some((best_epoch, best)), Some((last_epoch, last))) = (best, validation.last().copied()) else {
        return text;
    };
    text += &format!("  trained     {last:.4}, {}\n", change(first, last));
    text += &format!("  at its best {best:.4}, {}, after epoch {best_epoch}\n", change(first, best));
    if best >= first {
        text +=
            "The training made the generator worse, or left it as it was: more epochs or pairs, or a lower \
                 --learning-rate, may help.\n";
    } else if last > best {
        text += &format!(
            "The generator became worse after epoch {best_epoch}: the file below is that of epoch {best_epoch}, the \
             samples are of epoch {last_epoch}.\n"
        );
    }
    text
}

/// From the first L1 to another.
fn change(first: f64, l1: f64) -> String {
    let percent = 100.0 * (l1 / first - 1.0);
    match format!("{:.1} %", percent.abs()).as_str() {
        "0.0 %" => "as good as the same".into(),
        percent if l1 < first => format!("{percent} less"),
        percent => format!("{percent} MORE"),
    }
}
