//! A log, line by line.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use super::course::Position;
use super::damage;
use super::json::{Fields, Point};
use super::{LogError, RunInfo};
use crate::{printable, Error, Result};

/// The number of the format, which the first line tells.
pub(super) const FORMAT: u32 = 1;

/// How a log begins that was cut off in its first line, but for spaces.
const START: &[u8] = br#"{"tch_losses_log":1,"#;

/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line.
pub(super) enum Line {
    Header(RunInfo),
    Declaration { loss: String, tags: Vec<String> },
    Step(Step),
}

/// The losses of one step.
pub(super) struct Step {
    pub at: Position,
    pub losses: IndexMap<String, Point>,
}

impl Step {
    pub fn names(&self) -> HashSet<&str> {
        self.losses.keys().map(String::as_str).collect()
    }
}

/// Reads a log line by line, in the memory of the longest.
pub(super) struct Lines<'a> {
    path: &'a Path,
    input: BufReader<&'a File>,
    line: Vec<u8>,
    /// How many lines have been read.
    pub count: u64,
    /// Where the last of them ends.
    pub end: u64,
}

impl<'a> Lines<'a> {
    /// Begins at the start of `file`, which errors call `path`, or after its byte order mark. What begins as no log
    /// does is an error; an empty file, or one that was cut within its first line, is a log of no lines.
    pub fn new(path: &'a Path, file: &'a File) -> Result<Lines<'a>> {
        let input = BufReader::with_capacity(1 << 16, file);
        let mut lines = Lines { path, input, line: Vec::new(), count: 0, end: 0 };
        let start = lines.input.fill_buf().map_err(|reason| Error::Read { path: path.into(), reason })?;
        let mark = if start.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        if let Err(problem) = check_start(&start[mark..]) {
            lines.count = 1;
            return Err(lines.damage(problem).into());
        }
        lines.input.consume(mark);
        lines.end = mark as u64;
        Ok(lines)
    }

    /// The next line. What follows the last line's end is not there yet, or was cut off in writing.
    ///
    /// After an error about a line, the one after it can be read.
    pub fn next(&mut self) -> Result<Option<Line>> {
        let unreadable = |reason| Error::Read { path: self.path.into(), reason };
        self.line.clear();
        let length = self.input.read_until(b'\n', &mut self.line).map_err(unreadable)?;
        if !self.line.ends_with(b"\n") {
            return Ok(None);
        }
        self.count += 1;
        self.end += length as u64;
        if self.line.trim_ascii().is_empty() {
            let damage = self.damage("it is blank, which only lines at the end may be");
            return match self.rest_is_blank().map_err(unreadable)? {
                true => Ok(None),
                false => Err(damage.into()),
            };
        }
        Ok(Some(parse(&self.line).map_err(|problem| self.damage(problem))?))
    }

    /// Whether nothing but white space follows. Of white space as long as the buffer, it takes what that holds.
    fn rest_is_blank(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.input.fill_buf()?;
            if rest.is_empty() || !rest.trim_ascii().is_empty() {
                return Ok(rest.is_empty());
            }
            let (length, lines) = (rest.len(), rest.iter().filter(|byte| **byte == b'\n').count());
            self.input.consume(length);
            self.end += length as u64;
            self.count += lines as u64;
        }
    }

    /// The error that the last line is not right.
    pub fn damage(&self, problem: impl AsRef<str>) -> LogError {
        LogError::unusable(self.path, self.count, printable(problem.as_ref()).to_string())
    }

    /// The error that the last line has a loss which was not declared.
    pub fn undeclared(&self, name: &str) -> LogError {
        self.damage(format!("{name:?} comes before the line with its tags"))
    }
}

/// Whether a file that begins with these bytes is a log.
fn check_start(start: &[u8]) -> std::result::Result<(), String> {
    #[derive(Deserialize)]
    struct Mark {
        tch_losses_log: u64,
    }

    let no_log = format!("not the first line of a loss log of format {FORMAT}");
    match start.iter().position(|byte| *byte == b'\n') {
        Some(end) if is_object(start) => match serde_json::from_slice(&start[..end]) {
            Ok(Mark { tch_losses_log: format }) if format == u64::from(FORMAT) => Ok(()),
            Ok(Mark { tch_losses_log: format }) => Err(format!("{no_log}, but of format {format}")),
            Err(_) => Err(no_log),
        },
        Some(_) => Err(no_log),
        None if start.is_empty() => Ok(()),
        None => {
            let mut begun = start.iter().filter(|byte| !byte.is_ascii_whitespace()).zip(START);
            match is_object(start) && begun.all(|(byte, own)| byte == own) {
                true => Ok(()),
                false => Err(no_log),
            }
        }
    }
}

/// serde would take the values of an object without their names, too.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

fn parse(line: &[u8]) -> std::result::Result<Line, String> {
    if !is_object(line) {
        return Err("a line must be a JSON object".into());
    }
    let fields: Fields = serde_json::from_slice(line).map_err(|error| damage::describe(line, &error))?;
    match (fields.tch_losses_log, fields.loss, fields.step) {
        (Some(format), ..) if format != u64::from(FORMAT) => {
            Err(format!("a line of format {format}, not {FORMAT}"))
        }
        (Some(_), ..) => Ok(Line::Header(RunInfo {
            experiment: required("experiment", fields.experiment)?,
            device: required("device", fields.device)?,
            dataroot: required("dataroot", fields.dataroot)?,
            dataset_length: required("dataset_length", fields.dataset_length)?,
        })),
        (None, Some(loss), _) => Ok(Line::Declaration { loss, tags: required("tags", fields.tags)? }),
        (None, None, Some(step)) => {
            let at = Position { epoch: required("epoch", fields.epoch)?, step };
            Ok(Line::Step(Step { at, losses: required("losses", fields.losses)? }))
        }
        (None, None, None) => Err("a line must have a step, a loss or the mark of a loss log".into()),
    }
}

fn required<T>(name: &str, value: Option<T>) -> std::result::Result<T, String> {
    value.ok_or_else(|| format!("`{name}` is missing"))
}
