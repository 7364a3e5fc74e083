//! Who gets the data when targets come and go.

use super::scripted::{Reply, http};
use super::stage::{SECOND, STEP, Setting};
use crate::batch::Signal;
use crate::target::Health;

/// A primary dies under steady traffic; the fallback owes what it takes; the primary comes back.
/// Guarantees that traffic moves after `failover_after`, back after the shortest stay, and that the primary has everything in the
/// end (`owed-is-paid`, `fail-back-is-sticky`).
#[tokio::test(start_paused = true)]
async fn the_primary_has_everything_in_the_end() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    stage.append(Signal::Traces, 5).await;
    stage.until(SECOND, "healthy traffic", |_| hub.taken(Signal::Traces).len() == 5).await;
    assert!(direct.arrivals(Signal::Traces).is_empty());

    hub.dies();
    let died = stage.now();
    stage.append(Signal::Traces, 20).await;
    stage.until(40 * SECOND, "failover", |stage| stage.active(Signal::Traces) == "direct").await;
    let after = stage.now() - died;
    assert!(after >= 30 * SECOND && after <= 31 * SECOND, "{after:?}\n{}", stage.story());
    stage.append(Signal::Traces, 20).await;
    stage.until(5 * SECOND, "the fallback takes all", |_| direct.taken(Signal::Traces).len() == 40).await;
    stage.pass(SECOND).await;
    stage.books_show(Signal::Traces, "owed", |books| books.owed == 40).await;

    hub.works();
    stage.until(120 * SECOND, "fail-back", |stage| stage.active(Signal::Traces) == "hub").await;
    let stayed = stage.now() - died - after;
    assert!(stayed >= 60 * SECOND - STEP && stayed <= 62 * SECOND, "{stayed:?}\n{}", stage.story());
    stage.drained(Signal::Traces, 60 * SECOND).await;
    let mut taken = hub.taken(Signal::Traces);
    taken.sort_unstable();
    assert_eq!(taken, (1..=45).collect::<Vec<_>>());
    let paid = hub.arrivals(Signal::Traces).into_iter().filter(|arrival| arrival.accepted).skip(5);
    assert!(paid.into_iter().all(|arrival| arrival.replay));
    assert_eq!(stage.snapshot().targets[0].redelivered[Signal::Traces.index()], 40);
    assert_eq!(stage.books(Signal::Traces).delivered, 45);
    stage.books_balance().await;
}

/// The same with a fallback that feeds the same backend as the hub.
/// Guarantees that its OK is final: the two together have everything once.
#[tokio::test(start_paused = true)]
async fn a_final_fallback_settles() {
    let mut setting = Setting::new(&["hub", "direct"]);
    setting.targets[1].0.replay_to_primary = false;
    let mut stage = setting.raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.dies();
    stage.append(Signal::Logs, 30).await;
    stage.drained(Signal::Logs, 60 * SECOND).await;
    assert_eq!((stage.books(Signal::Logs).delivered, stage.books(Signal::Logs).owed), (30, 0));
    hub.works();
    stage.append(Signal::Logs, 5).await;
    stage.until(180 * SECOND, "fail-back", |stage| stage.active(Signal::Logs) == "hub").await;
    stage.append(Signal::Logs, 5).await;
    stage.drained(Signal::Logs, 10 * SECOND).await;
    let mut taken = [hub.taken(Signal::Logs), direct.taken(Signal::Logs)].concat();
    taken.sort_unstable();
    assert_eq!(taken, (1..=40).collect::<Vec<_>>());
}

/// A hub that accepts connections and never answers.
/// Guarantees the same time to the fallback as for a dead one, counted from the send time, although its breaker may still be closed;
/// and that what it may have is counted as sent twice.
#[tokio::test(start_paused = true)]
async fn a_black_hole_is_left_in_the_same_time() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.answers(|_| Reply::Hang);
    hub.set_health(Health::Unknown);
    stage.append(Signal::Traces, 3).await;
    let after = stage.until(40 * SECOND, "the fallback", |_| !direct.taken(Signal::Traces).is_empty()).await;
    assert!(after >= 30 * SECOND && after <= 31 * SECOND, "{after:?}\n{}", stage.story());
    assert!(stage.snapshot().duplicate_sends >= 1, "the first one was tried again at the hub");
}

