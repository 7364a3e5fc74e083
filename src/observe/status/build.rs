//! From snapshots to the status: pure, but for the time of writing.

use std::time::Duration;

use super::parts::{
    Audited, Books, Commit, Counted, DeadLetters, Delivered, Doors, LastError, Queue, QueueSignal, Recounted, Target,
};
use super::{BySignal, Endpoints, Parts, Status};
use crate::batch::Signal;
use crate::deliver::snapshot::{Event, TargetView};
use crate::observe::account::{Account, happened};
use crate::observe::books::Audit;
use crate::observe::facts::{Facts, now_ms};
use crate::observe::headline::Headline;
use crate::observe::lanes::{Amount, Lanes};
use crate::observe::probes::Phase;
use crate::observe::trend::Outlook;
use crate::observe::view::View;
use crate::queue::ledger::Ledger;
use crate::{queue, receive};

/// Entries of the timeline that are shown.
const TIMELINE: usize = 200;

/// Puts the status together. `own` are events that this part saw; `view` is `None` until the queue is recovered.
pub(in crate::observe) fn build(
    facts: &Facts,
    phase: Phase,
    headline: Headline,
    own: Vec<Event>,
    view: Option<&View>,
) -> Status {
    let now_ms = view.map_or_else(now_ms, |view| view.reading.at_ms);
    let address = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    Status {
        headline,
        phase,
        version: facts.version,
        commit: facts.commit,
        cluster: facts.cluster.clone(),
        now_ms,
        started_ms: facts.started_ms,
        uptime_seconds: now_ms.saturating_sub(facts.started_ms) / 1000,
        endpoints: Endpoints { grpc: address(facts.grpc), http: address(facts.http), admin: address(facts.admin) },
        timeline: timeline(own, view),
        parts: view.map(parts),
    }
}

fn parts(view: &View) -> Parts {
    let View { reading, outlook, audit } = view;
    Parts {
        chains: BySignal::each(|signal| reading.deliver.chains[signal.index()].clone()),
        reload: reading.reload.clone(),
        by_hand: reading.deliver.by_hand.clone(),
        targets: reading.deliver.targets.iter().map(target).collect(),
        queue: queue(view, outlook),
        doors: doors(&reading.doors),
        books: books(&reading.queue, audit),
    }
}

/// What delivery and this part saw, in the order of time; of events of one millisecond delivery's come first, being the cause.
fn timeline(own: Vec<Event>, view: Option<&View>) -> Vec<Event> {
    let mut events = view.map_or_else(Vec::new, |view| view.reading.deliver.timeline.clone());
    events.extend(own);
    events.sort_by_key(|event| event.at_ms);
    let surplus = events.len().saturating_sub(TIMELINE);
    events.split_off(surplus)
}

fn target(target: &TargetView) -> Target {
    Target {
        name: target.name.clone(),
        role: if target.primary { "primary" } else { "fallback" },
        kind: if target.file { "file" } else { "network" },
        cluster: target.cluster.clone(),
        up: target.up,
        breaker: target.breaker,
        misconfigured: Signal::ALL.iter().filter(|s| target.misconfigured[s.index()]).map(|s| s.as_str()).collect(),
        inflight: target.inflight,
        concurrency: target.concurrency,
        retry_in_seconds: target.retry_delay.as_secs_f64(),
        next_probe_in_seconds: seconds(target.next_probe),
        last_success_ms: target.last_success_ms,
        last_error: target.last_error.clone().map(|(at_ms, what)| LastError { at_ms, what }),
        round_trip_seconds: seconds(target.round_trip),
        delivered: BySignal::each(|signal| {
            let [fresh, backlog] = target.delivered[signal.index()];
            Delivered { fresh, backlog }
        }),
        redelivered: BySignal::each(|signal| target.redelivered[signal.index()]),
        rejected: BySignal::each(|signal| target.rejected[signal.index()]),
        attempts: target.attempts.iter().copied().collect(),
    }
}

fn queue(view: &View, outlook: &Outlook) -> Queue {
    let snapshot = &view.reading.queue;
    let signal = |signal: Signal| {
        let depth = &snapshot.signals[signal.index()];
        let books = &depth.books;
        QueueSignal {
            all: Amount { batches: books.queued_batches, items: books.queued, bytes: books.queued_bytes },
            lanes: Lanes::of(depth),
            owed_items: books.owed,
            oldest_ms: depth.oldest_ms,
            replay_items_per_second: view.reading.deliver.chains[signal.index()].replay_items_per_second,
            replayed_in_seconds: seconds(outlook.replayed_in[signal.index()]),
        }
    };
    let commits = &snapshot.commit_duration;
    let (batches, bytes) = snapshot.dead_letters;
    Queue {
        state: snapshot.state,
        capacity_bytes: snapshot.capacity_bytes,
        used_bytes: outlook.used_bytes,
        disk_free_bytes: snapshot.disk_free_bytes,
        full_in_seconds: seconds(outlook.full_in),
        empty_in_seconds: seconds(outlook.empty_in),
        signals: BySignal::each(signal),
        commits: Commit {
            groups: snapshot.commit_groups,
            batches: snapshot.commit_batches,
            mean_seconds: (commits.count > 0).then(|| commits.sum / commits.count as f64),
        },
        dead_letters: DeadLetters { batches, bytes },
        late_settles: snapshot.late_settles,
        store_reopens: snapshot.store_reopens,
    }
}

fn doors(snapshot: &receive::snapshot::Snapshot) -> Doors {
    let (wire_bytes, inflated_bytes) = snapshot.received_bytes;
    let counted = |requests: &receive::snapshot::Requests| Counted {
        transport: requests.transport,
        signal: requests.signal.as_str(),
        outcome: requests.outcome,
        count: requests.count,
    };
    Doors {
        requests: snapshot.requests.iter().filter(|requests| requests.count > 0).map(counted).collect(),
        received_items: BySignal::each(|signal| snapshot.received_items[signal.index()]),
        accepted_items: BySignal::each(|signal| snapshot.accepted_items[signal.index()]),
        refused_items: happened(snapshot.refused_items.iter().copied()),
        wire_bytes,
        inflated_bytes,
        inflight_bytes: snapshot.inflight_bytes,
        connections: snapshot.connections,
    }
}

fn books(snapshot: &queue::snapshot::Snapshot, audit: &Audit) -> Books {
    let account = |signal: Signal| {
        let books: &Ledger = &snapshot.signals[signal.index()].books;
        Audited { account: Account::of(books), imbalance_items: audit.imbalance(signal, books) }
    };
    let signals = BySignal::each(account);
    Books {
        imbalance_items: [&signals.traces, &signals.metrics, &signals.logs].iter().map(|s| s.imbalance_items).sum(),
        signals,
        recount: audit.last.as_ref().map(|last| Recounted {
            at_ms: last.at_ms,
            took_seconds: last.took.as_secs_f64(),
            items: BySignal::each(|signal| last.signals[signal.index()].items),
        }),
        recount_error: audit.error.clone(),
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
