//! Targets that have enough, and targets that have just come back.

use std::sync::Arc;
use std::time::Duration;

use super::scripted::Reply;
use super::stage::{SECOND, Setting};
use crate::batch::Signal;
use crate::deliver::snapshot::BreakerState;
use crate::deliver::{Deliver, Plan};
use crate::otlp::answer::Answer;
use crate::queue::Queue;
use crate::target::Target;

/// A hub that asks for eight seconds with each answer.
/// Guarantees that it gets no request before they are over (`hint-respected`), that traffic does not leave it for that, and the
/// fallback only after the patience.
#[tokio::test(start_paused = true)]
async fn a_servers_delay_is_kept() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.answers(|_| Reply::Say(Answer::Http { status: 429, message: String::new(), delay: Some(8 * SECOND) }));
    stage.append(Signal::Traces, 10).await;
    stage.append(Signal::Logs, 10).await;
    stage.pass(100 * SECOND).await;
    assert!(direct.arrivals(Signal::Traces).is_empty());
    let mut at: Vec<_> = [Signal::Traces, Signal::Logs].iter().flat_map(|signal| hub.arrivals(*signal)).collect();
    at.sort_by_key(|arrival| arrival.at);
    assert!(at.len() >= 5, "{}\n{}", at.len(), stage.story());
    assert!(at.windows(2).all(|pair| pair[1].at - pair[0].at >= 8 * SECOND), "{at:?}");
    stage.until(60 * SECOND, "patience", |stage| stage.active(Signal::Traces) == "direct").await;
    let reason = stage.snapshot().chains[Signal::Traces.index()].failovers[0].reason;
    assert_eq!(reason, "throttle");
}

/// Many batches of all signals wait for a hub that comes back, and takes half a second for each.
/// Guarantees one request at a time until three were taken, then more and more of them, never above the maximum.
#[tokio::test(start_paused = true)]
async fn a_hub_that_is_back_is_tried_with_single_requests() {
    let mut setting = Setting::new(&["hub"]);
    setting.targets[0].0.max_concurrency = 6;
    let mut stage = setting.raise();
    let hub = stage.targets[0].clone();
    hub.dies();
    for signal in Signal::ALL {
        stage.append(signal, 100).await;
    }
    stage.until(30 * SECOND, "open", |stage| stage.snapshot().targets[0].breaker == BreakerState::Open).await;
    stage.pass(60 * SECOND).await;
    hub.forget_arrivals();
    hub.works();
    hub.set_latency(SECOND / 2);
    stage.until(60 * SECOND, "ramp", |stage| stage.snapshot().targets[0].breaker == BreakerState::Ramping).await;
    let taken: usize = Signal::ALL.iter().map(|signal| hub.taken(*signal).len()).sum();
    assert!(hub.most_inside() == 1 && (3..=4).contains(&taken), "{} {taken}", hub.most_inside());
    for signal in Signal::ALL {
        stage.drained(signal, 200 * SECOND).await;
    }
    assert!((4..=6).contains(&hub.most_inside()), "{}", hub.most_inside());
}

/// One slot at a slow hub, and all three signals with plenty to send.
/// Guarantees that each gets its turn.
#[tokio::test(start_paused = true)]
async fn one_slot_serves_all_signals() {
    let mut setting = Setting::new(&["hub"]);
    setting.targets[0].0.max_concurrency = 1;
    let mut stage = setting.raise();
    let hub = stage.targets[0].clone();
    hub.set_latency(SECOND / 10);
    for signal in Signal::ALL {
        stage.append(signal, 100).await;
    }
    stage.pass(12 * SECOND).await;
    let taken = Signal::ALL.map(|signal| hub.taken(signal).len());
    assert!(taken.iter().all(|count| (30..=45).contains(count)), "{taken:?}\n{}", stage.story());
}

/// A backlog with a fixed rate, and nothing fresh.
/// Guarantees the rate.
#[tokio::test(start_paused = true)]
async fn the_backlog_goes_at_its_rate() {
    let mut setting = Setting::new(&["hub"]);
    setting.replay.rate = crate::config::ReplayRate::BytesPerSecond(1000);
    let mut stage = setting.raise();
    let hub = stage.targets[0].clone();
    hub.dies();
    stage.append(Signal::Logs, 200).await;
    stage.pass(30 * SECOND).await;
    hub.works();
    stage.until(30 * SECOND, "first", |_| hub.taken(Signal::Logs).len() > 3).await;
    let replayed = || hub.arrivals(Signal::Logs).iter().filter(|arrival| arrival.accepted && arrival.replay).count();
    let before = replayed();
    stage.pass(10 * SECOND).await;
    assert!(replayed() - before <= 110, "{}", replayed() - before);
    stage.drained(Signal::Logs, Duration::from_secs(60)).await;
}

/// Two gateways that are started alike.
/// Guarantees that they do not wait alike: after an outage of their hub they would all knock at once.
#[tokio::test]
async fn gateways_that_are_alike_do_not_wait_alike() {
    let mut waits = Vec::new();
    for _ in 0..2 {
        let setting = Setting::new(&["hub"]);
        let queue = Queue::open(&setting.queue).unwrap();
        let Setting { chain, replay, orders, by_hand, targets, .. } = setting;
        let targets = targets.into_iter().map(|(config, target)| (config, target as Arc<dyn Target>)).collect();
        let deliver = Deliver::start(Plan { chain, replay, orders, targets }, &queue, by_hand);
        waits.push(deliver.crew.jitter.lock().unwrap().equal(3600 * SECOND));
        deliver.stop(SECOND).await;
        queue.close().await;
    }
    assert_ne!(waits[0], waits[1]);
}

/// Much data comes in and is delivered at once.
/// Guarantees that `replay.rate: auto` follows the intake, of which nothing is left in the queue.
#[tokio::test(start_paused = true)]
async fn the_automatic_rate_follows_the_intake() {
    let mut stage = Setting::new(&["hub"]).raise();
    let before = stage.deliver.gates()[0].backlog_rate();
    stage.append_sized(Signal::Logs, 60, 1 << 20).await;
    stage.drained(Signal::Logs, 9 * SECOND).await;
    stage.pass(11 * SECOND).await;
    assert!(stage.deliver.gates()[0].backlog_rate() > before, "{before}");
}
