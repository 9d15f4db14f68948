//! What a loss of two images has to be like.

use anyhow::{ensure, Result};
use tch_losses::manager::{LossManager, LossSpec};
use tch_losses::DataRange;

/// Refuses a loss that compares something else than two images, or images with another range of values than -1 to 1.
pub fn check(manager: &LossManager, name: &str, loss: &LossSpec) -> Result<()> {
    ensure!(
        manager.losses(&[]).iter().any(|(own, _)| *own == name),
        "the objective's loss {name}: a {} does not compare two images",
        loss.name()
    );
    if let Some(range) = loss.data_range() {
        ensure!(
            [DataRange::Signed, DataRange::Between(-1.0, 1.0)].contains(&range),
            "the objective's loss {name}: images are from -1 to 1 here, so it needs the option data_range = \"signed\""
        );
    }
    Ok(())
}
