//! What can go wrong on the way from a server to a file.

use std::io;
use std::path::PathBuf;

use crate::base::debug_is_the_message;
use crate::weights::source::if_whole;

/// Why a file could not be fetched: what was expected, and what came.
///
/// [`WeightsError::Fetch`](crate::weights::WeightsError::Fetch) adds which file, and how to go on by hand.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No request can be made: the URL makes no sense, or the system has no certificates.
    #[error("no request can be made: {reason}")]
    Request {
        /// What is in the way.
        reason: String,
    },

    /// No answer came: the name is unknown, the connection was refused or reset, or time ran out.
    #[error("no answer: {reason}")]
    NoAnswer {
        /// What happened instead.
        reason: String,
    },

    /// The connection cannot be trusted; most often somebody on the way (a company's proxy) answers with
    /// a certificate that the system does not know.
    #[error(
        "no secure connection: {reason}; the authorities trusted are the system's, or those in the file that \
         the environment variable SSL_CERT_FILE names"
    )]
    Tls {
        /// What is wrong with the connection.
        reason: String,
    },

    /// The server redirects to where this crate does not follow.
    #[error("redirected to {to}: {problem}")]
    Redirect {
        /// The URL that the server redirects to.
        to: String,
        /// Why it is not followed.
        problem: &'static str,
    },

    /// The server answers, but not with the file.
    #[error("the server answered with status {status}, expected 200")]
    Status {
        /// The HTTP status.
        status: u16,
    },

    /// The server offers a file of another size.
    #[error("the server offers {given} bytes, expected {expected}")]
    Size {
        /// The bytes that the server says it has.
        given: u64,
        /// The size of the file that was asked for.
        expected: u64,
    },

    /// The server sends more than the file.
    #[error("more bytes came than the {expected} expected")]
    TooLong {
        /// The size of the file that was asked for.
        expected: u64,
    },

    /// The file broke off in the middle. What came of it is kept, and the next try resumes there.
    #[error("only {given}{} bytes came: {reason}", expected.map_or_else(String::new, |all| format!(" of {all}")))]
    Interrupted {
        /// The bytes that are there.
        given: u64,
        /// The size of the file that was asked for, where it or the server tells.
        expected: Option<u64>,
        /// What happened.
        reason: String,
    },

    /// All of it came, but it is not that file.
    #[error(
        "what came has the SHA-256 {given}, expected {}",
        if_whole(expected, "", "one that begins with ")
    )]
    Hash {
        /// The SHA-256 of what came.
        given: String,
        /// The SHA-256 of the file that was asked for: what is known of it.
        expected: String,
    },

    /// A file on the way to the target cannot be written: no permission, no space left.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
    },
}

debug_is_the_message!(FetchError);

impl FetchError {
    /// Whether the same request may well succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            FetchError::NoAnswer { .. } | FetchError::Interrupted { .. } => true,
            FetchError::Status { status } => matches!(status, 429 | 500..=599),
            _ => false,
        }
    }
}
