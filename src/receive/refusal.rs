//! Every way to say no to a request, and how each reads on the wire.

use std::time::Duration;

use http::StatusCode;

use super::auth::Schemes;
use super::stats::Outcome;
use crate::otlp::inflate::InflateError;
use crate::otlp::malformed::Malformed;
use crate::otlp::media::Media;
use crate::otlp::status::{Status, code};
use crate::queue::AppendError;

/// gRPC codes that OTLP gives no meaning of their own (google/rpc/code.proto).
const DEADLINE_EXCEEDED: u8 = 4;
const ABORTED: u8 = 10;

/// When to come back after trouble that has no measure of its own: short enough that an SDK's queue outlasts it.
const SHORT_DELAY: Duration = Duration::from_secs(2);

/// Why a request is not taken. The only type through which the doors say no.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Inflated, it is no export request of its signal.
    #[error("{0}")]
    Malformed(Box<Malformed>),
    /// It breaks off, is framed wrongly, or does not inflate.
    #[error("{0}")]
    Undecodable(String),
    /// Larger than the door's limit, on the wire or inflated.
    #[error("the request is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Compressed in a way that is not taken.
    #[error("the encoding `{name}` is not supported; supported are identity and gzip")]
    Encoding {
        /// The encoding's name, as the client wrote it.
        name: String,
    },
    /// Of a content type that is not OTLP.
    #[error("the content type `{name}` is not supported; supported are {} and {}",
        Media::Protobuf.content_type(), Media::Json.content_type())]
    Media {
        /// The content type, as the client wrote it.
        name: String,
    },
    /// Its client showed nothing that the doors know.
    #[error("credentials are missing, or not known here")]
    Unauthenticated(Schemes),
    /// The doors have no room for it.
    #[error("too much is on its way from the doors to the disk")]
    Overloaded,
    /// The queue has no room for it.
    #[error("the queue is full")]
    Full {
        /// When there should be room.
        retry_after: Duration,
    },
    /// The queue takes nothing at the moment.
    #[error("{0}")]
    Unavailable(&'static str),
    /// The client took too long to send it.
    #[error("the request did not arrive within {} s", .0.as_secs_f32())]
    Slow(Duration),
    /// The client stopped sending, or nearly.
    #[error("the request comes too slowly: nothing, or next to nothing, within 5 s")]
    Stalled,
    /// The client, or the network, broke off. Hardly anybody reads this.
    #[error("the request broke off: {0}")]
    Broken(String),
    /// A bug of ours.
    #[error("the request could not be inspected, which is a bug of the gateway")]
    Bug,
}

impl Refusal {
    /// A value of a client's header, short enough to be repeated to it.
    pub(super) fn quote(value: &http::HeaderValue) -> String {
        String::from_utf8_lossy(value.as_bytes()).chars().take(64).collect()
    }

