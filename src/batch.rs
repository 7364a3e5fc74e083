//! The words every part shares: [`Batch`], [`Signal`], [`Encoding`], [`Key`], [`BatchId`].
//!
//! This module imports nothing of ours, so that any part may use it without learning of another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One of the three kinds of telemetry that OTLP carries. Each travels in a queue and a chain of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Spans; items are spans.
    Traces,
    /// Metrics; items are data points.
    Metrics,
    /// Logs; items are log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order in which tables and labels list them.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// Position in [`Signal::ALL`], for arrays with one entry a signal.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in labels, paths and configuration: `traces`, `metrics` or `logs`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// Path of the OTLP/HTTP request (OTLP specification, "OTLP/HTTP Request").
    pub const fn http_path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }

    /// Path of the OTLP/gRPC `Export` method (opentelemetry-proto, `collector/*/v1`).
    pub const fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

impl FromStr for Signal {
    type Err = String;

    fn from_str(text: &str) -> Result<Signal, String> {
        let known = Signal::ALL.into_iter().find(|signal| signal.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is no signal; expected traces, metrics or logs"))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a body is compressed. Spelled as in `Content-Encoding` and `grpc-encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Not compressed.
    Identity,
    /// One gzip member (RFC 1952).
    Gzip,
    /// One Zstandard frame (RFC 8878).
    Zstd,
}

impl Encoding {
    /// The encodings that are taken at the doors, in the order in which they are advertised. The queue's records name them by
    /// their place in it.
    pub const ALL: [Encoding; 3] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    /// The encoding of that name on the wire; an empty name is identity. `None` for any other.
    pub fn from_wire(name: &str) -> Option<Encoding> {
        match name.trim() {
            "" | "identity" => Some(Encoding::Identity),
            name if name.eq_ignore_ascii_case("gzip") => Some(Encoding::Gzip),
            name if name.eq_ignore_ascii_case("zstd") => Some(Encoding::Zstd),
            _ => None,
        }
    }
}

/// One OTLP export request as it came: the client's protobuf bytes, still compressed as the client sent them.
///
/// Cloning is cheap: the body and the headers are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which queue and chain it belongs to.
    pub signal: Signal,
    /// How `body` is compressed.
    pub encoding: Encoding,
    /// Spans, data points or log records inside, at least 1.
    pub items: u32,
    /// Length of `body` once inflated, in bytes.
    pub inflated_len: u32,
    /// When the request was admitted, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// Client headers that are sent on (`receivers.otlp.forward_headers`), names in lower case.
    pub headers: Arc<[(Box<str>, Box<str>)]>,
    /// The protobuf `Export*ServiceRequest`, compressed as `encoding` says.
    pub body: Bytes,
}

impl Batch {
    /// What the batch weighs in memory and on disk, in bytes: body and headers.
    pub fn weight(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// Place of a record in its signal's queue. Sequence numbers rise and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Sequence number, from 1.
    pub seq: u64,
    /// 0 for a request as it came; 1 and up for the parts that a split made of it.
    pub part: u16,
}

impl Key {
    /// Key of a request as it came.
    pub const fn new(seq: u64) -> Key {
        Key { seq, part: 0 }
    }

    /// On disk: eight bytes big-endian, and two more for a part, so that keys sort in the order of the queue.
    pub fn encode(self) -> impl AsRef<[u8]> + use<> {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..].copy_from_slice(&self.part.to_be_bytes());
        let len = if self.part == 0 { 8 } else { 10 };
        EncodedKey { bytes, len }
    }

    /// The key that `bytes` hold; `None` when they are not 8 or 10 bytes long.
    pub fn decode(bytes: &[u8]) -> Option<Key> {
        let seq = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
        match bytes.len() {
            8 => Some(Key { seq, part: 0 }),
            10 => Some(Key { seq, part: u16::from_be_bytes([bytes[8], bytes[9]]) }),
            _ => None,
        }
    }
}

struct EncodedKey {
    bytes: [u8; 10],
    len: usize,
}

impl AsRef<[u8]> for EncodedKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => write!(f, "{}", self.seq),
            part => write!(f, "{}.{part}", self.seq),
        }
    }
}

/// Reads what [`Key`]'s `Display` writes: `17`, or `17.2` for a part.
impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Key, String> {
        let (seq, part) = text.split_once('.').unwrap_or((text, "0"));
        match (seq.parse(), part.parse()) {
            (Ok(seq), Ok(part)) => Ok(Key { seq, part }),
            _ => Err(format!("`{text}` is no key; expected a sequence number such as 17, or 17.2 for a part")),
        }
    }
}

/// Name of a batch on the wire, unique for good: the store's id, its epoch (which rises at every open) and the key.
/// A hub may use it to drop repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// Random, made with the store.
    pub store: u64,
    /// Rises, synced, at every open.
    pub epoch: u32,
    /// Which queue.
    pub signal: Signal,
    /// Place in the queue.
    pub key: Key,
}

impl BatchId {
    /// Whether `next` is the request that came right after this one, both as they came.
    pub fn precedes(&self, next: &BatchId) -> bool {
        let key = Key::new(self.key.seq + 1);
        self.key.part == 0 && *next == BatchId { key, ..*self }
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{}-{}", self.store, self.epoch, self.signal, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_on_disk_as_they_do_in_memory() {
        let keys = [Key::new(1), Key { seq: 1, part: 1 }, Key { seq: 1, part: 256 }, Key::new(2), Key::new(u64::MAX)];
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].encode().as_ref() < pair[1].encode().as_ref());
        }
        for key in keys {
            assert_eq!(Key::decode(key.encode().as_ref()), Some(key));
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!(Key::decode(&[0; 9]), None);
        for text in ["", "x", "1.", ".1", "1.2.3", "-1"] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_encoding_is_known_by_its_name_on_the_wire() {
        assert_eq!(Encoding::from_wire(""), Some(Encoding::Identity));
        assert_eq!(Encoding::from_wire("GZIP"), Some(Encoding::Gzip));
        assert_eq!(Encoding::from_wire("zstd"), Some(Encoding::Zstd));
        assert_eq!(Encoding::from_wire("br"), None);
    }
}
