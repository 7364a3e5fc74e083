//! Counting at the doors. What the counts are called elsewhere is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::clusters::Clusters;
use super::refusal::Refusal;
use super::snapshot::{FILES, Requests, Snapshot, TURNED_AWAY};
use crate::batch::Signal;
use crate::files::Look;
use crate::tally::{Counter, Histogram};

/// From one group commit on a fast disk to the longest a client is left without an answer, in seconds.
const ACK_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];

/// Waiting for room at the door, in seconds; the first bucket is that of those who did not wait.
const WAIT_SECONDS: &[f64] = &[0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.0];

/// By which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

impl Transport {
    /// Its name, one of [`Requests::TRANSPORTS`].
    pub(super) fn as_str(self) -> &'static str {
        Requests::TRANSPORTS[self as usize]
    }

    /// What the certificates of its door are told as, one of [`FILES`].
    pub(super) fn files(self) -> &'static str {
        FILES[self as usize]
    }
}

/// How a request ended; the order is that of [`Requests::OUTCOMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Empty,
    Unauthenticated,
    Malformed,
    TooLarge,
    Unsupported,
    Overloaded,
    Full,
    Unavailable,
    Aborted,
}

/// Why a connection is turned away; the order is that of [`TURNED_AWAY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    Full,
    Plaintext,
    Handshake,
    Timeout,
}

impl Outcome {
    /// Position in [`Requests::REFUSALS`]; `None` when it was answered OK.
    fn refusal(self) -> Option<usize> {
        (self as usize).checked_sub(Requests::OUTCOMES.len() - Requests::REFUSALS.len())
    }
}

/// Counters of the doors, shared by every connection.
#[derive(Debug)]
pub struct Stats {
    requests: [[[Counter; Requests::OUTCOMES.len()]; 3]; 2],
    received_items: [Counter; 3],
    wire_bytes: Counter,
    inflated_bytes: Counter,
    accepted_items: [Counter; 3],
    refused_items: [Counter; Requests::REFUSALS.len()],
    ack: Histogram,
    wait: Histogram,
    inflight: AtomicU64,
    connections: AtomicU64,
    turned_away: [[Counter; TURNED_AWAY.len()]; 2],
    files: [FileCounts; FILES.len()],
    /// Spans by cluster.
    pub(super) clusters: Clusters,
}

/// One kind of file.
#[derive(Debug, Default)]
struct FileCounts {
    renewed: Counter,
    refused: AtomicBool,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            requests: Default::default(),
            received_items: Default::default(),
            wire_bytes: Counter::default(),
            inflated_bytes: Counter::default(),
            accepted_items: Default::default(),
            refused_items: Default::default(),
            ack: Histogram::new(ACK_SECONDS),
            wait: Histogram::new(WAIT_SECONDS),
            inflight: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            turned_away: Default::default(),
            files: Default::default(),
            clusters: Clusters::default(),
        }
    }
}

impl Stats {
    /// All zero.
    pub fn new() -> Stats {
        Stats::default()
    }

    /// What was counted until now: every label value is there, also those that never happened.
    pub fn snapshot(&self) -> Snapshot {
        let mut requests = Vec::with_capacity(self.requests.len() * 3 * Requests::OUTCOMES.len());
        for (transport, by_signal) in Requests::TRANSPORTS.into_iter().zip(&self.requests) {
            for (signal, by_outcome) in Signal::ALL.into_iter().zip(by_signal) {
                for (outcome, counter) in Requests::OUTCOMES.into_iter().zip(by_outcome) {
                    requests.push(Requests { transport, signal, outcome, count: counter.get() });
                }
            }
        }
        let refused = Requests::REFUSALS.iter().zip(&self.refused_items);
        Snapshot {
            requests,
            received_items: self.received_items.each_ref().map(Counter::get),
            received_bytes: (self.wire_bytes.get(), self.inflated_bytes.get()),
            accepted_items: self.accepted_items.each_ref().map(Counter::get),
            refused_items: refused.map(|(reason, counter)| (*reason, counter.get())).collect(),
            ack_duration: self.ack.distribution(),
            admission_wait: self.wait.distribution(),
            inflight_bytes: self.inflight.load(Relaxed),
            connections: self.connections.load(Relaxed),
            turned_away: self.turned_away(),
            files: self.files(),
            spans: self.clusters.snapshot(),
        }
    }

