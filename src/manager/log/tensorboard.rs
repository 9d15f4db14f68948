//! Event files for TensorBoard.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::append::Appender;
use crate::manager::{LogSink, Record};
use crate::{Error, Result};

/// Losses as scalars in an event file, for TensorBoard.
///
/// Each record gives three scalars, at its step: `weighted/NAME`, what the training saw, `loss/NAME`, the
/// loss before its weight, and `weight/NAME`. TensorBoard shows each of the three groups in a section of its
/// own. Tags are not kept.
///
/// The file is `events.out.tfevents.*` in a folder that TensorBoard takes for one run; every writer makes a
/// new one. Each [`append`](LogSink::append) is one write, and its time is that of all its records. Event
/// files hold `f32` values: [`LossLog`](super::LossLog) keeps what is exact, and is what the other tools here
/// read.
///
/// Source: [`torch.utils.tensorboard.SummaryWriter`](https://pytorch.org/docs/stable/tensorboard.html), whose
/// files these equal.
///
/// ```
/// use tch_losses::manager::log::TensorBoardLog;
/// use tch_losses::manager::{LogSink, Record};
///
/// # let runs = tempfile::tempdir()?;
/// # let directory = runs.path().join("pix2pix");
/// let mut log = TensorBoardLog::create(&directory)?; // tensorboard --logdir runs
/// let record = Record {
///     name: "G_L1".into(),
///     tags: ["G".to_owned()].into(),
///     epoch: 0,
///     step: 0,
///     value: 0.5,
///     weight: 100.0,
///     weighted: 50.0,
/// };
/// log.append(&[record])?;
/// assert_eq!(std::fs::read_dir(&directory)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "SummaryWriter")]
#[derive(Debug)]
pub struct TensorBoardLog {
    file: Appender,
    /// What is written next; kept to spare the allocation.
    frames: Vec<u8>,
}

impl TensorBoardLog {
    /// Makes an event file in `directory`, and the folder if it is not there. Another run wants another folder:
    /// TensorBoard draws all files of a folder as one line.
    ///
    /// # Errors
    /// [`Error::Write`] where it cannot be written.
    pub fn create(directory: impl AsRef<Path>) -> Result<TensorBoardLog> {
        TensorBoardLog::start(directory.as_ref(), None)
    }

    /// [`create`](TensorBoardLog::create)s the file for a run that goes on from its checkpoint of `step`, the
    /// last that it contains.
    ///
    /// What earlier files in the folder say of later steps is no longer shown.
    ///
    /// # Errors
    /// As [`create`](TensorBoardLog::create).
    #[doc(alias = "purge_step")]
    pub fn resume(directory: impl AsRef<Path>, step: u64) -> Result<TensorBoardLog> {
        TensorBoardLog::start(directory.as_ref(), Some(step.saturating_add(1)))
    }

    fn start(directory: &Path, purge_step: Option<u64>) -> Result<TensorBoardLog> {
        let (path, file) = new_file(directory)
            .map_err(|reason| Error::Write { path: directory.join("events.out.tfevents"), reason })?;
        let mut log = TensorBoardLog { file: Appender::new(path, file, 0)?, frames: Vec::new() };
        write_start(&mut log.frames, since_epoch(), purge_step);
        log.file.append(&log.frames)?;
        Ok(log)
    }
}

impl LogSink for TensorBoardLog {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        self.frames.clear();
        write_records(&mut self.frames, since_epoch(), records);
        self.file.append(&self.frames)
    }
}

fn since_epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A new event file whose name comes after those of all that are there: it is in the order of their names
/// that TensorBoard reads the files of a run, and clocks of machines differ.
fn new_file(directory: &Path) -> io::Result<(PathBuf, File)> {
    fs::create_dir_all(directory)?;
    let mut seconds = since_epoch() as u64;
    for entry in fs::read_dir(directory)? {
        if let Some(taken) = entry?.file_name().to_str().and_then(seconds_in) {
            seconds = seconds.max(taken.saturating_add(1));
        }
    }
    loop {
        // Where others have the name of the host.
        let name = format!("{PREFIX}{seconds:010}.tch-losses.{}", std::process::id());
        let path = directory.join(name);
        match File::options().write(true).create_new(true).open(&path) {
            Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => seconds += 1,
            file => return Ok((path, file?)),
        }
    }
}

