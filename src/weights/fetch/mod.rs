//! Fetching files that are known in advance over HTTP(S). Needs the feature `download`.
//!
//! The file appears under its name only when its size and its SHA-256 are right. Until then it grows beside
//! the target under `NAME.partial`, where an interrupted download is resumed, by the next attempt or the next run.
//! When several processes want the same file, one of them (whoever locks `NAME.lock`) fetches it; the lock
//! ends with its process, however that ends.
//!
//! Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), trusted
//! certificates those of the system (or of `SSL_CERT_FILE`). A progress bar is on stderr where that is a terminal. In any
//! case, lines that begin with `tch-losses: ` say there what goes wrong and is tried again.
//!
//! ```no_run
//! use tch_losses::weights::fetch::Fetcher;
//! use tch_losses::weights::Source;
//!
//! let vgg19 = Source {
//!     url: "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
//!     sha256: "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
//!     size: Some(574_673_361),
//! };
//! Fetcher::default().fetch(&vgg19, "vgg19-dcbb9e9d.pth")?;
//! # Ok::<(), tch_losses::Error>(())
//! ```

mod error;
mod http;
mod partial;

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{panic, thread};

use indicatif::{ProgressBar, ProgressStyle};

pub use error::FetchError;
use http::Http;
use partial::Partial;

use super::source::{DIGITS, LEAST_DIGITS};
use super::{open, Source, WeightsError};
use crate::{printable, Error, Result};

/// How patiently a file is fetched.
///
/// ```no_run
/// use std::time::Duration;
/// use tch_losses::weights::fetch::Fetcher;
///
/// // On a line that often drops.
/// let fetcher = Fetcher { attempts: 20, idle_timeout: Duration::from_secs(120), ..Default::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetcher {
    /// How long connecting may take, finding the server's address and agreeing on keys included. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long the server may be silent. The whole may take any time as long as something comes. Default: 30 s.
    pub idle_timeout: Duration,
    /// How often to try when the server or the line fails: at least once. Default: 5.
    ///
    /// What another attempt cannot mend (status 404, an untrusted certificate) fails at once.
    pub attempts: u32,
    /// The pause after the first failure. Each further one is twice as long, up to a minute; all are varied
    /// at random by up to a half, so that many machines do not come back at the same time. Default: 1 s.
    pub backoff: Duration,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            attempts: 5,
            backoff: Duration::from_secs(1),
        }
    }
}

impl Fetcher {
    /// Makes sure that the file `source` is at `target`, fetching it if it is not there yet.
    ///
    /// A file with other contents there is replaced, in one step. The target's directory is created. May be
    /// called from inside an async runtime, which it blocks.
    ///
    /// # Errors
    ///
    /// - [`WeightsError::Fetch`] when the file cannot be fetched or not be written. Where the line broke off,
    ///   `NAME.partial` stays, and the next call goes on there.
    /// - [`Error::Read`] when there is something at `target` that cannot be read, or a directory.
    /// - [`Error::Option`] when `attempts` is 0, or `source.sha256` is not 8 to 64 hexadecimal digits.
    pub fn fetch(&self, source: &Source, target: impl AsRef<Path>) -> Result<()> {
        let target = target.as_ref();
        if self.attempts == 0 {
            return Err(Error::Option {
                option: "attempts",
                given: self.attempts.to_string(),
                expected: "at least 1".into(),
            });
        }
        let digits = LEAST_DIGITS..=DIGITS;
        if !digits.contains(&source.sha256.len()) || source.sha256.contains(|c: char| !c.is_ascii_hexdigit())
        {
            return Err(Error::Option {
                option: "sha256",
                given: format!("{:?}", source.sha256),
                expected: "8 to 64 hexadecimal digits".into(),
            });
        }
        // Before anything is written: what is there already may be in a read-only place.
        if source.is_at(target)? {
            return Ok(());
        }
        let path = beside(target, ".lock");
        let _lock = open::lock(&path, target)
            .map_err(|reason| Self::failed(source, target, 0, FetchError::Write { path, reason }))?;
        // Another process may have fetched it while this one waited.
        if source.is_at(target)? {
            return Ok(());
        }
        // reqwest's blocking client panics inside an async runtime, so it gets a thread of its own.
        let fetched = thread::scope(|scope| scope.spawn(|| self.fetch_locked(source, target)).join());
        Ok(fetched.unwrap_or_else(|payload| panic::resume_unwind(payload))?)
    }

