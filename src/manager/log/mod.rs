//! The loss log: every loss of every step in a file that only grows, [`LossLog`], and what can be made of it.
//!
//! The file has one JSON object in each line, and can be read with a text editor, `grep`, `jq` or pandas:
//!
//! ```text
//! {"tch_losses_log":1,"experiment":"pix2pix","device":"cpu","dataroot":"maps","dataset_length":400}
//! {"loss":"G_GAN","tags":["G"]}
//! {"loss":"G_L1","tags":["G"]}
//! {"step":0,"epoch":0,"losses":{"G_GAN":{"value":0.69,"weight":1.0,"weighted":0.69},"G_L1":{"value":0.51,..
//! {"step":1,"epoch":0,"losses":{"G_GAN":{"value":0.66,"weight":1.0,"weighted":0.66},"G_L1":{"value":0.49,..
//! ```
//!
//! - The first line says what the run is, and that the file is a log of format 1. It comes again where a run
//!   goes on with another description, and where the log is opened again to record steps that it has already.
//! - Steps that go back to where the run began start another run. Steps that go back less far repeat a part of
//!   the run, as after a crash: what was recorded of these steps and later ones before no longer counts.
//! - Steps go back where a loss comes again at a lower step of the same or an earlier epoch; or, where the first
//!   line comes again, where any loss was further. Steps may therefore be counted within the epoch, but plots
//!   want them counted over the whole run.
//! - A loss is declared, with its tags, before its first record, and again where its tags change.
//! - The records of one step that come together share a line, unless the same name comes twice.
//! - Numbers read back exactly. Those that JSON lacks are the strings `"NaN"`, `"Infinity"` and
//!   `"-Infinity"`.
//! - The keys of a line may come in any order, and with spaces.
//! - Every line that is finished ends with a line feed. Whatever follows the last one is not finished, and is
//!   ignored by the reader and cut off by the next writer.
//! - A byte order mark before the first line, and blank lines at the end, are ignored by the reader. The next writer keeps
//!   the mark and cuts off the blank lines.
//!
//! ```text
//! pandas.json_normalize(pandas.read_json("loss_log.jsonl", lines=True).losses.dropna())   # G_L1.value, ...
//! jq 'select(.step) | [.step, .losses.G_L1.value]' -c loss_log.jsonl
//! ```
//!
//! [`LoggedRun`] reads a log, and [`exports`](LoggedRun::export) it for tools that know NectarGAN's
//! `loss_log.json`.
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

/// What a run is, as its log says in the first line. All of it may be empty.
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
    /// Where its data are.
    pub dataroot: String,
    /// How many samples those are.
    pub dataset_length: u64,
}