const PREFIX: &str = "events.out.tfevents.";

fn seconds_in(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

/// How a file begins: with its format, and with the step from which on earlier files do not count.
fn write_start(frames: &mut Vec<u8>, wall_time: f64, purge_step: Option<u64>) {
    let step = purge_step.map_or(0, signed);
    let format = What::FileVersion("brain.Event:2".into());
    write_event(frames, &Event { wall_time, step, what: Some(format) });
    if purge_step.is_some() {
        let start = What::SessionLog(SessionLog { status: SESSION_START });
        write_event(frames, &Event { wall_time, step, what: Some(start) });
    }
}

fn write_records(frames: &mut Vec<u8>, wall_time: f64, records: &[Record]) {
    for Record { name, step, value, weight, weighted, .. } in records {
        for (group, number) in [("weighted", weighted), ("loss", value), ("weight", weight)] {
            let value = SummaryValue { tag: format!("{group}/{name}"), simple_value: Some(*number as f32) };
            let summary = What::Summary(Summary { value: vec![value] });
            write_event(frames, &Event { wall_time, step: signed(*step), what: Some(summary) });
        }
    }
}

fn signed(step: u64) -> i64 {
    step.try_into().unwrap_or(i64::MAX)
}

/// A frame of the TFRecord format: the length, its checksum, the event, its checksum.
fn write_event(frames: &mut Vec<u8>, event: &Event) {
    let length = (event.encoded_len() as u64).to_le_bytes();
    frames.extend_from_slice(&length);
    frames.extend_from_slice(&masked_crc(&length).to_le_bytes());
    let start = frames.len();
    event.encode(frames).expect("a Vec grows as needed");
    let checksum = masked_crc(&frames[start..]);
    frames.extend_from_slice(&checksum.to_le_bytes());
}

/// Masked, as TFRecord wants it, so that the checksum of data with a checksum in them is no special case.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

// The parts of TensorFlow's event.proto and summary.proto that are needed here.

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    /// Not a plain field, for 0 is written as well.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SESSION_START: i32 = 1;

/// Here and not in `tests`, for the time has to be given.
#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What PyTorch's SummaryWriter wrote, see scripts/fixtures/tensorboard.py.
    fn fixture(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tensorboard").join(name)).unwrap()
    }

    fn number(value: &Value) -> f64 {
        value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
    }

    #[test]
    fn the_bytes_are_those_of_pytorch() {
        let given: Value = serde_json::from_slice(&fixture("records.json")).unwrap();
        let wall_time = number(&given["wall_time"]);
        let records: Vec<Record> = given["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| {
                let (value, weight) = (number(&record["value"]), number(&record["weight"]));
                Record {
                    name: record["name"].as_str().unwrap().into(),
                    tags: [].into(),
                    epoch: 0,
                    step: record["step"].as_u64().unwrap(),
                    value,
                    weight,
                    weighted: value * weight,
                }
            })
            .collect();
        let mut scalars = Vec::new();
        write_records(&mut scalars, wall_time, &records);
        let (mut created, mut resumed) = (Vec::new(), Vec::new());
        write_start(&mut created, wall_time, None);
        write_start(&mut resumed, wall_time, given["purge_step"].as_u64());

        // SummaryWriter's first frame names its program as well, in a field after those that we have.
        let payload = |frame: &[u8]| frame[12..frame.len() - 4].to_vec();
        let theirs = fixture("created.tfevents");
        let first = 16 + usize::from(theirs[0]);
        assert!(payload(&theirs[..first]).starts_with(&payload(&created)));
        assert_eq!(theirs[first..], scalars);
        // With a purge_step, a second one is without that.
        assert_eq!(fixture("resumed.tfevents")[first..], [resumed, scalars].concat());
    }
}
