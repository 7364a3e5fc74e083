//! Families of the chain: who is up, who gets the traffic, and how the replay goes.

use super::family::{Family, Page};
use crate::batch::Signal;
use crate::deliver::snapshot::{BreakerState, ChainView, Failover, Snapshot};
use crate::observe::trend::Outlook;

static UP: Family = Family::gauge(
    "spillway_target_up",
    &["target", "role"],
    "1 when a target is up by its probes and its traffic; role is primary or fallback.",
);
static MISCONFIGURED: Family = Family::gauge(
    "spillway_target_misconfigured",
    &["target", "signal"],
    "1 when a target refuses the endpoint itself (401, 403, 404 and the like); the data is held.",
);
static BREAKER: Family =
    Family::gauge("spillway_breaker_state", &["target", "state"], "1 for the state that a target's breaker is in.");
static ACTIVE: Family =
    Family::gauge("spillway_active_target", &["signal", "target"], "1 for the target that gets a signal's traffic.");
static PINNED: Family =
    Family::gauge("spillway_pinned_target", &["target"], "1 for the target that traffic is pinned to by hand.");
static PAUSED: Family = Family::gauge("spillway_delivery_paused", &[], "1 while delivery is paused by hand.");
static FAILOVERS: Family = Family::counter(
    "spillway_failovers_total",
    &["signal", "from", "to", "reason"],
    "Moves of a signal's traffic from target to target, the way back (recovered) included.",
);
static PARTITION: Family =
    Family::gauge("spillway_partition_active", &["signal"], "1 while no network target of a signal's chain accepts.");
static PARTITION_SECONDS: Family = Family::counter(
    "spillway_partition_seconds_total",
    &["signal"],
    "Time without a network target that accepts, the current partition included.",
);
static LAST_SUCCESS: Family = Family::gauge(
    "spillway_last_success_timestamp_seconds",
    &["target"],
    "When a target last accepted a request; 0 for not since the start.",
);
static ROUND_TRIP: Family =
    Family::gauge("spillway_target_round_trip_seconds", &["target"], "Round trip of the last exchange; 0 before it.");
static REPLAY_ITEMS: Family = Family::gauge(
    "spillway_replay_items_remaining",
    &["signal"],
    "Items of backlog that wait for delivery, what is owed to the primary included.",
);
static REPLAY_ETA: Family = Family::gauge(
    "spillway_replay_eta_seconds",
    &["signal"],
    "Time until the backlog is gone at the pace of the last minute; 0 without a backlog, +Inf when it does not shrink.",
);
static REPLAY_RATE: Family =
    Family::gauge("spillway_replay_rate_items", &["signal"], "Items of backlog delivered a second.");

pub(super) static FAMILIES: &[&Family] = &[
    &UP,
    &MISCONFIGURED,
    &BREAKER,
    &ACTIVE,
    &PINNED,
    &PAUSED,
    &FAILOVERS,
    &PARTITION,
    &PARTITION_SECONDS,
    &LAST_SUCCESS,
    &ROUND_TRIP,
    &REPLAY_ITEMS,
    &REPLAY_ETA,
    &REPLAY_RATE,
];

/// Writes the state of targets and chains.
pub(super) fn fill(page: &mut Page, deliver: &Snapshot, outlook: &Outlook) {
    page.flag(&PAUSED, &[], deliver.by_hand.paused_since_ms.is_some());
    for target in &deliver.targets {
        let name = target.name.as_str();
        let role = if target.primary { "primary" } else { "fallback" };
        page.flag(&UP, &[name, role], target.up);
        for signal in Signal::ALL {
            page.flag(&MISCONFIGURED, &[name, signal.as_str()], target.misconfigured[signal.index()]);
        }
        for state in BreakerState::ALL {
            page.flag(&BREAKER, &[name, state.as_str()], state == target.breaker);
        }
        page.flag(&PINNED, &[name], deliver.by_hand.target() == Some(name));
        page.timestamp(&LAST_SUCCESS, &[name], target.last_success_ms);
        page.number(&ROUND_TRIP, &[name], target.round_trip.map_or(0.0, |trip| trip.as_secs_f64()));
    }
    for signal in Signal::ALL {
        let (chain, name) = (&deliver.chains[signal.index()], signal.as_str());
        for target in &chain.targets {
            page.flag(&ACTIVE, &[name, target], *target == chain.active);
        }
        failovers(page, name, chain);
        page.flag(&PARTITION, &[name], chain.partitioned_since_ms.is_some());
        page.number(&PARTITION_SECONDS, &[name], chain.partition_seconds);
        page.count(&REPLAY_ITEMS, &[name], outlook.backlog_items[signal.index()]);
        page.eta(&REPLAY_ETA, &[name], outlook.replayed_in[signal.index()]);
        page.number(&REPLAY_RATE, &[name], chain.replay_items_per_second);
    }
}

/// Every move that the chain allows, at 0 until it happened.
fn failovers(page: &mut Page, signal: &str, chain: &ChainView) {
    for from in &chain.targets {
        for to in chain.targets.iter().filter(|to| *to != from) {
            for reason in Failover::REASONS {
                let same = |f: &&Failover| f.from == *from && f.to == *to && f.reason == reason;
                let count = chain.failovers.iter().filter(same).map(|failover| failover.count).sum();
                page.count(&FAILOVERS, &[signal, from, to, reason], count);
            }
        }
    }
}
