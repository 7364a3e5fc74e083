//! What a target answered to an export request, before anybody judges it.

use std::fmt;
use std::time::Duration;

use super::status::code;

/// One answer, or the lack of one. Targets make it, `deliver` classifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx or gRPC OK. An unparsable body of a success is a success too.
    Accepted {
        /// Items the target refused inside an accepted request (partial success), never to be sent again.
        rejected: u64,
        /// The target's words, empty when it had none.
        message: String,
    },
    /// A gRPC status other than OK, from a server that speaks gRPC.
    Grpc {
        /// gRPC status code, 1 to 16; others are read as 2 (UNKNOWN).
        code: u8,
        /// `grpc-message`, decoded.
        message: String,
        /// RetryInfo's delay as it came, uncapped.
        delay: Option<Duration>,
    },
    /// An HTTP status other than 2xx, also from a plain HTTP proxy that answered a gRPC call.
    Http {
        /// HTTP status code.
        status: u16,
        /// Message of the `google.rpc.Status` in the body, or the start of the body as text.
        message: String,
        /// Retry-After as it came, uncapped.
        delay: Option<Duration>,
    },
    /// No answer.
    Broken {
        /// At which step it broke.
        at: Break,
        /// The library's words, whole chain of causes.
        message: String,
    },
}

/// Where an exchange ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Break {
    /// The name did not resolve.
    Resolve,
    /// No connection came about.
    Connect,
    /// TLS was not agreed on.
    Tls,
    /// No answer within the timeout.
    Timeout,
    /// The connection ended, or the answer had no trailers.
    Reset,
    /// A file could not be written.
    Write,
}

impl Answer {
    /// Success without remarks.
    pub const fn accepted() -> Answer {
        Answer::Accepted { rejected: 0, message: String::new() }
    }

    /// The status alone, as text: `INVALID_ARGUMENT`, `HTTP 400`, `no answer`.
    pub fn status(&self) -> String {
        match self {
            Answer::Accepted { .. } => code::name(0).to_owned(),
            Answer::Grpc { code: number, .. } => code::name(*number).to_owned(),
            Answer::Http { status, .. } => format!("HTTP {status}"),
            Answer::Broken { .. } => "no answer".to_owned(),
        }
    }

    /// The server's wish to be left alone for a while, if it sent one.
    pub const fn delay(&self) -> Option<Duration> {
        match self {
            Answer::Grpc { delay, .. } | Answer::Http { delay, .. } => *delay,
            Answer::Accepted { .. } | Answer::Broken { .. } => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Accepted { rejected: 0, .. } => f.write_str("accepted"),
            Answer::Accepted { rejected, message } => write!(f, "accepted but for {rejected} items: {message}"),
            Answer::Grpc { code, message, .. } => write!(f, "gRPC status {code}: {message}"),
            Answer::Http { status, message, .. } => write!(f, "HTTP status {status}: {message}"),
            Answer::Broken { at, message } => write!(f, "no answer ({at:?}): {message}"),
        }
    }
}
