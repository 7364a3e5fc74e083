//! Families of the doors.

use super::family::{Family, Page};
use crate::batch::Signal;
use crate::receive::snapshot::{self, Requests, Snapshot};

static REQUESTS: Family = Family::counter(
    "spillway_received_requests_total",
    &["transport", "signal", "outcome"],
    "Export requests by how they ended at the door; accepted and empty were answered OK.",
);
static RECEIVED_ITEMS: Family = Family::counter(
    "spillway_received_items_total",
    &["signal"],
    "Spans, data points and log records in requests that could be read.",
);
static RECEIVED_BYTES: Family = Family::counter(
    "spillway_received_bytes_total",
    &["stage"],
    "Bytes of request bodies as they came (wire) and as plain protobuf (inflated), which is less than JSON.",
);
static ACCEPTED_ITEMS: Family =
    Family::counter("spillway_accepted_items_total", &["signal"], "Items in requests that were answered OK.");
static REFUSED_ITEMS: Family = Family::counter(
    "spillway_refused_items_total",
    &["reason"],
    "Items refused at the door; a request whose body was not read counts as one.",
);
static ACK_DURATION: Family = Family::histogram(
    "spillway_ack_duration_seconds",
    &[],
    "Time from the last byte of a request to its OK, the durable write included.",
);
static ADMISSION_WAIT: Family =
    Family::histogram("spillway_admission_wait_seconds", &[], "Time that requests waited for room at the door.");
static INFLIGHT_BYTES: Family = Family::gauge(
    "spillway_admission_inflight_bytes",
    &[],
    "Bytes of requests between socket and disk, as they came, bounded by receivers.otlp.max_inflight.",
);
static CONNECTIONS: Family =
    Family::gauge("spillway_open_connections", &[], "Open client connections, both doors together.");

static TURNED_AWAY: Family = Family::counter(
    "spillway_turned_away_connections_total",
    &["transport", "reason"],
    "Connections ended before their first request: too many are open (full), no TLS at a door that speaks it (plaintext), \
     a handshake that failed (handshake) or took too long (timeout).",
);
static FILES_RENEWED: Family = Family::counter(
    "spillway_door_files_renewed_total",
    &["files"],
    "How often changed files of a door were read anew and put in force.",
);
static FILES_IN_FORCE: Family = Family::gauge(
    "spillway_door_files_in_force",
    &["files"],
    "Whether what these files of a door hold is in force: 0 once they changed to something that cannot be used.",
);

pub(super) static FAMILIES: &[&Family] = &[
    &REQUESTS,
    &RECEIVED_ITEMS,
    &RECEIVED_BYTES,
    &ACCEPTED_ITEMS,
    &REFUSED_ITEMS,
    &ACK_DURATION,
    &ADMISSION_WAIT,
    &INFLIGHT_BYTES,
    &CONNECTIONS,
    &TURNED_AWAY,
    &FILES_RENEWED,
    &FILES_IN_FORCE,
];

/// Writes what the doors counted. Combinations that never happened are there at 0.
pub(super) fn fill(page: &mut Page, doors: &Snapshot) {
    for transport in Requests::TRANSPORTS {
        for signal in Signal::ALL {
            for outcome in Requests::OUTCOMES {
                let same = |r: &&Requests| (r.transport, r.signal, r.outcome) == (transport, signal, outcome);
                let count = doors.requests.iter().filter(same).map(|requests| requests.count).sum();
                page.count(&REQUESTS, &[transport, signal.as_str(), outcome], count);
            }
        }
    }
    for signal in Signal::ALL {
        page.count(&RECEIVED_ITEMS, &[signal.as_str()], doors.received_items[signal.index()]);
        page.count(&ACCEPTED_ITEMS, &[signal.as_str()], doors.accepted_items[signal.index()]);
    }
    let (wire, inflated) = doors.received_bytes;
    page.count(&RECEIVED_BYTES, &["wire"], wire);
    page.count(&RECEIVED_BYTES, &["inflated"], inflated);
    for &reason in Requests::REFUSALS {
        let refused = doors.refused_items.iter().filter(|(known, _)| *known == reason).map(|(_, items)| items).sum();
        page.count(&REFUSED_ITEMS, &[reason], refused);
    }
    page.distribution(&ACK_DURATION, &[], doors.ack_duration.clone());
    page.distribution(&ADMISSION_WAIT, &[], doors.admission_wait.clone());
    page.count(&INFLIGHT_BYTES, &[], doors.inflight_bytes);
    page.count(&CONNECTIONS, &[], doors.connections);
    for transport in Requests::TRANSPORTS {
        for reason in snapshot::TURNED_AWAY {
            let same = |(door, why, _): &&(&str, &str, u64)| (*door, *why) == (transport, reason);
            let count = doors.turned_away.iter().filter(same).map(|(_, _, count)| count).sum();
            page.count(&TURNED_AWAY, &[transport, reason], count);
        }
    }
    for of in snapshot::FILES {
        let seen = doors.files.iter().find(|(name, ..)| *name == of);
        let (renewed, in_force) = seen.map_or((0, true), |(_, renewed, in_force)| (*renewed, *in_force));
        page.count(&FILES_RENEWED, &[of], renewed);
        page.flag(&FILES_IN_FORCE, &[of], in_force);
    }
}