/// The token of one signal expires: 401 to its requests alone.
/// Guarantees that this signal leaves at once and comes back once its batches are taken, and that the others stay.
#[tokio::test(start_paused = true)]
async fn a_wrong_endpoint_moves_one_signal_at_once() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    let (hub, direct) = (stage.targets[0].clone(), stage.targets[1].clone());
    hub.answers(|number| Reply::Say(if number <= 10 { http(401) } else { crate::otlp::answer::Answer::accepted() }));
    stage.append(Signal::Logs, 10).await;
    stage.until(SECOND, "the fallback has them", |_| direct.taken(Signal::Logs).len() == 10).await;
    assert!(stage.snapshot().targets[0].misconfigured[Signal::Logs.index()]);
    stage.append(Signal::Traces, 10).await;
    stage.drained(Signal::Traces, 5 * SECOND).await;
    assert_eq!(hub.taken(Signal::Traces).len(), 10);
    assert_eq!(stage.active(Signal::Traces), "hub");

    hub.works();
    stage.until(90 * SECOND, "back at the hub", |stage| stage.active(Signal::Logs) == "hub").await;
    stage.drained(Signal::Logs, 60 * SECOND).await;
    assert_eq!(hub.taken(Signal::Logs).len(), 10, "owed is paid");
    let moves = &stage.snapshot().chains[Signal::Logs.index()].failovers;
    let reasons: Vec<&str> = moves.iter().map(|moved| moved.reason).collect();
    assert_eq!(reasons, ["misconfigured", "recovered"]);
}

/// Nothing is sent at all while the primary is away for some minutes.
/// Guarantees that probes alone move the chain there and back, and close the breaker's way.
#[tokio::test(start_paused = true)]
async fn an_idle_gateway_follows_its_probes() {
    let stage = Setting::new(&["hub", "direct"]).raise();
    let hub = stage.targets[0].clone();
    stage.pass(12 * SECOND).await;
    hub.dies();
    stage.until(60 * SECOND, "failover", |stage| stage.active(Signal::Metrics) == "direct").await;
    hub.works();
    stage.until(120 * SECOND, "fail-back", |stage| stage.active(Signal::Metrics) == "hub").await;
    assert!(stage.snapshot().chains.iter().all(|chain| chain.active == "hub"));
}

/// A primary that fails again a minute after each return, under traffic, for an hour.
/// Guarantees at most 6 failovers in that hour, and that nothing is lost on the way.
#[tokio::test(start_paused = true)]
async fn flapping_is_bounded() {
    let mut stage = Setting::new(&["hub", "direct"]).raise();
    stage.step = SECOND / 4;
    let hub = stage.targets[0].clone();
    let mut returned = None;
    while stage.now() < 3600 * SECOND {
        stage.append(Signal::Logs, 1).await;
        stage.pass(2 * SECOND).await;
        if stage.active(Signal::Logs) == "direct" {
            hub.works();
            returned = None;
        } else if stage.now() >= *returned.get_or_insert(stage.now()) + 60 * SECOND {
            hub.dies();
        }
    }
    let chain = &stage.snapshot().chains[Signal::Logs.index()];
    let failovers: u64 = chain.failovers.iter().filter(|moved| moved.to == "direct").map(|moved| moved.count).sum();
    assert!((4..=6).contains(&failovers), "{failovers}\n{}", stage.story());
    hub.works();
    stage.step = STEP * 10;
    stage.drained(Signal::Logs, 4000 * SECOND).await;
    assert_eq!(stage.books(Signal::Logs).delivered, stage.books(Signal::Logs).accepted);
}
