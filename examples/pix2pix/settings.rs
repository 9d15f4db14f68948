//! What a run is started with.

use serde::{Deserialize, Serialize};

use crate::data::Direction;
use crate::layout::Strip;
use crate::shared::training::Training;

/// What a run was started with, as its folder keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How strips are divided, if that was said.
    pub strip: Option<Strip>,
    pub direction: Direction,
    /// How many discriminators there are.
    pub scales: u64,
    pub maps_every: u64,
    pub training: Training,
}

/// Those of the demo: what two CPU cores can do in five minutes.
pub fn demo() -> Training {
    Training {
        load_size: 144,
        crop_size: 128,
        width: 32,
        depth: 5,
        epochs: 8,
        decay_epochs: 8,
        batch_size: 8,
        learning_rate: 1e-3,
        save_every: 2,
        ..Training::default()
    }
}
