//! Families of the queue, its store and its dead letters.

use super::family::{Family, Page};
use super::process;
use crate::batch::Signal;
use crate::config::Durability;
use crate::observe::lanes::Lanes;
use crate::observe::trend::Outlook;
use crate::queue::lease::Lane;
use crate::queue::snapshot::{Snapshot, StoreState};

static BATCHES: Family =
    Family::gauge("spillway_queue_batches", &["signal"], "Requests queued: fresh, backlog, leased and parked.");
static ITEMS: Family =
    Family::gauge("spillway_queue_items", &["signal"], "Items queued: fresh, backlog, leased and parked.");
static BYTES: Family =
    Family::gauge("spillway_queue_bytes", &["signal"], "Stored bytes queued: fresh, backlog, leased and parked.");
static LANE_BATCHES: Family =
    Family::gauge("spillway_queue_lane_batches", &["signal", "lane"], "Requests that wait in a lane, not leased.");
static LANE_ITEMS: Family =
    Family::gauge("spillway_queue_lane_items", &["signal", "lane"], "Items that wait in a lane, not leased.");
static LANE_BYTES: Family =
    Family::gauge("spillway_queue_lane_bytes", &["signal", "lane"], "Stored bytes that wait in a lane, not leased.");
static LEASED: Family =
    Family::gauge("spillway_queue_leased_batches", &["signal"], "Requests that delivery is working on.");
static PARKED: Family = Family::gauge(
    "spillway_queue_parked_batches",
    &["signal"],
    "Requests that lie out of the line as suspects, part of spillway_queue_batches.",
);
static PARKED_ITEMS: Family = Family::gauge(
    "spillway_queue_parked_items",
    &["signal"],
    "Items that lie out of the line as suspects, part of spillway_queue_items.",
);
static OLDEST: Family = Family::gauge(
    "spillway_queue_oldest_timestamp_seconds",
    &["signal"],
    "When the oldest queued request was received; 0 when nothing is queued.",
);
static CAPACITY: Family = Family::gauge(
    "spillway_queue_capacity_bytes",
    &[],
    "Quota that the sum of spillway_queue_bytes is measured against.",
);
static FULL_ETA: Family = Family::gauge(
    "spillway_queue_full_eta_seconds",
    &[],
    "Time until the queue is full at the growth of the last five minutes; 0 when it is, +Inf when it does not grow.",
);
static LATE_SETTLES: Family = Family::counter(
    "spillway_late_settles_total",
    &[],
    "Settles that named a lease which was no longer current, and were ignored.",
);
static COMMIT_DURATION: Family =
    Family::histogram("spillway_commit_duration_seconds", &[], "Time of a group's write including its fsync.");
static COMMIT_GROUP: Family =
    Family::summary("spillway_commit_group_batches", &[], "Requests written and synced together, a group.");
static COMMITTED: Family =
    Family::counter("spillway_committed_bytes_total", &[], "Bytes of requests and kept headers written to the queue.");
static AMPLIFICATION: Family = Family::gauge(
    "spillway_write_amplification",
    &[],
    "Bytes given to the disks for each byte written to the queue, since the start, as the kernel counts the process: file targets \
     included. 0 before the first byte.",
);
static STORE_STATE: Family = Family::gauge("spillway_store_state", &["state"], "1 for the state that the store is in.");
static REOPENS: Family = Family::counter(
    "spillway_store_reopens_total",
    &[],
    "Times that the store was closed after a failed write, opened anew and verified.",
);
static DURABILITY: Family =
    Family::gauge("spillway_queue_durability", &["durability"], "1 for what an OK survives: queue.durability.");
static REFUSING: Family = Family::gauge(
    "spillway_queue_refusing",
    &["signal"],
    "1 while new requests of the signal are refused for want of space, drains and removals go on.",
);
static CLOCK_STEP: Family = Family::gauge(
    "spillway_clock_step_seconds",
    &[],
    "By how much the time of day was set, while nothing is removed for its age because of that; else 0.",
);
static DISK_FREE: Family = Family::gauge(
    "spillway_disk_free_bytes",
    &[],
    "Free bytes of the queue's volume; absent where it cannot be asked.",
);
static DEAD_BATCHES: Family = Family::gauge("spillway_dead_letter_batches", &[], "Dead letters held.");
static DEAD_BYTES: Family = Family::gauge("spillway_dead_letter_bytes", &[], "Bytes of the dead letters held.");
static DEAD_CAPACITY: Family = Family::gauge(
    "spillway_dead_letter_capacity_bytes",
    &[],
    "Bytes of dead letters beyond which nothing is set aside any more.",
);
static DEAD_EXPIRED: Family = Family::counter(
    "spillway_dead_letters_expired_total",
    &[],
    "Dead letters removed for their age; they stay counted as dead.",
);
static DEAD_UNREAD: Family = Family::gauge(
    "spillway_dead_letters_unreadable",
    &[],
    "Dead letters that could not be read when they were last looked through for their age; they stay until purged.",
);