    fn turned_away(&self) -> Vec<(&'static str, &'static str, u64)> {
        let doors = Requests::TRANSPORTS.into_iter().zip(&self.turned_away);
        let by_reason = |(door, reasons): (_, &[Counter; 4])| {
            TURNED_AWAY
                .into_iter()
                .zip(reasons.each_ref().map(Counter::get))
                .map(move |(why, count)| (door, why, count))
        };
        doors.flat_map(by_reason).collect()
    }

    fn files(&self) -> Vec<(&'static str, u64, bool)> {
        let of = |(of, counts): (_, &FileCounts)| (of, counts.renewed.get(), !counts.refused.load(Relaxed));
        FILES.into_iter().zip(&self.files).map(of).collect()
    }

    /// A request begins. It counts as aborted unless [`Entry::close`] says how it ended: a client that goes away takes
    /// the request's future with it.
    pub(super) fn enter(&self, transport: Transport, signal: Signal) -> Entry<'_> {
        Entry { stats: self, transport, signal, complete: None, items: 0, outcome: Outcome::Aborted }
    }

    /// `bytes` are held between socket and disk until the guard goes.
    pub(super) fn hold(&self, bytes: usize) -> Held<'_> {
        let held = Held { gauge: &self.inflight, amount: bytes as u64 };
        held.gauge.fetch_add(held.amount, Relaxed);
        held
    }

    /// A connection is open until the guard goes; `None` where `most` are.
    pub(super) fn connect(self: &Arc<Self>, most: u64) -> Option<Connected> {
        let open = self.connections.fetch_add(1, Relaxed);
        let connected = Connected(Arc::clone(self));
        (open < most).then_some(connected)
    }

    /// A connection was turned away.
    pub(super) fn turn_away(&self, door: Transport, why: Turned) {
        self.turned_away[door as usize][why as usize].add(1);
    }

    /// The files of one of [`FILES`] were looked at.
    pub(super) fn looked(&self, of: &'static str, look: Look) {
        let Some(counts) = FILES.iter().position(|name| *name == of).map(|position| &self.files[position]) else {
            return;
        };
        counts.refused.store(look == Look::Refused, Relaxed);
        if look == Look::Renewed {
            counts.renewed.add(1);
        }
    }

    /// One request waited that long for room.
    pub(super) fn waited(&self, wait: Duration) {
        self.wait.observe(wait);
    }
}

/// A share of a gauge.
#[derive(Debug)]
pub(super) struct Held<'a> {
    gauge: &'a AtomicU64,
    amount: u64,
}

impl Held<'_> {
    /// Makes one guard of two of the same gauge.
    pub(super) fn merge(&mut self, other: Self) {
        self.amount += other.amount;
        std::mem::forget(other);
    }

    /// So much less of it.
    pub(super) fn shrink(&mut self, by: usize) {
        self.amount -= by as u64;
        self.gauge.fetch_sub(by as u64, Relaxed);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.amount, Relaxed);
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connected(Arc<Stats>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// One request's place in the counts.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    stats: &'a Stats,
    transport: Transport,
    signal: Signal,
    /// When its last byte came.
    complete: Option<Instant>,
    items: u64,
    outcome: Outcome,
}

