//! Nobody accepts.

use super::scripted::Reply;
use super::stage::{SECOND, Setting};
use crate::batch::Signal;
use crate::config::ReplayRate;

/// Primary and fallback are dead while data comes in; the primary returns; new data comes in while the backlog drains at a rate.
/// Guarantees that everything is queued and delivered, oldest first, and that fresh data does not wait for the backlog.
#[tokio::test(start_paused = true)]
async fn everything_waits_and_fresh_data_overtakes() {
    let mut setting = Setting::new(&["hub", "direct"]);
    setting.replay.rate = ReplayRate::BytesPerSecond(200_000);
    setting.queue.memory_limit = Some(16 << 20); // what is in memory when the hub returns is a megabyte, and goes out first
    let mut stage = setting.raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.dies();
    direct.dies();
    let old = stage.append_sized(Signal::Traces, 60, 100_000).await;
    stage.until(60 * SECOND, "partition", |stage| stage.snapshot().chains[0].partitioned_since_ms.is_some()).await;
    stage.pass(120 * SECOND).await;
    assert_eq!((stage.books(Signal::Traces).queued, hub.taken(Signal::Traces).len()), (60, 0));
    assert!(stage.snapshot().chains[0].partition_seconds > 100.0);

    hub.works();
    stage.until(60 * SECOND, "the hub takes data", |_| hub.taken(Signal::Traces).len() > 15).await;
    assert!(stage.snapshot().chains[0].partitioned_since_ms.is_none());
    for _ in 0..5 {
        let fresh = stage.append(Signal::Traces, 1).await[0];
        let waited = stage.until(2 * SECOND, "fresh data", |_| hub.taken(Signal::Traces).contains(&fresh)).await;
        assert!(waited <= SECOND && stage.books(Signal::Traces).queued > 20, "{waited:?}\n{}", stage.story());
    }
    assert!(stage.snapshot().chains[0].replay_items_per_second > 0.0);
    stage.drained(Signal::Traces, 60 * SECOND).await;
    let taken: Vec<u64> = hub.taken(Signal::Traces).into_iter().filter(|number| old.contains(number)).collect();
    assert_eq!(taken.len(), 60);
    let back = taken.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(back <= 16, "oldest first, beside what was in memory: {taken:?}");
    stage.books_balance().await;
}

/// A long partition with a backlog.
/// Guarantees one paced probe and one paced trial a target, nothing per queued batch, and no lease while a breaker is open
/// (`no-pull-while-open`).
#[tokio::test(start_paused = true)]
async fn a_dead_target_costs_next_to_nothing() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = SECOND / 10;
    let hub = stage.targets[0].clone();
    hub.dies();
    stage.append(Signal::Logs, 500).await;
    stage.pass(60 * SECOND).await;
    hub.forget_arrivals();
    let probes = hub.probes.load(std::sync::atomic::Ordering::SeqCst);
    let mut leased = 0;
    for _ in 0..600 {
        stage.pass(SECOND).await;
        let snapshot = stage.queue.snapshot();
        leased += snapshot.signals[Signal::Logs.index()].leased_batches;
    }
    let trials = hub.arrivals(Signal::Logs).len();
    let probes = hub.probes.load(std::sync::atomic::Ordering::SeqCst) - probes;
    assert!((2..=10).contains(&trials), "{trials} trials in ten minutes");
    assert!((90..=160).contains(&probes), "{probes} probes in ten minutes");
    assert_eq!(leased, 0, "looked at once a second, and never in the middle of a trial");
}

/// The primary returns after a long outage, when its breaker would stay open for minutes.
/// Guarantees that probes shorten that: data flows soon after two of them.
#[tokio::test(start_paused = true)]
async fn probes_shorten_the_wait_for_a_hub_that_is_back() {
    let mut stage = Setting::new(&["hub"]).raise();
    stage.step = SECOND / 10;
    let hub = stage.targets[0].clone();
    hub.dies();
    stage.append(Signal::Logs, 50).await;
    stage.pass(900 * SECOND).await;
    assert!(stage.snapshot().targets[0].retry_delay > 20 * SECOND);
    hub.works();
    let waited = stage.until(60 * SECOND, "data flows", |_| !hub.taken(Signal::Logs).is_empty()).await;
    assert!(waited <= 13 * SECOND, "{waited:?}\n{}", stage.story());
    stage.drained(Signal::Logs, 30 * SECOND).await;
}

/// The fallback dies at the moment it is to take over, before it took anything; later the primary alone comes back.
/// Guarantees that each signal finds its way back to the primary, in strict order too.
#[tokio::test(start_paused = true)]
async fn the_primary_is_found_again_though_the_fallback_stays_dead() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    stage.pass(SECOND).await;
    hub.dies();
    direct.answers(|_| Reply::Hang);
    for signal in Signal::ALL {
        stage.append(signal, 20).await;
    }
    stage.until(40 * SECOND, "failover", |stage| stage.active(Signal::Metrics) == "direct").await;
    direct.dies();
    stage.pass(120 * SECOND).await;
    assert!(stage.snapshot().chains.iter().all(|chain| chain.partitioned_since_ms.is_some()));
    hub.works();
    for signal in Signal::ALL {
        stage.drained(signal, 90 * SECOND).await;
        assert_eq!(hub.taken(signal).len(), 20, "{}", stage.story());
    }
    assert!(hub.taken(Signal::Metrics).is_sorted());
}

/// A fallback that is to take fresh data alone.
/// Guarantees that the backlog waits for the primary.
#[tokio::test(start_paused = true)]
async fn a_fallback_for_fresh_data_leaves_the_backlog() {
    let mut setting = Setting::new(&["hub", "direct"]);
    setting.chain.fallback_takes_backlog = false;
    let mut stage = setting.raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.dies();
    stage.append(Signal::Logs, 1).await;
    stage.until(40 * SECOND, "failover", |stage| stage.active(Signal::Logs) == "direct").await;
    let fresh = stage.append(Signal::Logs, 5).await;
    stage.pass(5 * SECOND).await;
    let mut taken = direct.taken(Signal::Logs);
    taken.sort_unstable();
    assert_eq!(taken, fresh, "{}", stage.story());
    hub.works();
    stage.drained(Signal::Logs, 180 * SECOND).await;
    assert_eq!(hub.taken(Signal::Logs).len(), 6);
}
