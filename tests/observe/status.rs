//! Scenario: a gateway in the middle of an outage is asked for its status.
//! Guarantee: one JSON object with the shape that `docs/status.md` describes, and the figures of the snapshots.

use std::time::Duration;

use spillway::batch::Signal;
use spillway::deliver::snapshot::{BreakerState, Event, Failover};
use spillway::queue::ledger::{DropReason, Ledger};
use spillway::receive::snapshot::Requests;

use crate::support::Gateway;

fn outage(gateway: &Gateway) {
    let mut parts = gateway.parts();
    let hub = &mut parts.deliver.targets[0];
    (hub.up, hub.breaker) = (false, BreakerState::Open);
    hub.retry_delay = Duration::from_millis(2500);
    hub.next_probe = Some(Duration::from_millis(4500));
    hub.last_error = Some((1_700_000_000_000, "no answer (Connect): connection refused".to_owned()));
    hub.delivered[Signal::Logs.index()] = [900, 10];
    hub.attempts[1].1 = 7;
    let chain = &mut parts.deliver.chains[Signal::Logs.index()];
    chain.active = "direct".to_owned();
    chain.active_since_ms = 1_700_000_005_000;
    let moved = Failover { from: "hub".to_owned(), to: "direct".to_owned(), reason: "failure", count: 1 };
    chain.failovers.push(moved);
    parts.deliver.timeline.push(Event { at_ms: 1, what: "logs moved from hub to direct".to_owned() });
    let logs = &mut parts.queue.signals[Signal::Logs.index()];
    logs.books = Ledger {
        accepted: 1000,
        queued: 80,
        delivered: 910,
        owed: 50,
        queued_batches: 8,
        queued_bytes: 800,
        ..Ledger::default()
    };
    logs.books.dropped[DropReason::MaxAge as usize] = 10;
    (logs.fresh_batches, logs.fresh_items, logs.fresh_bytes) = (1, 10, 100);
    (logs.leased_batches, logs.leased_items, logs.leased_bytes) = (2, 20, 200);
    logs.oldest_ms = Some(1_700_000_001_000);
    let refused = Requests { transport: "http", signal: Signal::Logs, outcome: "malformed", count: 3 };
    parts.doors.requests.push(refused);
    parts.doors.refused_items.push(("malformed", 3));
}

#[tokio::test]
async fn the_status_tells_everything() {
    let gateway = Gateway::running().await;
    outage(&gateway);
    let status = gateway.status().await;
    let at = |pointer: &str| status.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {status:#}")).clone();

    assert_eq!(at("/version"), env!("CARGO_PKG_VERSION"));
    assert_eq!((at("/phase"), at("/cluster")), ("running".into(), "spoke-1".into()));
    assert_eq!(at("/endpoints/admin"), gateway.address.to_string());
    assert!(at("/endpoints/grpc").is_null() && at("/uptime_seconds").is_u64());

    assert_eq!(at("/headline/state"), "on_fallback");
    assert_eq!(at("/headline/since_ms"), 1_700_000_005_000u64);
    assert_eq!(at("/headline/why"), "logs to direct instead of hub; hub: no answer (Connect): connection refused");

    assert_eq!((at("/chains/logs/active"), at("/chains/traces/active")), ("direct".into(), "hub".into()));
    assert_eq!(at("/chains/logs/failovers/0/reason"), "failure");
    assert_eq!((at("/targets/0/name"), at("/targets/0/role")), ("hub".into(), "primary".into()));
    assert_eq!((at("/targets/0/breaker"), at("/targets/0/retry_in_seconds")), ("open".into(), 2.5.into()));
    assert_eq!(at("/targets/0/next_probe_in_seconds"), 4.5);
    assert!(at("/targets/2/next_probe_in_seconds").is_null(), "it is not probed");
    assert_eq!((at("/targets/0/delivered/logs/fresh"), at("/targets/0/attempts/transient")), (900.into(), 7.into()));
    assert_eq!((at("/targets/2/kind"), at("/targets/2/last_error")), ("file".into(), serde_json::Value::Null));

    assert_eq!((at("/queue/state"), at("/queue/used_bytes")), ("open".into(), 800.into()));
    assert_eq!(at("/queue/signals/logs/items"), 80);
    assert_eq!(at("/queue/signals/logs/fresh/items"), 10);
    assert_eq!(at("/queue/signals/logs/leased/batches"), 2);
    assert_eq!(at("/queue/signals/logs/backlog"), serde_json::json!({"batches": 5, "items": 50, "bytes": 500}));
    assert_eq!(
        (at("/queue/signals/logs/owed_items"), at("/queue/full_in_seconds")),
        (50.into(), serde_json::Value::Null)
    );

    assert_eq!(
        at("/doors/requests"),
        serde_json::json!([
            {"transport": "http", "signal": "logs", "outcome": "malformed", "count": 3}
        ])
    );
    assert_eq!(at("/doors/refused_items"), serde_json::json!({"malformed": 3}));

    assert_eq!(at("/books/signals/logs/dropped"), serde_json::json!({"max_age": 10}));
    assert_eq!((at("/books/signals/logs/accepted"), at("/books/imbalance_items")), (1000.into(), 0.into()));
    assert_eq!(at("/timeline/0/what"), "logs moved from hub to direct");
}

/// Every field of the object stands in the docs, at the depth where people look for it.
#[tokio::test]
async fn the_docs_name_every_field() {
    let docs = include_str!("../../docs/status.md");
    let gateway = Gateway::running().await;
    outage(&gateway);
    gateway.observer.recount().await.unwrap();
    let status = gateway.status().await;
    let mut missing = Vec::new();
    names(&status, &mut |name| {
        if !docs.contains(&format!("`{name}`")) && !missing.contains(&name.to_owned()) {
            missing.push(name.to_owned());
        }
    });
    // Names that are data: targets' outcome classes and reasons.
    missing.retain(|name| {
        !["ok", "transient", "throttle", "too_large", "refused", "endpoint", "unlisted"].contains(&&**name)
    });
    missing.retain(|name| !["malformed", "max_age"].contains(&&**name));
    assert!(missing.is_empty(), "not in docs/status.md: {missing:?}");
}

fn names(value: &serde_json::Value, tell: &mut impl FnMut(&str)) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                tell(name);
                names(value, tell);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| names(value, tell)),
        _ => {}
    }
}
