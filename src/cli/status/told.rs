//! What a gateway tells of itself, as far as a terminal shows it: the fields of `/status` (`docs/status.md`).

use std::collections::BTreeMap;

use serde::Deserialize;

/// All of it; the parts are not there until the queue is recovered.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) headline: Headline,
    pub(super) phase: String,
    pub(super) version: String,
    pub(super) cluster: String,
    pub(super) now_ms: u64,
    pub(super) uptime_seconds: u64,
    #[serde(flatten)]
    pub(super) parts: Option<Parts>,
    #[serde(default)]
    pub(super) timeline: Vec<Event>,
    pub(super) history: Option<History>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Headline {
    pub(super) state: String,
    pub(super) since_ms: u64,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parts {
    pub(super) chains: BTreeMap<String, Chain>,
    pub(super) targets: Vec<Target>,
    pub(super) queue: Queue,
    pub(super) books: Books,
}

#[derive(Debug, Deserialize)]
pub(super) struct Chain {
    pub(super) active: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) up: bool,
    pub(super) breaker: String,
    pub(super) inflight: u64,
    pub(super) concurrency: u64,
    pub(super) retry_in_seconds: f64,
    pub(super) next_probe_in_seconds: Option<f64>,
    pub(super) last_success_ms: Option<u64>,
    pub(super) last_error: Option<LastError>,
    pub(super) round_trip_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LastError {
    pub(super) at_ms: u64,
    pub(super) what: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) capacity_bytes: u64,
    pub(super) used_bytes: u64,
    pub(super) full_in_seconds: Option<f64>,
    pub(super) empty_in_seconds: Option<f64>,
    pub(super) dead_letters: DeadLetters,
    pub(super) signals: BTreeMap<String, QueueSignal>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeadLetters {
    pub(super) batches: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueueSignal {
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) owed_items: u64,
    pub(super) oldest_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Books {
    pub(super) imbalance_items: u64,
    pub(super) signals: BTreeMap<String, Account>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) accepted: u64,
    pub(super) imported: u64,
    pub(super) queued: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) dead: BTreeMap<String, u64>,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) imbalance_items: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) at_ms: u64,
    pub(super) what: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct History {
    pub(super) seconds: Vec<f64>,
    pub(super) accepted: Vec<u64>,
    pub(super) primary: Vec<u64>,
    pub(super) replayed: Vec<u64>,
    pub(super) fallback: Vec<u64>,
}

impl Told {
    /// Whether data goes where it should and the books balance: what a script wants to know.
    pub(super) fn is_well(&self) -> bool {
        let flows = matches!(self.headline.state.as_str(), "normal" | "replaying" | "on_fallback");
        flows && self.parts.as_ref().is_some_and(|parts| parts.books.imbalance_items == 0)
    }
}

impl Parts {
    pub(super) fn queued(&self) -> u64 {
        self.queue.signals.values().map(|signal| signal.items).sum()
    }

    /// Items that nobody has any more, and those that the books are off by.
    pub(super) fn lost(&self) -> u64 {
        let dropped: u64 = self.books.signals.values().flat_map(|account| account.dropped.values()).sum();
        dropped + self.books.imbalance_items
    }
}

impl History {
    /// Items a second that came in and went out over the last ten seconds; `None` of a gateway that just started.
    pub(super) fn pace(&self) -> Option<(f64, f64)> {
        let from = self.seconds.len().checked_sub(2)?.saturating_sub(4);
        let span = self.seconds.last()? - self.seconds.get(from)?;
        let moved = |of: &[u64]| of.iter().skip(from + 1).sum::<u64>() as f64;
        let out = moved(&self.primary) + moved(&self.replayed) + moved(&self.fallback);
        (span > 0.0).then(|| (moved(&self.accepted) / span, out / span))
    }
}