impl Entry<'_> {
    /// The last byte of the body came; it was so long on the wire.
    pub(super) fn arrived(&mut self, wire: usize) {
        self.complete = Some(Instant::now());
        self.stats.wire_bytes.add(wire as u64);
    }

    /// The body could be read: it holds so many items, and is so long once inflated.
    pub(super) fn read(&mut self, items: u32, inflated: u32) {
        self.items = items.into();
        self.stats.received_items[self.signal.index()].add(self.items);
        self.stats.inflated_bytes.add(inflated.into());
    }

    /// The request ended.
    pub(super) fn close<T>(mut self, result: &Result<T, Refusal>) {
        self.outcome = match result {
            Ok(_) if self.items == 0 => Outcome::Empty,
            Ok(_) => Outcome::Accepted,
            Err(refusal) => refusal.outcome(),
        };
        if let (Ok(_), Some(complete)) = (result, self.complete) {
            self.stats.ack.observe(complete.elapsed());
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Entry { stats, transport, signal, items, outcome, .. } = self;
        stats.requests[*transport as usize][signal.index()][*outcome as usize].add(1);
        match outcome.refusal() {
            Some(reason) => stats.refused_items[reason].add((*items).max(1)),
            None => stats.accepted_items[signal.index()].add(*items),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(snapshot: &Snapshot, transport: &str, signal: Signal, outcome: &str) -> u64 {
        let of = |r: &&Requests| (r.transport, r.signal, r.outcome) == (transport, signal, outcome);
        snapshot.requests.iter().find(of).expect("every label value is there").count
    }

    /// Requests that end well, that are refused before and after they were read, and one that is dropped half-way.
    /// Guarantees that each is counted once, under its own outcome, with its items where they were known.
    #[test]
    fn each_request_is_counted_once_under_its_outcome() {
        let stats = Stats::new();
        let mut accepted = stats.enter(Transport::Grpc, Signal::Logs);
        accepted.arrived(100);
        accepted.read(10, 500);
        accepted.close(&Ok(()));
        stats.enter(Transport::Http, Signal::Traces).close(&Ok(()));
        let unread = Err::<(), _>(Refusal::TooLarge { limit: 1 });
        stats.enter(Transport::Http, Signal::Traces).close(&unread);
        let mut full = stats.enter(Transport::Http, Signal::Metrics);
        full.read(7, 70);
        full.close(&Err::<(), _>(Refusal::Full { retry_after: Duration::from_secs(1) }));
        drop(stats.enter(Transport::Grpc, Signal::Logs));

        let seen = stats.snapshot();
        assert_eq!(count(&seen, "grpc", Signal::Logs, "accepted"), 1);
        assert_eq!(count(&seen, "http", Signal::Traces, "empty"), 1);
        assert_eq!(count(&seen, "http", Signal::Traces, "too_large"), 1);
        assert_eq!(count(&seen, "http", Signal::Metrics, "full"), 1);
        assert_eq!(count(&seen, "grpc", Signal::Logs, "aborted"), 1);
        assert_eq!(seen.requests.iter().map(|requests| requests.count).sum::<u64>(), 5);
        assert_eq!(seen.received_items, [0, 7, 10]);
        assert_eq!(seen.accepted_items, [0, 0, 10]);
        let refused = |reason| seen.refused_items.iter().find(|(name, _)| *name == reason).unwrap().1;
        assert_eq!((refused("too_large"), refused("full"), refused("aborted")), (1, 7, 1));
        assert_eq!(seen.received_bytes, (100, 570));
        assert_eq!(seen.ack_duration.count, 1);
    }

    /// A snapshot of doors through which nobody came.
    /// Guarantees that every label value is there, at 0.
    #[test]
    fn every_label_value_is_there_from_the_start() {
        let seen = Stats::new().snapshot();
        assert_eq!(seen.requests.len(), 2 * 3 * Requests::OUTCOMES.len());
        assert!(seen.requests.iter().all(|requests| requests.count == 0));
        assert_eq!(seen.refused_items.len(), Requests::REFUSALS.len());
    }

    /// The enum of outcomes beside the labels.
    /// Guarantees that the last of both is the same, and that OK outcomes are no refusals.
    #[test]
    fn outcomes_are_in_the_order_of_their_labels() {
        assert_eq!(Requests::OUTCOMES[Outcome::Aborted as usize], "aborted");
        assert_eq!(Requests::OUTCOMES[Outcome::Full as usize], "full");
        assert_eq!(Requests::OUTCOMES[Outcome::Malformed as usize], "malformed");
        assert_eq!(Outcome::Empty.refusal(), None);
        assert_eq!(Outcome::Unauthenticated.refusal(), Some(0));
        assert_eq!(TURNED_AWAY[Turned::Timeout as usize], "timeout");
    }

    /// Guards of two connections and of some bytes.
    /// Guarantees that a gauge shows what is held now, and that there are no more connections than may be.
    #[test]
    fn gauges_follow_their_guards() {
        let stats = Arc::new(Stats::new());
        let (one, two, bytes) = (stats.connect(2).unwrap(), stats.connect(2).unwrap(), stats.hold(512));
        assert!(stats.connect(2).is_none());
        drop(one);
        let seen = stats.snapshot();
        assert_eq!((seen.connections, seen.inflight_bytes), (1, 512));
        drop((two, bytes));
        let seen = stats.snapshot();
        assert_eq!((seen.connections, seen.inflight_bytes), (0, 0));
    }
}
