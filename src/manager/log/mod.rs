//! The loss log: a file with every loss of every step. [`LossLog`] writes it, [`LoggedRun`] reads it.
//!
//! The file only grows. Each line is a JSON object, so that a text editor, `grep`, `jq` or pandas can read
//! it:
//!
//! ```text
//! {"tch_losses_log":1,"experiment":"pix2pix","device":"cpu","dataroot":"maps","dataset_length":400}
//! {"loss":"G_GAN","tags":["G"]}
//! {"loss":"G_L1","tags":["G"]}
//! {"step":0,"epoch":0,"losses":{"G_GAN":{"value":0.69,"weight":1.0,"weighted":0.69},"G_L1":{"value":0.51,..
//! {"step":1,"epoch":0,"losses":{"G_GAN":{"value":0.66,"weight":1.0,"weighted":0.66},"G_L1":{"value":0.49,..
//! ```
//!
//! - **The first line** describes the run, and says that the file is a log of format 1. It comes again when a
//!   run continues with another description, and when the log is opened again to record steps that it has
//!   already.
//! - **Steps that go back to where the run began** start another run. Steps that go back less far repeat a
//!   part of the run, as after a crash: the earlier records of these steps and of later ones no longer count.
//! - **Steps go back** when a loss comes again at a lower step of the same or an earlier epoch. After a
//!   repeated first line, they go back when any loss was further. So steps may be counted within the epoch,
//!   but plots want them counted over the whole run.
//! - **A loss is declared**, with its tags, before its first record, and again when its tags change.
//! - **Records of one step** that come together share a line, unless the same name comes twice.
//! - **Numbers** read back exactly. Those that JSON lacks are the strings `"NaN"`, `"Infinity"` and
//!   `"-Infinity"`.
//! - **The keys of a line** may come in any order, and with spaces.
//! - **A finished line** ends with a line feed. The reader ignores what follows the last line feed; the next
//!   writer cuts it off.
//! - **A byte order mark** before the first line and blank lines at the end are ignored by the reader. The
//!   next writer keeps the mark and cuts off the blank lines.
//!
//! ```text
//! pandas.json_normalize(pandas.read_json("loss_log.jsonl", lines=True).losses.dropna())   # G_L1.value, ...
//! jq 'select(.step) | [.step, .losses.G_L1.value]' -c loss_log.jsonl
//! ```
//!
//! [`LoggedRun::export`] converts a log for tools that know NectarGAN's `loss_log.json`.
#![cfg_attr(
    feature = "tensorboard",
    doc = "[`TensorBoardLog`] writes event files for TensorBoard, instead of a log or beside it."
)]

mod append;
mod course;
mod damage;
mod error;
mod export;
mod json;
mod line;
mod reader;
#[cfg(feature = "tensorboard")]
mod tensorboard;
mod writer;

use serde::{Deserialize, Serialize};

pub use error::LogError;
pub use reader::{LoggedRun, LossCurve};
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoardLog;
pub use writer::LossLog;

/// The description of a run, as in the first line of its log. Every field may be empty.
///
/// ```
/// use tch_losses::manager::log::RunInfo;
///
/// let run = RunInfo { experiment: "pix2pix".into(), dataset_length: 400, ..Default::default() };
/// assert_eq!(run.device, "");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The name of the experiment. A log belongs to one.
    pub experiment: String,
    /// The device on which it runs.
    pub device: String,
    /// The folder of its data.
    pub dataroot: String,
    /// The number of samples in the data.
    pub dataset_length: u64,
}
