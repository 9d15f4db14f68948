//! What came of a run.

use std::fs;

use anyhow::Result;

use crate::settings::Settings;
use crate::shared::curves;
use crate::shared::run::Run;
use crate::train::{best, maps, VALIDATION};

/// Draws the curves of a run that has ended, and prints what came of it all. `first` is the validation L1 of the
/// untrained generator.
pub fn summarise(run: &Run<Settings>, first: f64) -> Result<()> {
    let log = curves::draw(run)?;
    let validation: Vec<(u64, f64)> = log.losses.get(VALIDATION).map_or(vec![], |curve| {
        // Epochs count from 0, and are named when they are done.
        curve.epochs.iter().map(|epoch| epoch + 1).zip(curve.values.iter().copied()).collect()
    });
    let (samples, maps) = (run.sample(run.settings.training.all_epochs()), maps(run));
    let (curves, generator) = (run.curves(), best(run));
    let mut files = vec![("samples", &*samples)];
    // A run of few steps has none.
    if fs::read_dir(&maps).is_ok_and(|mut maps| maps.next().is_some()) {
        files.push(("heat maps", &maps));
    }
    files.extend([("curves", &*curves), ("generator", &generator)]);
    curves::print(verdict(first, &validation), &files);
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
