//! The JSON of the commands, for both ends of it.
//!
//! Signals and states are words, keys are text (`17`, `17.2`), times are milliseconds since the Unix epoch. Fields are added,
//! not renamed or removed.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Encoding, Key, Signal};
use crate::observe::account::Account;
use crate::queue::Verdict;
use crate::queue::tools::{Copied, Letter, Mark, Standing, key_text};

/// Why a request was not carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refused {
    /// A sentence.
    pub error: String,
}

/// The queue in figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stats {
    /// `open`, `draining`, `full`, `poisoned` or `closing`.
    pub state: String,
    /// Bytes that the store takes on disk, dead letters apart.
    pub disk_bytes: u64,
    /// Quota in bytes.
    pub capacity_bytes: u64,
    /// Free bytes of the volume, if it could be asked.
    pub disk_free_bytes: Option<u64>,
    /// Dead letters held.
    pub dead_letters: u64,
    /// Bytes of those.
    pub dead_letters_bytes: u64,
    /// Each signal's part.
    pub signals: BTreeMap<Signal, SignalStats>,
}

/// One signal's queue in figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalStats {
    /// Batches queued.
    pub batches: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Batches out on a lease.
    pub leased_batches: u64,
    /// When the oldest was received; null when there is none.
    pub oldest_ms: Option<u64>,
    /// The books, in items.
    pub books: Account,
    /// An independent count of the index; null unless it was asked for.
    pub recount: Option<Counted>,
}

/// A count of one signal's index.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Counted {
    /// Records found.
    pub batches: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Items by which books and count disagree.
    pub imbalance: u64,
}

/// A queued batch with its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Which queue.
    pub signal: Signal,
    /// Its place in there.
    #[serde(with = "key_text")]
    pub key: Key,
    /// Where it stands.
    pub state: Standing,
    /// Its bytes; null when they cannot be read.
    pub content: Option<Content>,
    /// Why they cannot be read.
    pub damage: Option<String>,
}

/// A batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Content {
    /// Spans, data points or log records inside.
    pub items: u32,
    /// How the body is compressed.
    pub encoding: Encoding,
    /// Length of the body inflated, in bytes.
    pub inflated_len: u32,
    /// When it was received.
    #[serde(default)]
    pub received_at_ms: u64,
    /// Client headers that are sent on.
    #[serde(default)]
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The protobuf `Export*ServiceRequest`, compressed, in base64.
    pub body: String,
}

impl Content {
    /// Writes a batch.
    pub fn of(batch: &Batch) -> Content {
        let Batch { signal: _, encoding, items, inflated_len, received_at_ms, headers, body } = batch;
        let (headers, body) = (headers.to_vec(), STANDARD.encode(body));
        Content {
            items: *items,
            encoding: *encoding,
            inflated_len: *inflated_len,
            received_at_ms: *received_at_ms,
            headers,
            body,
        }
    }

    /// Reads a batch of that signal; `None` when the body is no base64.
    pub fn batch(&self, signal: Signal) -> Option<Batch> {
        let Content { items, encoding, inflated_len, received_at_ms, headers, body } = self;
        let body = Bytes::from(STANDARD.decode(body).ok()?);
        let (items, inflated_len, received_at_ms) = (*items, *inflated_len, *received_at_ms);
        Some(Batch {
            signal,
            encoding: *encoding,
            items,
            inflated_len,
            received_at_ms,
            headers: headers.clone().into(),
            body,
        })
    }
}

impl Record {
    pub(super) fn of(copied: &Copied) -> Record {
        let (content, damage) = parted(&copied.batch, true);
        Record { signal: copied.signal, key: copied.key, state: copied.state, content, damage }
    }
}

/// A dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Which queue it was in.
    pub signal: Signal,
    /// Its place there.
    #[serde(with = "key_text")]
    pub key: Key,
    /// Items that it is booked with.
    pub items: u64,
    /// Bytes that it is booked with.
    pub bytes: u64,
    /// Why it was condemned, by whom, and when.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Its bytes; null when they were not asked for, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Why its bytes cannot be read: it can be shown and removed, not replayed.
    pub damage: Option<String>,
}

impl DeadLetter {
    pub(super) fn of(letter: &Letter, bodies: bool) -> DeadLetter {
        let (content, damage) = parted(&letter.batch, bodies);
        let Letter { signal, key, items, bytes, ref verdict, .. } = *letter;
        DeadLetter { signal, key, items, bytes, verdict: verdict.clone(), content, damage }
    }
}

fn parted(batch: &Result<Batch, String>, bodies: bool) -> (Option<Content>, Option<String>) {
    (batch.as_ref().ok().filter(|_| bodies).map(Content::of), batch.as_ref().err().cloned())
}

/// Batches to be brought in, all or none of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Import {
    /// The batches; `received_at_ms` does not count, they are received now.
    pub batches: Vec<Bundle>,
    /// How far the import is with them.
    pub mark: Option<Mark>,
}

/// A batch and where it belongs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bundle {
    /// Which queue.
    pub signal: Signal,
    /// The batch.
    #[serde(flatten)]
    pub content: Content,
}

/// How far an import came.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Imported {
    /// The last line that was taken; null when none was, or the import is done.
    pub line: Option<u64>,
}

/// What is to be removed from a queue, undelivered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Purge {
    /// Which queue.
    pub signal: Signal,
    /// Everything below this key.
    #[serde(with = "key_text")]
    pub below: Key,
}

/// Dead letters to be dealt with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Letters {
    /// Where they are.
    pub letters: Vec<Place>,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which queue.
    pub signal: Signal,
    /// Where in there.
    #[serde(with = "key_text")]
    pub key: Key,
}

/// The intake: whether the doors take requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intake", rename_all = "snake_case")]
pub enum Intake {
    /// They do.
    Open,
    /// They do not.
    Closed {
        /// For so long, unless it is said again; null for good.
        seconds: Option<u64>,
    },
}
