//! What the doors tell of themselves: plain data for metrics and status.

use crate::tally::Distribution;

/// The doors at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Requests by transport, signal and outcome; those that never happened may be left out.
    pub requests: Vec<Requests>,
    /// Items in requests that could be read, by signal.
    pub received_items: [u64; 3],
    /// Bytes as they came, and inflated.
    pub received_bytes: (u64, u64),
    /// Items in requests that were answered OK, by signal.
    pub accepted_items: [u64; 3],
    /// Items refused, by reason, which is an outcome of [`Requests::REFUSALS`]; where a body was not read they are counted as
    /// requests.
    pub refused_items: Vec<(&'static str, u64)>,
    /// Time from the last byte of a request to its OK.
    pub ack_duration: Distribution,
    /// Time spent waiting for room at the door.
    pub admission_wait: Distribution,
    /// Bytes between socket and disk.
    pub inflight_bytes: u64,
    /// Open connections.
    pub connections: u64,
    /// Connections turned away, by door and by reason, which is one of [`TURNED_AWAY`].
    pub turned_away: Vec<(&'static str, &'static str, u64)>,
    /// Files of certificates and credentials: what they are for (one of [`FILES`]), how often they were read anew, and
    /// whether what they hold is in force, as it is where none are configured.
    pub files: Vec<(&'static str, u64, bool)>,
    /// Spans in requests that could be read, by the cluster they come from. This gateway's own comes first, all that are not told
    /// apart last.
    pub spans: Vec<Spans>,
}

/// Spans of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// As their resource names it, tagged.
    pub cluster: String,
    /// How many.
    pub spans: u64,
    /// Of these, those that were called from another cluster and do not tell by what: its context was lost on the way.
    pub without_context: u64,
}

/// Every reason for which a connection is turned away: too many are open, it speaks no TLS at a door that does, its
/// handshake fails or takes too long.
pub const TURNED_AWAY: [&str; 4] = ["full", "plaintext", "handshake", "timeout"];

/// What the files of the doors are for.
pub const FILES: [&str; 4] = ["grpc_tls", "http_tls", "bearer_tokens", "basic_users"];

/// Requests of one kind that ended one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// `grpc` or `http`.
    pub transport: &'static str,
    /// Which signal.
    pub signal: crate::batch::Signal,
    /// One of [`Requests::OUTCOMES`].
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

impl Requests {
    /// Every value of the `transport` label.
    pub const TRANSPORTS: [&'static str; 2] = ["grpc", "http"];

    /// Every value of the `outcome` label: the first two were answered OK.
    pub const OUTCOMES: [&'static str; 10] = [
        "accepted",
        "empty",
        "unauthenticated",
        "malformed",
        "too_large",
        "unsupported",
        "overloaded",
        "full",
        "unavailable",
        "aborted",
    ];

    /// The outcomes that refuse, which are the values of the `reason` label of refused items.
    pub const REFUSALS: &'static [&'static str] = Requests::OUTCOMES.split_at(2).1;
}
