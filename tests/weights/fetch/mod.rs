//! Fetching files, against a server on loopback that does things wrong.

#![cfg(feature = "download")]

mod network;
mod parts;
mod processes;
mod servers;
mod unknown;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Authority, Server};
use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};
use tch_losses::weights::fetch::{FetchError, Fetcher};
use tch_losses::weights::{Source, WeightsError};
use tch_losses::Error;
use tempfile::TempDir;

const SIZE: usize = 300_000;
const HALF: usize = SIZE / 2;

/// The file that the tests fetch; no two of its blocks are alike.
static FILE: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..SIZE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect());
static SHA256: LazyLock<String> = LazyLock::new(|| format!("{:x}", Sha256::digest(&*FILE)));

fn source(url: &str) -> Source<'_> {
    Source { url, sha256: &SHA256, size: Some(SIZE as u64) }
}

/// A minute for a machine that stalls: no test waits for it, save one that hangs. Quick to try again.
const FETCHER: Fetcher = Fetcher {
    connect_timeout: Duration::from_secs(60),
    idle_timeout: Duration::from_secs(60),
    attempts: 3,
    backoff: Duration::from_millis(10),
};

/// Gives up on a silent server soon. A machine that stalls for as long makes servers silent that are not, so that its
/// tests may not count on an attempt to get anything.
const HASTY: Fetcher = Fetcher { idle_timeout: Duration::from_millis(300), ..FETCHER };

/// A directory of its own for each test, with the paths of the file to be and of its part.
struct Place {
    folder: TempDir,
    target: PathBuf,
    partial: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.bin");
        let partial = folder.path().join("weights.bin.partial");
        Self { folder, target, partial }
    }

    fn with_partial(bytes: &[u8]) -> Self {
        let place = Self::new();
        fs::write(&place.partial, bytes).unwrap();
        place
    }

    fn fetch(&self, server: &Server) -> tch_losses::Result<()> {
        FETCHER.fetch(&source(&server.url()), &self.target)
    }

    fn fetch_error(&self, server: &Server) -> FetchError {
        reason(self.fetch(server))
    }

    #[track_caller]
    fn assert_fetched(&self) {
        assert!(fs::read(&self.target).unwrap() == *FILE, "other contents");
        assert!(!self.partial.exists());
    }

    #[track_caller]
    fn assert_part(&self, bytes: &[u8]) {
        assert!(!self.target.exists());
        assert!(fs::read(&self.partial).unwrap() == bytes, "another part");
    }

    #[track_caller]
    fn assert_nothing(&self) {
        assert!(!self.target.exists());
        assert!(!self.partial.exists());
    }
}

#[track_caller]
fn reason(result: tch_losses::Result<()>) -> FetchError {
    match result.unwrap_err() {
        Error::Weights(WeightsError::Fetch { reason, .. }) => *reason,
        other => panic!("{other}"),
    }
}

#[track_caller]
fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        // So as not to hang for ever; what is waited for takes milliseconds where nothing stalls.
        assert!(start.elapsed() < Duration::from_secs(300));
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the client has written `len` bytes: a reset may destroy what it has not read yet.
fn wait_for_part(path: &Path, len: usize) {
    wait_until(|| fs::metadata(path).is_ok_and(|metadata| metadata.len() >= len as u64));
}

const CHILD_URL: &str = "FETCH_TEST_URL";
const CHILD_TARGET: &str = "FETCH_TEST_TARGET";

/// This test program once more, to run nothing but `child`, with no proxies set.
struct Child {
    url: String,
    target: PathBuf,
    /// A program, with arguments, that starts the child.
    starter: Vec<&'static str>,
}

impl Child {
    fn new(url: &str, target: &Path) -> Self {
        Self { url: url.into(), target: target.into(), starter: Vec::new() }
    }

