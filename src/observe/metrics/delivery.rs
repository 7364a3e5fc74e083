//! Families of delivery: what was sent where, and how it was answered.

use super::family::{Family, Page};
use crate::batch::Signal;
use crate::deliver::snapshot::Snapshot;
use crate::queue::lease::Lane;

static DELIVERED: Family = Family::counter(
    "spillway_delivered_items_total",
    &["target", "signal", "lane"],
    "Items that a target accepted, repeats of what a fallback had already included.",
);
static REDELIVERED: Family = Family::counter(
    "spillway_redelivered_items_total",
    &["target", "signal"],
    "Items that a target accepted and a fallback had before: debts paid to the primary.",
);
static ATTEMPTS: Family = Family::counter(
    "spillway_export_attempts_total",
    &["target", "outcome_class"],
    "Requests sent to a target by the class of their outcome: each attempt, not each batch.",
);
static EXPORT_DURATION: Family =
    Family::histogram("spillway_export_duration_seconds", &["target"], "Time from sending a request to its answer.");
static INFLIGHT: Family =
    Family::gauge("spillway_inflight_requests", &["target"], "Requests on their way to a target.");
static CONCURRENCY: Family =
    Family::gauge("spillway_concurrency_limit", &["target"], "Most requests on their way at once, as learned.");
static RETRY_DELAY: Family = Family::gauge(
    "spillway_retry_delay_seconds",
    &["target"],
    "Time until the target is tried again; 0 when nothing is waited for.",
);
static REJECTED: Family = Family::counter(
    "spillway_rejected_items_total",
    &["target", "signal"],
    "Items that a target refused inside an accepted request (partial success).",
);
static DUPLICATE_SENDS: Family = Family::counter(
    "spillway_duplicate_sends_total",
    &[],
    "Requests sent again to a target that may have them already: its answer was lost.",
);

static SPLITS: Family = Family::counter(
    "spillway_split_batches_total",
    &["signal"],
    "Requests that were cut into parts, since a target does not take as much at once.",
);

static MERGED: Family = Family::counter(
    "spillway_merged_batches_total",
    &["signal"],
    "Small requests that were delivered together with others, in one request.",
);

pub(super) static FAMILIES: &[&Family] = &[
    &DELIVERED,
    &REDELIVERED,
    &ATTEMPTS,
    &EXPORT_DURATION,
    &INFLIGHT,
    &CONCURRENCY,
    &RETRY_DELAY,
    &REJECTED,
    &DUPLICATE_SENDS,
    &SPLITS,
    &MERGED,
];

/// Writes what delivery counted for each target.
pub(super) fn fill(page: &mut Page, deliver: &Snapshot) {
    for target in &deliver.targets {
        let name = target.name.as_str();
        for signal in Signal::ALL {
            for (lane, items) in Lane::ALL.into_iter().zip(target.delivered[signal.index()]) {
                page.count(&DELIVERED, &[name, signal.as_str(), lane.as_str()], items);
            }
            page.count(&REDELIVERED, &[name, signal.as_str()], target.redelivered[signal.index()]);
            page.count(&REJECTED, &[name, signal.as_str()], target.rejected[signal.index()]);
        }
        for &(class, attempts) in &target.attempts {
            page.count(&ATTEMPTS, &[name, class], attempts);
        }
        page.distribution(&EXPORT_DURATION, &[name], target.export_duration.clone());
        page.count(&INFLIGHT, &[name], target.inflight as u64);
        page.count(&CONCURRENCY, &[name], target.concurrency as u64);
        page.number(&RETRY_DELAY, &[name], target.retry_delay.as_secs_f64());
    }
    page.count(&DUPLICATE_SENDS, &[], deliver.duplicate_sends);
    for (signal, chain) in Signal::ALL.into_iter().zip(&deliver.chains) {
        page.count(&SPLITS, &[signal.as_str()], chain.split_batches);
        page.count(&MERGED, &[signal.as_str()], chain.merged_batches);
    }
}