    /// How it is counted.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Refusal::Malformed(_) | Refusal::Undecodable(_) => Outcome::Malformed,
            Refusal::TooLarge { .. } => Outcome::TooLarge,
            Refusal::Encoding { .. } | Refusal::Media { .. } => Outcome::Unsupported,
            Refusal::Unauthenticated(_) => Outcome::Unauthenticated,
            Refusal::Overloaded => Outcome::Overloaded,
            Refusal::Full { .. } => Outcome::Full,
            Refusal::Unavailable(_) | Refusal::Bug => Outcome::Unavailable,
            Refusal::Slow(_) | Refusal::Stalled | Refusal::Broken(_) => Outcome::Aborted,
        }
    }

    /// When the client should come back; `None` where coming back is of no use.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Overloaded | Refusal::Unavailable(_) => Some(SHORT_DELAY),
            Refusal::Full { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The gRPC status, and the body of an HTTP error.
    ///
    /// RESOURCE_EXHAUSTED is said of size only: clients take it for final unless RetryInfo comes with it, and older ones
    /// even then (OTLP specification, "Failures"). Whatever passes is UNAVAILABLE with a delay.
    pub(super) fn status(&self) -> Status {
        let code = match self {
            Refusal::Malformed(malformed) => return Status::malformed(malformed),
            Refusal::Undecodable(_) | Refusal::Media { .. } => code::INVALID_ARGUMENT,
            Refusal::TooLarge { .. } => code::RESOURCE_EXHAUSTED,
            Refusal::Encoding { .. } => code::UNIMPLEMENTED,
            Refusal::Unauthenticated(_) => code::UNAUTHENTICATED,
            Refusal::Overloaded | Refusal::Full { .. } | Refusal::Unavailable(_) => code::UNAVAILABLE,
            Refusal::Slow(_) | Refusal::Stalled => DEADLINE_EXCEEDED,
            Refusal::Broken(_) => ABORTED,
            Refusal::Bug => code::INTERNAL,
        };
        Status { delay: self.retry_after(), ..Status::new(code, self.to_string()) }
    }

    /// The HTTP status code. Never 429, which older clients take for final.
    pub(super) fn http(&self) -> StatusCode {
        match self {
            Refusal::Malformed(_) | Refusal::Undecodable(_) | Refusal::Broken(_) => StatusCode::BAD_REQUEST,
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Encoding { .. } | Refusal::Media { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Refusal::Overloaded | Refusal::Full { .. } | Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Slow(_) | Refusal::Stalled => StatusCode::REQUEST_TIMEOUT,
            Refusal::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The encodings that are taken, as `grpc-accept-encoding` and `Accept-Encoding` list them.
    pub(super) const ENCODINGS: &'static str = "identity,gzip,zstd";
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Refusal {
        match error {
            AppendError::Full { retry_after } => Refusal::Full { retry_after },
            AppendError::Draining => Refusal::Unavailable("the gateway is being drained"),
            AppendError::TooLarge { quota } => {
                Refusal::TooLarge { limit: usize::try_from(quota).unwrap_or(usize::MAX) }
            }
            AppendError::Poisoned => Refusal::Unavailable("the queue's disk failed; it is being reopened"),
            AppendError::Closing => Refusal::Unavailable("the gateway is stopping"),
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        Refusal::Malformed(Box::new(malformed))
    }
}

impl From<InflateError> for Refusal {
    fn from(error: InflateError) -> Refusal {
        match error {
            InflateError::TooLarge { limit } => Refusal::TooLarge { limit },
            InflateError::Damaged { .. } => Refusal::Undecodable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Encoding;

    /// Every refusal that speaks of trouble which passes, and every one that does not.
    /// Guarantees that the first come with a delay as UNAVAILABLE and 503, and that the others never name one.
    #[test]
    fn what_passes_is_unavailable_with_a_delay() {
        let passing = [
            Refusal::Overloaded,
            Refusal::Full { retry_after: Duration::from_secs(7) },
            AppendError::Draining.into(),
            AppendError::Poisoned.into(),
            AppendError::Closing.into(),
        ];
        for refusal in passing {
            assert_eq!((refusal.status().code, refusal.http().as_u16()), (code::UNAVAILABLE, 503), "{refusal}");
            assert!(refusal.status().delay.is_some_and(|delay| !delay.is_zero()), "{refusal}");
        }
        let lasting = [
            (Refusal::Undecodable("no".to_owned()), code::INVALID_ARGUMENT, 400),
            (Refusal::TooLarge { limit: 9 }, code::RESOURCE_EXHAUSTED, 413),
            (Refusal::Encoding { name: "br".to_owned() }, code::UNIMPLEMENTED, 415),
            (Refusal::Media { name: "text/plain".to_owned() }, code::INVALID_ARGUMENT, 415),
            (Refusal::Slow(Duration::from_secs(30)), DEADLINE_EXCEEDED, 408),
            (Refusal::Broken("no".to_owned()), ABORTED, 400),
            (Refusal::Bug, code::INTERNAL, 500),
        ];
        for (refusal, code, http) in lasting {
            assert_eq!((refusal.status().code, refusal.http().as_u16()), (code, http), "{refusal}");
            assert_eq!(refusal.status().delay, None, "{refusal}");
        }
    }

    /// The list of encodings that is advertised.
    /// Guarantees that it names those that are taken, and no other.
    #[test]
    fn the_advertised_encodings_are_those_that_are_taken() {
        let taken = Encoding::ALL.map(Encoding::as_str).join(",");
        assert_eq!(Refusal::ENCODINGS, taken);
    }
}
