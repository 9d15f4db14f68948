//! A log, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::json::{Declaration, Header, Step};
use super::RunInfo;
use crate::{Error, Result};

/// How every log begins; the number is that of the format.
const START: &[u8] = br#"{"tch_losses_log":1,"#;

/// One line.
pub(super) enum Line {
    Header(RunInfo),
    Declaration(Declaration<'static>),
    Step(Step),
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
    /// Begins at the start of `file`, which errors call `path`. What begins as no log does is an error; an
    /// empty file, or one that was cut within its first line, is a log of no lines.
    pub fn new(path: &'a Path, file: &'a File) -> Result<Lines<'a>> {
        let input = BufReader::with_capacity(1 << 16, file);
        let mut lines = Lines { path, input, line: Vec::new(), count: 0, end: 0 };
        let start = lines.input.fill_buf().map_err(|reason| Error::Read { path: path.into(), reason })?;
        let length = start.len().min(START.len());
        if start[..length] != START[..length] {
            lines.count = 1;
            return Err(lines.damage("not the first line of a loss log of format 1"));
        }
        Ok(lines)
    }

    /// The next line. What follows the last line's end is not there yet, or was cut off in writing.
    pub fn next(&mut self) -> Result<Option<Line>> {
        self.line.clear();
        let length = self.input.read_until(b'\n', &mut self.line);
        let length = length.map_err(|reason| Error::Read { path: self.path.into(), reason })?;
        if !self.line.ends_with(b"\n") {
            return Ok(None);
        }
        self.count += 1;
        let line = parse(&self.line).map_err(|error| {
            // serde_json counts the lines within what it was given.
            let problem = error.to_string();
            self.damage(problem.split(" at line ").next().unwrap_or_default())
        })?;
        self.end += length as u64;
        Ok(Some(line))
    }

    /// The error that the last line is not right.
    pub fn damage(&self, problem: impl Into<String>) -> Error {
        Error::Log { path: self.path.into(), line: self.count, problem: problem.into() }
    }

    /// The error that the last line has a loss which was not declared.
    pub fn undeclared(&self, name: &str) -> Error {
        self.damage(format!("{name:?} comes before the line with its tags"))
    }
}

fn parse(line: &[u8]) -> serde_json::Result<Line> {
    // By the first key, as they are written: to try one after the other would give errors that say nothing.
    if line.starts_with(br#"{"step":"#) {
        return serde_json::from_slice(line).map(Line::Step);
    }
    if line.starts_with(br#"{"loss":"#) {
        return serde_json::from_slice(line).map(Line::Declaration);
    }
    if line.starts_with(START) {
        let header: Header = serde_json::from_slice(line)?;
        return Ok(Line::Header(header.run.into_owned()));
    }
    Err(serde::de::Error::custom("a line must begin with its step, its loss or the mark of a loss log"))
}