pub(super) static FAMILIES: &[&Family] = &[
    &BATCHES,
    &ITEMS,
    &BYTES,
    &LANE_BATCHES,
    &LANE_ITEMS,
    &LANE_BYTES,
    &LEASED,
    &PARKED,
    &PARKED_ITEMS,
    &OLDEST,
    &CAPACITY,
    &FULL_ETA,
    &LATE_SETTLES,
    &COMMIT_DURATION,
    &COMMIT_GROUP,
    &COMMITTED,
    &AMPLIFICATION,
    &STORE_STATE,
    &REOPENS,
    &DURABILITY,
    &REFUSING,
    &CLOCK_STEP,
    &DISK_FREE,
    &DEAD_BATCHES,
    &DEAD_BYTES,
    &DEAD_CAPACITY,
    &DEAD_EXPIRED,
    &DEAD_UNREAD,
];

/// Writes what the queue holds, and when it will be full.
pub(super) fn fill(page: &mut Page, queue: &Snapshot, outlook: &Outlook) {
    for signal in Signal::ALL {
        let depth = &queue.signals[signal.index()];
        let name = signal.as_str();
        page.count(&BATCHES, &[name], depth.books.queued_batches);
        page.count(&ITEMS, &[name], depth.books.queued);
        page.count(&BYTES, &[name], depth.books.queued_bytes);
        let lanes = Lanes::of(depth);
        for (lane, amount) in [(Lane::Fresh, lanes.fresh), (Lane::Backlog, lanes.backlog)] {
            page.count(&LANE_BATCHES, &[name, lane.as_str()], amount.batches);
            page.count(&LANE_ITEMS, &[name, lane.as_str()], amount.items);
            page.count(&LANE_BYTES, &[name, lane.as_str()], amount.bytes);
        }
        page.count(&LEASED, &[name], depth.leased_batches);
        page.count(&PARKED, &[name], lanes.parked.batches);
        page.count(&PARKED_ITEMS, &[name], lanes.parked.items);
        page.flag(&REFUSING, &[name], depth.refusing);
        page.timestamp(&OLDEST, &[name], depth.oldest_ms);
    }
    page.count(&CAPACITY, &[], queue.capacity_bytes);
    page.eta(&FULL_ETA, &[], outlook.full_in);
    page.count(&LATE_SETTLES, &[], queue.late_settles);
    page.distribution(&COMMIT_DURATION, &[], queue.commit_duration.clone());
    page.sum(&COMMIT_GROUP, &[], queue.commit_groups, queue.commit_batches as f64);
    page.count(&COMMITTED, &[], queue.commit_bytes);
    let written = process::written_bytes().filter(|_| queue.commit_bytes > 0);
    page.number(&AMPLIFICATION, &[], written.unwrap_or(0) as f64 / queue.commit_bytes.max(1) as f64);
    for state in StoreState::ALL {
        page.flag(&STORE_STATE, &[state.as_str()], state == queue.state);
    }
    page.count(&REOPENS, &[], queue.store_reopens);
    for durability in Durability::ALL {
        page.flag(&DURABILITY, &[durability.as_str()], durability == queue.durability);
    }
    page.number(&CLOCK_STEP, &[], queue.clock_step_ms.unwrap_or(0) as f64 / 1000.0);
    if let Some(free) = queue.disk_free_bytes {
        page.count(&DISK_FREE, &[], free);
    }
    let (batches, bytes) = queue.dead_letters;
    page.count(&DEAD_BATCHES, &[], batches);
    page.count(&DEAD_BYTES, &[], bytes);
    page.count(&DEAD_CAPACITY, &[], queue.dead_letters_capacity);
    page.count(&DEAD_EXPIRED, &[], queue.dead_letters_expired);
    page.count(&DEAD_UNREAD, &[], queue.dead_letters_unread);
}
