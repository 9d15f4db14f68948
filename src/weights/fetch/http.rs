//! One request, and what its answer means.

use std::error::Error as StdError;
use std::io::{self, Read};
use std::iter;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use reqwest::redirect::Policy;
use reqwest::StatusCode;

use super::partial::Partial;
use super::{FetchError, Fetcher};
use crate::weights::Source;

const REDIRECTS: usize = 10;

pub(super) struct Http {
    client: Client,
    idle_timeout: Duration,
}

impl Http {
    pub(super) fn new(options: &Fetcher) -> Result<Self, FetchError> {
        let client = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            // In reqwest's blocking client this bounds the wait for the head of the answer and then each
            // wait for a piece of its body, not the whole.
            .timeout(options.idle_timeout)
            .redirect(Policy::custom(|attempt| {
                let problem = if attempt.url().scheme() != "https" {
                    "only HTTPS is followed"
                } else if attempt.previous().len() > REDIRECTS {
                    "one redirect too many, 10 are followed"
                } else {
                    return attempt.follow();
                };
                let to = attempt.url().to_string();
                attempt.error(FetchError::Redirect { to, problem })
            }))
            .build()
            .map_err(|error| FetchError::Request { reason: reason(&error) })?;
        Ok(Self { client, idle_timeout: options.idle_timeout })
    }

    /// Appends to `partial` what is missing of it, or starts it over where the server cannot resume.
    ///
    /// `on_progress` gets the length reached, and that of the whole where it is known.
    pub(super) fn complete(
        &self,
        source: &Source,
        partial: &mut Partial,
        on_progress: impl Fn(u64, Option<u64>),
    ) -> Result<(), FetchError> {
        let mut response = self.get(source.url, partial.len())?;
        if partial.len() > 0 && !resumes(&response, partial.len()) && response.status() != StatusCode::OK {
            if !matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
                return Err(FetchError::Status { status: response.status().as_u16() });
            }
            // Another part than the one asked for, or none: ask for the whole.
            partial.restart()?;
            response = self.get(source.url, 0)?;
        }
        if resumes(&response, partial.len()) {
            partial.expect(content_range(&response).and_then(|(_, size)| size))?;
            partial.resume();
        } else if response.status() == StatusCode::OK {
            partial.expect(response.content_length())?;
            partial.restart()?;
        } else {
            return Err(FetchError::Status { status: response.status().as_u16() });
        }

        let mut buffer = vec![0; 1 << 16];
        let interrupted = |partial: &Partial, reason| {
            let (given, expected) = (partial.len(), partial.size());
            FetchError::Interrupted { given, expected, reason }
        };
        loop {
            on_progress(partial.len(), partial.size());
            match response.read(&mut buffer) {
                Ok(0) if partial.size().is_none_or(|size| partial.len() == size) => return Ok(()),
                Ok(0) => return Err(interrupted(partial, "the server ended there".into())),
                Ok(count) => partial.append(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(interrupted(partial, self.body_reason(&error))),
            }
        }
    }

    /// Asks for the file from byte `start` on.
    fn get(&self, url: &str, start: u64) -> Result<Response, FetchError> {
        // The hash is of the plain file.
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        request.send().map_err(|error| self.send_error(error.without_url()))
    }

    fn send_error(&self, error: reqwest::Error) -> FetchError {
        for cause in causes(&error) {
            if let Some(FetchError::Redirect { to, problem }) = cause.downcast_ref() {
                return FetchError::Redirect { to: to.clone(), problem };
            }
            if is_tls(cause) {
                return FetchError::Tls { reason: cause.to_string() };
            }
        }
        if error.is_builder() {
            return FetchError::Request { reason: reason(&error) };
        }
        if error.is_timeout() && !error.is_connect() {
            return FetchError::NoAnswer { reason: self.silence() };
        }
        FetchError::NoAnswer { reason: reason(&error) }
    }

    fn body_reason(&self, error: &io::Error) -> String {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
            Some(inner) if inner.is_timeout() => self.silence(),
            _ => reason(error),
        }
    }

    fn silence(&self) -> String {
        format!("nothing came for {:?}", self.idle_timeout)
    }
}

/// Whether the answer goes on at byte `start` of the file.
fn resumes(response: &Response, start: u64) -> bool {
    start > 0
        && response.status() == StatusCode::PARTIAL_CONTENT
        && content_range(response).is_some_and(|(first, _)| first == start)
}

/// The first byte of `Content-Range: bytes FIRST-LAST/SIZE`, and the size if the server knows it.
fn content_range(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()))
}

/// The error and what lies behind it, outermost first.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// rustls's errors come as I/O errors for invalid data, wrapped into further I/O errors by the layers between.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == io::ErrorKind::InvalidData || error.get_ref().is_some_and(|inner| is_tls(inner))
    })
}

/// The whole chain in one line: reqwest's own message leaves out what matters.
fn reason(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    // Wrappers often repeat what they wrap.
    texts.dedup();
    texts.join(": ")
}