    fn started_by(self, starter: &[&'static str]) -> Self {
        Self { starter: starter.into(), ..self }
    }
}

impl From<Child> for Command {
    fn from(child: Child) -> Command {
        let program = std::env::current_exe().unwrap();
        let mut command = match child.starter.split_first() {
            None => Command::new(program),
            Some((starter, arguments)) => {
                let mut command = Command::new(starter);
                command.args(arguments).arg(program);
                command
            }
        };
        command.args(["fetch::processes::child", "--exact", "--nocapture"]);
        command.env(CHILD_URL, child.url).env(CHILD_TARGET, child.target);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// No progress bar where stderr is not a terminal.
#[track_caller]
fn assert_silent_success(output: &Output) {
    assert_eq!(stderr(output), "");
    assert!(output.status.success());
}

// ---- as it should be -------------------------------------------------------------------------------------

#[test]
fn a_file_is_fetched_into_a_new_directory() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("deep/down/weights.bin");
    FETCHER.fetch(&source(&server.url()), &target).unwrap();
    assert!(fs::read(&target).unwrap() == *FILE);
    assert_eq!(server.starts(), [None]);
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    fs::write(&place.target, &*FILE).unwrap();
    place.fetch(&server).unwrap();
    assert!(server.requests().is_empty());
    // Nor is anything written.
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_wrong_file_of_the_right_size_is_replaced() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    fs::write(&place.target, vec![7; SIZE]).unwrap();
    place.fetch(&server).unwrap();
    place.assert_fetched();
}

#[test]
fn a_hash_in_capitals_is_right() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    let sha256 = SHA256.to_uppercase();
    let source = Source { sha256: &sha256, ..source("") };
    FETCHER.fetch(&Source { url: &server.url(), ..source }, &place.target).unwrap();
    place.assert_fetched();
}

#[test]
fn without_a_length_in_the_head() {
    let server = Server::http(|exchange| {
        exchange.head("200 OK", "Transfer-Encoding: chunked\r\n");
        exchange.send(&chunk(&FILE));
        exchange.send(b"0\r\n\r\n");
    });
    let place = Place::new();
    place.fetch(&server).unwrap();
    place.assert_fetched();
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn a_slow_drip_is_alive() {
    let server = Server::http(|exchange| {
        exchange.file_head(SIZE, None);
        for drop in FILE.chunks(SIZE / 12) {
            thread::sleep(Duration::from_millis(500));
            exchange.send(drop);
        }
    });
    let place = Place::new();
    // Less than the whole takes; each drop may be late by nine times its pause.
    let fetcher = Fetcher { idle_timeout: Duration::from_secs(5), ..FETCHER };
    let start = Instant::now();
    fetcher.fetch(&source(&server.url()), &place.target).unwrap();
    assert!(start.elapsed() > fetcher.idle_timeout);
    place.assert_fetched();
    assert_eq!(server.starts(), [None]);
}

#[test]
fn inside_an_async_runtime() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { place.fetch(&server) }).unwrap();
    place.assert_fetched();
}

// ---- bodies that are not the file ------------------------------------------------------------------------

#[test]
fn a_wrong_hash_is_final() {
    let server = Server::http(|exchange| exchange.file(&[7; SIZE]));
    let place = Place::new();
    let FetchError::Hash { given, expected } = place.fetch_error(&server) else { panic!() };
    assert_eq!(given, format!("{:x}", Sha256::digest([7; SIZE])));
    assert_eq!(expected, *SHA256);
    place.assert_nothing();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_file_of_another_size_is_not_read() {
    for size in [SIZE - 1, SIZE + 1] {
        let server = Server::http(move |exchange| exchange.file(&vec![7; size]));
        let place = Place::new();
        let FetchError::Size { given, expected } = place.fetch_error(&server) else { panic!() };
        assert_eq!((given, expected), (size as u64, SIZE as u64));
        assert!(!place.target.exists());
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_page_in_place_of_the_file_does_not_cost_the_part_that_is_there() {
    let server = Server::http(|exchange| {
        exchange.head("200 OK", "Content-Length: 5\r\n");
        exchange.send(b"login");
    });
    let place = Place::with_partial(&FILE[..HALF]);
    assert!(matches!(place.fetch_error(&server), FetchError::Size { given: 5, .. }));
    place.assert_part(&FILE[..HALF]);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let server = Server::http(|exchange| {
        exchange.head("200 OK", "Transfer-Encoding: chunked\r\n");
        exchange.send(&chunk(&FILE));
        let more = chunk(&[7; 1 << 20]);
        assert!((0..1000).any(|_| !exchange.send(&more)), "the client reads on");
    });
    let place = Place::new();
    assert!(matches!(place.fetch_error(&server), FetchError::TooLong { expected: 300_000 }));
    place.assert_nothing();
    assert_eq!(server.requests().len(), 1);
}

// ---- answers that are not the file -----------------------------------------------------------------------

// ---- silence and broken lines ----------------------------------------------------------------------------

// ---- resuming --------------------------------------------------------------------------------------------

// ---- bad options -----------------------------------------------------------------------------------------

#[test]
fn no_attempts() {
    let fetcher = Fetcher { attempts: 0, ..FETCHER };
    let error = fetcher.fetch(&source("http://127.0.0.1/"), Place::new().target).unwrap_err();
    assert_eq!(error.to_string(), "option `attempts` is 0, expected at least 1");
}

#[test]
fn a_hash_that_is_none() {
    let zs = "z".repeat(64);
    let too_long = "0".repeat(65);
    for sha256 in ["", "dcbb9e9", "dcbb9e9z", &zs, &too_long] {
        let source = Source { sha256, ..source("http://127.0.0.1/") };
        let error = FETCHER.fetch(&source, Place::new().target).unwrap_err();
        let expected = format!("option `sha256` is {sha256:?}, expected 8 to 64 hexadecimal digits");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn urls_that_are_none() {
    for url in ["", "weights.bin", "ftp://127.0.0.1/weights.bin", "http://"] {
        let error = FETCHER.fetch(&source(url), Place::new().target).unwrap_err();
        assert!(error.to_string().contains("no request can be made: "), "{error}");
        assert!(error.to_string().contains("(attempts: 1)"), "{error}");
    }
}