    fn fetch_locked(&self, source: &Source, target: &Path) -> std::result::Result<(), WeightsError> {
        let mut attempt = 0;
        let outcome = (|| {
            let http = Http::new(self)?;
            let mut partial = Partial::open(beside(target, ".partial"), source)?;
            let bar = progress_bar(source, target);
            let mut started_over = false;
            loop {
                attempt += 1;
                let complete = |waiting: Waiting| {
                    // Whole already if the last run died, or the server fell silent, right before the end.
                    if !partial.is_complete() {
                        http.complete(source, &mut partial, |len, size| {
                            waiting.take();
                            size.into_iter().for_each(|size| bar.set_length(size));
                            bar.set_position(len);
                        })?;
                    }
                    partial.check()
                };
                // After the first attempt, the reason why there is another has been given.
                let silence = if attempt == 1 { QUIET } else { Duration::MAX };
                match patiently(silence, complete, || self.remark(source, &bar)) {
                    Ok(()) => return partial.publish(target),
                    Err(error) if error.is_transient() && attempt < self.attempts => {
                        let pause = self.pause(attempt);
                        let (next, all, seconds) = (attempt + 1, self.attempts, pause.as_secs_f64());
                        say(&bar, format_args!("{error}; attempt {next} of {all} in {seconds:.1} s"));
                        thread::sleep(pause);
                    }
                    // One of its parts is wrong, perhaps that of another file. Once is enough: what comes then
                    // is what the server has.
                    Err(FetchError::Hash { .. }) if partial.resumed() && !started_over => {
                        started_over = true;
                        partial.restart()?;
                    }
                    Err(error) => {
                        let wrong = matches!(error, FetchError::Hash { .. } | FetchError::TooLong { .. });
                        if wrong || partial.len() == 0 {
                            partial.discard();
                        }
                        return Err(error);
                    }
                }
            }
        })();
        outcome.map_err(|error| Self::failed(source, target, attempt, error))
    }

    /// That nothing has come for a while, and what will be done about it.
    fn remark(&self, source: &Source, bar: &ProgressBar) {
        let url = source.url;
        match self.attempts {
            1 => say(bar, format_args!("no answer yet from {url}")),
            all => say(bar, format_args!("no answer yet from {url}; will try again, {all} attempts in all")),
        }
    }

    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.backoff.saturating_mul(2u32.saturating_pow(attempt - 1));
        // The standard library's source of randomness: every `RandomState` has keys of its own.
        let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
        doubled.min(Duration::from_secs(60)).mul_f64(0.5 + random)
    }

    fn failed(source: &Source, target: &Path, attempts: u32, error: FetchError) -> WeightsError {
        WeightsError::Fetch {
            url: source.url.into(),
            target: path::absolute(target).unwrap_or_else(|_| target.into()),
            size: source.size,
            sha256: source.sha256.to_ascii_lowercase().into(),
            attempts,
            wrong: Box::default(),
            reason: Box::new(error),
        }
    }
}

/// How long nothing may come before a word is said about it.
const QUIET: Duration = Duration::from_secs(2);

/// Emptied when what is waited for has come.
type Waiting<'a> = &'a Cell<Option<Sender<()>>>;

/// Does `work`, and calls `remark` if that takes longer than `silence` to empty what it is given, or to end.
fn patiently<T>(silence: Duration, work: impl FnOnce(Waiting) -> T, remark: impl FnOnce() + Send) -> T {
    thread::scope(|scope| {
        let (waiting, come) = mpsc::channel();
        // Dropped before the scope waits for the thread, even by a panic.
        let waiting = Cell::new(Some(waiting));
        scope.spawn(move || match come.recv_timeout(silence) {
            Err(RecvTimeoutError::Timeout) => remark(),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
        });
        work(&waiting)
    })
}

/// A line on stderr, above the bar.
fn say(bar: &ProgressBar, line: fmt::Arguments) {
    bar.suspend(|| note(line));
}

/// A line on stderr. That nobody may be reading there is no error.
pub(super) fn note(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "tch-losses: {}", printable(&line.to_string()));
}

/// `target` with `suffix` added to its name.
fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(suffix);
    name.into()
}

/// Invisible where stderr is no terminal; gone when dropped.
fn progress_bar(source: &Source, target: &Path) -> ProgressBar {
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let template = "{prefix} {wide_bar} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    let bar = source.size.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.with_style(style).with_prefix(name)
}
