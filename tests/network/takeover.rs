//! Scenario: the primary dies, or becomes a black hole, under load; it returns at once, or after a long time.
//! Guarantee: new data is at the fallback within `failover_after` and a second, and at the primary again within a second of the
//! shortest stay, or of two probes and the trials, whichever is later. In a release with the defaults; else with less patience, and
//! more of it for a machine that has other things to do.

use std::time::{Duration, Instant};

use spillway::batch::Signal;

use crate::live::{Live, release};
use crate::load::{Load, Work};
use crate::oracle;
use crate::proxy::Fault;
use crate::rig::{HURRIED, Over, Place, Plan};
use crate::support::wait::seconds;

/// Clients that send often enough for a trial to find a batch.
const WORK: Work = Work { per_request: 10, pause: Duration::from_millis(100), padding: 0, load: 0 };

/// What holds in one way of playing it.
#[derive(Clone, Copy)]
struct Patience {
    knobs: &'static str,
    chain: &'static str,
    failover_after: Duration,
    min_stay: Duration,
    /// Two probes of a target that is down, at their slowest, and the three batches that close its breaker.
    proven: Duration,
    /// What is allowed beyond.
    slack: Duration,
    /// A long absence.
    long: Duration,
}

const DEFAULTS: Patience = Patience {
    knobs: "",
    chain: "",
    failover_after: seconds(30),
    min_stay: seconds(60),
    proven: Duration::from_millis(12_500),
    slack: seconds(1),
    long: seconds(120),
};

const SAMPLE: Patience = Patience {
    knobs: HURRIED,
    chain: "failover_after: 3s, min_stay: 4s",
    failover_after: seconds(3),
    min_stay: seconds(4),
    proven: Duration::from_millis(1_500),
    slack: seconds(20),
    long: seconds(5),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_primary_is_left_and_returned_to() {
    ways(Fault::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_left_and_returned_to() {
    ways(Fault::BlackHole).await;
}

async fn ways(fault: Fault) {
    tokio::join!(
        takeover(fault, Over::Grpc, false),
        takeover(fault, Over::Http, false),
        takeover(fault, Over::Grpc, true),
        takeover(fault, Over::Http, true)
    );
}

async fn takeover(fault: Fault, over: Over, long: bool) {
    let patience = if release() { DEFAULTS } else { SAMPLE };
    let Patience { knobs, chain, failover_after, min_stay, proven, slack, .. } = patience;
    let plan = Plan { knobs, chain, ..Plan::new(over) };
    let live = plan.launch("memory_limit: 64MiB").await;
    let mut load = live.load(WORK);
    live.until("the primary gets data", seconds(60), |live| has_since(&live.primary, &load, None)).await;

    let died = Instant::now();
    live.primary.proxy.set(fault);
    live.until("the fallback gets data", failover_after + seconds(60), |live| {
        has_since(&live.fallback, &load, Some(died))
    })
    .await;
    let (left, after) = (Instant::now(), died.elapsed());
    if long {
        tokio::time::sleep(patience.long).await;
    }
    live.primary.proxy.set(Fault::None);
    let healed = Instant::now();
    let due = (left + min_stay).max(healed + proven);
    let back = |live: &Live| Signal::ALL.iter().all(|signal| live.active(*signal) == "hub");
    live.until("traffic returns", due + seconds(60) - healed, back).await;
    let (stayed, returned) = (left.elapsed(), Instant::now());
    live.until("new data at the primary", seconds(60), |live| has_since(&live.primary, &load, Some(returned))).await;
    let late = Instant::now().saturating_duration_since(due);
    let told = format!(
        "{fault:?} over {over:?}, {}: at the fallback after {after:?}, back {:?} after the return and {:?} after it was left, \
         {late:?} beyond the bound",
        if long { "long" } else { "short" },
        healed.elapsed(),
        left.elapsed()
    );
    println!("{told}");
    assert!(after >= failover_after / 2 && after <= failover_after + slack, "{told}\n{}", live.story());
    assert!(stayed >= min_stay / 2 && late <= slack, "{told}\n{}", live.story());

    load.stop().await;
    live.until("I6: the backlog empties", seconds(120), |live| live.queued() == 0).await;
    for signal in Signal::ALL {
        let missing = load.acked_items(signal).filter(|id| live.primary.hub.came(signal, *id).is_none()).count();
        assert_eq!(missing, 0, "I1: {signal}\n{}", live.story());
    }
    oracle::in_order(&live.primary, || live.story());
    oracle::in_order(&live.fallback, || live.story());
    live.gateway.assert_balanced();
}

/// Whether a place has traces and logs that were acknowledged since then. Metrics first pay what is owed.
fn has_since(place: &Place, load: &Load, since: Option<Instant>) -> bool {
    [Signal::Traces, Signal::Logs].iter().all(|signal| {
        let acked = load.acked(*signal);
        let mut young = acked.iter().rev().filter(|(_, at)| since.is_none_or(|since| *at > since));
        young.any(|(first, _)| place.hub.came(*signal, *first).is_some())
    })
}
